//! The past put back in place, and commands taken back.

use crate::Client;
use nokv_namespace::{Change, Place, Restored, Undone};
use nokv_proto::v1::{self, request::Method, response::Result as Answer};
use nokv_server::wire;
use nokv_types::{AsOf, BranchId, Failure, NodeId, NsPath, Version};

/// Takes the answer of one method.
macro_rules! pick {
    ($kind:ident) => {
        |answer| match answer {
            Answer::$kind(answer) => Some(answer),
            _ => None,
        }
    };
}

/// What one command changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommandAnswer {
    /// Its version.
    pub version: Version,
    /// Its first changes, at most 100.
    pub changes: Vec<Change>,
    /// How many there are.
    pub change_count: u64,
}

/// The past, brought back. All of it can be undone.
impl Client {
    /// Puts what a path led to at a moment in place of what it leads to now. A directory comes back
    /// in one step, whatever it holds, as a branch of then.
    ///
    /// **Errors**: `NotFound` when there was nothing then; `Compacted`, `SnapshotExpired`;
    /// `NotPermitted` for the root.
    pub async fn restore(&self, path: &NsPath, moment: &AsOf) -> Result<Restored, Failure> {
        let method = Method::Restore(v1::RestoreRequest {
            context: Some(self.context()),
            place: Some(wire::place_to_wire(Place::Path(path))),
            moment: Some(wire::moment_to_wire(Some(moment))),
        });
        let restored = self.shared.transport.call(method, pick!(Restore)).await?;
        Ok(Restored {
            version: Version::from_u64(restored.version),
            node: NodeId::from_u64(restored.node),
            branch: restored.branch.map(BranchId::new),
            displaced: restored.displaced.map(NodeId::from_u64),
        })
    }

    /// Takes back what the command of a version did, as one command; what happened elsewhere since
    /// stays.
    ///
    /// **Errors**: `Conflict` when what it changed was changed since; `NotFound` when it changed no
    /// name or node; `Compacted`; `Unsupported` for a command that changed several branches.
    pub async fn undo(&self, version: Version) -> Result<Undone, Failure> {
        let method = Method::Undo(v1::UndoRequest {
            context: Some(self.context()),
            version: version.as_u64(),
        });
        let undone = self.shared.transport.call(method, pick!(Undo)).await?;
        Ok(Undone {
            version: Version::from_u64(undone.version),
            changes: undone.changes,
        })
    }

    /// What the command of a version changed; `None` for the last one of the mount that changed a
    /// name or a node. **Errors**: `NotFound`, `Compacted`.
    pub async fn command(&self, version: Option<Version>) -> Result<CommandAnswer, Failure> {
        let method = Method::Command(v1::CommandRequest {
            mount: self.view.mount.get(),
            version: version.map_or(0, Version::as_u64),
        });
        let command = self.shared.transport.call(method, pick!(Command)).await?;
        let changes = command.changes.into_iter().map(wire::change);
        Ok(CommandAnswer {
            version: Version::from_u64(command.version),
            changes: changes.collect::<Result<_, _>>()?,
            change_count: command.change_count,
        })
    }
}
