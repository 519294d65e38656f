//! What a consistency check found, and what would mend it.

use crate::Repair;
use nokv_types::{BlockId, BranchId, Failure, NodeId, Reason, Version};
use std::fmt;
use std::str::FromStr;

/// What does not fit together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ProblemKind {
    /// An entry leads to a node that does not exist, or is of another kind, or lies in no
    /// directory.
    DanglingEntry,
    /// A node has no entry and is no root.
    Unreachable,
    /// A link count is not the number of entries.
    WrongLinks,
    /// A directory is not where its record says, or its parents do not end at a root.
    WrongPlace,
    /// The counter of a directory is not a recount of its entries.
    WrongCount,
    /// A reference count is not a recount of the bodies that need the block.
    WrongReferences,
    /// Extents of a body are missing, or nobody's.
    WrongChunks,
    /// A branch is not where its record says, or rests on nothing.
    WrongBranch,
    /// The number of extended attributes is not what the node says.
    WrongXattrs,
    /// The usage of a quota is not a recount of what is below.
    WrongQuota,
    /// A shard lacks what every shard must have.
    WrongShard,
}

/// One thing that does not fit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Problem {
    /// What kind of thing.
    pub kind: ProblemKind,
    /// What and where, in one line.
    pub message: String,
    /// What would mend it; `None` when nothing that is left says how.
    pub repair: Option<Repair>,
}

/// The outcome of a check, or of one step of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CheckReport {
    /// The version that was checked; of several steps, the last one's.
    pub version: Version,
    /// Nodes of any kind.
    pub nodes: u64,
    /// Entries of directories.
    pub entries: u64,
    /// Bodies out of sight that are not reclaimed yet.
    pub dead_bodies: u64,
    /// Blocks with references.
    pub blocks: u64,
    /// What does not fit, at most [`CheckReport::PROBLEMS_MAX`] of it.
    pub problems: Vec<Problem>,
}

impl CheckReport {
    /// Most problems that a report lists: enough to see a pattern, and bounded.
    pub const PROBLEMS_MAX: usize = 10_000;
}

/// One step of a check.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CheckStep {
    /// What it looked at and found.
    pub report: CheckReport,
    /// Where the check goes on; `None` when it is done.
    pub next: Option<CheckCursor>,
}

/// Where a check goes on, whenever that is and whatever was written since: each step looks at a
/// part of the store, whole, at a version of its own.
///
/// **Shape** as text: `nodes:N`, `branches:N`, `bodies`, `objects:S.N`, `quotas`; what stands there
/// was looked at last.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CheckCursor {
    /// From the beginning.
    #[default]
    Start,
    /// After this node of the trunk.
    Nodes(NodeId),
    /// After this branch.
    Branches(BranchId),
    /// The bodies are left.
    Bodies,
    /// After this object.
    Objects(BlockId),
    /// The quotas are left.
    Quotas,
}

impl fmt::Display for CheckCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("start"),
            Self::Nodes(node) => write!(f, "nodes:{node}"),
            Self::Branches(branch) => write!(f, "branches:{branch}"),
            Self::Objects(block) => {
                write!(f, "objects:{}.{}", block.session, block.sequence)
            }
            Self::Bodies => f.write_str("bodies"),
            Self::Quotas => f.write_str("quotas"),
        }
    }
}

impl FromStr for CheckCursor {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let flaw = || {
            Failure::new(
                Reason::InvalidArgument,
                format!("{text:?} is not a cursor of a check; take it from a step's answer"),
            )
        };
        let (what, at) = text.split_once(':').unwrap_or((text, ""));
        let number = |text: &str| text.parse().map_err(|_| flaw());
        Ok(match what {
            "start" if at.is_empty() => Self::Start,
            "bodies" if at.is_empty() => Self::Bodies,
            "quotas" if at.is_empty() => Self::Quotas,
            "nodes" => Self::Nodes(NodeId::from_u64(number(at)?)),
            "branches" => Self::Branches(BranchId::new(at.parse().map_err(|_| flaw())?)),
            "objects" => {
                let (session, sequence) = at.split_once('.').ok_or_else(flaw)?;
                Self::Objects(BlockId {
                    session: nokv_types::SessionId::new(number(session)?),
                    sequence: sequence.parse().map_err(|_| flaw())?,
                })
            }
            _ => return Err(flaw()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_survives_as_text(which in 0..6_u8, number: u64, small: u32) {
            let cursor = match which {
                0 => CheckCursor::Start,
                4 => CheckCursor::Bodies,
                1 => CheckCursor::Nodes(NodeId::from_u64(number)),
                2 => CheckCursor::Branches(BranchId::new(small)),
                3 => CheckCursor::Objects(BlockId {
                    session: nokv_types::SessionId::new(number),
                    sequence: small,
                }),
                _ => CheckCursor::Quotas,
            };
            prop_assert_eq!(cursor.to_string().parse::<CheckCursor>().ok(), Some(cursor));
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _outcome = text.parse::<CheckCursor>();
        }
    }
}
