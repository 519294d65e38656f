//! A batch: operations that become durable and visible together, already in the bytes of their log
//! record.
//!
//! **Shape of an operation**: kind (1 byte: 0 delete, 1 put, 2 put that expires, 16 delete range;
//! plus 0x80 when the version is that of the operation before), version (8 bytes little-endian,
//! absent with 0x80), length of the internal key (varint), internal key, then for a put the length
//! (varint) and bytes of what is stored (the value, or expiry and value), for a delete range the
//! same of the internal end key. See docs/format/wal.md.
//!
//! Invariants: a batch that was built is decodable; what was over a limit is remembered and refused
//! by the write.

use nokv_types::Version;

use crate::{
    Error, Keyspace,
    entry::EntryKind,
    keyspace::{INTERNAL_KEY_BYTES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX},
    varint,
    vlog::Pointer,
};

/// The largest batch, bytes as [`Batch::byte_count`] counts them: one largest value and as much
/// again.
pub const BATCH_BYTES_MAX: usize = 2 * VALUE_BYTES_MAX;

/// Kind, version, keyspace, expiry and two lengths.
const OPERATION_HEAD_BYTES_MAX: usize = 1 + 8 + 1 + 8 + 2 * 10;

/// The kind of a delete range in the log; the others are those of [`EntryKind`].
const KIND_DELETE_RANGE: u8 = 16;

/// Where the version of the first operation is.
const FIRST_STAMP: usize = 1;

/// The version is that of the operation before.
const SAME_VERSION: u8 = 0x80;

/// Operations that are written as one.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    count: usize,
    version: Option<u64>,
    version_max: u64,
    value_bytes_max: usize,
    applied_index: Option<u64>,
    /// Versions are counted from the one that the batch gets when it is written.
    is_unstamped: bool,
    /// Where versions are in the bytes, but for the first.
    stamps: Vec<usize>,
    refused: Option<String>,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes room for an operation at once: a large value is copied once, not again as the batch
    /// grows.
    fn reserve(&mut self, key: &[u8], value: &[u8]) {
        self.bytes
            .reserve(key.len() + value.len() + OPERATION_HEAD_BYTES_MAX);
    }

    /// Writes `value` at `version` of `key`. The same key and version twice: the later one wins.
    pub fn put(&mut self, keyspace: Keyspace, key: &[u8], value: &[u8], version: Version) {
        if !self.admits(value) {
            return;
        }
        self.reserve(key, value);
        if self.begin(EntryKind::Put.number(), keyspace, key, version) {
            varint::put(&mut self.bytes, value.len() as u64);
            self.bytes.extend_from_slice(value);
        }
    }

    /// As [`Batch::put`]; from `expires_at` on the key does not exist, nor does what it was before.
    ///
    /// **Guarantees**: a read at `at` finds it expired exactly when `expires_at` is at or below
    /// both `at` and the present (the clock, or the last version written if that is later); so a
    /// read of a retained past still sees it. Compaction then frees it as it does a deletion.
    pub fn put_expiring(
        &mut self,
        keyspace: Keyspace,
        key: &[u8],
        value: &[u8],
        version: Version,
        expires_at: Version,
    ) {
        let kind = EntryKind::PutExpiring;
        if !self.admits(value) {
            return;
        }
        self.reserve(key, value);
        if self.begin(kind.number(), keyspace, key, version) {
            varint::put(&mut self.bytes, (kind.prefix_bytes() + value.len()) as u64);
            self.bytes
                .extend_from_slice(&expires_at.as_u64().to_be_bytes());
            self.bytes.extend_from_slice(value);
        }
    }

    /// From `version` on, `key` does not exist.
    pub fn delete(&mut self, keyspace: Keyspace, key: &[u8], version: Version) {
        self.begin(EntryKind::Delete.number(), keyspace, key, version);
    }

    /// From `version` on, no key from `start` (included) to `end` (not included) that was written
    /// at a lower version exists. What the same version puts into the range stays. An empty range
    /// does nothing.
    pub fn delete_range(&mut self, keyspace: Keyspace, start: &[u8], end: &[u8], version: Version) {
        if start >= end {
            return;
        }
        if end.len() > KEY_BYTES_MAX {
            self.refuse("a key", end.len(), KEY_BYTES_MAX);
            return;
        }
        if self.begin(KIND_DELETE_RANGE, keyspace, start, version) {
            varint::put(&mut self.bytes, end.len() as u64 + 1);
            self.bytes.push(keyspace.get());
            self.bytes.extend_from_slice(end);
        }
    }

    /// Says that the batch is what entry `index` of an external log does ([`crate::LogMode`]). A
    /// batch with an index may be empty: the entry does nothing.
    ///
    /// **Guarantees**: a batch whose index is not above that of one that was written is taken as
    /// written already, and ignored: to apply a part of the log again is harmless. **Concurrency**:
    /// for that, the batches of a log are written in its order, by one caller at a time.
    pub fn set_applied_index(&mut self, index: u64) {
        self.applied_index = Some(index);
    }

    /// The index in an external log, if one was set.
    #[must_use]
    pub fn applied_index(&self) -> Option<u64> {
        self.applied_index
    }

    /// The size in the log, without the head of its record.
    #[must_use]
    pub fn byte_count(&self) -> usize {
        self.bytes.len()
    }

    /// The number of operations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Empties it, keeping its memory for the next batch.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
        self.version = None;
        self.version_max = 0;
        self.value_bytes_max = 0;
        self.applied_index = None;
        self.stamps.clear();
        self.refused = None;
    }

    /// A batch whose versions are counted from the one that it gets when it is written: the store's
    /// next ([`Version::advance`]).
    pub(crate) fn unstamped() -> Self {
        Self {
            is_unstamped: true,
            ..Self::default()
        }
    }

    /// As [`Batch::delete_range`], to the end of the keyspace.
    pub(crate) fn delete_from(&mut self, keyspace: Keyspace, start: &[u8], version: Version) {
        let Some(next) = keyspace.get().checked_add(1) else {
            self.refused
                .get_or_insert_with(|| "the last keyspace has no end".to_owned());
            return;
        };
        if self.begin(KIND_DELETE_RANGE, keyspace, start, version) {
            varint::put(&mut self.bytes, 1);
            self.bytes.push(next);
        }
    }

    /// Gives an unstamped batch its versions, from `first` on.
    pub(crate) fn stamp(&mut self, first: Version) {
        if !self.is_unstamped {
            return;
        }
        self.is_unstamped = false;
        let stamps = std::iter::once(FIRST_STAMP).chain(self.stamps.iter().copied());
        for stamp in stamps {
            let place = self
                .bytes
                .get_mut(stamp..)
                .and_then(|rest| rest.first_chunk_mut());
            if let Some(bytes) = place {
                *bytes = (u64::from_le_bytes(*bytes) + first.as_u64()).to_le_bytes();
            }
        }
        self.version_max += first.as_u64();
    }

    pub(crate) fn is_unstamped(&self) -> bool {
        self.is_unstamped
    }

    /// Refuses the whole batch, when it is written.
    pub(crate) fn refuse_with(&mut self, message: &str) {
        self.refused.get_or_insert_with(|| message.to_owned());
    }

    /// The highest version in it.
    pub(crate) fn version_max(&self) -> u64 {
        self.version_max
    }

    /// The length of its largest value.
    pub(crate) fn value_bytes_max(&self) -> usize {
        self.value_bytes_max
    }

    /// The bytes for the log.
    ///
    /// # Errors
    /// `Invalid` when an operation or the whole was over its limit.
    pub(crate) fn payload(&self) -> Result<&[u8], Error> {
        if let Some(message) = &self.refused {
            return Err(Error::Invalid(message.clone()));
        }
        if self.bytes.len() > BATCH_BYTES_MAX {
            return Err(Error::Invalid(too_long(
                "a batch",
                self.bytes.len(),
                BATCH_BYTES_MAX,
            )));
        }
        Ok(&self.bytes)
    }

    /// Whether the value is within its limit.
    fn admits(&mut self, value: &[u8]) -> bool {
        if value.len() > VALUE_BYTES_MAX {
            self.refuse("a value", value.len(), VALUE_BYTES_MAX);
        }
        self.value_bytes_max = self.value_bytes_max.max(value.len());
        value.len() <= VALUE_BYTES_MAX
    }

    fn refuse(&mut self, what: &str, length: usize, limit: usize) {
        self.refused
            .get_or_insert_with(|| too_long(what, length, limit));
    }

    /// Kind, version and key; false when the key is refused.
    fn begin(&mut self, kind: u8, keyspace: Keyspace, key: &[u8], version: Version) -> bool {
        if key.len() > KEY_BYTES_MAX {
            self.refuse("a key", key.len(), KEY_BYTES_MAX);
            return false;
        }
        let version = version.as_u64();
        if self.version == Some(version) {
            self.bytes.push(kind | SAME_VERSION);
        } else {
            self.bytes.push(kind);
            if self.is_unstamped && self.bytes.len() > FIRST_STAMP {
                self.stamps.push(self.bytes.len());
            }
            self.bytes.extend_from_slice(&version.to_le_bytes());
            self.version = Some(version);
            self.version_max = self.version_max.max(version);
        }
        varint::put(&mut self.bytes, key.len() as u64 + 1);
        self.bytes.push(keyspace.get());
        self.bytes.extend_from_slice(key);
        self.count += 1;
        true
    }
}

fn too_long(what: &str, length: usize, limit: usize) -> String {
    format!("{what} of {length} bytes is over the limit of {limit}")
}

/// One operation of a batch, as decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operation<'a> {
    Entry {
        key: &'a [u8],
        version: u64,
        kind: EntryKind,
        value: &'a [u8],
    },
    DeleteRange {
        start: &'a [u8],
        end: &'a [u8],
        version: u64,
    },
}

impl Operation<'_> {
    pub(crate) fn version(&self) -> u64 {
        match self {
            Self::Entry { version, .. } | Self::DeleteRange { version, .. } => *version,
        }
    }
}

/// The operations of a payload, in order; ends after the first error.
pub(crate) struct Operations<'a> {
    rest: &'a [u8],
    version: Option<u64>,
}

/// The payload is not one that a batch builds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Malformed;

impl<'a> Operations<'a> {
    pub(crate) fn new(payload: &'a [u8]) -> Self {
        Self {
            rest: payload,
            version: None,
        }
    }

    /// Bytes that are still to be decoded: the last operation ended before them.
    pub(crate) fn rest_bytes(&self) -> usize {
        self.rest.len()
    }

    fn decode(&mut self) -> Option<Operation<'a>> {
        let (tag, rest) = self.rest.split_first()?;
        self.rest = rest;
        let version = if tag & SAME_VERSION == 0 {
            let (bytes, rest) = self.rest.split_first_chunk::<8>()?;
            self.rest = rest;
            u64::from_le_bytes(*bytes)
        } else {
            self.version?
        };
        self.version = Some(version);
        let key = self.internal_key()?;
        match tag & !SAME_VERSION {
            KIND_DELETE_RANGE => {
                let end = self.internal_key()?;
                (key < end).then_some(Operation::DeleteRange {
                    start: key,
                    end,
                    version,
                })
            }
            number => {
                let kind = EntryKind::from_number(number)?;
                let value = match kind {
                    EntryKind::Delete => &[],
                    EntryKind::Put
                    | EntryKind::PutExpiring
                    | EntryKind::Pointer
                    | EntryKind::PointerExpiring => self.stored(kind)?,
                };
                Some(Operation::Entry {
                    key,
                    version,
                    kind,
                    value,
                })
            }
        }
    }

    fn stored(&mut self, kind: EntryKind) -> Option<&'a [u8]> {
        let prefix_bytes = kind.prefix_bytes();
        self.bytes(VALUE_BYTES_MAX + prefix_bytes)
            .filter(|stored| stored.len() >= prefix_bytes)
            .filter(|stored| !kind.is_pointer() || Pointer::of(kind, stored).is_some())
    }

    fn internal_key(&mut self) -> Option<&'a [u8]> {
        self.bytes(INTERNAL_KEY_BYTES_MAX)
            .filter(|key| !key.is_empty())
    }

    fn bytes(&mut self, limit: usize) -> Option<&'a [u8]> {
        let length = usize::try_from(varint::take(&mut self.rest)?).ok()?;
        if length > limit {
            return None;
        }
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }
}

impl<'a> Iterator for Operations<'a> {
    type Item = Result<Operation<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let operation = self.decode();
        if operation.is_none() {
            self.rest = &[];
        }
        Some(operation.ok_or(Malformed))
    }
}

#[cfg(test)]
mod tests {
    use nokv_types::Version;
    use proptest::prelude::*;

    use super::{Batch, Operation, Operations};
    use crate::{Keyspace, keyspace::KEY_BYTES_MAX};

    type Plain = (u8, Vec<u8>, Vec<u8>, u64);

    fn build(operations: &[Plain]) -> Batch {
        let mut batch = Batch::new();
        for (kind, key, value, version) in operations {
            let version = Version::from_u64(*version);
            match kind {
                0 => batch.delete(Keyspace::new(9), key, version),
                1 => batch.put(Keyspace::new(9), key, value, version),
                2 => batch.put_expiring(Keyspace::new(9), key, value, version, version.next()),
                _ => batch.delete_range(Keyspace::new(9), key, value, version),
            }
        }
        batch
    }

    fn operations() -> impl Strategy<Value = Vec<Plain>> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..20);
        proptest::collection::vec((0..4u8, bytes(), bytes(), 0..3u64), 0..20)
    }

    proptest! {
        #[test]
        fn what_was_built_is_decoded(plain in operations()) {
            let batch = build(&plain);
            let decoded: Vec<_> =
                Operations::new(batch.payload().unwrap()).map(Result::unwrap).collect();
            let expected = plain.iter().filter(|(kind, key, end, _)| *kind < 3 || key < end);
            prop_assert_eq!(decoded.len(), expected.clone().count());
            for (operation, (kind, key, value, version)) in decoded.iter().zip(expected) {
                prop_assert_eq!(operation.version(), *version);
                match operation {
                    Operation::Entry { key: got, kind: got_kind, value: got_value, .. } => {
                        prop_assert_eq!(&got[1..], &key[..]);
                        prop_assert_eq!(got_kind.number(), *kind);
                        let expires_at = (*kind == 2).then_some(version + 1);
                        prop_assert_eq!(got_kind.expires_at(got_value), expires_at);
                        let got_value = &got_value[got_kind.prefix_bytes()..];
                        prop_assert!(*kind == 0 || got_value == &value[..]);
                    }
                    Operation::DeleteRange { start, end, .. } => {
                        prop_assert_eq!((&start[1..], &end[1..]), (&key[..], &value[..]));
                    }
                }
            }
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            Operations::new(&bytes).for_each(drop);
        }
    }

    #[test]
    fn a_key_over_the_limit_is_refused_by_the_write() {
        let mut batch = Batch::new();
        batch.put(
            Keyspace::new(0),
            &vec![0; KEY_BYTES_MAX],
            b"",
            Version::ZERO,
        );
        assert!(batch.payload().is_ok());
        batch.put(
            Keyspace::new(0),
            &vec![0; KEY_BYTES_MAX + 1],
            b"",
            Version::ZERO,
        );
        assert!(batch.payload().is_err());
        batch.clear();
        assert!(batch.payload().is_ok());
    }
}
