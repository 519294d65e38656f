//! Reading the command logs: the change feed.

use crate::merged::{Merged, Part};
use crate::record::{Floor, floor_key};
use crate::{Error, Events, Shards};
use nokv_types::{RequestId, ShardId, Version};

/// One change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogRecord {
    /// The version of the command.
    pub version: Version,
    /// Its request, where it had one.
    pub request: Option<RequestId>,
    /// What it announced, by shard.
    pub events: Events,
}

/// A part of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogPage {
    /// Changes in commit order.
    pub records: Vec<LogRecord>,
    /// Where to continue: all changes at or below it were returned or come before the page.
    pub through: Version,
}

impl Shards {
    /// Up to `limit` changes after `after` in all shards, in commit order; `None` when some of them
    /// are no longer retained.
    ///
    /// **Guarantees**: without a gap: the pages of a reader that continues at `through` hold each
    /// change exactly once, with its parts in all shards.
    pub fn log_after(&self, after: Version, limit: usize) -> Result<Option<LogPage>, Error> {
        self.page(self.ids(), after, limit)
    }

    /// The same of one shard: the parts that commands have in it.
    pub fn log_of(
        &self,
        shard: ShardId,
        after: Version,
        limit: usize,
    ) -> Result<Option<LogPage>, Error> {
        self.page(std::iter::once(shard), after, limit)
    }

    fn page(
        &self,
        shards: impl Iterator<Item = ShardId> + Clone,
        after: Version,
        limit: usize,
    ) -> Result<Option<LogPage>, Error> {
        let now = self.read_version();
        let mut records = Vec::new();
        let mut through = now.max(after);
        let range = (after, Version::MAX.previous());
        for item in Merged::new(self.engine(), shards.clone(), range, now)? {
            let (version, parts) = item?;
            let request = parts.iter().find_map(|part| part.logged.request);
            let announced = parts
                .into_iter()
                .filter(|part| !part.logged.events.is_empty());
            records.push(LogRecord {
                version,
                request: request.map(|request| request.id),
                events: announced
                    .map(|Part { shard, logged, .. }| (shard, logged.events))
                    .collect(),
            });
            if records.len() >= limit {
                through = version;
                break;
            }
        }
        // Asked after the scan: a trim that ran meanwhile has raised it before it took anything
        // away.
        for shard in shards {
            if after < self.floor_of(shard)?.version {
                return Ok(None);
            }
        }
        Ok(Some(LogPage { records, through }))
    }

    /// The version up to which changes have been forgotten in some shard: the earliest cursor that
    /// can still be resumed.
    pub fn log_floor(&self) -> Result<Version, Error> {
        let mut floor = Version::ZERO;
        for shard in self.ids() {
            floor = floor.max(self.floor_of(shard)?.version);
        }
        Ok(floor)
    }

    pub(crate) fn floor_of(&self, shard: ShardId) -> Result<Floor, Error> {
        read_floor(self.engine(), shard)
    }
}

pub(crate) fn read_floor(engine: &nokv_engine::Engine, shard: ShardId) -> Result<Floor, Error> {
    let key = floor_key(shard);
    match engine.get(key.keyspace(), key.bytes(), Version::MAX)? {
        None => Ok(Floor::default()),
        Some(record) => Floor::decode(&record.value).map_err(|flaw| Error::malformed(&key, &flaw)),
    }
}
