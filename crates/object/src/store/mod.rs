//! Where blocks live.
//!
//! Reading order: [`block_store`] (the trait and its promises), [`key`] (names of objects), then the
//! implementations: [`folder_blocks`] (`file://`), [`object_blocks`] (`s3://`), [`memory_blocks`] (`memory:`);
//! [`retry`] (patience around any of them), [`open`] (from a URL to a probed store), [`aws_files`] (the usual
//! credential files).

mod block_store;
mod key;
mod memory_blocks;

pub use block_store::{BlockEntry, BlockStore};
pub use memory_blocks::MemoryBlocks;

use crate::Error;
use nokv_types::BlockId;

/// The error for an object that is not there; the reader fills in which body wanted it.
fn missing(store: &dyn BlockStore, block: BlockId) -> Error {
    Error::MissingBlock {
        body: "a body".to_owned(),
        block,
        place: store.place(block),
    }
}
