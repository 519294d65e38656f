//! Where a node is: in which layer chain, as of when.
//!
//! A node id alone does not say what a node looks like: a branch shares the ids of its origin. A
//! [`Spot`] does: it names the top layer and the version, from which the whole chain follows
//! ([`crate::layers`]).

use nokv_types::{BranchId, NodeId, NodeKind, Version};

/// Whether what is seen at a spot may be changed there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Met {
    /// It is in the layer that is on top.
    Live,
    /// It belongs to another branch and was met through an inherited entry: it is seen as it was
    /// then, and stays so.
    Through,
}

/// A node, seen through the chain below a branch at a version.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Spot {
    pub(crate) node: NodeId,
    pub(crate) branch: BranchId,
    pub(crate) at: Version,
    pub(crate) met: Met,
}

impl Spot {
    /// A node of the trunk.
    pub(crate) const fn trunk(node: NodeId, at: Version) -> Self {
        Self::live(node, BranchId::TRUNK, at)
    }

    /// A node of a branch, asked for as such.
    pub(crate) const fn live(node: NodeId, branch: BranchId, at: Version) -> Self {
        Self {
            node,
            branch,
            at,
            met: Met::Live,
        }
    }

    /// Another node seen through the same chain.
    pub(crate) const fn with_node(self, node: NodeId) -> Self {
        Self { node, ..self }
    }

    /// Whether both are seen through the same chain.
    pub(crate) fn same_chain(&self, other: &Self) -> bool {
        (self.branch, self.at, self.met) == (other.branch, other.at, other.met)
    }

    pub(crate) fn is_trunk(&self) -> bool {
        self.branch == BranchId::TRUNK
    }
}

/// What an entry leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Child {
    pub(crate) kind: NodeKind,
    pub(crate) spot: Spot,
}

impl Child {
    pub(crate) fn node(&self) -> NodeId {
        self.spot.node
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.kind == NodeKind::Directory
    }

    /// Whether it is the root of a branch, met in a directory of another.
    pub(crate) fn is_branch_root(&self, directory: &Spot) -> bool {
        self.spot.branch != directory.branch
    }
}
