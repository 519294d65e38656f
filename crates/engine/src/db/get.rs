//! Point lookup: the newest source that knows the key decides.

use super::{memory::Lookup, view::View};
use crate::{Error, Record, moment::LookupMoment};

impl View {
    /// The newest version of the internal key at the moment; what was deleted or has expired is
    /// `None`.
    pub(crate) fn get(
        &self,
        key: &[u8],
        moment: &LookupMoment<'_>,
    ) -> Result<Option<Record>, Error> {
        for memory in self.memories() {
            match memory.get(key, moment)? {
                Lookup::Unknown => {}
                Lookup::Deleted => return Ok(None),
                Lookup::Found(record) => return Ok(Some(record)),
                Lookup::Separated(record) => return self.values.fetch(key, record).map(Some),
            }
        }
        match self.tables.get(key, moment)? {
            Lookup::Unknown | Lookup::Deleted => Ok(None),
            Lookup::Found(record) => Ok(Some(record)),
            Lookup::Separated(record) => self.values.fetch(key, record).map(Some),
        }
    }
}
