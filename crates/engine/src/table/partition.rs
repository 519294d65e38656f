//! An index partition in memory, with the frames of its data blocks.

use std::sync::Arc;

use super::index_block::IndexBlock;
use crate::cache::Frames;

/// A partition of an open table.
pub(crate) struct Partition {
    pub(crate) index: IndexBlock,
    /// One for each entry of the index.
    pub(crate) frames: Arc<Frames>,
}

impl Partition {
    pub(crate) fn new(index: IndexBlock, frames: Frames) -> Self {
        Self {
            index,
            frames: Arc::new(frames),
        }
    }
}
