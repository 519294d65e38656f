//! The handle of a store's shards: execute commands, read at versions.
//!
//! One engine and one writer carry all shards of a store, so a command over several of them is one
//! batch, and versions order the commands of all. What belongs to one shard is its range of keys,
//! its log and its position: were it a group of replicas of its own, it would move as it is.
//!
//! Invariants:
//! - versions are assigned in log order inside the leader's turn, when everything that the command
//!   needs is already uploaded and decided: nothing can become visible below a version that was
//!   read;
//! - `read_version` moves after the append of a whole batch, so a read at it never sees part of a
//!   command;
//! - syncs happen outside the leader's turn: while one group waits for the disk, the next is
//!   applied;
//! - after `OutcomeUnknown` no write is accepted: what is on disk is known only after reopening.

use crate::combiner::Combiner;
use crate::group::{Group, LogTail, Tail, Target, recall};
use crate::history::read_floor;
use crate::load::Load;
use crate::merged::Merged;
use crate::record::{Floor, Logged, Totals, floor_key, log_prefix, version_of};
use crate::{Applied, Command, Error, Options, Request, Route, Write};
use nokv_engine::{CommitPoint, Direction, Durability, Engine, KeyRange};
use nokv_env::{Clock, Env};
use nokv_types::{ShardId, Version};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

/// Most shards of a store: a request is looked up in each, and moving a directory writes to each.
pub const SHARDS_MAX: u16 = 256;

/// The command logs of a store and their state.
///
/// **Concurrency**: any thread may call anything; reads never wait for the writer. Cloning shares.
#[derive(Clone)]
pub struct Shards {
    inner: Arc<Inner>,
}

/// How far a shard is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Position {
    /// Commands that it has ever applied: the number of the last one.
    pub commands: u64,
    /// The version of that command.
    pub version: Version,
    /// Bytes of change records ever written to its log.
    pub log_bytes: u64,
}

struct Inner {
    engine: Engine,
    route: Route,
    count: AtomicU16,
    clock: Arc<dyn Clock>,
    options: Options,
    combiner: Combiner<Vec<Command>, Answers>,
    tail: Mutex<Tail>,
    visible: AtomicU64,
    refused: Mutex<Option<Error>>,
    applied: Mutex<Version>,
    moved: Condvar,
    /// Up to which version requests are forgotten; whoever trims holds it.
    forgotten: Mutex<Version>,
    load: Mutex<Load>,
}

/// The results of one call's commands, and what to sync for them.
struct Answers {
    results: Vec<Result<Applied, Error>>,
    point: Option<CommitPoint>,
}

impl Shards {
    /// Opens the first `count` shards over an engine that nobody else writes to. `route` says which
    /// of them a key belongs to.
    ///
    /// **Errors**: `Corrupt` when the end of a log can't be read; `TooLarge` for a count over
    /// [`SHARDS_MAX`].
    pub fn open(
        env: &Env,
        engine: Engine,
        (count, route): (u16, Route),
        options: Options,
    ) -> Result<Self, Error> {
        let version = engine.last_version();
        let tail = Tail {
            version,
            logs: Vec::new(),
            point: None,
        };
        let inner = Inner {
            engine,
            route,
            count: AtomicU16::new(0),
            clock: Arc::clone(&env.clock),
            options,
            combiner: Combiner::new(),
            tail: Mutex::new(tail),
            visible: AtomicU64::new(version.as_u64()),
            refused: Mutex::new(None),
            applied: Mutex::new(version),
            moved: Condvar::new(),
            forgotten: Mutex::new(Version::ZERO),
            load: Mutex::default(),
        };
        let shards = Self {
            inner: Arc::new(inner),
        };
        shards.grow(count.max(1))?;
        shards.close_gaps()?;
        Ok(shards)
    }

    /// Raises floors to where the logs begin. A copy of the store as of a version of the past may
    /// have lost what was trimmed since, and the floor with it: no pin holds either.
    fn close_gaps(&self) -> Result<(), Error> {
        let mut writes = Vec::new();
        for shard in self.ids() {
            let floor = read_floor(self.engine(), shard)?;
            let range = (floor.version, Version::MAX);
            let logs = Merged::new(self.engine(), std::iter::once(shard), range, Version::MAX)?;
            let first = logs.first();
            if let Some((version, totals)) = first.filter(|(_, totals)| *totals != floor.totals) {
                let version = version.previous();
                let raised = Floor { version, totals };
                writes.push(Write::Put(floor_key(shard), raised.encode()));
            }
        }
        if writes.is_empty() {
            return Ok(());
        }
        let command = Command {
            writes,
            ..Command::default()
        };
        self.execute(command, Durability::Synced).map(drop)
    }

    /// Has commands find the first `count` shards. There may be more already; none ever goes.
    ///
    /// **Errors**: `TooLarge` for a count over [`SHARDS_MAX`]; `Corrupt` as [`Self::open`].
    pub fn grow(&self, count: u16) -> Result<(), Error> {
        if count > SHARDS_MAX {
            return Err(Error::TooLarge(format!(
                "a store has at most {SHARDS_MAX} shards, not {count}"
            )));
        }
        let mut tail = self.inner.tail.lock();
        for number in self.count()..count {
            let log = last_of_log(&self.inner.engine, ShardId::new(number))?;
            tail.logs.push(log);
        }
        self.inner.load.lock().count(&tail.logs, self.now_millis());
        self.inner.count.fetch_max(count, Ordering::AcqRel);
        Ok(())
    }

    /// How many shards there are.
    #[must_use]
    pub fn count(&self) -> u16 {
        self.inner.count.load(Ordering::Acquire)
    }

    /// The shards.
    pub fn ids(&self) -> impl Iterator<Item = ShardId> + Clone + use<> {
        (0..self.count()).map(ShardId::new)
    }

    /// How far a shard is.
    ///
    /// **Concurrency**: waits for the group being applied.
    #[must_use]
    pub fn position(&self, shard: ShardId) -> Position {
        let tail = self.inner.tail.lock();
        let log = tail.logs.get(usize::from(shard.get()));
        let log = log.copied().unwrap_or_default();
        Position {
            commands: log.totals.commands,
            version: log.version,
            log_bytes: log.totals.bytes,
        }
    }

    /// The shard that was written to least lately.
    #[must_use]
    pub fn least_loaded(&self) -> ShardId {
        self.inner.load.lock().least()
    }

    /// Applies a command.
    ///
    /// **Guarantees**: on `Ok` it is visible to reads at [`Self::read_version`], and as durable as
    /// asked. A request that was applied before changes nothing and gets its first answer, as
    /// durable as asked now. **Errors**: `CheckFailed`, `RequestReused`, `TooLarge`, `NoSpace`,
    /// `Refused`: nothing was written. `OutcomeUnknown`: reopen the store.
    pub fn execute(&self, command: Command, durability: Durability) -> Result<Applied, Error> {
        let results = self.execute_all(vec![command], durability)?;
        results.into_iter().next().unwrap_or_else(|| Err(broken()))
    }

    /// Applies commands in this order, each whole or not at all, independent of each other's
    /// outcome. Other callers' commands do not come between.
    ///
    /// **Errors**: as [`Self::execute`] for each; for all when the sync failed.
    pub fn execute_all(
        &self,
        commands: Vec<Command>,
        durability: Durability,
    ) -> Result<Vec<Result<Applied, Error>>, Error> {
        self.admit()?;
        let weight = commands.iter().map(Command::weight).sum();
        let answers = self
            .inner
            .combiner
            .submit(commands, weight, |calls| self.run(calls));
        let answers = answers.ok_or_else(broken)?;
        let applied = answers.results.iter().any(Result::is_ok);
        if applied
            && durability == Durability::Synced
            && let Some(point) = answers.point
        {
            self.inner
                .engine
                .sync(point)
                .map_err(|error| self.refuse(error.into()))?;
        }
        Ok(answers.results)
    }

    /// Makes everything applied so far durable. **Errors**: as [`Self::execute`].
    pub fn sync(&self) -> Result<(), Error> {
        self.admit()?;
        let point = self.inner.tail.lock().point;
        match point {
            None => Ok(()),
            Some(point) => self
                .inner
                .engine
                .sync(point)
                .map_err(|error| self.refuse(error.into())),
        }
    }

    /// The newest version at which every command is applied whole.
    #[must_use]
    pub fn read_version(&self) -> Version {
        Version::from_u64(self.inner.visible.load(Ordering::Acquire))
    }

    /// Makes the state at `version` final: every later command gets a higher version. For reads "as
    /// of a moment" after the newest command, which would otherwise see what is committed later
    /// below that moment.
    ///
    /// **Concurrency**: waits for the group being applied.
    pub fn fix(&self, version: Version) {
        let mut tail = self.inner.tail.lock();
        tail.version = tail.version.max(version);
    }

    /// Waits until [`Self::read_version`] is above `version`, at most `timeout`; returns it either
    /// way.
    #[must_use]
    pub fn wait_above(&self, version: Version, timeout: Duration) -> Version {
        let mut applied = self.inner.applied.lock();
        if *applied <= version {
            let _timed_out = self.inner.moved.wait_for(&mut applied, timeout);
        }
        self.read_version()
    }

    /// What an earlier command with this request answered; `None` when it was never applied, or
    /// longer ago than is remembered. **Errors**: `RequestReused` when the id was used for
    /// something else.
    pub fn first_answer(&self, request: Request) -> Result<Option<Applied>, Error> {
        match recall(usize::from(self.count()), &self.inner.engine, request.id)? {
            None => Ok(None),
            Some((first, ..)) if first.fingerprint != request.fingerprint => {
                Err(Error::RequestReused)
            }
            Some((_, version, answer)) => Ok(Some(Applied {
                version,
                answer,
                outcome: crate::Outcome::Repeated,
            })),
        }
    }

    /// The engine, for reads. Writing to it past the shards breaks their logs.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(crate) fn options(&self) -> Options {
        self.inner.options
    }

    pub(crate) fn forgotten(&self) -> &Mutex<Version> {
        &self.inner.forgotten
    }

    pub(crate) fn now_millis(&self) -> u64 {
        self.inner.clock.now_millis()
    }

    pub(crate) fn totals(&self, shard: ShardId) -> Totals {
        let tail = self.inner.tail.lock();
        let log = tail.logs.get(usize::from(shard.get()));
        log.map_or_else(Totals::default, |log| log.totals)
    }

    fn run(&self, calls: Vec<Vec<Command>>) -> Vec<Answers> {
        let mut tail = self.inner.tail.lock();
        let sizes: Vec<usize> = calls.iter().map(Vec::len).collect();
        let appended = |version: Version| {
            self.inner
                .visible
                .store(version.as_u64(), Ordering::Release);
        };
        let target = Target {
            engine: &self.inner.engine,
            route: self.inner.route,
            now_millis: self.now_millis(),
        };
        let mut group = Group::new(target, &mut tail);
        for command in calls.into_iter().flatten() {
            group.add(command, &appended);
        }
        let results = group.finish(&appended);
        if let Some(error) = results.iter().find_map(|result| match result {
            Err(error @ Error::OutcomeUnknown(_)) => Some(error.clone()),
            _ => None,
        }) {
            let _refusal = self.refuse(error);
        }
        let point = tail.point;
        if tail.logs.len() > 1 {
            let mut load = self.inner.load.lock();
            load.count(&tail.logs, target.now_millis);
        }
        drop(tail);
        self.announce();
        let mut results = results.into_iter();
        let share = |size| Answers {
            results: results.by_ref().take(size).collect(),
            point,
        };
        sizes.into_iter().map(share).collect()
    }

    fn announce(&self) {
        *self.inner.applied.lock() = self.read_version();
        self.inner.moved.notify_all();
    }

    fn admit(&self) -> Result<(), Error> {
        match &*self.inner.refused.lock() {
            None => Ok(()),
            Some(first) => Err(Error::Refused(format!(
                "the store refuses writes since an earlier failure ({first}); restart to recover"
            ))),
        }
    }

    /// Remembers a failure after which no write is accepted.
    fn refuse(&self, error: Error) -> Error {
        if matches!(error, Error::OutcomeUnknown(_)) {
            tracing::error!(%error, "the shards refuse writes until reopened");
            self.inner
                .refused
                .lock()
                .get_or_insert_with(|| error.clone());
        }
        error
    }
}

fn broken() -> Error {
    Error::OutcomeUnknown(
        "the writer failed in the middle of a group; restart the store to learn what was written"
            .to_string(),
    )
}

/// Where a log ends: at its last record, or where the last one that was dropped ended.
fn last_of_log(engine: &Engine, shard: ShardId) -> Result<LogTail, Error> {
    let key = log_prefix(shard);
    let range = KeyRange::prefix(key.bytes());
    let mut scan = engine.scan(key.keyspace(), range, Version::MAX, Direction::Reverse)?;
    let Some((log_key, record)) = scan.next().transpose()? else {
        let floor = read_floor(engine, shard)?;
        return Ok(LogTail {
            totals: floor.totals,
            version: floor.version,
        });
    };
    let flaw = |flaw| Error::malformed(&key, &flaw);
    let logged = Logged::decode(&record.value).map_err(flaw)?;
    Ok(LogTail {
        totals: logged.after(record.value.len()),
        version: version_of(&log_key).map_err(flaw)?,
    })
}
