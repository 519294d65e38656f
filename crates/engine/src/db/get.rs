//! Point lookup: the newest source that knows the key decides.

use super::{memory::Lookup, view::View};
use crate::{Error, Record};

impl View {
    /// The newest version of the internal key at or below `at`; deletions are `None`.
    pub(crate) fn get(&self, key: &[u8], at: u64) -> Result<Option<Record>, Error> {
        for memory in self.memories() {
            match memory.get(key, at)? {
                Lookup::Unknown => {}
                Lookup::Deleted => return Ok(None),
                Lookup::Found(record) => return Ok(Some(record)),
            }
        }
        match self.tables.get(key, at)? {
            Lookup::Unknown | Lookup::Deleted => Ok(None),
            Lookup::Found(record) => Ok(Some(record)),
        }
    }
}
