//! Forgetting the oldest part of the logs, and the requests in it.
//!
//! The limits are those of the store, and what is oldest in all logs together goes first: a shard
//! that is written much may keep more than one that is not.
//!
//! Invariants:
//! - the floor of a shard is raised in the same command that deletes what lies below it, and keeps
//!   the totals of what went;
//! - a request is forgotten before or with the record that holds its answer;
//! - one round touches at most `limit` commands, however long the logs.

use crate::merged::{Merged, Parts};
use crate::record::{Floor, Totals, floor_key, log_key, request_key};
use crate::{Command, Durability, Error, Shards, Write};
use bytes::Bytes;
use nokv_types::{ShardId, Version};
use std::collections::BTreeMap;

/// What a round of trimming did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Trimmed {
    /// Requests forgotten.
    pub requests: u64,
    /// Whether the limit stopped it before the work was done.
    pub more: bool,
}

/// A walk from the oldest command on, with what is retained from where it is.
struct Oldest {
    commands: Merged,
    retained: Totals,
}

impl Shards {
    /// Forgets what is over the limits of the [`crate::Options`], at most `limit` commands of it.
    ///
    /// **Concurrency**: callers take turns.
    pub fn trim(&self, limit: usize) -> Result<Trimmed, Error> {
        let mut forgotten = self.forgotten().lock();
        let floor = self.log_floor()?;
        let mut writes = Vec::new();
        let mut trimmed = Trimmed::default();
        let start = floor.max(*forgotten);
        let through = self.forget_requests(start, limit, &mut writes, &mut trimmed)?;
        for (shard, raised) in self.over_limit((floor, through), limit, &mut trimmed)? {
            let start = log_key(shard, Version::ZERO);
            let end = log_key(shard, raised.version.next());
            writes.push(Write::Put(floor_key(shard), raised.encode()));
            writes.push(Write::DeleteRange {
                keyspace: start.keyspace(),
                start: Bytes::copy_from_slice(start.bytes()),
                end: Bytes::copy_from_slice(end.bytes()),
            });
        }
        if !writes.is_empty() {
            self.execute(
                Command {
                    writes,
                    ..Command::default()
                },
                Durability::Buffered,
            )?;
        }
        *forgotten = through;
        Ok(trimmed)
    }

    /// Collects deletions of requests after `start` that are over a limit; returns the version up
    /// to which all are.
    fn forget_requests(
        &self,
        start: Version,
        limit: usize,
        writes: &mut Vec<Write>,
        trimmed: &mut Trimmed,
    ) -> Result<Version, Error> {
        let options = self.options();
        let age = self.age(options.dedupe_ms.min(options.log_ms));
        let mut through = start;
        let mut oldest = self.oldest((start, Version::MAX))?;
        for step in 0.. {
            let retained = oldest.retained;
            let Some((version, parts)) = oldest.next()? else {
                break;
            };
            let over = version < age
                || retained.requests > options.dedupe_count
                || retained.bytes > options.log_bytes;
            if !over {
                break;
            }
            if step >= limit {
                trimmed.more = true;
                break;
            }
            through = version;
            for part in parts {
                if let Some(request) = part.logged.request {
                    writes.push(Write::Delete(request_key(part.shard, request.id)));
                    trimmed.requests += 1;
                }
            }
        }
        Ok(through)
    }

    /// How far the floors can be raised from `floor`, at most to `through`.
    fn over_limit(
        &self,
        (floor, through): (Version, Version),
        limit: usize,
        trimmed: &mut Trimmed,
    ) -> Result<BTreeMap<ShardId, Floor>, Error> {
        let options = self.options();
        let age = self.age(options.log_ms);
        let mut raised = BTreeMap::new();
        let mut oldest = self.oldest((floor, through))?;
        for step in 0.. {
            let retained = oldest.retained;
            let Some((version, parts)) = oldest.next()? else {
                break;
            };
            if version >= age && retained.bytes <= options.log_bytes {
                break;
            }
            if step >= limit {
                trimmed.more = true;
                break;
            }
            for part in parts {
                let totals = part.logged.after(part.bytes);
                raised.insert(part.shard, Floor { version, totals });
            }
        }
        Ok(raised)
    }

    fn age(&self, millis: u64) -> Version {
        Version::from_millis(self.now_millis().saturating_sub(millis))
    }

    fn oldest(&self, range: (Version, Version)) -> Result<Oldest, Error> {
        let commands = Merged::new(self.engine(), self.ids(), range, Version::MAX)?;
        let mut retained = Totals::default();
        for first in commands.firsts() {
            let since = self.totals(first.shard).since(&first.logged.before);
            retained.bytes = retained.bytes.saturating_add(since.bytes);
            retained.requests = retained.requests.saturating_add(since.requests);
        }
        Ok(Oldest { commands, retained })
    }
}

impl Oldest {
    fn next(&mut self) -> Result<Option<(Version, Parts)>, Error> {
        let next = self.commands.next().transpose()?;
        for part in next.iter().flat_map(|(_, parts)| parts) {
            let part = part.logged.after(part.bytes).since(&part.logged.before);
            self.retained = self.retained.since(&part);
        }
        Ok(next)
    }
}
