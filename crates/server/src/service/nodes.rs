//! What a mounted file system asks of single nodes.

use super::changes::{changed, context};
use super::store::Inner;
use crate::wire;
use nokv_proto::v1::{self, response::Result as Answer};
use nokv_proto::{kind_from_wire, mode_from_wire};
use nokv_types::Failure;

/// Nothing is left to do: the sync that covers everything so far comes before the answer.
pub(super) fn sync() -> Answer {
    Answer::Sync(v1::SyncResponse {})
}

pub(super) fn make_node(inner: &Inner, ask: v1::MakeNodeRequest) -> Result<Answer, Failure> {
    let context = context(inner, ask.context)?;
    let place = wire::place("place", ask.place)?;
    let kind = kind_from_wire("kind", ask.kind, ask.device)?;
    let mode = mode_from_wire("mode", ask.mode)?;
    inner
        .namespace
        .make_node(&context, &place, kind, mode)
        .map(changed)
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
