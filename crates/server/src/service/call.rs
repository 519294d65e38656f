//! From a request to its answer: which lane, which deadline, which sync.
//!
//! Invariant: one table ([`Service::run_inline`], [`run_of_clients`], [`Service::run_waiting`])
//! names every method once. A method that [`lane`] does not name is worked on by a thread for it.

use super::store::{Inner, Service};
use super::{
    admin, backup, bodies, branches, changes, clients, collect, dump, edits, nodes, quotas, reads,
    restore, shards, snapshots, watch,
};
use crate::figures::Asked;
use nokv_proto::v1::{self, request::Method, response::Result as Answer};
use nokv_types::{Failure, Reason};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Items up to which a publish or a read plan is answered inline: about a millisecond.
const INLINE_ITEMS_MAX: usize = 64;
/// Entries up to which a page is answered inline: about half a millisecond.
const INLINE_ENTRIES_MAX: u32 = 512;

/// Who calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Caller {
    /// This process.
    Embedded,
    /// A process on this machine, by its user.
    Local {
        /// The user id that the kernel vouches for.
        uid: u32,
    },
    /// A network address.
    Network(std::net::SocketAddr),
}

/// How a request is worked on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// Where it was read: short.
    Inline,
    /// On a thread for blocking work.
    Blocking,
    /// As a task that waits for the object store.
    Waiting,
}

/// A request on its way, with what was settled when it arrived.
pub(crate) struct Arrived {
    method: Method,
    /// Monotonic time after which work must not begin.
    deadline: Option<Duration>,
    /// Whether the answer waits for a sync.
    needs_sync: bool,
    asked: Asked,
}

impl Service {
    /// Answers one request. Never fails: failures are answers.
    ///
    /// **Concurrency**: from any task; needs a tokio runtime. A dropped future leaves a change done
    /// or not done.
    pub async fn call(&self, request: v1::Request, caller: &Caller) -> v1::Response {
        match self.arrive(request) {
            Ok(arrived) => match arrived.lane() {
                Lane::Inline => self.finish(self.run_now(arrived, caller)).await,
                Lane::Blocking | Lane::Waiting => self.run_later(arrived, caller.clone()).await,
            },
            Err(failure) => failure.into(),
        }
    }

    /// Notes the arrival of a request. **Errors**: `Unsupported` without a method that is known.
    pub(crate) fn arrive(&self, request: v1::Request) -> Result<Arrived, Failure> {
        self.inner.request_count.fetch_add(1, Ordering::Relaxed);
        let mut method = request.method.ok_or_else(|| {
            Failure::new(
                Reason::Unsupported,
                "request has no method that this server knows; use a newer server, or an older client",
            )
        })?;
        let deadline = (request.deadline_ms != 0).then(|| {
            self.inner.env.clock.monotonic() + Duration::from_millis(request.deadline_ms.into())
        });
        let needs_sync = changes::take_sync(&mut method);
        let asked = self.inner.recorder.asked(&method);
        Ok(Arrived {
            method,
            deadline,
            needs_sync,
            asked,
        })
    }

    /// Runs an inline request to the point where only a sync may be missing.
    pub(crate) fn run_now(&self, arrived: Arrived, caller: &Caller) -> Applied {
        let Arrived {
            method,
            deadline,
            needs_sync,
            asked,
        } = arrived;
        let result = self
            .check_deadline(deadline)
            .and_then(|()| guarded(caller, || self.run_inline(method, caller)));
        let needs_sync = needs_sync && result.is_ok();
        Applied {
            result,
            needs_sync,
            asked,
        }
    }

    /// Waits for the sync, if one is due.
    pub(crate) async fn finish(&self, applied: Applied) -> v1::Response {
        match applied.needs_sync {
            true => applied.respond(&self.inner.sync.wait().await),
            false => applied.respond(&Ok(())),
        }
    }

    /// The same for several, with one sync for all.
    pub(crate) async fn finish_all(
        &self,
        applied: Vec<(u64, Box<Applied>)>,
    ) -> Vec<(u64, v1::Response)> {
        let synced = match applied.iter().any(|(_, applied)| applied.needs_sync) {
            true => self.inner.sync.wait().await,
            false => Ok(()),
        };
        applied
            .into_iter()
            .map(|(id, applied)| (id, applied.respond(&synced)))
            .collect()
    }

    /// Runs a request that is not inline, in its lane.
    pub(crate) async fn run_later(&self, arrived: Arrived, caller: Caller) -> v1::Response {
        if arrived.lane() == Lane::Waiting {
            let result = match self.check_deadline(arrived.deadline) {
                Ok(()) => self.run_waiting_guarded(arrived.method).await,
                Err(failure) => Err(failure),
            };
            arrived.asked.answered(&result);
            return respond(result);
        }
        let service = self.clone();
        let applied = tokio::task::spawn_blocking(move || service.run_now(arrived, &caller)).await;
        match applied {
            Ok(applied) => self.finish(applied).await,
            Err(_) => internal().into(),
        }
    }

    fn check_deadline(&self, deadline: Option<Duration>) -> Result<(), Failure> {
        if self.inner.is_closing.load(Ordering::Acquire) {
            return Err(Failure::new(
                Reason::Unavailable,
                "the server is stopping; repeat when it is back",
            ));
        }
        match deadline {
            Some(deadline) if self.inner.env.clock.monotonic() >= deadline => Err(Failure::new(
                Reason::DeadlineExceeded,
                "the deadline passed before the work began; repeat, or allow more time",
            )),
            _ => Ok(()),
        }
    }

    fn run_inline(&self, method: Method, caller: &Caller) -> Result<Answer, Failure> {
        let inner: &Inner = &self.inner;
        match method {
            Method::Lookup(ask) => reads::lookup(inner, ask),
            Method::ReadDir(ask) => reads::read_dir(inner, ask),
            Method::ReadLink(ask) => reads::read_link(inner, ask),
            Method::ReadNames(ask) => reads::read_names(inner, ask),
            Method::ReadVersion(_) => Ok(reads::read_version(inner)),
            Method::Usage(ask) => reads::usage(inner, ask),
            Method::ReadPlan(ask) => reads::read_plan(inner, ask, caller),
            Method::MakeDir(ask) => changes::make_dir(inner, ask),
            Method::Symlink(ask) => changes::symlink(inner, ask),
            Method::Link(ask) => changes::link(inner, ask),
            Method::Rename(ask) => changes::rename(inner, ask),
            Method::Remove(ask) => changes::remove(inner, ask),
            Method::SetAttributes(ask) => changes::set_attributes(inner, ask),
            Method::Publish(ask) => changes::publish(inner, ask),
            Method::Sync(_) => Ok(nodes::sync()),
            Method::MakeNode(ask) => nodes::make_node(inner, ask),
            Method::ReplaceBody(ask) => nodes::replace_body(inner, ask),
            Method::EditBody(ask) => edits::edit_body(inner, ask),
            Method::GetXattr(ask) => nodes::get_xattr(inner, ask),
            Method::ListXattrs(ask) => nodes::list_xattrs(inner, ask),
            Method::SetXattr(ask) => nodes::set_xattr(inner, ask),
            Method::OpenSession(ask) => bodies::open_session(inner, ask),
            Method::RenewSession(ask) => bodies::renew_session(inner, ask),
            Method::CloseSession(ask) => bodies::close_session(inner, ask),
            Method::Status(ask) => Ok(admin::status(inner, ask)),
            Method::ListMounts(_) => Ok(admin::list_mounts(inner)),
            Method::CreateMount(ask) => admin::create_mount(inner, ask),
            Method::CreateSnapshot(ask) => snapshots::create(inner, ask),
            Method::RenewSnapshot(ask) => snapshots::renew(inner, ask),
            Method::RemoveSnapshot(ask) => snapshots::remove(inner, ask),
            Method::ListSnapshots(ask) => snapshots::list(inner, ask),
            Method::RetireMount(ask) => admin::retire_mount(inner, ask),
            Method::Check(_) => admin::check(inner),
            Method::CheckStep(ask) => shards::check_step(inner, &ask),
            Method::Repair(ask) => shards::repair(inner, ask),
            Method::ListShards(_) => Ok(shards::list(inner)),
            Method::AddShards(ask) => shards::add(inner, ask),
            Method::GetPlacement(ask) => shards::placement(inner, ask),
            Method::SetPlacement(ask) => shards::place(inner, ask),
            Method::SetMountPlacement(ask) => shards::place_mount(inner, &ask),
            Method::Explain(ask) => collect::explain(inner, ask),
            Method::Outlook(ask) => collect::outlook(inner, &ask),
            Method::SetQuota(ask) => quotas::set(inner, ask),
            Method::RemoveQuota(ask) => quotas::remove(inner, ask),
            Method::GetQuota(ask) => quotas::get(inner, ask),
            Method::ListQuotas(ask) => quotas::list(inner, ask),
            Method::CheckQuota(ask) => quotas::check(inner, ask),
            Method::Room(ask) => quotas::room(inner, ask),
            Method::CreateBranch(ask) => branches::create(inner, ask),
            Method::RemoveBranch(ask) => branches::remove(inner, ask),
            Method::ListBranches(ask) => branches::list(inner, ask),
            Method::Diff(ask) => branches::diff(inner, ask),
            Method::Merge(ask) => branches::merge(inner, ask),
            Method::Restore(ask) => restore::restore(inner, ask),
            Method::Undo(ask) => restore::undo(inner, ask),
            Method::Command(ask) => restore::command(inner, ask),
            Method::Dump(ask) => dump::dump(inner, ask),
            Method::Load(ask) => dump::load(inner, ask),
            Method::FinishLoad(ask) => dump::finish_load(inner, ask),
            other => run_of_clients(inner, other),
        }
    }

    async fn run_waiting(self, method: Method) -> Result<Answer, Failure> {
        match method {
            Method::PutBlock(ask) => bodies::put_block(&self.inner, ask).await,
            Method::GetBlock(ask) => bodies::get_block(&self.inner, ask).await,
            Method::Collect(ask) => admin::collect(&self.inner, ask).await,
            Method::MakeBackup(ask) => backup::make(&self.inner, ask).await,
            Method::ListBackups(ask) => backup::list(&self.inner, ask).await,
            Method::RemoveBackup(ask) => backup::remove(&self.inner, ask).await,
            Method::VerifyBackup(ask) => backup::verify(&self.inner, ask).await,
            Method::CheckBodies(ask) => collect::check_bodies(&self.inner, ask).await,
            Method::DeleteOrphans(ask) => collect::delete_orphans(&self.inner, ask).await,
            Method::Scrub(ask) => collect::scrub(&self.inner, ask).await,
            Method::Watch(ask) => watch::watch(&self.inner, ask).await,
            Method::Lock(ask) => clients::lock(&self.inner, ask).await,
            _ => Err(internal()),
        }
    }

    async fn run_waiting_guarded(&self, method: Method) -> Result<Answer, Failure> {
        match tokio::spawn(self.clone().run_waiting(method)).await {
            Ok(result) => result,
            Err(error) => {
                tracing::error!(%error, "a request handler panicked");
                Err(internal())
            }
        }
    }
}

impl Arrived {
    /// How the request is worked on.
    pub(crate) fn lane(&self) -> Lane {
        lane(&self.method)
    }

    /// Bytes that the request and its answer may take, as an upper guess: what a transport budgets.
    pub(crate) fn weight_bytes(&self) -> usize {
        const NODE_BYTES: usize = 400;
        match &self.method {
            Method::PutBlock(put) => put.data.len(),
            Method::GetBlock(get) => get.length as usize,
            Method::Dump(ask) => dump::dump_bytes(ask.bytes),
            Method::Load(ask) => ask.nodes.len(),
            Method::ReadDir(v1::ReadDirRequest { limit, .. })
            | Method::ReadNames(v1::ReadNamesRequest { limit, .. }) => {
                reads::page_limit(*limit) * NODE_BYTES
            }
            Method::ReadPlan(plan) => plan.targets.len() * NODE_BYTES,
            Method::Diff(_) | Method::Merge(_) => nokv_proto::FRAME_BYTES_MAX / 2,
            Method::Publish(publish) => publish.items.len() * NODE_BYTES,
            Method::EditBody(edit) => edit.edits.len() * NODE_BYTES,
            _ => NODE_BYTES,
        }
    }
}

/// What an inline run left: the answer, and whether a sync must come before it.
pub(crate) struct Applied {
    result: Result<Answer, Failure>,
    needs_sync: bool,
    asked: Asked,
}

impl Applied {
    /// The answer, unless it waits for a sync.
    pub(crate) fn into_response(self) -> Result<v1::Response, Box<Self>> {
        if self.needs_sync {
            Err(Box::new(self))
        } else {
            Ok(self.respond(&Ok(())))
        }
    }

    /// The answer, after the sync that came before it.
    fn respond(self, synced: &Result<(), Failure>) -> v1::Response {
        let result = match synced {
            Err(failure) if self.needs_sync => Err(failure.clone()),
            _ => self.result,
        };
        self.asked.answered(&result);
        respond(result)
    }
}

fn lane(method: &Method) -> Lane {
    let inline_if = |condition: bool| {
        if condition {
            Lane::Inline
        } else {
            Lane::Blocking
        }
    };
    match method {
        Method::Lookup(_)
        | Method::ReadLink(_)
        | Method::ReadVersion(_)
        | Method::Status(_)
        | Method::ListMounts(_)
        | Method::MakeDir(_)
        | Method::Symlink(_)
        | Method::Link(_)
        | Method::Rename(_)
        | Method::Remove(_)
        | Method::SetAttributes(_)
        | Method::Sync(_)
        | Method::MakeNode(_)
        | Method::ReplaceBody(_)
        | Method::GetXattr(_)
        | Method::ListXattrs(_)
        | Method::SetXattr(_)
        | Method::RenewClient(_)
        | Method::OpenNode(_)
        | Method::CloseNode(_)
        | Method::MakeUnnamed(_)
        | Method::Unlock(_)
        | Method::TestLock(_)
        | Method::GiveUpLock(_)
        | Method::GetQuota(_)
        | Method::Room(_) => Lane::Inline,
        Method::ReadDir(v1::ReadDirRequest { limit, .. })
        | Method::ReadNames(v1::ReadNamesRequest { limit, .. }) => {
            inline_if((1..=INLINE_ENTRIES_MAX).contains(limit))
        }
        Method::ReadPlan(ask) => inline_if(ask.targets.len() <= INLINE_ITEMS_MAX),
        Method::Publish(ask) => inline_if(ask.items.len() <= INLINE_ITEMS_MAX),
        Method::EditBody(ask) => inline_if(ask.edits.len() <= INLINE_ITEMS_MAX),
        Method::PutBlock(_)
        | Method::GetBlock(_)
        | Method::Collect(_)
        | Method::MakeBackup(_)
        | Method::ListBackups(_)
        | Method::RemoveBackup(_)
        | Method::VerifyBackup(_)
        | Method::Watch(_)
        | Method::Lock(_)
        | Method::CheckBodies(_)
        | Method::DeleteOrphans(_)
        | Method::Scrub(_) => Lane::Waiting,
        // Long, or always on disk.
        _ => Lane::Blocking,
    }
}

/// Runs a handler; a panic in it becomes a failure of this request only.
pub(super) fn guarded(
    caller: &Caller,
    handler: impl FnOnce() -> Result<Answer, Failure>,
) -> Result<Answer, Failure> {
    catch_unwind(AssertUnwindSafe(handler)).unwrap_or_else(|_| {
        tracing::error!(?caller, "a request handler panicked");
        Err(internal())
    })
}

/// The same for client sessions; a method that waits, or has no row, is a bug.
fn run_of_clients(inner: &Inner, method: Method) -> Result<Answer, Failure> {
    match method {
        Method::OpenClient(ask) => clients::open(inner, ask),
        Method::RenewClient(ask) => clients::renew(inner, ask),
        Method::CloseClient(ask) => clients::close(inner, ask),
        Method::AnnounceClient(ask) => clients::announce(inner, ask),
        Method::ListClients(_) => Ok(clients::list(inner)),
        Method::OpenNode(ask) => clients::open_node(inner, ask),
        Method::CloseNode(ask) => clients::close_node(inner, ask),
        Method::MakeUnnamed(ask) => clients::make_unnamed(inner, ask),
        Method::Unlock(ask) => clients::unlock(inner, ask),
        Method::TestLock(ask) => clients::test_lock(inner, ask),
        Method::GiveUpLock(ask) => clients::give_up_lock(inner, ask),
        _ => Err(internal()),
    }
}

fn respond(result: Result<Answer, Failure>) -> v1::Response {
    match result {
        Ok(answer) => v1::Response {
            result: Some(answer),
        },
        Err(failure) => failure.into(),
    }
}

fn internal() -> Failure {
    Failure::new(
        Reason::Io,
        "internal error; the server's log says more; please report it",
    )
}

/// Clones of a service share it.
impl Clone for Service {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}
