//! Where blocks live.
//!
//! Reading order: [`block_store`] (the trait and its promises), [`key`] (names of objects), then
//! the implementations: [`folder_blocks`] (`file://`), [`object_blocks`] (`s3://`),
//! [`memory_blocks`] (`memory:`); [`retry`] (patience around any of them), [`url`] (from a URL to a
//! store), [`s3`] and [`aws_files`] (settings and credentials of a bucket).

mod aws_files;
mod block_store;
mod folder_blocks;
pub(crate) mod key;
mod memory_blocks;
mod object_blocks;
mod retry;
mod s3;
mod s3_error;
mod url;

pub use block_store::{BlockEntry, BlockStore};
pub use folder_blocks::FolderBlocks;
pub use memory_blocks::MemoryBlocks;
pub use retry::{RetryOptions, RetryingBlocks};
pub use url::{ObjectOptions, S3Keys, Secret, forgets, objects_from_url};
