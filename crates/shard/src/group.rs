//! One group of commands on its way into one engine batch.
//!
//! Invariants:
//! - a command sees the effects of those before it in the group (the overlay), so a group is as if
//!   each had been written alone;
//! - nobody is answered before the batch with the effects is appended; if that fails, all of the
//!   batch fail;
//! - a batch never holds a range deletion with anything after it, so the overlay needs no ranges.

use crate::record::{Logged, Remembered, Totals, log_key, request_key};
use crate::{
    Applied, Command, Counter, Effect, Error, Key, Outcome, Request, State, Verdict, apply,
};
use bytes::Bytes;
use nokv_engine::{Batch, CommitPoint, Direction, Engine, KeyRange};
use nokv_types::{RequestId, ShardId, Version};
use rustc_hash::FxHashMap;

/// Most bytes of a batch before it is appended: a group of large commands becomes several batches.
const BATCH_BYTES_TARGET: usize = 16 << 20;

/// What the writer knows of the log's end; only the leader touches it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail {
    pub(crate) version: Version,
    pub(crate) totals: Totals,
    pub(crate) point: Option<CommitPoint>,
}

/// What a batch not yet appended did to a key.
#[derive(Clone, Copy, Debug)]
enum Pending {
    Value(Version),
    Counter(Version, Counter),
    Deleted,
}

struct Overlay<'a> {
    engine: &'a Engine,
    pending: FxHashMap<Key, Pending>,
}

impl State for Overlay<'_> {
    fn version(&self, key: &Key) -> Result<Option<Version>, Error> {
        match self.pending.get(key) {
            Some(Pending::Value(version) | Pending::Counter(version, _)) => Ok(Some(*version)),
            Some(Pending::Deleted) => Ok(None),
            None => {
                let record = self.engine.get(key.keyspace(), key.bytes(), Version::MAX)?;
                Ok(record.map(|record| record.version))
            }
        }
    }

    fn counter(&self, key: &Key) -> Result<Counter, Error> {
        match self.pending.get(key) {
            Some(Pending::Counter(_, counter)) => return Ok(*counter),
            Some(Pending::Deleted) => return Ok(Counter::default()),
            Some(Pending::Value(_)) => return Err(Error::corrupt(key, 0, "a counter", "a value")),
            None => {}
        }
        match self.engine.get(key.keyspace(), key.bytes(), Version::MAX)? {
            None => Ok(Counter::default()),
            Some(record) => {
                Counter::decode(&record.value).map_err(|flaw| Error::malformed(key, &flaw))
            }
        }
    }

    fn any_with_prefix(&self, prefix: &Key) -> Result<bool, Error> {
        debug_assert!(self.pending.is_empty(), "the group was appended before");
        let range = KeyRange::prefix(prefix.bytes());
        let mut scan =
            self.engine
                .scan(prefix.keyspace(), range, Version::MAX, Direction::Forward)?;
        Ok(scan.next().transpose()?.is_some())
    }
}

/// A group being applied.
pub(crate) struct Group<'a> {
    shard: ShardId,
    engine: &'a Engine,
    now_millis: u64,
    tail: &'a mut Tail,
    overlay: Overlay<'a>,
    batch: Batch,
    requests: FxHashMap<RequestId, (Request, Version, Bytes)>,
    results: Vec<Result<Applied, Error>>,
    /// Results from here on wait for the append of `batch`.
    unappended: usize,
}

impl<'a> Group<'a> {
    pub(crate) fn new(
        shard: ShardId,
        engine: &'a Engine,
        now_millis: u64,
        tail: &'a mut Tail,
    ) -> Self {
        let overlay = Overlay {
            engine,
            pending: FxHashMap::default(),
        };
        Self {
            shard,
            engine,
            now_millis,
            tail,
            overlay,
            batch: Batch::new(),
            requests: FxHashMap::default(),
            results: Vec::new(),
            unappended: 0,
        }
    }

    /// Applies one more command. `appended` is called with the last version after each append.
    pub(crate) fn add(&mut self, command: Command, appended: &impl Fn(Version)) {
        if command.needs_appended() || self.batch.byte_count() >= BATCH_BYTES_TARGET {
            self.append(appended);
        }
        let closes = command.closes_group();
        let result = self.try_add(command);
        self.results.push(result);
        if closes {
            self.append(appended);
        }
    }

    /// The results, once all is appended.
    pub(crate) fn finish(mut self, appended: &impl Fn(Version)) -> Vec<Result<Applied, Error>> {
        self.append(appended);
        self.results
    }

    fn try_add(&mut self, command: Command) -> Result<Applied, Error> {
        if let Some(request) = command.request
            && let Some(repeated) = self.repeated(request)?
        {
            return Ok(repeated);
        }
        let Command {
            request,
            checks,
            writes,
            adds,
            events,
            answer,
        } = command;
        let effects = match apply(&self.overlay, &checks, writes, adds)? {
            Verdict::Effects(effects) => effects,
            Verdict::CheckFailed(index) => return Err(Error::CheckFailed { index }),
        };
        let version = self.tail.version.advance(self.now_millis);
        self.tail.version = version;
        for effect in effects {
            self.take(effect, version);
        }
        if request.is_some() || !events.is_empty() {
            self.log(version, request, &answer, events);
        }
        Ok(Applied {
            version,
            answer,
            outcome: Outcome::Applied,
        })
    }

    fn take(&mut self, effect: Effect, version: Version) {
        match effect {
            Effect::Put(key, value) => {
                self.batch.put(key.keyspace(), key.bytes(), &value, version);
                self.overlay.pending.insert(key, Pending::Value(version));
            }
            Effect::Count(key, counter) => {
                self.batch
                    .put(key.keyspace(), key.bytes(), &counter.encode(), version);
                self.overlay
                    .pending
                    .insert(key, Pending::Counter(version, counter));
            }
            Effect::Delete(key) => {
                self.batch.delete(key.keyspace(), key.bytes(), version);
                self.overlay.pending.insert(key, Pending::Deleted);
            }
            Effect::DeleteRange(keyspace, start, end) => {
                self.batch.delete_range(keyspace, &start, &end, version);
            }
        }
    }

    fn log(&mut self, version: Version, request: Option<Request>, answer: &Bytes, events: Bytes) {
        let logged = Logged {
            before: self.tail.totals,
            request,
            answer: answer.clone(),
            events,
        };
        let record = logged.encode();
        self.tail.totals = logged.after(record.len());
        let key = log_key(self.shard, version);
        self.batch
            .put(key.keyspace(), key.bytes(), &record, version);
        if let Some(request) = request {
            let key = request_key(self.shard, request.id);
            let remembered = Remembered {
                version,
                fingerprint: request.fingerprint,
            };
            self.batch
                .put(key.keyspace(), key.bytes(), &remembered.encode(), version);
            self.requests
                .insert(request.id, (request, version, answer.clone()));
        }
    }

    /// The first answer of a request that was applied before.
    fn repeated(&self, request: Request) -> Result<Option<Applied>, Error> {
        let (first, version, answer) = match self.requests.get(&request.id) {
            Some((first, version, answer)) => (*first, *version, answer.clone()),
            None => match recall(self.shard, self.engine, request.id)? {
                None => return Ok(None),
                Some(found) => found,
            },
        };
        if first.fingerprint == request.fingerprint {
            Ok(Some(Applied {
                version,
                answer,
                outcome: Outcome::Repeated,
            }))
        } else {
            Err(Error::RequestReused)
        }
    }

    fn append(&mut self, appended: &impl Fn(Version)) {
        if self.batch.is_empty() {
            appended(self.tail.version);
        } else {
            let batch = std::mem::replace(&mut self.batch, Batch::new());
            match self.engine.append(batch) {
                Ok(point) => {
                    self.tail.point = Some(point);
                    appended(self.tail.version);
                }
                Err(error) => self.fail_unappended(&Error::from(error)),
            }
            self.overlay.pending.clear();
            self.requests.clear();
        }
        self.unappended = self.results.len();
    }

    fn fail_unappended(&mut self, error: &Error) {
        for result in self.results.iter_mut().skip(self.unappended) {
            if result.is_ok() {
                *result = Err(error.clone());
            }
        }
    }
}

/// What is remembered of a request: its identity, the version of its command and its answer.
pub(crate) fn recall(
    shard: ShardId,
    engine: &Engine,
    id: RequestId,
) -> Result<Option<(Request, Version, Bytes)>, Error> {
    let key = request_key(shard, id);
    let Some(record) = engine.get(key.keyspace(), key.bytes(), Version::MAX)? else {
        return Ok(None);
    };
    let remembered =
        Remembered::decode(&record.value).map_err(|flaw| Error::malformed(&key, &flaw))?;
    let key = log_key(shard, remembered.version);
    let Some(record) = engine.get(key.keyspace(), key.bytes(), Version::MAX)? else {
        return Ok(None);
    };
    let logged = Logged::decode(&record.value).map_err(|flaw| Error::malformed(&key, &flaw))?;
    let request = Request {
        id,
        fingerprint: remembered.fingerprint,
    };
    Ok(Some((request, remembered.version, logged.answer)))
}
