//! Every call, typed: one function builds the request and takes the answer apart.

use crate::{Checked, Client, Status, Walk};
use bytes::Bytes;
use nokv_namespace::{
    Changed, Follow, Mount, Node, Page, Parents, Place, Publish, Published, Remove, Removed,
    RenameMode, Renamed, Session, SessionState, SetAttributes, Target, Usage,
};
use nokv_proto::v1::{self, request::Method, response::Result as Answer};
use nokv_proto::{FromWire, failure_from_wire, present};
use nokv_server::wire;
use nokv_types::{Body, Failure, MountId, Name, NodeId, NsPath, RequestId, SessionId, Version};

/// Entries of a page when a whole directory is read.
const PAGE_ENTRIES: usize = 4_096;
/// Files of one read plan.
pub(crate) const PLAN_ITEMS_MAX: usize = 1_024;

/// Takes the answer of one method.
macro_rules! pick {
    ($kind:ident) => {
        |answer| match answer {
            Answer::$kind(answer) => Some(answer),
            _ => None,
        }
    };
}

/// Administration.
impl Client {
    /// The store and its server.
    pub async fn status(&self) -> Result<Status, Failure> {
        let method = Method::Status(v1::StatusRequest { figures: true });
        let status = self.shared.transport.call(method, pick!(Status)).await?;
        Ok(Status::from_wire(status))
    }

    /// The mounts of the store.
    pub async fn mounts(&self) -> Result<Vec<Mount>, Failure> {
        let method = Method::ListMounts(v1::ListMountsRequest {});
        let listed = self
            .shared
            .transport
            .call(method, pick!(ListMounts))
            .await?;
        Ok(listed.mounts.into_iter().map(mount).collect())
    }

    /// Makes a mount. **Errors**: `AlreadyExists`, `InvalidName`.
    pub async fn create_mount(&self, name: &str) -> Result<Mount, Failure> {
        let ask = v1::CreateMountRequest {
            context: Some(self.context()),
            name: name.to_owned(),
        };
        let made = self
            .shared
            .transport
            .call(Method::CreateMount(ask), pick!(CreateMount))
            .await?;
        Ok(mount(present("mount", made.mount)?))
    }

    /// Ends a mount, for good. **Errors**: `NotFound`, `NotPermitted` for the mount `default`.
    pub async fn retire_mount(&self, name: &str) -> Result<Mount, Failure> {
        let method = Method::RetireMount(v1::RetireMountRequest {
            context: Some(self.context()),
            name: name.to_owned(),
        });
        let transport = &self.shared.transport;
        let retired = transport.call(method, pick!(RetireMount)).await?;
        Ok(mount(present("mount", retired.mount)?))
    }

    /// Checks that all records of the namespace fit together, beside readers and writers.
    ///
    /// **Errors**: `Corrupt` when a record can't be read at all.
    pub async fn check(&self) -> Result<Checked, Failure> {
        let method = Method::Check(v1::CheckRequest {});
        let transport = &self.shared.transport;
        let checked = transport.call(method, pick!(Check)).await?;
        let problems = checked.problems.into_iter();
        Ok(Checked {
            version: Version::from_u64(checked.version),
            nodes: checked.nodes,
            entries: checked.entries,
            dead_bodies: checked.dead_bodies,
            blocks: checked.blocks,
            problems: problems
                .map(|problem| (problem.kind, problem.message))
                .collect(),
        })
    }
}

/// Reads. Each at one version: that of [`Client::at`], else the newest.
impl Client {
    /// A node, by path, id, or name in a directory. **Errors**: `NotFound`, `NotDirectory`,
    /// `SymlinkLoop`, `Compacted`, those of every call.
    pub async fn lookup<'a>(
        &self,
        target: impl Into<Target<'a>>,
        follow: Follow,
    ) -> Result<Node, Failure> {
        let ask = v1::LookupRequest {
            view: Some(self.view_to_wire()),
            target: Some(wire::target_to_wire(target.into())),
            follow: wire::follow_to_wire(follow).into(),
        };
        let found = self
            .shared
            .transport
            .call(Method::Lookup(ask), pick!(Lookup))
            .await?;
        wire::node("node", present("node", found.node)?)
    }

    /// A page of a directory; continue with `at(page.version)` and `after: page.next`. At most
    /// 16,384 entries.
    pub async fn read_dir<'a>(
        &self,
        directory: impl Into<Target<'a>>,
        after: Option<&Name>,
        limit: usize,
    ) -> Result<Page, Failure> {
        let ask = v1::ReadDirRequest {
            view: Some(self.view_to_wire()),
            target: Some(wire::target_to_wire(directory.into())),
            after: after.map_or_else(Bytes::new, Name::to_bytes),
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
        };
        let page = self
            .shared
            .transport
            .call(Method::ReadDir(ask), pick!(ReadDir))
            .await?;
        wire::page(page)
    }

    /// A whole directory, all pages at one version.
    pub async fn read_dir_all(&self, path: &NsPath) -> Result<Page, Failure> {
        let mut whole = self.read_dir(path, None, PAGE_ENTRIES).await?;
        let at_version = self.at(whole.version);
        while let Some(after) = whole.next.take() {
            let page = at_version
                .read_dir(path, Some(&after), PAGE_ENTRIES)
                .await?;
            whole.entries.extend(page.entries);
            whole.next = page.next;
        }
        Ok(whole)
    }

    /// Everything below a directory (or the one file), at one version, depth first, parents before
    /// children, names ascending. A symbolic link is an entry, never followed.
    #[must_use]
    pub fn walk(&self, path: &NsPath) -> Walk {
        Walk::new(self.clone(), path.clone())
    }

    /// The target of a symbolic link. **Errors**: `InvalidArgument` when it is none.
    pub async fn read_link<'a>(&self, link: impl Into<Target<'a>>) -> Result<Bytes, Failure> {
        let ask = v1::ReadLinkRequest {
            view: Some(self.view_to_wire()),
            target: Some(wire::target_to_wire(link.into())),
        };
        let read = self
            .shared
            .transport
            .call(Method::ReadLink(ask), pick!(ReadLink))
            .await?;
        Ok(read.target)
    }

    /// What a subtree holds; the server reads all of it.
    pub async fn usage(&self, path: &NsPath) -> Result<Usage, Failure> {
        let ask = v1::UsageRequest {
            view: Some(self.view_to_wire()),
            target: Some(wire::target_to_wire(Target::Path(path))),
        };
        let usage = self
            .shared
            .transport
            .call(Method::Usage(ask), pick!(Usage))
            .await?;
        Ok(Usage {
            version: Version::from_u64(usage.version),
            bytes: usage.bytes,
            files: usage.files,
            directories: usage.directories,
        })
    }

    /// A file with where its bytes are; follows a symbolic link. **Errors**: `IsDirectory`,
    /// `NotPermitted`.
    pub async fn body<'a>(&self, target: impl Into<Target<'a>>) -> Result<(Node, Body), Failure> {
        let mut found = self.bodies_of(&[target.into()]).await?;
        found
            .pop()
            .unwrap_or_else(|| Err(nokv_proto::invalid("results", "are empty")))
    }

    /// Several files with where their bytes are, at most [`PLAN_ITEMS_MAX`]. The answer may hold
    /// fewer than asked for, at least one: ask again for the rest.
    pub(crate) async fn bodies_of(
        &self,
        targets: &[Target<'_>],
    ) -> Result<Vec<Result<(Node, Body), Failure>>, Failure> {
        self.plan(targets, Vec::new()).await
    }

    /// As [`Client::bodies_of`]; with one range for each target, bodies have the extents of those
    /// only, and must be read nowhere else.
    pub(crate) async fn plan(
        &self,
        targets: &[Target<'_>],
        ranges: Vec<v1::PlanRange>,
    ) -> Result<Vec<Result<(Node, Body), Failure>>, Failure> {
        let ask = v1::ReadPlanRequest {
            view: Some(self.view_to_wire()),
            targets: targets
                .iter()
                .map(|target| wire::target_to_wire(*target))
                .collect(),
            lease_ms: 0,
            ranges,
        };
        let plan = self
            .shared
            .transport
            .call(Method::ReadPlan(ask), pick!(ReadPlan))
            .await?;
        Ok(plan.results.into_iter().map(planned).collect())
    }
}

/// Changes. Each happens at most once, with an id of its own, and is acknowledged as
/// [`crate::ClientOptions::durability`] says.
impl Client {
    /// Makes a directory. **Errors**: `AlreadyExists`, `NotFound` or `NotDirectory` (naming the
    /// parent).
    pub async fn make_dir<'a>(
        &self,
        place: impl Into<Place<'a>>,
        mode: u32,
        parents: Parents,
    ) -> Result<Changed, Failure> {
        self.change(Method::MakeDir(v1::MakeDirRequest {
            context: Some(self.context()),
            place: Some(wire::place_to_wire(place.into())),
            mode,
            parents: wire::parents_to_wire(parents).into(),
        }))
        .await
    }

    /// Makes a symbolic link to 1..=4,095 bytes. **Errors**: `AlreadyExists`, `InvalidArgument`,
    /// `TooLarge`.
    pub async fn symlink<'a>(
        &self,
        place: impl Into<Place<'a>>,
        target: Bytes,
    ) -> Result<Changed, Failure> {
        self.change(Method::Symlink(v1::SymlinkRequest {
            context: Some(self.context()),
            place: Some(wire::place_to_wire(place.into())),
            target,
        }))
        .await
    }

    /// Gives a file a second name. **Errors**: `AlreadyExists`, `NotPermitted` for a directory.
    pub async fn link<'a>(
        &self,
        existing: impl Into<Target<'a>>,
        place: impl Into<Place<'a>>,
    ) -> Result<Changed, Failure> {
        self.change(Method::Link(v1::LinkRequest {
            context: Some(self.context()),
            existing: Some(wire::target_to_wire(existing.into())),
            place: Some(wire::place_to_wire(place.into())),
        }))
        .await
    }

    /// Moves an entry, a directory with all below. **Errors**: as rename(2).
    pub async fn rename<'a>(
        &self,
        from: impl Into<Place<'a>>,
        to: impl Into<Place<'a>>,
        mode: RenameMode,
    ) -> Result<Renamed, Failure> {
        let ask = v1::RenameRequest {
            context: Some(self.context()),
            from: Some(wire::place_to_wire(from.into())),
            to: Some(wire::place_to_wire(to.into())),
            mode: wire::rename_mode_to_wire(mode).into(),
        };
        let renamed = self
            .shared
            .transport
            .call(Method::Rename(ask), pick!(Rename))
            .await?;
        Ok(Renamed {
            version: Version::from_u64(renamed.version),
            node: NodeId::from_u64(renamed.node),
            displaced: renamed.displaced.map(NodeId::from_u64),
        })
    }

    /// Removes an entry. **Errors**: `NotFound`, `IsDirectory`, `NotDirectory`, `NotEmpty`,
    /// `NotPermitted` for the root.
    pub async fn remove<'a>(
        &self,
        place: impl Into<Place<'a>>,
        remove: Remove,
    ) -> Result<Removed, Failure> {
        let ask = v1::RemoveRequest {
            context: Some(self.context()),
            place: Some(wire::place_to_wire(place.into())),
            mode: wire::remove_mode_to_wire(remove).into(),
        };
        let removed = self
            .shared
            .transport
            .call(Method::Remove(ask), pick!(Remove))
            .await?;
        Ok(Removed {
            version: Version::from_u64(removed.version),
            node: NodeId::from_u64(removed.node),
        })
    }

    /// Changes attributes. **Errors**: `InvalidArgument`, `IsDirectory`, `StaleGeneration`.
    pub async fn set_attributes<'a>(
        &self,
        target: impl Into<Target<'a>>,
        follow: Follow,
        changes: SetAttributes,
    ) -> Result<Changed, Failure> {
        let mut ask = v1::SetAttributesRequest {
            context: Some(self.context()),
            target: Some(wire::target_to_wire(target.into())),
            follow: wire::follow_to_wire(follow).into(),
            ..v1::SetAttributesRequest::default()
        };
        wire::attribute_changes_to_wire(&changes, &mut ask);
        self.change(Method::SetAttributes(ask)).await
    }

    /// Makes all items visible, or none. **Errors**: those of
    /// [`nokv_namespace::Namespace::publish`].
    pub async fn publish(&self, publish: Publish) -> Result<Vec<Published>, Failure> {
        self.publish_as(publish, None).await
    }

    /// The same under an id of the caller: sent again with the same content, it is answered as the
    /// first time and changes nothing.
    ///
    /// **Errors**: as [`Client::publish`]; `RequestReused` for another content.
    pub async fn publish_as(
        &self,
        publish: Publish,
        request: Option<RequestId>,
    ) -> Result<Vec<Published>, Failure> {
        let mut ask = wire::publish_to_wire(&publish);
        let mut context = self.context();
        if let Some(request) = request {
            context.request_id = Bytes::copy_from_slice(request.as_bytes());
        }
        ask.context = Some(context);
        let paths = publish.items.into_iter().map(|item| item.path).collect();
        let answer = self
            .shared
            .transport
            .call(Method::Publish(ask), pick!(Publish))
            .await?;
        wire::published(paths, answer)
    }

    pub(crate) async fn change(&self, method: Method) -> Result<Changed, Failure> {
        let changed = self.shared.transport.call(method, pick!(Changed)).await?;
        Ok(Changed {
            version: Version::from_u64(changed.version),
            node: wire::node("node", present("node", changed.node)?)?,
        })
    }
}

/// Upload sessions.
impl Client {
    /// Opens an upload session. `ttl_ms`: 1,000..=86,400,000, or 0 for the server's choice.
    pub async fn open_session(&self, ttl_ms: u32) -> Result<Session, Failure> {
        let method = Method::OpenSession(v1::OpenSessionRequest { ttl_ms });
        let opened = self
            .shared
            .transport
            .call(method, pick!(OpenSession))
            .await?;
        Ok(open(SessionId::new(opened.session), opened.expires_ms))
    }

    /// Prolongs it. **Errors**: `SessionExpired`.
    pub async fn renew_session(&self, session: SessionId, ttl_ms: u32) -> Result<Session, Failure> {
        let ask = v1::RenewSessionRequest {
            session: session.get(),
            ttl_ms,
        };
        let method = Method::RenewSession(ask);
        let renewed = self
            .shared
            .transport
            .call(method, pick!(RenewSession))
            .await?;
        Ok(open(session, renewed.expires_ms))
    }

    /// Ends it: what it uploaded and nothing names is collected. Closing twice succeeds.
    pub async fn close_session(&self, session: SessionId) -> Result<(), Failure> {
        let ask = v1::CloseSessionRequest {
            session: session.get(),
        };
        let method = Method::CloseSession(ask);
        self.shared
            .transport
            .call(method, pick!(CloseSession))
            .await
            .map(drop)
    }
}

fn open(id: SessionId, expires_millis: u64) -> Session {
    Session {
        id,
        expires_millis,
        state: SessionState::Open,
    }
}

fn mount(mount: v1::Mount) -> Mount {
    let (id, root) = (MountId::new(mount.mount), NodeId::from_u64(mount.root));
    Mount {
        id,
        name: mount.name,
        root,
    }
}

fn planned(result: v1::ReadPlanResult) -> Result<(Node, Body), Failure> {
    if let Some(failure) = result.failure {
        return Err(failure_from_wire(&failure));
    }
    let node = wire::node("node", present("node", result.node)?)?;
    let body = Body::from_wire("body", present("body", result.body)?)?;
    Ok((node, body))
}
