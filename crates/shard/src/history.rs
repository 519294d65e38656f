//! Reading the command log: the change feed.

use crate::record::{Logged, decode_floor, floor_key, log_key, version_of};
use crate::{Error, Shard};
use bytes::Bytes;
use nokv_engine::{Direction, KeyRange};
use nokv_types::{RequestId, Version};

/// One change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogRecord {
    /// The version of the command.
    pub version: Version,
    /// Its request, where it had one.
    pub request: Option<RequestId>,
    /// What it announced.
    pub events: Bytes,
}

/// A part of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogPage {
    /// Changes in commit order.
    pub records: Vec<LogRecord>,
    /// Where to continue: all changes at or below it were returned or come before the page.
    pub through: Version,
}

impl Shard {
    /// Up to `limit` changes after `after`, in commit order; `None` when some of them are no longer
    /// retained.
    ///
    /// **Guarantees**: without a gap: the pages of a reader that continues at `through` hold each
    /// change exactly once.
    pub fn log_after(&self, after: Version, limit: usize) -> Result<Option<LogPage>, Error> {
        let now = self.read_version();
        let mut records = Vec::new();
        let start = log_key(self.id(), after.next());
        let end = log_key(self.id(), Version::MAX);
        let range = KeyRange::between(start.bytes(), end.bytes());
        let scan = self
            .engine()
            .scan(start.keyspace(), range, now, Direction::Forward)?;
        let mut through = now.max(after);
        for item in scan {
            let (key, record) = item?;
            let flaw = |flaw| Error::malformed(&start, &flaw);
            let version = version_of(&key).map_err(flaw)?;
            let logged = Logged::decode(&record.value).map_err(flaw)?;
            let request = logged.request.map(|request| request.id);
            records.push(LogRecord {
                version,
                request,
                events: logged.events,
            });
            if records.len() >= limit {
                through = version;
                break;
            }
        }
        // Asked after the scan: a trim that ran meanwhile has raised it before it took anything
        // away.
        let gapless = after >= self.log_floor()?;
        Ok(gapless.then_some(LogPage { records, through }))
    }

    /// The version up to which changes have been forgotten: the earliest cursor that can still be
    /// resumed.
    pub fn log_floor(&self) -> Result<Version, Error> {
        let key = floor_key(self.id());
        match self
            .engine()
            .get(key.keyspace(), key.bytes(), Version::MAX)?
        {
            None => Ok(Version::ZERO),
            Some(record) => {
                decode_floor(&record.value).map_err(|flaw| Error::malformed(&key, &flaw))
            }
        }
    }
}
