//! Branches, and moments.

use nokv_namespace::Branch;
use nokv_proto::{path_from_wire, v1};
use nokv_types::{AsOf, BranchId, Failure, NodeId, Version};

/// A moment for the wire; `None` is now.
#[must_use]
pub fn moment_to_wire(moment: Option<&AsOf>) -> v1::Moment {
    match moment {
        None => v1::Moment::default(),
        Some(AsOf::Version(version)) => v1::Moment {
            at: version.as_u64(),
            snapshot: String::new(),
        },
        Some(AsOf::Snapshot(name)) => v1::Moment {
            at: 0,
            snapshot: name.as_str().to_owned(),
        },
    }
}

/// A branch for the wire.
#[must_use]
pub fn branch_to_wire(branch: &Branch) -> v1::Branch {
    v1::Branch {
        id: branch.id.get(),
        path: branch
            .path
            .as_ref()
            .map_or_else(Default::default, |path| path.to_bytes().into()),
        parent: branch.parent.get(),
        base: branch.base.as_u64(),
        root: branch.root.as_u64(),
        created_ms: branch.created_millis,
        version: branch.version.as_u64(),
    }
}

/// A branch from the wire. **Errors**: those of a path.
pub fn branch(message: v1::Branch) -> Result<Branch, Failure> {
    let path = match message.path.is_empty() {
        true => None,
        false => Some(path_from_wire(&message.path)?),
    };
    Ok(Branch {
        id: BranchId::new(message.id),
        path,
        parent: BranchId::new(message.parent),
        base: Version::from_u64(message.base),
        root: NodeId::from_u64(message.root),
        created_millis: message.created_ms,
        version: Version::from_u64(message.version),
    })
}
