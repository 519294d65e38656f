//! One value-log file: its name, its head, reading a value of it.
//!
//! Invariants:
//! - a value is never returned without its checksum, key and version compared with what was asked;
//! - a file stays on disk while any view holds it ([`super::ValueFiles`]), so it can be opened
//!   again at any time and only a bounded number need be open ([`super::OpenFiles`]);
//! - after a failed sync no later sync of the file succeeds: the kernel may have dropped pages and
//!   told only one of two who asked.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use nokv_env::File;
use parking_lot::{Mutex, RwLock};

use super::{
    entry::{self, stored_checksum},
    layout::{
        ENTRY_HEAD_BYTES, FORMAT_VERSION, HEAD_BUCKET, HEAD_BYTES, HEAD_CHECKSUM, HEAD_FORMAT,
        HEAD_NUMBER, MAGIC,
    },
    open_files::OpenFiles,
    pointer::Pointer,
};
use crate::{
    Error,
    bytes_at::{put_at, u32_at, u64_at},
    checksum::crc32c,
    file_name::{number_in, numbered_path},
    plant::{Plant, is_planted},
};

/// What comes after the number in the name of a file.
const SUFFIX: &str = ".vlog";

/// The path of a value-log file.
pub(crate) fn value_path(dir: &Path, number: u64) -> PathBuf {
    numbered_path(dir, number, SUFFIX)
}

/// The number of the value-log file with this name; `None` for any other file.
pub(crate) fn value_number(name: &str) -> Option<u64> {
    number_in(name, SUFFIX)
}

/// The head of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FileHead {
    pub(super) number: u64,
    /// Which part of the keys it has.
    pub(super) bucket: u32,
}

impl FileHead {
    pub(super) fn encode(self) -> [u8; HEAD_BYTES] {
        let mut head = [0; HEAD_BYTES];
        put_at(&mut head, 0, &MAGIC);
        put_at(&mut head, HEAD_FORMAT, &FORMAT_VERSION.to_le_bytes());
        put_at(&mut head, HEAD_NUMBER, &self.number.to_le_bytes());
        put_at(&mut head, HEAD_BUCKET, &self.bucket.to_le_bytes());
        let checksum = crc32c(&[head.get(..HEAD_CHECKSUM).unwrap_or_default()]);
        put_at(&mut head, HEAD_CHECKSUM, &checksum.to_le_bytes());
        head
    }

    /// The head of file `number`; `None` when it is not whole.
    ///
    /// # Errors
    /// `Unsupported` when it is whole and of another format.
    pub(super) fn decode(bytes: &[u8], number: u64, path: &Path) -> Result<Option<Self>, Error> {
        let Some(covered) = bytes.get(..HEAD_CHECKSUM) else {
            return Ok(None);
        };
        let is_whole = covered.starts_with(&MAGIC)
            && u32_at(bytes, HEAD_CHECKSUM) == Some(crc32c(&[covered]))
            && u64_at(bytes, HEAD_NUMBER) == Some(number);
        let (true, Some(format), Some(bucket)) = (
            is_whole,
            u32_at(bytes, HEAD_FORMAT),
            u32_at(bytes, HEAD_BUCKET),
        ) else {
            return Ok(None);
        };
        if format != FORMAT_VERSION {
            return Err(Error::Unsupported {
                file: path.display().to_string(),
                found: format,
                supported: FORMAT_VERSION,
            });
        }
        Ok(Some(Self { number, bucket }))
    }
}

/// A file that holds values.
pub(crate) struct ValueFile {
    number: u64,
    path: PathBuf,
    open: Arc<OpenFiles>,
    /// Open for reading, or not at the moment.
    pub(super) handle: RwLock<Option<Arc<dyn File>>>,
    /// Read since the last look at it.
    pub(super) is_used: AtomicBool,
    /// Its length.
    bytes: AtomicU64,
    /// Nothing will be appended any more.
    is_sealed: AtomicBool,
    /// Compactions that have written to it and whose tables are not in the view yet.
    holder_count: AtomicUsize,
    /// Whether a sync has failed.
    sync_state: Mutex<bool>,
}

impl ValueFile {
    /// A file of this length; sealed when it is found at open.
    pub(super) fn new(
        (path, number): (PathBuf, u64),
        open: Arc<OpenFiles>,
        bytes: u64,
        is_sealed: bool,
    ) -> Self {
        Self {
            number,
            path,
            open,
            handle: RwLock::new(None),
            is_used: AtomicBool::new(false),
            bytes: AtomicU64::new(bytes),
            is_sealed: AtomicBool::new(is_sealed),
            holder_count: AtomicUsize::new(0),
            sync_state: Mutex::new(false),
        }
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its length, bytes.
    pub(crate) fn byte_count(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    /// Bytes of entries, live or not.
    pub(crate) fn content_bytes(&self) -> u64 {
        self.byte_count().saturating_sub(HEAD_BYTES as u64)
    }

    pub(super) fn set_byte_count(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Release);
    }

    pub(super) fn seal(&self) {
        self.is_sealed.store(true, Ordering::Release);
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.is_sealed.load(Ordering::Acquire)
    }

    pub(super) fn hold(&self) {
        self.holder_count.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn release(&self) {
        self.holder_count.fetch_sub(1, Ordering::AcqRel);
    }

    pub(crate) fn is_held(&self) -> bool {
        self.holder_count.load(Ordering::Acquire) > 0
    }

    /// Makes what was written with `file`, a handle of this file, durable.
    pub(super) fn sync(&self, file: &dyn File) -> Result<(), Error> {
        let mut has_failed = self.sync_state.lock();
        if *has_failed {
            return Err(Error::OutcomeUnknown {
                cause: format!("an earlier sync of {} failed", self.path.display()),
            });
        }
        if is_planted(Plant::SkipValueSync) {
            return Ok(());
        }
        file.sync_data().map_err(|error| {
            *has_failed = true;
            Error::io("syncing", &self.path, error)
        })
    }

    /// What the entry that `pointer` leads to stores: a value, with its expiry in front if it has
    /// one.
    ///
    /// # Errors
    /// `Corrupt` when it is not the entry of this key and version, whole; `Io`.
    pub(crate) fn read(
        self: &Arc<Self>,
        key: &[u8],
        version: u64,
        pointer: &Pointer,
    ) -> Result<Bytes, Error> {
        let file = self.open.open(self)?;
        let damaged = |found: &str| {
            let expected = format!("a value with checksum {:08x}", pointer.checksum);
            Error::corrupt(&self.path, pointer.offset, expected, found)
        };
        let length = usize::try_from(pointer.entry_bytes(key.len()))
            .map_err(|_| damaged("a length beyond memory"))?;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, pointer.offset)
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::UnexpectedEof => damaged("the end of the file"),
                _ => Error::io("reading", &self.path, error),
            })?;
        let Some(entry) = entry::decode(self.number, &bytes) else {
            return Err(damaged("bytes that fail their checksum"));
        };
        let is_asked = stored_checksum(&bytes) == Some(pointer.checksum)
            && entry.key == key
            && entry.version == version;
        if !is_asked {
            return Err(damaged("another value"));
        }
        Ok(Bytes::from(bytes).slice(ENTRY_HEAD_BYTES + key.len()..))
    }
}

impl std::fmt::Debug for ValueFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ValueFile({})", self.number)
    }
}
