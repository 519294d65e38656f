//! What a lookup answers.

use nokv_types::{Attributes, BranchId, Digest, Generation, Name, NodeId, NodeKind, Version};

/// A node as of one version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Its identity: survives renames, never reused.
    pub id: NodeId,
    /// The branch that it was seen through: ask for it by id in this branch.
    pub branch: BranchId,
    /// The version of the last change of the node itself (for a directory: not of its entries).
    pub version: Version,
    /// Kind, permissions, owner, links, size, times.
    pub attributes: Attributes,
    /// Number of the body: one more for each publish over it. `NONE` for anything but a file.
    pub generation: Generation,
    /// How the body is stored, without the extents.
    pub body: BodySummary,
}

/// What a reader may want to know of a body before asking for its extents.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BodySummary {
    /// BLAKE3 of all bytes, where known.
    pub digest: Option<Digest>,
    /// Where the bytes are.
    pub storage: BodyStorage,
}

/// Where the bytes of a body are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyStorage {
    /// In the node: reading needs no object store. Also bodies of no bytes, and symbolic links.
    Inline,
    /// In this many extents of objects.
    Extents(u32),
}

/// A name and the node it leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DirEntry {
    /// The name in the directory.
    pub name: Name,
    /// The node, with attributes.
    pub node: Node,
}

/// A part of a directory.
///
/// **Guarantees**: entries in byte order of names, all as of `version`, none left out between the
/// first and the last. To continue, ask with `after: next` and `View::at(version)`: the pages
/// together are the directory at that version, whatever changes meanwhile.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// The version that was read.
    pub version: Version,
    /// The directory itself.
    pub directory: Node,
    /// Its entries.
    pub entries: Vec<DirEntry>,
    /// The name to continue after; `None` when the directory ends here.
    pub next: Option<Name>,
}

/// A name and what it leads to, without attributes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedNode {
    /// The name in the directory.
    pub name: Name,
    /// The branch that it is seen through.
    pub branch: BranchId,
    /// The node.
    pub node: NodeId,
    /// What it is.
    pub kind: NodeKind,
}

/// A part of a directory without attributes.
///
/// **Guarantees**: those of [`Page`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamesPage {
    /// The version that was read.
    pub version: Version,
    /// The names.
    pub names: Vec<NamedNode>,
    /// The name to continue after; `None` when the directory ends here.
    pub next: Option<Name>,
}

/// Most entries of a page: a page of this size with long names stays below 32 MiB.
pub const PAGE_ENTRIES_MAX: usize = 65_536;
