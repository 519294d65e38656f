//! Reading one keyspace, now or in a snapshot.

use std::{ops::RangeBounds, sync::Arc};

use nokv_types::Version;

use super::{
    bounds::{check_key, key_range},
    db::Inner,
    entries::Entries,
    snapshot::Pin,
};
use crate::{Error, KeyRange, Keyspace, Value, moment::Asked};

/// Reads one keyspace: as it is now, or as a [`super::Snapshot`] saw it.
///
/// **Concurrency**: cheap to clone, usable from any thread; reads take no lock.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(super) inner: Arc<Inner>,
    pub(super) keyspace: Keyspace,
    /// `None` for now.
    pub(super) pin: Option<Arc<Pin>>,
}

impl Reader {
    pub(super) fn asked(&self) -> Asked {
        match &self.pin {
            None => Asked::Version(Version::MAX),
            Some(pin) => pin.asked(),
        }
    }

    /// The value of `key`, copied; `None` when there is none, or it has expired.
    ///
    /// # Errors
    /// `Invalid` for a key that is empty or longer than [`crate::KEY_BYTES_MAX`]; `Corrupt`, `Io`
    /// when a file can't be read; `Closed`.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.get_ref(key)?.map(|value| value.to_vec()))
    }

    /// The value of `key`, borrowed from where the store has it: nothing is copied of a value in a
    /// cached block, nor of one in memory that is larger than 1 KiB. Holding it holds that block or
    /// memtable: copy what is kept for long.
    ///
    /// # Errors
    /// As [`Reader::get`].
    pub fn get_ref(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        let key = key.as_ref();
        check_key(key)?;
        let engine = &self.inner.engine;
        let record = engine.get_asked(self.keyspace, key, self.asked())?;
        Ok(record.map(|record| record.value))
    }

    /// The values of several keys, all of one moment, in the order of the keys.
    ///
    /// # Errors
    /// As [`Reader::get`].
    pub fn multi_get<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Value>>, Error> {
        let keys: Vec<&[u8]> = keys.iter().map(AsRef::as_ref).collect();
        keys.iter().try_for_each(|key| check_key(key))?;
        let engine = &self.inner.engine;
        let records = engine.multi_get_asked(self.keyspace, &keys, self.asked())?;
        let value = |record: Option<crate::Record>| record.map(|record| record.value);
        Ok(records.into_iter().map(value).collect())
    }

    /// Whether there is a value of `key`.
    ///
    /// # Errors
    /// As [`Reader::get`].
    pub fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        Ok(self.get_ref(key)?.is_some())
    }

    /// All entries, in the order of their keys; [`Entries::rev`] turns it around.
    #[must_use]
    pub fn iter(&self) -> Entries {
        Entries::new(self.clone(), KeyRange::all())
    }

    /// The entries with keys in `range`, such as `"a".."c"`, `"a"..="c"` or `"a"..`.
    #[must_use]
    pub fn range<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> Entries {
        Entries::new(self.clone(), key_range(&range))
    }

    /// The entries whose keys begin with `prefix`.
    #[must_use]
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Entries {
        Entries::new(self.clone(), KeyRange::prefix(prefix.as_ref()))
    }
}
