//! A key of the store: a keyspace and bytes.
//!
//! Keys are short (a node key has 12 bytes, an entry key 12 and the name), so they live on the
//! stack.

use nokv_engine::Keyspace;
use nokv_types::ShardId;
use smallvec::SmallVec;
use std::fmt;

/// Which shard a key belongs to: known by whoever knows the keys. Total, pure, and for ever the
/// same for a key.
pub type Route = fn(&Key) -> ShardId;

/// A key in a keyspace.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    keyspace: Keyspace,
    bytes: SmallVec<[u8; 48]>,
}

impl Key {
    /// The key with these bytes.
    #[must_use]
    pub fn new(keyspace: Keyspace, bytes: &[u8]) -> Self {
        Self {
            keyspace,
            bytes: SmallVec::from_slice(bytes),
        }
    }

    /// A key of several parts in a row.
    #[must_use]
    pub fn from_parts(keyspace: Keyspace, parts: &[&[u8]]) -> Self {
        let mut bytes = SmallVec::new();
        for part in parts {
            bytes.extend_from_slice(part);
        }
        Self { keyspace, bytes }
    }

    /// Its keyspace.
    #[must_use]
    pub const fn keyspace(&self) -> Keyspace {
        self.keyspace
    }

    /// Its bytes in the keyspace.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/", self.keyspace)?;
        self.bytes
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The smallest key after all keys that begin with `prefix`; `None` when there is none (all bytes
/// 0xff).
#[must_use]
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix.get(..=kept)?.to_vec();
    *end.last_mut()? += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::prefix_end;

    #[test]
    fn the_end_of_a_prefix_is_after_all_its_keys_and_before_the_next() {
        assert_eq!(prefix_end(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(prefix_end(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(prefix_end(b"\xff"), None);
        assert_eq!(prefix_end(b""), None);
    }
}
