//! A value that outlives the borrow it was found by, without a copy.
//!
//! Invariant: the bytes lie in the arena of the memtable that the value holds a share of; they were
//! complete when found and never change, and the arena frees nothing before the last share is gone.

use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

use crate::entry::Found;
use crate::memtable::Memtable;

/// The bytes of one value, holding its memtable alive.
///
/// **Guarantees**: dereferences to the inserted bytes; a clone copies no bytes.
/// `bytes::Bytes::from_owner` takes it. While one lives, the memory of the whole memtable stays:
/// copy what is kept for long.
#[derive(Clone)]
pub struct ValueRef {
    start: NonNull<u8>,
    length: usize,
    memtable: Arc<Memtable>,
}

// SAFETY: the bytes are immutable and the memtable may be shared between threads.
unsafe impl Send for ValueRef {}
// SAFETY: as above.
unsafe impl Sync for ValueRef {}

impl ValueRef {
    /// The memtable that holds the bytes.
    #[must_use]
    pub fn memtable(&self) -> &Arc<Memtable> {
        &self.memtable
    }
}

impl Deref for ValueRef {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the file head's invariant; `FoundOwned::new` is the only constructor.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl AsRef<[u8]> for ValueRef {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for ValueRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A [`Found`] whose value holds the memtable.
#[derive(Clone, Debug)]
pub struct FoundOwned {
    /// The version that it was inserted with.
    pub version: u64,
    /// The caller's tag.
    pub kind: u8,
    /// The caller's bytes, not copied.
    pub value: ValueRef,
}

impl FoundOwned {
    /// # Safety
    /// `found` came from `memtable`.
    pub(crate) unsafe fn new(memtable: Arc<Memtable>, found: Found<'_>) -> Self {
        let value = ValueRef {
            start: NonNull::from(found.value).cast(),
            length: found.value.len(),
            memtable,
        };
        Self {
            version: found.version,
            kind: found.kind,
            value,
        }
    }
}
