//! The handle of a shard: execute commands, read at versions.
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
use crate::group::{Group, Tail, recall};
use crate::record::{Logged, Totals, log_key};
use crate::{Applied, Command, Error, Options, Request};
use nokv_engine::{CommitPoint, Direction, Durability, Engine, KeyRange};
use nokv_env::{Clock, Env};
use nokv_types::{ShardId, Version};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A command log and its state.
///
/// **Concurrency**: any thread may call anything; reads never wait for the writer. Cloning shares.
#[derive(Clone)]
pub struct Shard {
    inner: Arc<Inner>,
}

struct Inner {
    id: ShardId,
    engine: Engine,
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
}

/// The results of one call's commands, and what to sync for them.
struct Answers {
    results: Vec<Result<Applied, Error>>,
    point: Option<CommitPoint>,
}

impl Shard {
    /// Opens the shard `id` over an engine that nobody else writes to.
    ///
    /// **Errors**: `Corrupt` when the end of the log can't be read.
    pub fn open(env: &Env, engine: Engine, id: ShardId, options: Options) -> Result<Self, Error> {
        let version = engine.last_version();
        let tail = Tail {
            version,
            totals: last_totals(&engine, id)?,
            point: None,
        };
        let inner = Inner {
            id,
            engine,
            clock: Arc::clone(&env.clock),
            options,
            combiner: Combiner::new(),
            tail: Mutex::new(tail),
            visible: AtomicU64::new(version.as_u64()),
            refused: Mutex::new(None),
            applied: Mutex::new(version),
            moved: Condvar::new(),
            forgotten: Mutex::new(Version::ZERO),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
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
        match recall(self.inner.id, &self.inner.engine, request.id)? {
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

    /// The engine, for reads. Writing to it past the shard breaks the log.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    /// The number of the shard.
    #[must_use]
    pub fn id(&self) -> ShardId {
        self.inner.id
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

    pub(crate) fn totals(&self) -> Totals {
        self.inner.tail.lock().totals
    }

    fn run(&self, calls: Vec<Vec<Command>>) -> Vec<Answers> {
        let mut tail = self.inner.tail.lock();
        let sizes: Vec<usize> = calls.iter().map(Vec::len).collect();
        let appended = |version: Version| {
            self.inner
                .visible
                .store(version.as_u64(), Ordering::Release);
        };
        let mut group = Group::new(
            self.inner.id,
            &self.inner.engine,
            self.now_millis(),
            &mut tail,
        );
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
            tracing::error!(shard = self.inner.id.get(), %error, "shard refuses writes until reopened");
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

/// The totals after the last change record.
fn last_totals(engine: &Engine, id: ShardId) -> Result<Totals, Error> {
    let key = log_key(id, Version::ZERO);
    let prefix = key.bytes().get(..2).unwrap_or_default();
    let range = KeyRange::prefix(prefix);
    let mut scan = engine.scan(key.keyspace(), range, Version::MAX, Direction::Reverse)?;
    match scan.next().transpose()? {
        None => Ok(Totals::default()),
        Some((_, record)) => {
            let logged =
                Logged::decode(&record.value).map_err(|flaw| Error::malformed(&key, &flaw))?;
            Ok(logged.after(record.value.len()))
        }
    }
}
