//! A row per method: which request, which answer.
//!
//! Invariant: nothing is decided here. A method wraps its message into the envelope of the framed
//! protocol, calls the handler, and takes the answer out again.

use crate::deadline::deadline_ms;
use crate::status::status;
use crate::v1::admin_server::Admin;
use crate::v1::bodies_server::Bodies;
use crate::v1::branches_server::Branches;
use crate::v1::clients_server::Clients;
use crate::v1::namespace_server::Namespace;
use crate::v1::quotas_server::Quotas;
use crate::v1::snapshots_server::Snapshots;
use nokv_proto::v1::request::Method;
use nokv_proto::v1::response::Result as Answer;
use nokv_proto::{failure_from_wire, v1};
use nokv_server::{Caller, Service};
use nokv_types::{Failure, Reason};
use tonic::{Request, Response, Status};

/// The service behind all methods.
#[derive(Clone)]
pub(crate) struct Grpc {
    pub(crate) service: Service,
}

impl Grpc {
    /// Calls the handler with what came.
    async fn call<T>(
        &self,
        request: Request<T>,
        method: impl FnOnce(T) -> Method,
    ) -> Result<Answer, Status> {
        let caller = caller(&request);
        let deadline_ms = deadline_ms(request.metadata());
        let method = Some(method(request.into_inner()));
        let request = v1::Request {
            deadline_ms,
            method,
        };
        answer(self.service.call(request, &caller).await)
    }
}

/// Who sent it.
pub(crate) fn caller<T>(request: &Request<T>) -> Caller {
    request
        .remote_addr()
        .map_or(Caller::Embedded, Caller::Network)
}

/// The answer of the handler, a failure as a status.
pub(crate) fn answer(response: v1::Response) -> Result<Answer, Status> {
    match response.result {
        Some(Answer::Failure(failure)) => Err(status(&failure_from_wire(&failure))),
        Some(answer) => Ok(answer),
        None => Err(unexpected()),
    }
}

/// The handler answered a method with what belongs to another: a bug.
pub(crate) fn unexpected() -> Status {
    status(&Failure::new(
        Reason::Io,
        "internal error: the answer is of another method; please report it",
    ))
}

macro_rules! service {
    ($service:ident {
        $($rpc:ident: $request:ident($method:ident) -> $response:ident($answer:ident);)*
    }) => {
        #[tonic::async_trait]
        impl $service for Grpc {
            $(async fn $rpc(
                &self,
                request: Request<v1::$request>,
            ) -> Result<Response<v1::$response>, Status> {
                match self.call(request, Method::$method).await? {
                    Answer::$answer(answer) => Ok(Response::new(answer)),
                    _ => Err(unexpected()),
                }
            })*
        }
    };
}

service!(Namespace {
    lookup: LookupRequest(Lookup) -> LookupResponse(Lookup);
    read_dir_plus: ReadDirRequest(ReadDir) -> ReadDirResponse(ReadDir);
    read_dir: ReadNamesRequest(ReadNames) -> ReadNamesResponse(ReadNames);
    read_version: ReadVersionRequest(ReadVersion) -> ReadVersionResponse(ReadVersion);
    read_link: ReadLinkRequest(ReadLink) -> ReadLinkResponse(ReadLink);
    usage: UsageRequest(Usage) -> UsageResponse(Usage);
    make_dir: MakeDirRequest(MakeDir) -> ChangedResponse(Changed);
    make_node: MakeNodeRequest(MakeNode) -> ChangedResponse(Changed);
    symlink: SymlinkRequest(Symlink) -> ChangedResponse(Changed);
    link: LinkRequest(Link) -> ChangedResponse(Changed);
    rename_subtree: RenameRequest(Rename) -> RenameResponse(Rename);
    remove: RemoveRequest(Remove) -> RemoveResponse(Remove);
    set_attributes: SetAttributesRequest(SetAttributes) -> ChangedResponse(Changed);
    publish: PublishRequest(Publish) -> PublishResponse(Publish);
    replace_body: ReplaceBodyRequest(ReplaceBody) -> ChangedResponse(Changed);
    edit_body: EditBodyRequest(EditBody) -> EditBodyResponse(EditBody);
    get_xattr: GetXattrRequest(GetXattr) -> GetXattrResponse(GetXattr);
    list_xattrs: ListXattrsRequest(ListXattrs) -> ListXattrsResponse(ListXattrs);
    set_xattr: SetXattrRequest(SetXattr) -> ChangedResponse(Changed);
    sync: SyncRequest(Sync) -> SyncResponse(Sync);
});

service!(Snapshots {
    snapshot_subtree: CreateSnapshotRequest(CreateSnapshot) -> SnapshotResponse(Snapshot);
    renew_snapshot: RenewSnapshotRequest(RenewSnapshot) -> SnapshotResponse(Snapshot);
    retire_snapshot: RemoveSnapshotRequest(RemoveSnapshot) -> SnapshotResponse(Snapshot);
    list_snapshots: ListSnapshotsRequest(ListSnapshots) -> ListSnapshotsResponse(ListSnapshots);
});

service!(Branches {
    create_branch: CreateBranchRequest(CreateBranch) -> BranchResponse(Branch);
    remove_branch: RemoveBranchRequest(RemoveBranch) -> RemoveResponse(Remove);
    list_branches: ListBranchesRequest(ListBranches) -> ListBranchesResponse(ListBranches);
    diff: DiffRequest(Diff) -> DiffResponse(Diff);
    merge: MergeRequest(Merge) -> MergeResponse(Merge);
    restore: RestoreRequest(Restore) -> RestoreResponse(Restore);
    undo: UndoRequest(Undo) -> UndoResponse(Undo);
    command: CommandRequest(Command) -> CommandResponse(Command);
});

service!(Clients {
    open_client: OpenClientRequest(OpenClient) -> ClientResponse(Client);
    renew_client: RenewClientRequest(RenewClient) -> ClientResponse(Client);
    close_client: CloseClientRequest(CloseClient) -> CloseClientResponse(CloseClient);
    announce_client: AnnounceClientRequest(AnnounceClient)
        -> AnnounceClientResponse(AnnounceClient);
    list_clients: ListClientsRequest(ListClients) -> ListClientsResponse(ListClients);
    open_node: OpenNodeRequest(OpenNode) -> LookupResponse(Lookup);
    close_node: CloseNodeRequest(CloseNode) -> CloseNodeResponse(CloseNode);
    make_unnamed: MakeUnnamedRequest(MakeUnnamed) -> ChangedResponse(Changed);
    lock: LockRequest(Lock) -> LockResponse(Lock);
    unlock: UnlockRequest(Unlock) -> UnlockResponse(Unlock);
    test_lock: TestLockRequest(TestLock) -> TestLockResponse(TestLock);
    give_up_lock: GiveUpLockRequest(GiveUpLock) -> LockResponse(Lock);
});

service!(Quotas {
    set_quota: SetQuotaRequest(SetQuota) -> QuotaResponse(Quota);
    remove_quota: RemoveQuotaRequest(RemoveQuota) -> QuotaResponse(Quota);
    get_quota: GetQuotaRequest(GetQuota) -> QuotaResponse(Quota);
    list_quotas: ListQuotasRequest(ListQuotas) -> ListQuotasResponse(ListQuotas);
    check_quota: CheckQuotaRequest(CheckQuota) -> CheckQuotaResponse(CheckQuota);
    room: RoomRequest(Room) -> RoomResponse(Room);
});

service!(Bodies {
    begin_publish: OpenSessionRequest(OpenSession) -> OpenSessionResponse(OpenSession);
    renew_publish: RenewSessionRequest(RenewSession) -> RenewSessionResponse(RenewSession);
    end_publish: CloseSessionRequest(CloseSession) -> CloseSessionResponse(CloseSession);
    put_block: PutBlockRequest(PutBlock) -> PutBlockResponse(PutBlock);
    get_block: GetBlockRequest(GetBlock) -> GetBlockResponse(GetBlock);
    read_plan: ReadPlanRequest(ReadPlan) -> ReadPlanResponse(ReadPlan);
});

service!(Admin {
    status: StatusRequest(Status) -> StatusResponse(Status);
    collect: CollectRequest(Collect) -> CollectResponse(Collect);
    list_mounts: ListMountsRequest(ListMounts) -> ListMountsResponse(ListMounts);
    create_mount: CreateMountRequest(CreateMount) -> CreateMountResponse(CreateMount);
    retire_mount: RetireMountRequest(RetireMount) -> RetireMountResponse(RetireMount);
    explain: ExplainRequest(Explain) -> ExplainResponse(Explain);
    outlook: OutlookRequest(Outlook) -> OutlookResponse(Outlook);
    check_bodies: CheckBodiesRequest(CheckBodies) -> CheckBodiesResponse(CheckBodies);
    delete_orphans: DeleteOrphansRequest(DeleteOrphans) -> DeleteOrphansResponse(DeleteOrphans);
    scrub: ScrubRequest(Scrub) -> ScrubResponse(Scrub);
    dump: DumpRequest(Dump) -> DumpResponse(Dump);
    load: LoadRequest(Load) -> LoadResponse(Load);
    make_backup: MakeBackupRequest(MakeBackup) -> MakeBackupResponse(MakeBackup);
    list_backups: ListBackupsRequest(ListBackups) -> ListBackupsResponse(ListBackups);
    remove_backup: RemoveBackupRequest(RemoveBackup) -> RemoveBackupResponse(RemoveBackup);
    verify_backup: VerifyBackupRequest(VerifyBackup) -> VerifyBackupResponse(VerifyBackup);
    finish_load: FinishLoadRequest(FinishLoad) -> ChangedResponse(Changed);
    check: CheckRequest(Check) -> CheckResponse(Check);
    check_step: CheckStepRequest(CheckStep) -> CheckStepResponse(CheckStep);
    repair: RepairRequest(Repair) -> RepairResponse(Repair);
    list_shards: ListShardsRequest(ListShards) -> ShardsResponse(Shards);
    add_shards: AddShardsRequest(AddShards) -> ShardsResponse(Shards);
    get_placement: GetPlacementRequest(GetPlacement) -> PlacementResponse(Placement);
    set_placement: SetPlacementRequest(SetPlacement) -> ChangedResponse(Changed);
    set_mount_placement: SetMountPlacementRequest(SetMountPlacement)
        -> SetMountPlacementResponse(SetMountPlacement);
});
