//! One group of commands on its way into one engine batch.
//!
//! Invariants:
//! - a command sees the effects of those before it in the group (the overlay), so a group is as if
//!   each had been written alone;
//! - a command over several shards is one command: its checks are evaluated over the state of all
//!   of them, and its effects and its part in each log are in one batch;
//! - nobody is answered before the batch with the effects is appended; if that fails, all of the
//!   batch fail;
//! - a batch never holds a range deletion with anything after it, so the overlay needs no ranges.

use crate::record::{Logged, Remembered, Totals, log_key, request_key};
use crate::{
    Applied, Command, Counter, Effect, Error, Events, Key, Outcome, Participants, Request, Route,
    State, Verdict, apply,
};
use bytes::Bytes;
use nokv_engine::{Batch, CommitPoint, Direction, Engine, KeyRange};
use nokv_types::{RequestId, ShardId, Version};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// Most bytes of a batch before it is appended: a group of large commands becomes several batches.
const BATCH_BYTES_TARGET: usize = 16 << 20;

/// What the writer knows of the ends of the logs; only the leader touches it.
#[derive(Clone, Debug)]
pub(crate) struct Tail {
    pub(crate) version: Version,
    /// By shard.
    pub(crate) logs: Vec<LogTail>,
    pub(crate) point: Option<CommitPoint>,
}

/// The end of one shard's log.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LogTail {
    pub(crate) totals: Totals,
    /// The version of its last command.
    pub(crate) version: Version,
}

/// Where a group writes to.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) route: Route,
    pub(crate) now_millis: u64,
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
    target: Target<'a>,
    tail: &'a mut Tail,
    overlay: Overlay<'a>,
    batch: Batch,
    requests: FxHashMap<RequestId, (Request, Version, Bytes)>,
    results: Vec<Result<Applied, Error>>,
    /// Results from here on wait for the append of `batch`.
    unappended: usize,
    /// The ends of the logs before `batch`.
    appended_logs: Vec<LogTail>,
}

impl<'a> Group<'a> {
    pub(crate) fn new(target: Target<'a>, tail: &'a mut Tail) -> Self {
        let overlay = Overlay {
            engine: target.engine,
            pending: FxHashMap::default(),
        };
        let appended_logs = tail.logs.clone();
        Self {
            appended_logs,
            target,
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
        let touched = command.participants(self.target.route);
        self.must_exist(&touched)?;
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
        let version = self.tail.version.advance(self.target.now_millis);
        self.tail.version = version;
        for effect in effects {
            self.take(effect, version);
        }
        self.log(version, request, &answer, (touched.written, events));
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

    /// Fails when a command touches a shard that the store does not have: its key is damaged.
    fn must_exist(&self, touched: &Participants) -> Result<(), Error> {
        let mut shards = touched.written.iter().chain(&touched.checked);
        match shards.find(|shard| usize::from(shard.get()) >= self.tail.logs.len()) {
            None => Ok(()),
            Some(shard) => Err(Error::Corrupt {
                file: "key of a command".to_string(),
                offset: 0,
                expected: format!("one of {} shards", self.tail.logs.len()),
                got: format!("shard {shard}"),
            }),
        }
    }

    /// Gives each shard its part of the command.
    fn log(
        &mut self,
        version: Version,
        request: Option<Request>,
        answer: &Bytes,
        (shards, mut events): (SmallVec<[ShardId; 2]>, Events),
    ) {
        for (place, shard) in shards.iter().enumerate() {
            let request = request.filter(|_| place == 0);
            let Some(log) = self.tail.logs.get_mut(usize::from(shard.get())) else {
                continue;
            };
            let part = events.iter().position(|(of, _)| of == shard);
            let logged = Logged {
                before: log.totals,
                parts: match shards.len() {
                    1 => SmallVec::new(),
                    _ => shards.clone(),
                },
                request,
                answer: request.map_or_else(Bytes::new, |_| answer.clone()),
                events: part.map_or_else(Bytes::new, |part| events.swap_remove(part).1),
            };
            let record = logged.encode();
            log.totals = logged.after(record.len());
            log.version = version;
            let key = log_key(*shard, version);
            self.batch
                .put(key.keyspace(), key.bytes(), &record, version);
            if let Some(request) = request {
                self.remember(*shard, version, request, answer);
            }
        }
    }

    fn remember(&mut self, lead: ShardId, version: Version, request: Request, answer: &Bytes) {
        let key = request_key(lead, request.id);
        let remembered = Remembered {
            version,
            fingerprint: request.fingerprint,
        };
        self.batch
            .put(key.keyspace(), key.bytes(), &remembered.encode(), version);
        self.requests
            .insert(request.id, (request, version, answer.clone()));
    }

    /// The first answer of a request that was applied before.
    fn repeated(&self, request: Request) -> Result<Option<Applied>, Error> {
        let (first, version, answer) = match self.requests.get(&request.id) {
            Some((first, version, answer)) => (*first, *version, answer.clone()),
            None => match recall(self.tail.logs.len(), self.target.engine, request.id)? {
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
            match self.target.engine.append(batch) {
                Ok(point) => {
                    self.tail.point = Some(point);
                    self.appended_logs.clone_from(&self.tail.logs);
                    appended(self.tail.version);
                }
                Err(error) => {
                    self.tail.logs.clone_from(&self.appended_logs);
                    self.fail_unappended(&Error::from(error));
                }
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

/// What is remembered of a request: its identity, the version of its command and its answer. Only
/// the lead of a command remembers it, and nobody can know which that was.
pub(crate) fn recall(
    shards: usize,
    engine: &Engine,
    id: RequestId,
) -> Result<Option<(Request, Version, Bytes)>, Error> {
    let shards = (0..u16::try_from(shards).unwrap_or(u16::MAX)).map(ShardId::new);
    for shard in shards {
        let key = request_key(shard, id);
        let Some(record) = engine.get(key.keyspace(), key.bytes(), Version::MAX)? else {
            continue;
        };
        let remembered =
            Remembered::decode(&record.value).map_err(|flaw| Error::malformed(&key, &flaw))?;
        let key = log_key(shard, remembered.version);
        let Some(record) = engine.get(key.keyspace(), key.bytes(), Version::MAX)? else {
            continue;
        };
        let logged = Logged::decode(&record.value).map_err(|flaw| Error::malformed(&key, &flaw))?;
        let request = Request {
            id,
            fingerprint: remembered.fingerprint,
        };
        return Ok(Some((request, remembered.version, logged.answer)));
    }
    Ok(None)
}
