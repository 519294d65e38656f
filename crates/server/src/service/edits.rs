//! Edits of bodies.

use super::changes::context;
use super::store::Inner;
use crate::wire;
use nokv_proto::v1::{self, response::Result as Answer};
use nokv_types::Failure;

pub(super) fn edit_body(inner: &Inner, mut ask: v1::EditBodyRequest) -> Result<Answer, Failure> {
    let context = context(inner, ask.context.take())?;
    let target = wire::target("target", ask.target.take())?;
    let follow = wire::follow(ask.follow)?;
    let edit = wire::edit_body(ask)?;
    let namespace = &inner.namespace;
    let edited = namespace.edit_body(&context, &target, follow, edit)?;
    Ok(Answer::EditBody(wire::edited_to_wire(&edited)))
}
