//! The past put back in place, and commands taken back.

use super::branches::version_of;
use super::changes::context;
use super::store::Inner;
use crate::wire;
use nokv_namespace::{Change, ChangeKind, Namespace, Scope};
use nokv_proto::v1::{self, response::Result as Answer};
use nokv_proto::{invalid, present, version_from_wire};
use nokv_types::{BranchId, Failure, MountId, NodeId, Reason, Version};

/// Changes of a command that an answer lists: what a person reads.
const CHANGES_LISTED_MAX: usize = 100;
/// Commands read at a time in search of the last one.
const SEARCH_COMMANDS: usize = 1_024;
/// The span of versions in which the search begins: a millisecond.
const SEARCH_SPAN: u64 = 1 << 18;
/// Halvings between what is retained and what is not: a second in the hour that a store retains.
const SEARCH_HALVINGS: u32 = 12;

pub(super) fn restore(inner: &Inner, ask: v1::RestoreRequest) -> Result<Answer, Failure> {
    let context = context(inner, ask.context)?;
    let place = wire::place("place", ask.place)?;
    let at = present("moment", version_of(inner, context.mount, ask.moment)?)?;
    let restored = inner.namespace.restore(&context, &place, at)?;
    Ok(Answer::Restore(v1::RestoreResponse {
        version: restored.version.as_u64(),
        node: restored.node.as_u64(),
        branch: restored.branch.map(BranchId::get),
        displaced: restored.displaced.map(NodeId::as_u64),
    }))
}

pub(super) fn undo(inner: &Inner, ask: v1::UndoRequest) -> Result<Answer, Failure> {
    let context = context(inner, ask.context)?;
    let version = version_from_wire(ask.version);
    let version = version.ok_or_else(|| invalid("version", "is 0; say which command"))?;
    let undone = inner.namespace.undo(&context, version)?;
    Ok(Answer::Undo(v1::UndoResponse {
        version: undone.version.as_u64(),
        changes: undone.changes,
    }))
}

pub(super) fn command(inner: &Inner, ask: v1::CommandRequest) -> Result<Answer, Failure> {
    let mount = inner.mount_or_default(MountId::new(ask.mount));
    let namespace = &inner.namespace;
    let version = match version_from_wire(ask.version) {
        Some(version) => version,
        None => last_command(namespace, mount)?,
    };
    let page = namespace.changes(mount, Scope::Mount, version.previous(), 1);
    let page = page.map_err(|failure| match failure.reason() {
        Reason::Compacted => Failure::new(
            Reason::Compacted,
            format!(
                "the command of version {version} is no longer retained; nokv restore reaches \
                 what a snapshot keeps"
            ),
        ),
        _ => failure,
    })?;
    let changes = page.changes.iter();
    let changes: Vec<_> = changes.filter(|change| change.version == version).collect();
    if changes.is_empty() {
        return Err(Failure::new(
            Reason::NotFound,
            format!("no command of version {version} changed a name"),
        ));
    }
    let listed = changes.iter().take(CHANGES_LISTED_MAX);
    Ok(Answer::Command(v1::CommandResponse {
        version: version.as_u64(),
        changes: listed.map(|change| wire::change_to_wire(change)).collect(),
        change_count: changes.len() as u64,
    }))
}

/// The version of the last command that can be undone. Commands are found by going back twice as
/// far each time, because the log is read forward only.
fn last_command(namespace: &Namespace, mount: MountId) -> Result<Version, Failure> {
    let newest = namespace.read_version();
    let mut empty = 0;
    let mut span = SEARCH_SPAN;
    let mut halvings = 0;
    while halvings <= SEARCH_HALVINGS {
        let after = Version::from_u64(newest.as_u64().saturating_sub(span));
        match last_in(namespace, mount, (after, newest)) {
            Ok(Some(version)) => return Ok(version),
            Ok(None) if after == Version::ZERO => break,
            Ok(None) => empty = span,
            Err(failure) if failure.reason() == Reason::Compacted => halvings += 1,
            Err(failure) => return Err(failure),
        }
        span = match halvings {
            0 => span.saturating_mul(2),
            _ => empty + (SEARCH_SPAN.max(span - empty) / 2),
        };
    }
    Err(Failure::new(
        Reason::NotFound,
        "no command that can be undone is retained; nokv restore may still reach what was",
    ))
}

/// The last command with something to undo after one version, up to another.
fn last_in(
    namespace: &Namespace,
    mount: MountId,
    (mut after, newest): (Version, Version),
) -> Result<Option<Version>, Failure> {
    let mut last = None;
    while after < newest {
        let page = namespace.changes(mount, Scope::Mount, after, SEARCH_COMMANDS)?;
        let changed = page.changes.iter().rfind(|change| can_be_undone(change));
        last = changed.map(|change| change.version).or(last);
        after = page.through;
    }
    Ok(last)
}

fn can_be_undone(change: &Change) -> bool {
    match change.kind {
        ChangeKind::Created
        | ChangeKind::Removed
        | ChangeKind::Renamed
        | ChangeKind::Exchanged
        | ChangeKind::Branched
        | ChangeKind::Published
        | ChangeKind::Attributes
        | ChangeKind::Xattr => true,
        ChangeKind::Snapshot
        | ChangeKind::SnapshotRenewed
        | ChangeKind::SnapshotRemoved
        | ChangeKind::Quota => false,
    }
}
