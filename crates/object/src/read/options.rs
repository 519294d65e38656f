//! The limits of reading, with their reasons.

use super::hedge::HedgeOptions;
use crate::Error;
use nokv_types::BLOCK_BYTES_MAX;

/// Most bytes that one call returns in memory; whoever wants more streams.
pub const READ_BYTES_MAX: u64 = 64 << 20;
/// Most GETs under way at once, for the reason of [`crate::PARALLEL_PUTS_MAX`].
pub const PARALLEL_GETS_MAX: usize = 256;
/// Most bytes of one GET that joins several extents: a whole pack.
pub(crate) const FETCH_BYTES_MAX: u32 = crate::PACK_BYTES_MAX;
/// Unwanted bytes between two wanted ones that are fetched rather than starting another GET: what a
/// 10 ms round trip costs on a 1 Gbit/s line is 1.2 MB; a quarter of that is a gain even on slower
/// ones.
pub(crate) const GAP_BYTES_MAX: u32 = 256 << 10;
/// Times that a damaged extent is fetched before it is reported: once more, because a proxy or a
/// network may have done it; not oftener, because a disk does not heal.
pub(crate) const VERIFY_ATTEMPTS_MAX: u32 = 2;
/// Bytes of zeros that a stream yields at once for a hole.
pub(crate) const ZEROS_BYTES: usize = 256 << 10;

/// Farthest that one open body is read ahead: eight blocks, enough to keep 250 MB/s going over
/// 100 ms.
pub(crate) const WINDOW_BYTES_MAX: u64 = 32 << 20;

/// What a [`crate::BodyReader`] may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadOptions {
    /// GETs under way at once over all reads, 1..=[`PARALLEL_GETS_MAX`].
    pub parallel_gets: usize,
    /// GETs that one stream keeps ahead of its consumer, at least 1.
    pub lookahead_gets: usize,
    /// Local files that [`crate::BodyReader::read_many`] writes at once, at least 1.
    pub parallel_files: usize,
    /// Bytes fetched and not yet written to local files, at least [`BLOCK_BYTES_MAX`].
    pub memory_bytes_max: u32,
    /// Second requests for reads that take too long; `None` for none.
    pub hedge: Option<HedgeOptions>,
    /// Bytes read ahead of all open bodies together; 0 for none.
    pub ahead_bytes_max: u32,
    /// Where the cache, if there is one, keeps what is fetched.
    pub keep: Keep,
}

/// Where a cache keeps what a reader fetches.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Keep {
    /// In memory and on disk: pieces of it will be asked for soon.
    #[default]
    Near,
    /// On disk only: it is read once, from start to end.
    OnDisk,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            parallel_gets: 16,
            lookahead_gets: 4,
            parallel_files: 8,
            memory_bytes_max: BLOCK_BYTES_MAX,
            hedge: None,
            ahead_bytes_max: 128 << 20,
            keep: Keep::Near,
        }
    }
}

impl ReadOptions {
    /// For what is read once, from start to end.
    #[must_use]
    pub fn once() -> Self {
        Self {
            keep: Keep::OnDisk,
            ..Self::default()
        }
    }

    /// The same options if they are within their limits. **Errors**: [`Error::Invalid`].
    pub(crate) fn checked(self) -> Result<Self, Error> {
        let flaw = if !(1..=PARALLEL_GETS_MAX).contains(&self.parallel_gets) {
            format!(
                "parallel_gets is {}, not 1..={PARALLEL_GETS_MAX}",
                self.parallel_gets
            )
        } else if !(1..=PARALLEL_GETS_MAX).contains(&self.lookahead_gets) {
            format!(
                "lookahead_gets is {}, not 1..={PARALLEL_GETS_MAX}",
                self.lookahead_gets
            )
        } else if !(1..=PARALLEL_GETS_MAX).contains(&self.parallel_files) {
            format!(
                "parallel_files is {}, not 1..={PARALLEL_GETS_MAX}",
                self.parallel_files
            )
        } else if self.memory_bytes_max < BLOCK_BYTES_MAX {
            format!(
                "memory_bytes_max is {}, less than a block of {BLOCK_BYTES_MAX}",
                self.memory_bytes_max
            )
        } else {
            return Ok(self);
        };
        Err(Error::Invalid(format!("read option {flaw}")))
    }
}
