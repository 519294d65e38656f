//! Forgetting the log's oldest part, and the requests in it.
//!
//! Invariants:
//! - the floor is raised in the same command that deletes what lies below it;
//! - a request is forgotten before or with the record that holds its answer;
//! - one round touches at most `limit` records, however long the log.

use crate::record::{Logged, encode_floor, floor_key, log_key, request_key, version_of};
use crate::{Command, Durability, Error, Shard, Write};
use bytes::Bytes;
use nokv_engine::{Direction, KeyRange};
use nokv_types::Version;

/// What a round of trimming did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Trimmed {
    /// Requests forgotten.
    pub requests: u64,
    /// Whether the limit stopped it before the work was done.
    pub more: bool,
}

impl Shard {
    /// Forgets what is over the limits of the [`crate::Options`], at most `limit` change records of
    /// it.
    ///
    /// **Concurrency**: callers take turns.
    pub fn trim(&self, limit: usize) -> Result<Trimmed, Error> {
        let mut forgotten = self.forgotten().lock();
        let floor = self.log_floor()?;
        let mut writes = Vec::new();
        let mut trimmed = Trimmed::default();
        let start = floor.max(*forgotten);
        let through = self.forget_requests(start, limit, &mut writes, &mut trimmed)?;
        let raised = self.over_limit(floor, through, limit, &mut trimmed)?;
        if raised > floor {
            let start = log_key(self.id(), Version::ZERO);
            let end = log_key(self.id(), raised.next());
            writes.push(Write::Put(floor_key(self.id()), encode_floor(raised)));
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
        let (options, totals) = (self.options(), self.totals());
        let age = self.age(options.dedupe_ms.min(options.log_ms));
        let mut through = start;
        for (step, item) in self.logged(start, Version::MAX)?.enumerate() {
            let (version, logged) = item?;
            let over = version < age
                || totals.requests.saturating_sub(logged.before.requests) > options.dedupe_count
                || totals.bytes.saturating_sub(logged.before.bytes) > options.log_bytes;
            if !over {
                break;
            }
            if step >= limit {
                trimmed.more = true;
                break;
            }
            through = version;
            if let Some(request) = logged.request {
                writes.push(Write::Delete(request_key(self.id(), request.id)));
                trimmed.requests += 1;
            }
        }
        Ok(through)
    }

    /// How far the floor of the log can be raised from `floor`, at most to `through`.
    fn over_limit(
        &self,
        floor: Version,
        through: Version,
        limit: usize,
        trimmed: &mut Trimmed,
    ) -> Result<Version, Error> {
        let (options, totals) = (self.options(), self.totals());
        let age = self.age(options.log_ms);
        let mut raised = floor;
        for (step, item) in self.logged(floor, through)?.enumerate() {
            let (version, logged) = item?;
            let over = version < age
                || totals.bytes.saturating_sub(logged.before.bytes) > options.log_bytes;
            if !over {
                break;
            }
            if step >= limit {
                trimmed.more = true;
                break;
            }
            raised = version;
        }
        Ok(raised)
    }

    fn age(&self, millis: u64) -> Version {
        Version::from_millis(self.now_millis().saturating_sub(millis))
    }

    fn logged(
        &self,
        after: Version,
        through: Version,
    ) -> Result<impl Iterator<Item = Result<(Version, Logged), Error>>, Error> {
        let start = log_key(self.id(), after.next());
        let end = log_key(self.id(), through.next());
        let range = KeyRange::between(start.bytes(), end.bytes());
        let scan = self
            .engine()
            .scan(start.keyspace(), range, Version::MAX, Direction::Forward)?;
        Ok(scan.map(move |item| {
            let (key, record) = item?;
            let flaw = |flaw| Error::malformed(&start, &flaw);
            let version = version_of(&key).map_err(flaw)?;
            Ok((version, Logged::decode(&record.value).map_err(flaw)?))
        }))
    }
}
