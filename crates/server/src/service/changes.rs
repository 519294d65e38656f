//! Changes of the namespace: applied here without a sync; the sync is waited for afterwards
//! ([`super::call`]).

use super::store::Inner;
use crate::wire;
use nokv_namespace::{Changed, Context};
use nokv_proto::v1::{self, request::Method, response::Result as Answer};
use nokv_proto::{invalid, mode_from_wire};
use nokv_types::{Failure, NodeId, Reason, SYMLINK_BYTES_MAX, TimeNanos};

/// Whether the answer of `method` must wait for a sync. If so the method itself is told not to
/// sync, because syncs are shared and waited for without holding a thread.
pub(super) fn take_sync(method: &mut Method) -> bool {
    let context = match method {
        Method::Sync(_) => return true,
        Method::MakeNode(ask) => &mut ask.context,
        Method::ReplaceBody(ask) => &mut ask.context,
        Method::SetXattr(ask) => &mut ask.context,
        Method::SetPlacement(ask) => &mut ask.context,
        Method::Repair(ask) => &mut ask.context,
        Method::MakeDir(ask) => &mut ask.context,
        Method::MakeUnnamed(ask) => &mut ask.context,
        Method::Symlink(ask) => &mut ask.context,
        Method::Link(ask) => &mut ask.context,
        Method::Rename(ask) => &mut ask.context,
        Method::Remove(ask) => &mut ask.context,
        Method::SetAttributes(ask) => &mut ask.context,
        Method::Publish(ask) => &mut ask.context,
        Method::EditBody(ask) => &mut ask.context,
        Method::CreateSnapshot(ask) => &mut ask.context,
        Method::RenewSnapshot(ask) => &mut ask.context,
        Method::CreateBranch(ask) => &mut ask.context,
        Method::RemoveBranch(ask) => &mut ask.context,
        Method::Merge(ask) => &mut ask.context,
        Method::Restore(ask) => &mut ask.context,
        Method::Undo(ask) => &mut ask.context,
        Method::SetQuota(ask) => &mut ask.context,
        Method::RemoveQuota(ask) => &mut ask.context,
        Method::Load(ask) => &mut ask.context,
        Method::FinishLoad(ask) => &mut ask.context,
        _ => return false,
    };
    let context = context.get_or_insert_default();
    let wants_sync = matches!(
        v1::Durability::try_from(context.durability),
        Ok(v1::Durability::Unspecified | v1::Durability::Synced)
    );
    if wants_sync {
        context.set_durability(v1::Durability::Buffered);
    }
    wants_sync
}

pub(super) fn make_dir(inner: &Inner, ask: v1::MakeDirRequest) -> Result<Answer, Failure> {
    let context = context(inner, ask.context)?;
    let place = wire::place("place", ask.place)?;
    let mode = mode_from_wire("mode", ask.mode)?;
    let parents = wire::parents(ask.parents)?;
    inner
        .namespace
        .make_dir(&context, &place, mode, parents)
        .map(changed)
}

pub(super) fn symlink(inner: &Inner, ask: v1::SymlinkRequest) -> Result<Answer, Failure> {
    let context = context(inner, ask.context)?;
    let place = wire::place("place", ask.place)?;
    if ask.target.len() > SYMLINK_BYTES_MAX {
        return Err(Failure::new(
            Reason::TooLarge,
            format!(
                "target of {} bytes is longer than {SYMLINK_BYTES_MAX}; link to a nearer place",
                ask.target.len()
            ),
        ));
    }
    if ask.target.is_empty() {
        return Err(invalid("target", "is empty; say where the link points"));
    }
    inner
        .namespace
        .symlink(&context, &place, ask.target)
        .map(changed)
}

pub(super) fn link(inner: &Inner, ask: v1::LinkRequest) -> Result<Answer, Failure> {
    let context = context(inner, ask.context)?;
    let existing = wire::target("existing", ask.existing)?;
    let place = wire::place("place", ask.place)?;
    inner
        .namespace
        .link(&context, &existing, &place)
        .map(changed)
}

pub(super) fn rename(inner: &Inner, ask: v1::RenameRequest) -> Result<Answer, Failure> {
    let context = context(inner, ask.context)?;
    let from = wire::place("from", ask.from)?;
    let to = wire::place("to", ask.to)?;
    let mode = wire::rename_mode(ask.mode)?;
    let renamed = inner.namespace.rename(&context, &from, &to, mode)?;
    Ok(Answer::Rename(v1::RenameResponse {
        version: renamed.version.as_u64(),
        node: renamed.node.as_u64(),
        displaced: renamed.displaced.map(NodeId::as_u64),
    }))
}

pub(super) fn remove(inner: &Inner, ask: v1::RemoveRequest) -> Result<Answer, Failure> {
    let context = context(inner, ask.context)?;
    let place = wire::place("place", ask.place)?;
    let mode = wire::remove_mode(ask.mode)?;
    let removed = inner.namespace.remove(&context, &place, mode)?;
    Ok(Answer::Remove(v1::RemoveResponse {
        version: removed.version.as_u64(),
        node: removed.node.as_u64(),
    }))
}

pub(super) fn set_attributes(
    inner: &Inner,
    mut ask: v1::SetAttributesRequest,
) -> Result<Answer, Failure> {
    let context = context(inner, ask.context.take())?;
    let target = wire::target("target", ask.target.take())?;
    let follow = wire::follow(ask.follow)?;
    let changes = wire::attribute_changes(&ask)?;
    inner
        .namespace
        .set_attributes(&context, &target, follow, changes)
        .map(changed)
}

pub(super) fn publish(inner: &Inner, mut ask: v1::PublishRequest) -> Result<Answer, Failure> {
    let context = context(inner, ask.context.take())?;
    let published = inner.namespace.publish(&context, wire::publish(ask)?)?;
    Ok(Answer::Publish(wire::published_to_wire(&published)))
}

/// The context of a request at the time of this server, with the default mount in the place of 0.
pub(super) fn context(inner: &Inner, message: Option<v1::Context>) -> Result<Context, Failure> {
    let now = TimeNanos::new(inner.env.clock.now_nanos());
    let mut context = wire::context(message, now)?;
    context.mount = inner.mount_or_default(context.mount);
    Ok(context)
}

/// The answer of a change of one node.
pub(super) fn changed(changed: Changed) -> Answer {
    Answer::Changed(v1::ChangedResponse {
        version: changed.version.as_u64(),
        node: Some(wire::node_to_wire(&changed.node)),
    })
}
