//! How a file is opened and flushed.

use nokv_types::{Generation, TimeNanos};

/// What becomes of a file that is not there, or is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Creation {
    /// It must be there.
    #[default]
    Never,
    /// It is made if it is missing, with these permission bits.
    IfMissing(u32),
    /// It must be missing, and is made with these permission bits.
    Always(u32),
}

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OpenOptions {
    /// Whether to make it.
    pub creation: Creation,
    /// What is there is cut off, with the first flush.
    pub truncation: Truncation,
}

/// Whether opening a file cuts off what it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Truncation {
    /// It stays.
    #[default]
    Keep,
    /// The file is empty from now on, for others after the next flush.
    Empty,
}

/// How what was written is made visible.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FlushOptions {
    /// The generation that the file must still have, else `StaleGeneration` and the edits stay;
    /// `None`: the later writer of a range wins.
    pub expect: Option<Generation>,
    /// Last change of the file; `None`: the time of the flush.
    pub mtime: Option<TimeNanos>,
}

/// What [`crate::FileHandle::seek`] looks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seek {
    /// Bytes.
    Data,
    /// A hole, or the end.
    Hole,
}
