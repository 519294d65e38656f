//! Edits of a body: random writes, holes, sizes, copies by reference.

use crate::Node;
use bytes::Bytes;
use nokv_types::{Digest, Extent, Generation, NodeId, SessionId, TimeNanos, Version};
use std::ops::Range;

/// Most edits of one command: what a writer gathers between two flushes. Beyond it a flush is
/// several commands, or the range is written as a whole.
pub const EDITS_MAX: usize = 65_536;

/// Edits of one file's body that become visible together, as a new generation.
///
/// **Guarantees**: they are applied, in order, to the body that the file has when the command is
/// applied: of two writers, the later one wins for each range that both wrote, and keeps what the
/// other wrote elsewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EditBody {
    /// 1..=[`EDITS_MAX`] edits.
    pub edits: Vec<Edit>,
    /// The upload sessions of new blocks; all must be open.
    pub sessions: Vec<SessionId>,
    /// The generation that the file must have; else `StaleGeneration`.
    pub expect: Option<Generation>,
    /// The digest of the outcome, if these edits are applied to this generation. Without it, or
    /// when they are applied to another, the digest of the outcome is unknown.
    pub digest: Option<(Generation, Digest)>,
    /// Last change of the body; `None` takes the context's time.
    pub mtime: Option<TimeNanos>,
}

/// Where a write begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EditAt {
    /// At this offset.
    Offset(u64),
    /// At the end of what the edits before it have made.
    End,
}

/// One change of a body. A size over `BODY_BYTES_MAX` is `TooLarge`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Edit {
    /// Writes `length` bytes: extents whose offsets count from `at`, and holes between them. Makes
    /// the body longer where it reaches past the end.
    Write {
        /// Where.
        at: EditAt,
        /// How many bytes, at least 1.
        length: u64,
        /// Ascending, without overlap, within `length`.
        extents: Vec<Extent>,
    },
    /// Writes bytes into a body that is inline, or over all of one that is not: `Unsupported` when
    /// the outcome would not fit inline.
    WriteInline {
        /// Where.
        at: EditAt,
        /// The bytes.
        bytes: Bytes,
    },
    /// Makes what of a range lies within the body a hole.
    Punch(Range<u64>),
    /// Cuts off, or makes longer by a hole.
    Resize(u64),
    /// Takes a range within the body out; what is behind moves to its start.
    Collapse(Range<u64>),
    /// Puts a hole of this range before what is at its start, which is within the body.
    Insert(Range<u64>),
    /// Writes what another file, or this one, has in a range, sharing its blocks. `Unsupported`
    /// when the source is inline and the outcome would not be.
    Copy {
        /// The source, a file of the branch that the edited file is in.
        from: NodeId,
        /// What of it; within its body.
        range: Range<u64>,
        /// Where to.
        to: u64,
    },
}

/// Answer of an edit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edited {
    /// The version of the change: a read at it sees all edits, one before it none.
    pub version: Version,
    /// The file after it.
    pub node: Node,
    /// The generation that the edits were applied to.
    pub based_on: Generation,
}
