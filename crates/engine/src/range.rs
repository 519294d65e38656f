//! Which keys a scan visits, and in which order.

/// The order of a scan.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Direction {
    /// From the lowest key up.
    #[default]
    Forward,
    /// From the highest key down.
    Reverse,
}

/// A range of user keys of one keyspace.
///
/// **Shape**: `start` inclusive, `end` exclusive; no end means to the end of the keyspace. A range
/// whose end is not above its start is empty.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct KeyRange {
    start: Vec<u8>,
    end: Option<Vec<u8>>,
}

impl KeyRange {
    /// Every key.
    #[must_use]
    pub const fn all() -> Self {
        Self {
            start: Vec::new(),
            end: None,
        }
    }

    /// From `start` (included) to `end` (not included).
    #[must_use]
    pub fn between(start: impl Into<Vec<u8>>, end: impl Into<Vec<u8>>) -> Self {
        Self {
            start: start.into(),
            end: Some(end.into()),
        }
    }

    /// From `start` (included) on.
    #[must_use]
    pub fn from(start: impl Into<Vec<u8>>) -> Self {
        Self {
            start: start.into(),
            end: None,
        }
    }

    /// Every key that begins with `prefix`.
    #[must_use]
    pub fn prefix(prefix: impl Into<Vec<u8>>) -> Self {
        let start = prefix.into();
        let end = successor_of_prefix(&start);
        Self { start, end }
    }

    /// The same range without the keys at and below `key`: how a scan continues after the last key
    /// seen.
    #[must_use]
    pub fn after(mut self, key: &[u8]) -> Self {
        if self.start.as_slice() <= key {
            self.start.clear();
            self.start.extend_from_slice(key);
            self.start.push(0);
        }
        self
    }

    /// The same range without the keys at and above `key`: how a reverse scan continues.
    #[must_use]
    pub fn before(mut self, key: &[u8]) -> Self {
        if self.end.as_deref().is_none_or(|end| key < end) {
            self.end = Some(key.to_vec());
        }
        self
    }

    /// The lowest key that may be in the range.
    #[must_use]
    pub fn start(&self) -> &[u8] {
        &self.start
    }

    /// The key that ends the range, itself not in it.
    #[must_use]
    pub fn end(&self) -> Option<&[u8]> {
        self.end.as_deref()
    }

    /// Whether `key` is in the range.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.start.as_slice() <= key && self.end().is_none_or(|end| key < end)
    }
}

/// The lowest key above every key that begins with `prefix`; `None` when there is none (all bytes
/// are 0xFF).
pub(crate) fn successor_of_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::KeyRange;

    #[test]
    fn a_prefix_ends_before_its_successor() {
        let range = KeyRange::prefix(b"ab".to_vec());
        assert!(range.contains(b"ab") && range.contains(b"ab\xff\xff") && !range.contains(b"ac"));
        assert_eq!(KeyRange::prefix([1, 0xff]).end(), Some(&[2][..]));
        assert_eq!(KeyRange::prefix([0xff, 0xff]).end(), None);
        assert_eq!(KeyRange::prefix([]), KeyRange::all());
    }

    #[test]
    fn a_continued_range_leaves_out_what_was_seen() {
        let range = KeyRange::prefix(b"a".to_vec()).after(b"ab");
        assert!(!range.contains(b"ab") && range.contains(b"ab\0") && !range.contains(b"b"));
        let range = KeyRange::prefix(b"a".to_vec()).before(b"ab");
        assert!(!range.contains(b"ab") && range.contains(b"aa"));
    }
}
