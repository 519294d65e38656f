//! What a mounted file system asks of single nodes.

use super::changes::{changed, context};
use super::reads::view;
use super::store::Inner;
use crate::wire;
use nokv_namespace::{Follow, SetXattr};
use nokv_proto::v1::{self, response::Result as Answer};
use nokv_proto::{invalid, kind_from_wire, mode_from_wire};
use nokv_types::{ClientId, Failure, NodeKind};

/// Nothing is left to do: the sync that covers everything so far comes before the answer.
pub(super) fn sync() -> Answer {
    Answer::Sync(v1::SyncResponse {})
}

pub(super) fn make_node(inner: &Inner, ask: v1::MakeNodeRequest) -> Result<Answer, Failure> {
    let context = context(inner, ask.context)?;
    let place = wire::place("place", ask.place)?;
    let kind = kind_from_wire("kind", ask.kind, ask.device)?;
    let mode = mode_from_wire("mode", ask.mode)?;
    let namespace = &inner.namespace;
    let made = match ask.client {
        0 => namespace.make_node(&context, &place, kind, mode),
        client if kind == NodeKind::File => {
            namespace.make_open(&context, &place, mode, ClientId::new(client))
        }
        _ => Err(invalid("client", "has only files open")),
    };
    made.map(changed)
}

pub(super) fn replace_body(
    inner: &Inner,
    mut ask: v1::ReplaceBodyRequest,
) -> Result<Answer, Failure> {
    let context = context(inner, ask.context.take())?;
    let target = wire::target("target", ask.target.take())?;
    let new = wire::replace_body(ask)?;
    inner
        .namespace
        .replace_body(&context, &target, &new)
        .map(changed)
}

pub(super) fn get_xattr(inner: &Inner, ask: v1::GetXattrRequest) -> Result<Answer, Failure> {
    let view = view(inner, ask.view)?;
    let target = wire::target("target", ask.target)?;
    let value = inner
        .namespace
        .xattr(&view, &target, Follow::No, &ask.name)?;
    Ok(Answer::GetXattr(v1::GetXattrResponse { value }))
}

pub(super) fn list_xattrs(inner: &Inner, ask: v1::ListXattrsRequest) -> Result<Answer, Failure> {
    let view = view(inner, ask.view)?;
    let target = wire::target("target", ask.target)?;
    let names = inner.namespace.xattrs(&view, &target, Follow::No)?;
    Ok(Answer::ListXattrs(v1::ListXattrsResponse { names }))
}

pub(super) fn set_xattr(inner: &Inner, ask: v1::SetXattrRequest) -> Result<Answer, Failure> {
    let context = context(inner, ask.context)?;
    let target = wire::target("target", ask.target)?;
    let change = match v1::XattrChange::try_from(ask.change) {
        Ok(v1::XattrChange::Unspecified | v1::XattrChange::Put) => SetXattr::Put(ask.value),
        Ok(v1::XattrChange::Create) => SetXattr::Create(ask.value),
        Ok(v1::XattrChange::Replace) => SetXattr::Replace(ask.value),
        Ok(v1::XattrChange::Remove) => SetXattr::Remove,
        Err(_) => return Err(invalid("change", "is no change that this server knows")),
    };
    inner
        .namespace
        .set_xattr(&context, &target, Follow::No, &ask.name, change)
        .map(changed)
}
