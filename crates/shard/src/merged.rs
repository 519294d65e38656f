//! The logs of all shards in the one order of the store.
//!
//! Invariants:
//! - versions are given by one writer, so the order of all logs together is that of versions, and
//!   the parts of one command are those records that have its version;
//! - a command comes whole, its parts in order of their shards, or not at all.

use crate::record::{Logged, Totals, log_key, version_of};
use crate::{Error, Key};
use nokv_engine::{Direction, Engine, KeyRange, Scan};
use nokv_types::{ShardId, Version};
use smallvec::SmallVec;

/// A part of a command: its shard, its record, and how many bytes that has.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) shard: ShardId,
    pub(crate) logged: Logged,
    pub(crate) bytes: usize,
}

/// The parts of one command.
pub(crate) type Parts = SmallVec<[Part; 1]>;

/// One log.
struct Feed {
    shard: ShardId,
    prefix: Key,
    scan: Scan,
    next: Option<(Version, Part)>,
}

/// The commands of several logs.
pub(crate) struct Merged {
    feeds: SmallVec<[Feed; 1]>,
}

impl Merged {
    /// The commands after `after` up to `through` in these logs, as of the version `at`.
    pub(crate) fn new(
        engine: &Engine,
        shards: impl Iterator<Item = ShardId>,
        (after, through): (Version, Version),
        at: Version,
    ) -> Result<Self, Error> {
        let mut feeds = SmallVec::new();
        for shard in shards {
            let start = log_key(shard, after.next());
            let end = log_key(shard, through.next());
            let range = KeyRange::between(start.bytes(), end.bytes());
            let scan = engine.scan(start.keyspace(), range, at, Direction::Forward)?;
            let mut feed = Feed {
                shard,
                prefix: start,
                scan,
                next: None,
            };
            feed.advance()?;
            feeds.push(feed);
        }
        Ok(Self { feeds })
    }

    /// The first version, and the totals before it, of a single log.
    pub(crate) fn first(&self) -> Option<(Version, Totals)> {
        let (version, part) = self.feeds.first()?.next.as_ref()?;
        Some((*version, part.logged.before))
    }

    /// The first part that each log has here.
    pub(crate) fn firsts(&self) -> impl Iterator<Item = &Part> {
        self.feeds
            .iter()
            .filter_map(|feed| feed.next.as_ref())
            .map(|(_, part)| part)
    }

    fn take(&mut self) -> Result<Option<(Version, Parts)>, Error> {
        let versions = self.feeds.iter().filter_map(|feed| feed.next.as_ref());
        let Some(version) = versions.map(|(version, _)| *version).min() else {
            return Ok(None);
        };
        let mut parts = Parts::new();
        for feed in &mut self.feeds {
            if feed.next.as_ref().is_some_and(|(next, _)| *next == version) {
                parts.extend(feed.advance()?.map(|(_, part)| part));
            }
        }
        Ok(Some((version, parts)))
    }
}

impl Iterator for Merged {
    type Item = Result<(Version, Parts), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.take().transpose()
    }
}

impl Feed {
    /// Takes the next part.
    fn advance(&mut self) -> Result<Option<(Version, Part)>, Error> {
        let following = match self.scan.next().transpose()? {
            None => None,
            Some((key, record)) => {
                let flaw = |flaw| Error::malformed(&self.prefix, &flaw);
                let part = Part {
                    shard: self.shard,
                    logged: Logged::decode(&record.value).map_err(flaw)?,
                    bytes: record.value.len(),
                };
                Some((version_of(&key).map_err(flaw)?, part))
            }
        };
        Ok(std::mem::replace(&mut self.next, following))
    }
}
