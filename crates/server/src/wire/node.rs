//! Nodes and pages.

use nokv_namespace::{BodyStorage, BodySummary, DirEntry, Node, Page};
use nokv_proto::{FromWire, digest_from_wire, name_from_wire, present, v1};
use nokv_types::{Attributes, BranchId, Failure, Generation, NodeId, Version};

use bytes::Bytes;

/// A node for the wire.
#[must_use]
pub fn node_to_wire(node: &Node) -> v1::Node {
    v1::Node {
        id: node.id.as_u64(),
        branch: node.branch.get(),
        attributes: Some(node.attributes.into()),
        generation: node.generation.get(),
        digest: node.body.digest.map_or_else(Bytes::new, |digest| {
            Bytes::copy_from_slice(digest.as_bytes())
        }),
        version: node.version.as_u64(),
        extent_count: match node.body.storage {
            BodyStorage::Inline => None,
            BodyStorage::Extents(count) => Some(count),
        },
    }
}

/// A node from the wire. **Errors**: `InvalidArgument`.
pub fn node(field: &str, message: v1::Node) -> Result<Node, Failure> {
    let attributes = present("node.attributes", message.attributes)?;
    Ok(Node {
        id: NodeId::from_u64(message.id),
        branch: BranchId::new(message.branch),
        version: Version::from_u64(message.version),
        attributes: Attributes::from_wire(field, attributes)?,
        generation: Generation::new(message.generation),
        body: BodySummary {
            digest: digest_from_wire("node.digest", &message.digest)?,
            storage: message
                .extent_count
                .map_or(BodyStorage::Inline, BodyStorage::Extents),
        },
    })
}

/// An entry for the wire.
#[must_use]
pub fn entry_to_wire(entry: &DirEntry) -> v1::DirEntry {
    v1::DirEntry {
        name: entry.name.to_bytes(),
        node: Some(node_to_wire(&entry.node)),
    }
}

/// An entry from the wire. **Errors**: `InvalidArgument`, those of a name.
pub fn entry(field: &str, message: v1::DirEntry) -> Result<DirEntry, Failure> {
    Ok(DirEntry {
        name: name_from_wire(message.name)?,
        node: node(field, present("entry.node", message.node)?)?,
    })
}

/// A page for the wire.
#[must_use]
pub fn page_to_wire(page: &Page) -> v1::ReadDirResponse {
    v1::ReadDirResponse {
        version: page.version.as_u64(),
        entries: page.entries.iter().map(entry_to_wire).collect(),
        next: page
            .next
            .as_ref()
            .map_or_else(Bytes::new, nokv_types::Name::to_bytes),
        directory: Some(node_to_wire(&page.directory)),
    }
}

/// A page from the wire. **Errors**: `InvalidArgument`, those of a name.
pub fn page(message: v1::ReadDirResponse) -> Result<Page, Failure> {
    let next = match message.next.is_empty() {
        true => None,
        false => Some(name_from_wire(message.next)?),
    };
    let entries = message.entries.into_iter();
    Ok(Page {
        version: Version::from_u64(message.version),
        directory: node("page.directory", present("directory", message.directory)?)?,
        entries: entries
            .map(|found| entry("page.entries", found))
            .collect::<Result<_, _>>()?,
        next,
    })
}
