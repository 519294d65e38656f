//! Dumps and loads.

use super::changes::{changed, context};
use super::reads::view;
use super::store::Inner;
use crate::wire;
use nokv_proto::path_from_wire;
use nokv_proto::v1::{self, response::Result as Answer};
use nokv_types::Failure;

/// Bytes of nodes in an answer when the caller leaves it to the server: some ten thousand nodes.
const DUMP_BYTES_DEFAULT: u32 = 2 << 20;
/// Most that a caller may ask for: half a frame, since the last node may be a large one.
const DUMP_BYTES_MAX: u32 = 8 << 20;

pub(super) fn dump(inner: &Inner, ask: v1::DumpRequest) -> Result<Answer, Failure> {
    let top = wire::target("top", ask.top)?;
    let after = match ask.goes_on {
        true => Some(wire::names(ask.after)?),
        false => None,
    };
    let bytes_full = dump_bytes(ask.bytes);
    let view = view(inner, ask.view)?;
    let page = inner
        .namespace
        .dump(&view, &top, after.as_deref(), bytes_full)?;
    Ok(Answer::Dump(wire::dump_page_to_wire(page)))
}

/// Bytes that an answer gets for the number that was asked for.
pub(super) fn dump_bytes(asked: u32) -> usize {
    let bytes = match asked {
        0 => DUMP_BYTES_DEFAULT,
        asked => asked.min(DUMP_BYTES_MAX),
    };
    bytes as usize
}

pub(super) fn load(inner: &Inner, mut ask: v1::LoadRequest) -> Result<Answer, Failure> {
    let context = context(inner, ask.context.take())?;
    let load = wire::load(ask)?;
    let loaded = inner.namespace.load(&context, &load)?;
    Ok(Answer::Load(wire::loaded_to_wire(&loaded)))
}

pub(super) fn finish_load(inner: &Inner, ask: v1::FinishLoadRequest) -> Result<Answer, Failure> {
    let context = context(inner, ask.context)?;
    let (loading, place) = (path_from_wire(&ask.loading)?, path_from_wire(&ask.place)?);
    let finished = inner.namespace.finish_load(&context, &loading, &place)?;
    Ok(changed(finished))
}
