//! The mark: what was promised, beside the files that it was promised about.
//!
//! Purpose: a log or manifest that lost its end looks like one that was torn by a crash. The mark
//! says how far a sync succeeded, so that the loss of promised bytes is reported and the tearing of
//! others is not.
//!
//! It is one sector, written after each sync and not synced itself: the death of the process leaves
//! it as it was written, a power cut may leave an older one, which promises less and is still true.
//! It is never read for anything else, and a missing or damaged mark promises nothing.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use nokv_env::{Env, File, OpenMode};
use parking_lot::Mutex;

use crate::{
    Error,
    bytes_at::{put_at, u32_at, u64_at},
    checksum::crc32c,
};

/// The file.
pub(crate) const MARK_NAME: &str = "SYNCED";

const MAGIC: [u8; 8] = *b"NoKV-syn";
const LOG_SEQUENCE: usize = 8;
const MANIFEST_NUMBER: usize = LOG_SEQUENCE + 8;
const MANIFEST_BYTES: usize = MANIFEST_NUMBER + 8;
const CHECKSUM: usize = MANIFEST_BYTES + 8;
const BYTES: usize = CHECKSUM + 4;

/// What the mark says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Promise {
    /// Records of the log up to this sequence are durable.
    pub(crate) log_sequence: u64,
    /// Of this manifest,
    pub(crate) manifest_number: u64,
    /// this many bytes are durable.
    pub(crate) manifest_bytes: u64,
}

impl Promise {
    /// What the store in `dir` was promised.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn load(env: &Env, dir: &Path) -> Result<Self, Error> {
        let path = dir.join(MARK_NAME);
        let file = match env.files.open(&path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(Error::io("opening", &path, error)),
        };
        let mut bytes = [0; BYTES];
        let count = file
            .read_full_at(&mut bytes, 0)
            .map_err(|error| Error::io("reading", &path, error))?;
        Ok(bytes
            .get(..count)
            .and_then(Self::decode)
            .unwrap_or_default())
    }

    /// Whether the mark is whole, or as a power cut may leave it: absent, empty, only zeros.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn is_sound(env: &Env, dir: &Path) -> Result<bool, Error> {
        let path = dir.join(MARK_NAME);
        let file = match env.files.open(&path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(Error::io("opening", &path, error)),
        };
        let mut bytes = [0; BYTES];
        let count = file
            .read_at(&mut bytes, 0)
            .map_err(|error| Error::io("reading", &path, error))?;
        let is_blank = bytes.iter().all(|byte| *byte == 0);
        let decoded = bytes.get(..count).and_then(Self::decode);
        Ok(is_blank || decoded.is_some())
    }

    fn encode(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        put_at(&mut bytes, 0, &MAGIC);
        put_at(&mut bytes, LOG_SEQUENCE, &self.log_sequence.to_le_bytes());
        put_at(
            &mut bytes,
            MANIFEST_NUMBER,
            &self.manifest_number.to_le_bytes(),
        );
        put_at(
            &mut bytes,
            MANIFEST_BYTES,
            &self.manifest_bytes.to_le_bytes(),
        );
        let checksum = crc32c(&[bytes.get(..CHECKSUM).unwrap_or_default()]);
        put_at(&mut bytes, CHECKSUM, &checksum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let covered = bytes.get(..CHECKSUM)?;
        if !covered.starts_with(&MAGIC) || crc32c(&[covered]) != u32_at(bytes, CHECKSUM)? {
            return None;
        }
        Some(Self {
            log_sequence: u64_at(bytes, LOG_SEQUENCE)?,
            manifest_number: u64_at(bytes, MANIFEST_NUMBER)?,
            manifest_bytes: u64_at(bytes, MANIFEST_BYTES)?,
        })
    }
}

/// The mark of a store that is open for writing.
pub(crate) struct Mark {
    file: Arc<dyn File>,
    promise: Mutex<Promise>,
    log_sequence: AtomicU64,
}

impl Mark {
    /// Opens or makes the file; it says `promise` until noted otherwise.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn open(env: &Env, dir: &Path, promise: Promise) -> Result<Self, Error> {
        let path = dir.join(MARK_NAME);
        let file = env
            .files
            .open(&path, OpenMode::OpenOrCreate)
            .map_err(|error| Error::io("opening", &path, error))?;
        let log_sequence = AtomicU64::new(promise.log_sequence);
        Ok(Self {
            file,
            promise: Mutex::new(promise),
            log_sequence,
        })
    }

    /// The sequence up to which the log is promised.
    pub(crate) fn log_sequence(&self) -> u64 {
        self.log_sequence.load(Ordering::Acquire)
    }

    /// Notes that the log is durable up to `sequence`.
    pub(crate) fn note_log(&self, sequence: u64) {
        let mut promise = self.promise.lock();
        if sequence > promise.log_sequence {
            promise.log_sequence = sequence;
            self.log_sequence.store(sequence, Ordering::Release);
            self.write(*promise);
        }
    }

    /// Notes that `bytes` of manifest `number` are durable.
    pub(crate) fn note_manifest(&self, number: u64, bytes: u64) {
        let mut promise = self.promise.lock();
        promise.manifest_number = number;
        promise.manifest_bytes = bytes;
        self.write(*promise);
    }

    /// Makes the mark itself durable: at a clean close nothing is unknown.
    pub(crate) fn sync(&self) {
        if let Err(error) = self.file.sync_data() {
            tracing::warn!(%error, "the mark could not be synced; damage may go unnoticed");
        }
    }

    /// A mark that can't be written promises less; that is no reason to fail a write that is
    /// durable.
    fn write(&self, promise: Promise) {
        if let Err(error) = self.file.write_at(&promise.encode(), 0) {
            tracing::warn!(%error, "the mark could not be written; damage may go unnoticed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Promise;

    #[test]
    fn a_promise_survives_and_a_flipped_bit_breaks_it() {
        let promise = Promise {
            log_sequence: 7,
            manifest_number: 2,
            manifest_bytes: 900,
        };
        let bytes = promise.encode();
        assert_eq!(Promise::decode(&bytes), Some(promise));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Promise::decode(&damaged), None, "bit {bit}");
        }
    }
}
