//! Iterating over entries, in either direction.

use bytes::Bytes;

use super::reader::Reader;
use crate::{Direction, Error, KeyRange, Value, db::Scan};

/// Entries of a range, in the order of their keys.
///
/// **Guarantees**: all of one moment, whatever is written meanwhile: that of the snapshot, or that
/// at which the first entry is asked for. It holds the memory and files of that moment until it is
/// dropped. **Errors**: `Corrupt`, `Io`, `Closed`; after one it ends.
pub struct Entries {
    reader: Reader,
    range: KeyRange,
    direction: Direction,
    state: State,
}

enum State {
    New,
    Open(Box<Scan>),
    Done,
}

impl Entries {
    pub(super) fn new(reader: Reader, range: KeyRange) -> Self {
        Self {
            reader,
            range,
            direction: Direction::Forward,
            state: State::New,
        }
    }

    /// The same entries from the other end. What was returned before does not count: the range
    /// begins anew.
    #[must_use]
    pub fn rev(mut self) -> Self {
        self.direction = match self.direction {
            Direction::Forward => Direction::Reverse,
            Direction::Reverse => Direction::Forward,
        };
        self.state = State::New;
        self
    }

    fn start(&self) -> Result<Scan, Error> {
        let Reader {
            inner, keyspace, ..
        } = &self.reader;
        let asked = self.reader.asked();
        inner
            .engine
            .scan_asked(*keyspace, &self.range, asked, self.direction)
    }
}

impl Iterator for Entries {
    type Item = Result<(Bytes, Value), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let State::New = self.state {
            match self.start() {
                Ok(scan) => self.state = State::Open(Box::new(scan)),
                Err(error) => {
                    self.state = State::Done;
                    return Some(Err(error));
                }
            }
        }
        let State::Open(scan) = &mut self.state else {
            return None;
        };
        let item = scan.next();
        if !matches!(item, Some(Ok(_))) {
            self.state = State::Done;
        }
        item.map(|item| item.map(|(key, record)| (key, record.value)))
    }
}

impl std::fmt::Debug for Entries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entries")
            .field("range", &self.range)
            .field("direction", &self.direction)
            .finish_non_exhaustive()
    }
}
