//! Calls of a mounted file system: nodes by id, bodies replaced in place, syncs of what was
//! buffered.

use crate::Client;
use bytes::Bytes;
use nokv_namespace::{Changed, NamesPage, Place, ReplaceBody, SetXattr, Target};
use nokv_proto::kind_to_wire;
use nokv_proto::v1::{self, request::Method, response::Result as Answer};
use nokv_server::wire;
use nokv_types::{Failure, Name, NodeKind, Version};

impl Client {
    /// A page of the names of a directory, without attributes; continue with `at(page.version)` and
    /// `after: page.next`. At most 16,384.
    ///
    /// **Errors**: as [`Client::read_dir`].
    pub async fn read_names<'a>(
        &self,
        directory: impl Into<Target<'a>>,
        after: Option<&Name>,
        limit: usize,
    ) -> Result<NamesPage, Failure> {
        let method = Method::ReadNames(v1::ReadNamesRequest {
            view: Some(self.view_to_wire()),
            target: Some(wire::target_to_wire(directory.into())),
            after: after.map_or_else(Bytes::new, Name::to_bytes),
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
        });
        let pick = |answer| match answer {
            Answer::ReadNames(answer) => Some(answer),
            _ => None,
        };
        wire::names_page(self.shared.transport.call(method, pick).await?)
    }

    /// The newest version: a read at it stays possible as long as it is retained.
    pub async fn read_version(&self) -> Result<Version, Failure> {
        let method = Method::ReadVersion(v1::ReadVersionRequest {});
        let pick = |answer| match answer {
            Answer::ReadVersion(answer) => Some(answer),
            _ => None,
        };
        let read = self.shared.transport.call(method, pick).await?;
        Ok(Version::from_u64(read.version))
    }

    /// Makes an empty file, a named pipe, a socket or a device, as mknod(2). The name must be free.
    ///
    /// **Errors**: as [`Client::make_dir`]; `InvalidArgument` for other kinds.
    pub async fn make_node<'a>(
        &self,
        place: impl Into<Place<'a>>,
        kind: NodeKind,
        mode: u32,
    ) -> Result<Changed, Failure> {
        let (kind, device) = kind_to_wire(kind);
        self.change(Method::MakeNode(v1::MakeNodeRequest {
            context: Some(self.context()),
            place: Some(wire::place_to_wire(place.into())),
            kind: kind.into(),
            device,
            mode,
            client: 0,
        }))
        .await
    }

    /// Gives a file another body. **Errors**: `NotFound`, `IsDirectory`, `StaleGeneration`,
    /// `SessionExpired`.
    pub async fn replace_body<'a>(
        &self,
        target: impl Into<Target<'a>>,
        new: &ReplaceBody,
    ) -> Result<Changed, Failure> {
        let mut ask = wire::replace_body_to_wire(new);
        ask.context = Some(self.context());
        ask.target = Some(wire::target_to_wire(target.into()));
        self.change(Method::ReplaceBody(ask)).await
    }

    /// The value of an extended attribute. **Errors**: as [`Client::lookup`]; `NotFound` when the
    /// node has none.
    pub async fn xattr<'a>(
        &self,
        target: impl Into<Target<'a>>,
        name: &[u8],
    ) -> Result<Bytes, Failure> {
        let method = Method::GetXattr(v1::GetXattrRequest {
            view: Some(self.view_to_wire()),
            target: Some(wire::target_to_wire(target.into())),
            name: Bytes::copy_from_slice(name),
        });
        let pick = |answer| match answer {
            Answer::GetXattr(answer) => Some(answer),
            _ => None,
        };
        Ok(self.shared.transport.call(method, pick).await?.value)
    }

    /// The names of the extended attributes, in byte order. **Errors**: as [`Client::lookup`].
    pub async fn xattrs<'a>(&self, target: impl Into<Target<'a>>) -> Result<Vec<Bytes>, Failure> {
        let method = Method::ListXattrs(v1::ListXattrsRequest {
            view: Some(self.view_to_wire()),
            target: Some(wire::target_to_wire(target.into())),
        });
        let pick = |answer| match answer {
            Answer::ListXattrs(answer) => Some(answer),
            _ => None,
        };
        Ok(self.shared.transport.call(method, pick).await?.names)
    }

    /// Changes an extended attribute. **Errors**: as [`Client::lookup`]; `AlreadyExists` and
    /// `NotFound` as the change says; `TooLarge`.
    pub async fn set_xattr<'a>(
        &self,
        target: impl Into<Target<'a>>,
        name: &[u8],
        change: SetXattr,
    ) -> Result<Changed, Failure> {
        let (kind, value) = match change {
            SetXattr::Put(value) => (v1::XattrChange::Put, value),
            SetXattr::Create(value) => (v1::XattrChange::Create, value),
            SetXattr::Replace(value) => (v1::XattrChange::Replace, value),
            SetXattr::Remove => (v1::XattrChange::Remove, Bytes::new()),
        };
        self.change(Method::SetXattr(v1::SetXattrRequest {
            context: Some(self.context()),
            target: Some(wire::target_to_wire(target.into())),
            name: Bytes::copy_from_slice(name),
            change: kind.into(),
            value,
        }))
        .await
    }

    /// Makes everything that was acknowledged so far durable.
    ///
    /// **Errors**: `OutcomeUnknown` when the disk failed.
    pub async fn sync(&self) -> Result<(), Failure> {
        let method = Method::Sync(v1::SyncRequest {});
        let pick = |answer| match answer {
            Answer::Sync(answer) => Some(answer),
            _ => None,
        };
        self.shared.transport.call(method, pick).await.map(drop)
    }
}
