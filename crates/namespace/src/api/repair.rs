//! What would mend something that does not fit: data that can be shown, kept and applied later.

use nokv_types::{BlockId, BranchId, Generation, MountId, Name, NodeId, ShardId, Version};
use std::fmt;

/// One repair.
///
/// **Guarantees**: [`crate::Namespace::repair`] applies it in one command, only if everything that
/// it rests on is as it was when it was found, and never deletes anything that can be reached.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Repair {
    /// The version at which it was found.
    pub at: Version,
    /// What is done.
    pub action: RepairAction,
}

/// An entry: a name in a directory of the trunk.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct EntryAt {
    /// The directory.
    pub directory: NodeId,
    /// The name.
    pub name: Name,
}

/// What a repair does.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum RepairAction {
    /// Adds to the counter of a directory what it lacks of a recount.
    Count {
        /// The directory.
        directory: NodeId,
        /// The layer.
        branch: BranchId,
        /// Entries that it lacks.
        entries: i64,
        /// Directories among them.
        subdirectories: i64,
    },
    /// Deletes the counter of a directory that does not exist.
    DropCount(NodeId),
    /// Deletes an entry that leads to nothing.
    Unname(EntryAt),
    /// Makes an entry say the kind of the node that it leads to.
    Kind(EntryAt),
    /// Deletes a second name of a directory, which has its right one.
    SecondName(EntryAt),
    /// Makes a node count its names, and know where they are.
    Links {
        /// The node.
        node: NodeId,
        /// Directories that hold its names, with how many.
        names: Vec<(NodeId, u32)>,
    },
    /// Makes a directory say where it is.
    Place {
        /// The directory.
        directory: NodeId,
        /// The entry that leads to it.
        entry: EntryAt,
    },
    /// Gives a node that nothing leads to a name in `/lost+found` of the first mount.
    Attach {
        /// The node.
        node: NodeId,
        /// The entry that made a circle, which is deleted.
        instead_of: Option<EntryAt>,
    },
    /// Makes a directory anew that has entries but no record.
    Recreate {
        /// The directory.
        directory: NodeId,
        /// The entry that leads to it; else it gets one in `/lost+found`.
        entry: Option<EntryAt>,
    },
    /// Makes a node count its extended attributes.
    Xattrs {
        /// The node.
        node: NodeId,
        /// The layer.
        branch: BranchId,
        /// How many it has.
        count: u32,
    },
    /// Deletes extended attributes, and what is noted of its names, of a node that does not exist.
    DropLeftovers(NodeId),
    /// Makes a block count the bodies that need it; one that none needs is doomed.
    References {
        /// The block.
        block: BlockId,
        /// References.
        references: i64,
        /// Bytes of the units that these name.
        bytes: i64,
        /// Where the furthest of them ends.
        end: i64,
    },
    /// Deletes extents that are of no body.
    DropChunks {
        /// The node.
        node: NodeId,
        /// The layer.
        branch: BranchId,
        /// The generation that they were of.
        generation: Generation,
    },
    /// Adds to the usage of a quota what it lacks of a recount.
    Usage {
        /// The directory.
        directory: NodeId,
        /// Bytes that it lacks.
        bytes: i64,
        /// Names that it lacks.
        inodes: i64,
    },
    /// Deletes the usage of a quota that does not exist.
    DropUsage(NodeId),
    /// Counts all quotas again: what was mended elsewhere may count now.
    CountQuotas,
    /// Gives a shard what it must know of a mount.
    Topology(ShardId, MountId),
}

impl fmt::Display for EntryAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {} of directory {}", self.name, self.directory)
    }
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use RepairAction as Action;
        match &self.action {
            Action::Unname(entry) => write!(f, "delete {entry}, which leads to nothing"),
            Action::Kind(entry) => write!(f, "make {entry} say what it leads to"),
            Action::SecondName(entry) => write!(f, "delete {entry}, a second name"),
            Action::Links { node, names } => {
                let links: u64 = names.iter().map(|(_, count)| u64::from(*count)).sum();
                write!(f, "make node {node} count {links} names")
            }
            Action::Place { directory, entry } => {
                write!(f, "make directory {directory} say that it is {entry}")
            }
            Action::Attach {
                node,
                instead_of: None,
            } => {
                write!(f, "name node {node} /lost+found/{node}")
            }
            Action::Attach {
                node,
                instead_of: Some(entry),
            } => {
                write!(f, "name node {node} /lost+found/{node}, no longer {entry}")
            }
            Action::Recreate {
                directory,
                entry: None,
            } => {
                write!(
                    f,
                    "make directory {directory} anew as /lost+found/{directory}"
                )
            }
            Action::Recreate {
                directory,
                entry: Some(entry),
            } => {
                write!(f, "make directory {directory} anew as {entry}")
            }
            other => write_other(f, other),
        }
    }
}

/// Repairs of what is counted and kept, in words.
fn write_other(f: &mut fmt::Formatter<'_>, action: &RepairAction) -> fmt::Result {
    use RepairAction as Action;
    match action {
        Action::Count {
            directory,
            branch,
            entries,
            subdirectories,
        } => {
            let what = In(*branch);
            write!(f, "add {entries} entries and {subdirectories} directories ")?;
            write!(f, "to the counter of directory {directory}{what}")
        }
        Action::DropCount(node) => write!(f, "delete the counter of no directory {node}"),
        Action::Xattrs {
            node,
            branch,
            count,
        } => {
            let what = In(*branch);
            write!(f, "make node {node}{what} count {count} attributes")
        }
        Action::DropLeftovers(node) => {
            write!(f, "delete what is left of no node {node}")
        }
        Action::References {
            block,
            references: 0,
            ..
        } => {
            write!(f, "give up block {block}, which no body needs")
        }
        Action::References {
            block, references, ..
        } => {
            write!(f, "make block {block} count {references} references")
        }
        Action::DropChunks {
            node, generation, ..
        } => {
            write!(f, "delete extents of no body, {generation} of node {node}")
        }
        Action::Usage {
            directory,
            bytes,
            inodes,
        } => write!(
            f,
            "add {bytes} bytes and {inodes} names to the usage of the quota of {directory}"
        ),
        Action::DropUsage(node) => write!(f, "delete the usage of no quota at {node}"),
        Action::CountQuotas => f.write_str("count all quotas again"),
        Action::Topology(shard, mount) => {
            write!(f, "tell shard {shard} of mount {mount}")
        }
        Action::Unname(_)
        | Action::Kind(_)
        | Action::SecondName(_)
        | Action::Links { .. }
        | Action::Place { .. }
        | Action::Attach { .. }
        | Action::Recreate { .. } => Ok(()),
    }
}

/// A layer, where that is not the trunk.
struct In(BranchId);

impl fmt::Display for In {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            BranchId::TRUNK => Ok(()),
            branch => write!(f, " in branch {branch}"),
        }
    }
}

/// What became of a repair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Repaired {
    /// It was applied.
    Applied(Version),
    /// Something that it rests on changed since it was found: nothing was done.
    Moved,
}
