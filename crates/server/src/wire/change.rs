//! Changes that watchers hear.

use nokv_namespace::{Change, ChangeKind, ChangedPlace};
use nokv_proto::{kind_from_wire, kind_to_wire, name_from_wire, path_from_wire, v1};
use nokv_types::{BranchId, Failure, Generation, NodeId, Reason, Version};

/// A change for the wire.
#[must_use]
pub fn change_to_wire(change: &Change) -> v1::Change {
    let (node_kind, device) = kind_to_wire(change.node_kind);
    v1::Change {
        version: change.version.as_u64(),
        kind: change_kind_to_wire(change.kind).into(),
        node: change.node.as_u64(),
        node_kind: node_kind.into(),
        device,
        generation: change.generation.get(),
        size: change.size,
        from: change.from.as_ref().map(place_to_wire),
        to: change.to.as_ref().map(place_to_wire),
        displaced: change.displaced.map(NodeId::as_u64),
        branch: change.branch.get(),
    }
}

/// A change from the wire. **Errors**: `InvalidArgument`; `Unsupported` for a kind of a newer
/// server.
pub fn change(message: v1::Change) -> Result<Change, Failure> {
    Ok(Change {
        version: Version::from_u64(message.version),
        branch: BranchId::new(message.branch),
        kind: change_kind(message.kind)?,
        node: NodeId::from_u64(message.node),
        node_kind: kind_from_wire("change.node_kind", message.node_kind, message.device)?,
        generation: Generation::new(message.generation),
        size: message.size,
        from: message.from.map(place).transpose()?,
        to: message.to.map(place).transpose()?,
        displaced: message.displaced.map(NodeId::from_u64),
    })
}

fn place_to_wire(place: &ChangedPlace) -> v1::ChangedPlace {
    v1::ChangedPlace {
        directory: place.directory.as_u64(),
        name: place.name.to_bytes(),
        path: place
            .path
            .as_ref()
            .map_or_else(Default::default, |path| path.to_bytes().into()),
    }
}

fn place(message: v1::ChangedPlace) -> Result<ChangedPlace, Failure> {
    let path = match message.path.is_empty() {
        true => None,
        false => Some(path_from_wire(&message.path)?),
    };
    Ok(ChangedPlace {
        directory: NodeId::from_u64(message.directory),
        name: name_from_wire(message.name)?,
        path,
    })
}

const fn change_kind_to_wire(kind: ChangeKind) -> v1::ChangeKind {
    match kind {
        ChangeKind::Created => v1::ChangeKind::Created,
        ChangeKind::Removed => v1::ChangeKind::Removed,
        ChangeKind::Renamed => v1::ChangeKind::Renamed,
        ChangeKind::Published => v1::ChangeKind::Published,
        ChangeKind::Attributes => v1::ChangeKind::Attributes,
        ChangeKind::Xattr => v1::ChangeKind::Xattr,
        ChangeKind::Exchanged => v1::ChangeKind::Exchanged,
        ChangeKind::Snapshot => v1::ChangeKind::Snapshot,
        ChangeKind::SnapshotRemoved => v1::ChangeKind::SnapshotRemoved,
        ChangeKind::Branched => v1::ChangeKind::Branched,
        ChangeKind::Quota => v1::ChangeKind::Quota,
        ChangeKind::SnapshotRenewed => v1::ChangeKind::SnapshotRenewed,
    }
}

fn change_kind(kind: i32) -> Result<ChangeKind, Failure> {
    Ok(match v1::ChangeKind::try_from(kind) {
        Ok(v1::ChangeKind::Created) => ChangeKind::Created,
        Ok(v1::ChangeKind::Removed) => ChangeKind::Removed,
        Ok(v1::ChangeKind::Renamed) => ChangeKind::Renamed,
        Ok(v1::ChangeKind::Published) => ChangeKind::Published,
        Ok(v1::ChangeKind::Attributes) => ChangeKind::Attributes,
        Ok(v1::ChangeKind::Xattr) => ChangeKind::Xattr,
        Ok(v1::ChangeKind::Exchanged) => ChangeKind::Exchanged,
        Ok(v1::ChangeKind::Snapshot) => ChangeKind::Snapshot,
        Ok(v1::ChangeKind::SnapshotRemoved) => ChangeKind::SnapshotRemoved,
        Ok(v1::ChangeKind::Branched) => ChangeKind::Branched,
        Ok(v1::ChangeKind::Quota) => ChangeKind::Quota,
        Ok(v1::ChangeKind::SnapshotRenewed) => ChangeKind::SnapshotRenewed,
        Ok(v1::ChangeKind::Unspecified) | Err(_) => {
            return Err(Failure::new(
                Reason::Unsupported,
                format!("change of kind {kind}, which this client does not know; use a newer one"),
            ));
        }
    })
}
