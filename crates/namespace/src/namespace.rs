//! The handle of a store's namespaces: opening, mounts, and the frame that every operation runs in.
//!
//! Invariants:
//! - an operation plans at the newest applied version and takes effect only if its checks still
//!   hold, else it plans again, at most [`ATTEMPTS_MAX`] times;
//! - the floor (what can still be read) is on disk before anything below it is forgotten, and never
//!   goes back;
//! - a read that began at a version which is forgotten before it ends fails: it may have seen a
//!   part.

use crate::clients::Clients;
use crate::failure::{from_engine, from_shard, invalid, malformed};
use crate::fingerprint::Fingerprint;
use crate::ids::{self, Ids};
use crate::layers::{self, Chains};
use crate::leases::Leases;
use crate::operations::{read_clients, read_nameless, shards};
use crate::paths::Paths;
use crate::pins::{Hold, Pins};
use crate::plan::Plan;
use crate::plant::{Plant, Planted, is_planted};
use crate::reader::Reader;
use crate::records::{MountRecord, MountState, OBJECT, answer::Answer, pin, shard_of, system};
use crate::spot::Spot;
use crate::{Context, Mount, Options, View};
use nokv_engine::{Direction, Engine, KeyRange, Keyspace, Retention};
use nokv_env::{Clock, Env, Spawn};
use nokv_shard::{Applied, Command, Error, Key, Outcome, Request, Shards};
use nokv_types::{BranchId, Failure, MountId, NodeId, Reason, Version};
use parking_lot::{Mutex, RwLock};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Most times that an operation is planned. Each failure means that another operation succeeded, so
/// only a caller that loses to others again and again sees the end of it; above it `Conflict` asks
/// the caller to come back later.
pub(crate) const ATTEMPTS_MAX: usize = 128;
/// Name of the mount that a new store has.
pub(crate) const DEFAULT_MOUNT: &str = "default";

/// All namespaces of a store.
///
/// **Concurrency**: every method may be called from any thread and blocks while it works; cloning
/// shares.
#[derive(Clone)]
pub struct Namespace {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) shard: Shards,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) spawn: Arc<dyn Spawn>,
    pub(crate) options: Options,
    pub(crate) ids: Ids,
    pub(crate) paths: Paths,
    pub(crate) chains: Chains,
    pub(crate) mounts: RwLock<Vec<Mount>>,
    pub(crate) pins: Pins,
    pub(crate) leases: Leases,
    pub(crate) planted: Planted,
    floor: AtomicU64,
    /// What the engine was last told that it need not keep.
    pruned: AtomicU64,
    /// Releases of pins when all held bodies were last looked at.
    pub(crate) held_looked_at: AtomicU64,
    pub(crate) holds: Mutex<Vec<crate::Hold>>,
    /// The last time that the floor was raised.
    pub(crate) floor_written: Mutex<FloorWritten>,
    /// Who has files open and holds locks.
    pub(crate) clients: Clients,
    /// Held by the one round of background work that runs at a time.
    pub(crate) reclaiming: Mutex<()>,
}

/// A raising of the floor.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FloorWritten {
    /// The version of the command.
    pub(crate) raised: Version,
    /// The newest version before it.
    pub(crate) newest_before: Version,
}

/// Whether the caller holds the turn of the collector already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    /// It does not.
    Free,
    /// It does: taking it again would never end.
    Held,
}

impl Namespace {
    /// Opens the store in `dir` (made when missing): engine, log, mounts. A new store gets a mount
    /// named `default`.
    ///
    /// **Errors**: `Busy` when another process has it open; `Corrupt` with file, offset, expected,
    /// got; `Io`.
    pub fn open(env: Env, dir: &Path, options: Options) -> Result<Self, Failure> {
        // Nobody reads the log in the past: a snapshot that lives long must not hold it.
        let unpinned_from = Some(Keyspace::new(nokv_shard::KEYSPACE_RESERVED_MIN));
        let engine = nokv_engine::Options {
            unpinned_from,
            ..options.engine.clone()
        };
        let engine = Engine::open(env.clone(), dir, engine).map_err(from_engine)?;
        Self::over(&env, engine, options)
    }

    /// The same over an engine that is open already and that nobody else writes to.
    pub fn over(env: &Env, engine: Engine, options: Options) -> Result<Self, Failure> {
        let count = shards::open_count(&engine, options.shards)?;
        let shard = Shards::open(env, engine, (count, shard_of), options.log);
        let shard = shard.map_err(from_shard)?;
        shards::keep_count(&shard)?;
        let floor = ids::read(shard.engine(), &system::floor())?.map_or(0, |(floor, _)| floor);
        layers::pin_bases(&shard)?;
        let pins = read_pins(shard.engine())?;
        let leased_until = crate::operations::unknown_until(shard.engine())?;
        let salt = env.random.next_u64() >> 40;
        let clients = Clients::new(
            env.random.next_u64(),
            read_clients(shard.engine())?,
            read_nameless(shard.engine())?,
            env.clock.monotonic(),
        );
        let inner = Inner {
            mounts: RwLock::new(read_mounts(shard.engine())?),
            holds: Mutex::new(crate::operations::read_holds(shard.engine())?),
            shard,
            clock: Arc::clone(&env.clock),
            spawn: Arc::clone(&env.spawn),
            options,
            ids: Ids::new(salt),
            paths: Paths::new(),
            chains: Chains::new(),
            pins: Pins::new(pins),
            leases: Leases::after(leased_until),
            planted: Planted::default(),
            floor: AtomicU64::new(floor),
            pruned: AtomicU64::new(floor),
            held_looked_at: AtomicU64::new(u64::MAX),
            floor_written: Mutex::default(),
            clients,
            reclaiming: Mutex::new(()),
        };
        let namespace = Self {
            inner: Arc::new(inner),
        };
        if namespace.has_quotas()? {
            namespace.inner.paths.quotas.begin();
        }
        if namespace.mount(DEFAULT_MOUNT).is_err() {
            let now = nokv_types::TimeNanos::new(env.clock.now_nanos());
            namespace.register_mount(&Context::new(MountId::default(), now), DEFAULT_MOUNT)?;
        }
        Ok(namespace)
    }

    /// Makes what was written durable and closes the store. Later calls on clones fail with
    /// `Unavailable`.
    pub fn close(&self) -> Result<(), Failure> {
        self.inner.shard.sync().map_err(from_shard)?;
        self.inner
            .shard
            .engine()
            .clone()
            .close()
            .map_err(from_engine)
    }

    /// Makes everything written so far durable, as if each had been `Synced`.
    ///
    /// **Errors**: `OutcomeUnknown` when the disk failed: restart.
    pub fn sync(&self) -> Result<(), Failure> {
        self.inner.shard.sync().map_err(from_shard)
    }

    /// The newest applied version: a view at it stays readable for the retention time.
    #[must_use]
    pub fn read_version(&self) -> Version {
        self.inner.shard.read_version()
    }

    /// The engine, for statistics and verification; writing to it past the namespace breaks the
    /// store.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        self.inner.shard.engine()
    }

    /// The version below which nothing can be read any more.
    #[must_use]
    pub fn floor(&self) -> Version {
        Version::from_u64(self.inner.floor.load(Ordering::Acquire))
    }

    /// The version below which the engine may have forgotten.
    pub(crate) fn pruned(&self) -> Version {
        Version::from_u64(self.inner.pruned.load(Ordering::Acquire))
    }

    /// Lets the engine forget what lies below `horizon` and is not pinned.
    pub(crate) fn prune(&self, horizon: Version) {
        self.inner
            .pruned
            .fetch_max(horizon.as_u64(), Ordering::AcqRel);
        let horizon = self.pruned();
        let pins = match is_planted(Plant::PrunePinned) {
            true => Vec::new(),
            false => self.inner.pins.versions(),
        };
        self.engine().set_retention(Retention { horizon, pins });
    }

    pub(crate) fn raise_floor(&self, floor: Version) {
        self.inner.floor.fetch_max(floor.as_u64(), Ordering::AcqRel);
    }

    pub(crate) fn shard(&self) -> &Shards {
        &self.inner.shard
    }

    pub(crate) fn now_millis(&self) -> u64 {
        self.inner.clock.now_millis()
    }

    /// The root of a mount.
    pub(crate) fn root(&self, mount: MountId) -> Result<NodeId, Failure> {
        let mounts = self.inner.mounts.read();
        match mounts.iter().find(|found| found.id == mount) {
            Some(found) => {
                self.inner.paths.counts.mount_hits.add();
                Ok(found.root)
            }
            None => {
                self.inner.paths.counts.mount_rejects.add();
                Err(Failure::new(
                    Reason::NotFound,
                    format!("mount {mount} does not exist"),
                ))
            }
        }
    }

    /// A reader of a view, and the root of its mount.
    pub(crate) fn reader(&self, view: &View) -> Result<(Reader<'_>, Spot), Failure> {
        let newest = self.newest_reader();
        let reader = match view.at {
            Some(at) if at != newest.at => {
                self.admit_version(at, newest.at)?;
                let moves = None;
                Reader {
                    at,
                    moves,
                    ..newest
                }
            }
            _ => newest,
        };
        let root = self.root_spot(&reader, view.mount, view.branch)?;
        Ok((reader, root))
    }

    /// Where paths begin: the root of a mount, or of a branch of it.
    pub(crate) fn root_spot(
        &self,
        reader: &Reader<'_>,
        mount: MountId,
        branch: BranchId,
    ) -> Result<Spot, Failure> {
        let root = self.root(mount)?;
        if branch == BranchId::TRUNK {
            return Ok(Spot::trunk(root, reader.at));
        }
        let spot = Spot::live(root, branch, reader.at);
        let chain = reader.chain(spot)?;
        if chain.record.mount != mount {
            return Err(layers::missing(branch));
        }
        Ok(spot.with_node(chain.record.root))
    }

    /// A reader of the newest state.
    pub(crate) fn newest_reader(&self) -> Reader<'_> {
        // In this order: see `Paths`.
        let moves = self.inner.paths.moves.settled();
        let at = self.read_version();
        Reader {
            engine: self.engine(),
            at,
            paths: &self.inner.paths,
            moves,
            chains: &self.inner.chains,
        }
    }

    /// Runs a read of a view: at one version, and only if that was not forgotten before it ended.
    pub(crate) fn read<T>(
        &self,
        view: &View,
        read: impl FnOnce(Reader<'_>, Spot) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let (reader, root) = self.reader(view)?;
        let at = reader.at;
        let outcome = read(reader, root);
        self.still_retained(at)?;
        outcome
    }

    /// Fails when the engine may have forgotten the version. Asked *after* reading at it.
    pub(crate) fn still_retained(&self, at: Version) -> Result<(), Failure> {
        if at >= self.pruned() || self.inner.pins.contains(at) {
            return Ok(());
        }
        Err(Failure::new(
            Reason::Compacted,
            format!("version {at} was given up while it was read; read a newer one"),
        ))
    }

    /// Keeps a version exactly readable while the answer lives. **Errors**: `Compacted` when it no
    /// longer is.
    pub(crate) fn hold(&self, at: Version) -> Result<Hold<'_>, Failure> {
        let hold = self.inner.pins.hold(at);
        if at >= self.pruned() {
            return Ok(hold);
        }
        Err(Failure::new(
            Reason::Compacted,
            format!("version {at} is no longer retained"),
        ))
    }

    /// Refuses versions that can't be read exactly.
    pub(crate) fn admit_version(&self, at: Version, newest: Version) -> Result<(), Failure> {
        let floor = self.floor();
        if at < floor && !self.inner.pins.contains(at) {
            return Err(Failure::new(
                Reason::Compacted,
                format!("version {at} is older than {floor}, the oldest that is retained"),
            ));
        }
        if at > newest {
            if at > Version::end_of_millis(self.now_millis()) {
                return Err(invalid(format!("version {at} is in the future")));
            }
            self.shard().fix(at);
        }
        Ok(())
    }

    /// Runs a mutation: plans it, applies it, plans again when somebody was faster.
    pub(crate) fn mutate<T: Answer>(
        &self,
        context: &Context,
        fingerprint: u64,
        plan: impl Fn(&mut Plan<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.mutate_in(Turn::Free, context, fingerprint, plan)
    }

    /// The same, by a caller that may be the collector itself.
    pub(crate) fn mutate_in<T: Answer>(
        &self,
        turn: Turn,
        context: &Context,
        fingerprint: u64,
        plan: impl Fn(&mut Plan<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let fingerprint = match context.expect {
            None => fingerprint,
            Some(expected) => Fingerprint::new("expects")
                .number(fingerprint)
                .number(expected.get())
                .finish(),
        };
        let request = context.request.map(|id| Request { id, fingerprint });
        let request = request.filter(|_| !is_planted(Plant::ForgetRequests));
        if let Some(answer) = self.first_answer(request, context)? {
            return Ok(answer);
        }
        let mut makes_room = Some(turn);
        for _ in 0..ATTEMPTS_MAX {
            let reader = self.newest_reader();
            let root = self.root_spot(&reader, context.mount, context.branch)?;
            let mut state = self.plan(reader, context, root);
            let planned = plan(&mut state).and_then(|answer| {
                state.was_compared()?;
                state.settle().map(|()| answer)
            });
            let mut answer = match planned {
                Ok(answer) => answer,
                Err(failure) => {
                    if self.helps(context, &state, &failure, &mut makes_room)? {
                        continue;
                    }
                    // The same request may have been applied between the look above and the plan.
                    return self.first_answer(request, context)?.ok_or(failure);
                }
            };
            if request.is_none() && state.is_empty() {
                let (going, nameless) = state.take_aftermath();
                self.after(going, nameless)?;
                answer.stamp(reader.at);
                return Ok(answer);
            }
            let kept = match request {
                Some(_) => answer.encode(),
                None => bytes::Bytes::new(),
            };
            self.inner.spawn.give_way();
            match self.apply(state, request, kept, context)? {
                Ok(applied) if applied.outcome == Outcome::Applied => {
                    answer.stamp(applied.version);
                    return Ok(answer);
                }
                Ok(repeated) => return decode_answer(&repeated),
                Err(Error::CheckFailed { .. }) => self.inner.paths.counts.retries.add(),
                Err(error) => return Err(from_shard(error)),
            }
        }
        self.inner.paths.counts.exhausted.add();
        Err(Failure::new(
            Reason::Conflict,
            format!("others changed the same place {ATTEMPTS_MAX} times in a row; try again later"),
        ))
    }

    /// A plan over what a reader sees.
    pub(crate) fn plan<'a>(
        &'a self,
        reader: Reader<'a>,
        context: &'a Context,
        root: Spot,
    ) -> Plan<'a> {
        let going = self.inner.clients.going();
        Plan::new(reader, context, root, self.shard(), &self.inner.ids, going)
    }

    /// A planted bug: blocks that have references get no more.
    fn forget_references(&self, command: &mut Command) -> Result<(), Failure> {
        let mut kept = Vec::new();
        for add in command.adds.drain(..) {
            let key = &add.key;
            let has_some = self
                .engine()
                .get(key.keyspace(), key.bytes(), self.read_version())
                .map_err(from_engine)?
                .is_some();
            if key.keyspace() != OBJECT || !has_some {
                kept.push(add);
            }
        }
        command.adds = kept;
        Ok(())
    }

    /// Does what lets a plan that failed succeed, where that can be; whether to plan again.
    fn helps(
        &self,
        context: &Context,
        state: &Plan<'_>,
        failure: &Failure,
        makes_room: &mut Option<Turn>,
    ) -> Result<bool, Failure> {
        if let Some(directory) = state.needs_tally() {
            self.tally(context, directory)?;
            return Ok(true);
        }
        let full = failure.reason() == Reason::QuotaExceeded;
        match makes_room.take_if(|_| full) {
            Some(turn) => self.make_room(turn),
            None => Ok(false),
        }
    }

    /// Has the shard apply the command of a plan; tells the caches before, and the pins around it.
    fn apply(
        &self,
        mut state: Plan<'_>,
        request: Option<Request>,
        answer: bytes::Bytes,
        context: &Context,
    ) -> Result<Result<Applied, Error>, Failure> {
        let _moving = state
            .moves_directories()
            .then(|| self.inner.paths.moves.begin());
        let (pinned, unpinned) = state.pinning();
        let pinned = pinned.map(|version| self.inner.pins.hold(version));
        let (going, nameless) = state.take_aftermath();
        let mut command = state.compile(request, answer)?;
        if self.inner.planted.is(Plant::ForgetReference) {
            self.forget_references(&mut command)?;
        }
        let opened = nameless.opened;
        if let Some((client, key)) = opened {
            let now = self.monotonic();
            self.inner.clients.open_new(client, key, now)?;
        }
        let durability = match is_planted(Plant::SkipSync) {
            true => nokv_shard::Durability::Buffered,
            false => context.durability,
        };
        let applied = self.shard().execute(command, durability);
        if matches!(&applied, Ok(applied) if applied.outcome == Outcome::Applied) {
            self.after(going, nameless)?;
            if let Some(pinned) = pinned {
                pinned.keep();
            }
            if let Some(unpinned) = unpinned {
                self.inner.pins.release(unpinned);
            }
        } else if let Some((client, key)) = opened {
            self.inner.clients.not_opened(client, key);
        }
        Ok(applied)
    }

    /// What the context's request was answered before, if it was applied.
    pub(crate) fn answered<T: Answer>(
        &self,
        context: &Context,
        fingerprint: u64,
    ) -> Result<Option<T>, Failure> {
        let request = context.request.map(|id| Request { id, fingerprint });
        self.first_answer(request, context)
    }

    /// The answer that a request got before, as durable as asked now.
    pub(crate) fn first_answer<T: Answer>(
        &self,
        request: Option<Request>,
        context: &Context,
    ) -> Result<Option<T>, Failure> {
        let Some(request) = request.filter(|_| !is_planted(Plant::ForgetRequests)) else {
            return Ok(None);
        };
        let Some(applied) = self.shard().first_answer(request).map_err(from_shard)? else {
            return Ok(None);
        };
        if context.durability == nokv_shard::Durability::Synced {
            self.sync()?;
        }
        decode_answer(&applied).map(Some)
    }
}

fn decode_answer<T: Answer>(applied: &Applied) -> Result<T, Failure> {
    let key = Key::new(Keyspace::new(nokv_shard::KEYSPACE_RESERVED_MIN), b"answer");
    let mut answer = T::decode(&applied.answer).map_err(|flaw| malformed(&key, &flaw))?;
    answer.stamp(applied.version);
    Ok(answer)
}

/// The version of every pin.
fn read_pins(engine: &Engine) -> Result<Vec<Version>, Failure> {
    let scan = engine
        .scan(
            pin::KEYSPACE,
            KeyRange::all(),
            Version::MAX,
            Direction::Forward,
        )
        .map_err(from_engine)?;
    let mut pins = Vec::new();
    for item in scan {
        let (key, _) = item.map_err(from_engine)?;
        let version = pin::version(&key);
        pins.push(version.map_err(|flaw| malformed(&Key::new(pin::KEYSPACE, &key), &flaw))?);
    }
    Ok(pins)
}

/// Every mount that is not retired, in order of ids.
fn read_mounts(engine: &Engine) -> Result<Vec<Mount>, Failure> {
    let keyspace = MountRecord::KEYSPACE;
    let range = KeyRange::prefix(MountRecord::PREFIX);
    let scan = engine
        .scan(keyspace, range, Version::MAX, Direction::Forward)
        .map_err(from_engine)?;
    let mut mounts = Vec::new();
    for item in scan {
        let (key, found) = item.map_err(from_engine)?;
        let flaw = |flaw| malformed(&Key::new(keyspace, &key), &flaw);
        let id = MountRecord::id(&key).map_err(flaw)?;
        let record = MountRecord::decode(&found.value).map_err(flaw)?;
        if record.state == MountState::Retired {
            continue;
        }
        mounts.push(Mount {
            id,
            name: record.name,
            root: record.root,
        });
    }
    Ok(mounts)
}
