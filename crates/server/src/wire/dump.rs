//! Dumps and loads.

use nokv_dump::Identity;
use nokv_namespace::{DumpPage, KnownNode, LOAD_NODES_MAX, Load, LoadDirectory, Loaded};
use nokv_proto::{invalid, name_from_wire, v1, version_from_wire};
use nokv_types::{BranchId, Failure, Name, NodeId, SessionId, TimeNanos, Version};

/// A page for the wire.
#[must_use]
pub fn dump_page_to_wire(page: DumpPage) -> v1::DumpResponse {
    let names = page.next.iter().flatten();
    v1::DumpResponse {
        version: page.version.as_u64(),
        nodes: page.nodes,
        count: page.count,
        goes_on: page.next.is_some(),
        next: names.map(Name::to_bytes).collect(),
    }
}

/// A page from the wire.
pub fn dump_page(message: v1::DumpResponse) -> Result<DumpPage, Failure> {
    Ok(DumpPage {
        version: Version::from_u64(message.version),
        nodes: message.nodes,
        count: message.count,
        next: match message.goes_on {
            true => Some(names(message.next)?),
            false => None,
        },
    })
}

/// Names from the wire.
pub(crate) fn names(names: Vec<bytes::Bytes>) -> Result<Vec<Name>, Failure> {
    names.into_iter().map(name_from_wire).collect()
}

/// What is loaded, without the context, for the wire.
#[must_use]
pub fn load_to_wire(load: Load) -> v1::LoadRequest {
    let directory = |at: LoadDirectory| {
        let (mtime, ctime) = at.times.unwrap_or_default();
        v1::LoadDirectory {
            node: at.node.as_u64(),
            has_times: at.times.is_some(),
            mtime: mtime.get(),
            ctime: ctime.get(),
        }
    };
    let known = |known: KnownNode| v1::LoadedNode {
        dumped: known.dumped.id.as_u64(),
        branch: known.dumped.branch.get(),
        at: known.dumped.at.map_or(0, Version::as_u64),
        node: known.node.as_u64(),
    };
    v1::LoadRequest {
        context: None,
        directories: load.directories.into_iter().map(directory).collect(),
        nodes: load.nodes,
        known: load.known.into_iter().map(known).collect(),
        session: load.session.map_or(0, SessionId::get),
    }
}

/// What is loaded, from the wire.
pub fn load(message: v1::LoadRequest) -> Result<Load, Failure> {
    if message.known.len() > LOAD_NODES_MAX {
        return Err(invalid("known", "has more nodes than can be loaded"));
    }
    let directory = |at: v1::LoadDirectory| LoadDirectory {
        node: NodeId::from_u64(at.node),
        times: at
            .has_times
            .then(|| (TimeNanos::new(at.mtime), TimeNanos::new(at.ctime))),
    };
    let known = |known: v1::LoadedNode| KnownNode {
        dumped: Identity {
            id: NodeId::from_u64(known.dumped),
            branch: BranchId::new(known.branch),
            at: version_from_wire(known.at),
        },
        node: NodeId::from_u64(known.node),
    };
    Ok(Load {
        directories: message.directories.into_iter().map(directory).collect(),
        nodes: message.nodes,
        known: message.known.into_iter().map(known).collect(),
        session: (message.session != 0).then(|| SessionId::new(message.session)),
    })
}

/// What was loaded, for the wire.
#[must_use]
pub fn loaded_to_wire(loaded: &Loaded) -> v1::LoadResponse {
    v1::LoadResponse {
        version: loaded.version.as_u64(),
        nodes: loaded.nodes.iter().map(|node| node.as_u64()).collect(),
    }
}

/// What was loaded, from the wire.
#[must_use]
pub fn loaded(message: v1::LoadResponse) -> Loaded {
    Loaded {
        version: Version::from_u64(message.version),
        nodes: message.nodes.into_iter().map(NodeId::from_u64).collect(),
    }
}
