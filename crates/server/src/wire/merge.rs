//! Merges.

use super::diff::{LIST_BYTES_FULL, newer};
use nokv_namespace::{Conflict, ConflictKind, MergeOutcome, MergeRun, Merged, OnConflict};
use nokv_proto::{invalid, path_from_wire, v1};
use nokv_types::{Failure, NodeId, Version};
use prost::Message;

/// What becomes of conflicts, for the wire.
#[must_use]
pub const fn on_conflict_to_wire(on_conflict: OnConflict) -> v1::OnConflict {
    match on_conflict {
        OnConflict::Fail => v1::OnConflict::Fail,
        OnConflict::Ours => v1::OnConflict::Ours,
        OnConflict::Theirs => v1::OnConflict::Theirs,
    }
}

/// What becomes of conflicts. **Errors**: `InvalidArgument`.
pub fn on_conflict(value: i32) -> Result<OnConflict, Failure> {
    match v1::OnConflict::try_from(value) {
        Ok(v1::OnConflict::Fail | v1::OnConflict::Unspecified) => Ok(OnConflict::Fail),
        Ok(v1::OnConflict::Ours) => Ok(OnConflict::Ours),
        Ok(v1::OnConflict::Theirs) => Ok(OnConflict::Theirs),
        Err(_) => Err(invalid(
            "on_conflict",
            format!("is {value}, which this server does not know"),
        )),
    }
}

/// Whether a merge takes place, of its field on the wire.
#[must_use]
pub const fn merge_run(ask: &v1::MergeRequest) -> MergeRun {
    match ask.dry_run {
        true => MergeRun::DryRun,
        false => MergeRun::Merge,
    }
}

/// What a merge came to, for the wire: with as many conflicts as fit a frame.
#[must_use]
pub fn merged_to_wire(merged: &Merged) -> v1::MergeResponse {
    let mut conflicts = Vec::new();
    let mut bytes = 0;
    for conflict in &merged.conflicts {
        let message = conflict_to_wire(conflict);
        bytes += message.encoded_len();
        if bytes > LIST_BYTES_FULL {
            break;
        }
        conflicts.push(message);
    }
    v1::MergeResponse {
        version: merged.version.as_u64(),
        outcome: match merged.outcome {
            MergeOutcome::Merged => v1::MergeOutcome::Merged,
            MergeOutcome::Tried => v1::MergeOutcome::Tried,
            MergeOutcome::Conflicts => v1::MergeOutcome::Conflicts,
        }
        .into(),
        changes: merged.changes,
        conflicts,
        conflict_count: merged.conflicts.len() as u64,
    }
}

/// What a merge came to, with how many conflicts there are: more than are listed if the list was
/// too long for a frame. **Errors**: those of a path; `Unsupported` for a kind of a newer server.
pub fn merged(message: v1::MergeResponse) -> Result<(Merged, u64), Failure> {
    let outcome = match v1::MergeOutcome::try_from(message.outcome) {
        Ok(v1::MergeOutcome::Merged) => MergeOutcome::Merged,
        Ok(v1::MergeOutcome::Tried) => MergeOutcome::Tried,
        Ok(v1::MergeOutcome::Conflicts) => MergeOutcome::Conflicts,
        Ok(v1::MergeOutcome::Unspecified) | Err(_) => {
            return Err(newer("outcome", message.outcome));
        }
    };
    let conflicts = message.conflicts.into_iter().map(conflict);
    let merged = Merged {
        version: Version::from_u64(message.version),
        outcome,
        changes: message.changes,
        conflicts: conflicts.collect::<Result<_, _>>()?,
    };
    Ok((merged, message.conflict_count))
}

fn conflict_to_wire(conflict: &Conflict) -> v1::Conflict {
    v1::Conflict {
        path: conflict.path.to_bytes().into(),
        kind: match conflict.kind {
            ConflictKind::Name => v1::ConflictKind::Name,
            ConflictKind::Content => v1::ConflictKind::Content,
            ConflictKind::RemovedInTarget => v1::ConflictKind::RemovedInTarget,
            ConflictKind::RemovedInBranch => v1::ConflictKind::RemovedInBranch,
            ConflictKind::Moved => v1::ConflictKind::Moved,
        }
        .into(),
        node: conflict.node.as_u64(),
    }
}

fn conflict(message: v1::Conflict) -> Result<Conflict, Failure> {
    Ok(Conflict {
        path: path_from_wire(&message.path)?,
        kind: match v1::ConflictKind::try_from(message.kind) {
            Ok(v1::ConflictKind::Name) => ConflictKind::Name,
            Ok(v1::ConflictKind::Content) => ConflictKind::Content,
            Ok(v1::ConflictKind::RemovedInTarget) => ConflictKind::RemovedInTarget,
            Ok(v1::ConflictKind::RemovedInBranch) => ConflictKind::RemovedInBranch,
            Ok(v1::ConflictKind::Moved) => ConflictKind::Moved,
            Ok(v1::ConflictKind::Unspecified) | Err(_) => {
                return Err(newer("conflict", message.kind));
            }
        },
        node: NodeId::from_u64(message.node),
    })
}
