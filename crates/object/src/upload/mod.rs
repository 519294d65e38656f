//! From sources to bodies.
//!
//! An upload reads its source block by block, hashing on the way, and stores blocks in parallel.
//! Bodies up to `INLINE_BYTES_MAX` stay inline; small bodies and small tails share *packs*. What
//! comes back is a [`Staged`] upload; only [`Staged::durable`] gives the `Body`, and only when
//! every object in it is durable, so a publish can't name what isn't there.
//!
//! Reading order: [`options`] (limits), [`source`] (bytes in), [`prepare`] (hashes, encodings),
//! [`pack`] (shared objects), [`uploader`] (the whole), [`staged`] (the result), [`unit`] (pieces
//! of random writes).

mod options;
mod pack;
mod prepare;
mod source;
mod staged;
mod unit;
mod uploader;
#[cfg(test)]
mod uploader_test;

pub use options::{
    Compression, PACK_BYTES_MAX, PACKED_BYTES_MAX, PARALLEL_PUTS_MAX, UploadOptions,
};
pub(crate) use source::blocking;
pub use staged::Staged;
pub use unit::StagedUnit;
pub use uploader::{UploadStats, Uploader};
