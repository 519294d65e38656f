//! The steps of a script, one after the other.

use super::Moment;
use super::ask::Asked;
use super::compare::{Known, Stop};
use super::power::Machine;
use super::watch::Watcher;
use crate::generate::{Profile, WATCHERS};
use crate::model::{LayerId, World};
use crate::op::{Op, Step};
use crate::turns::{Client, Job};
use crate::violation::{Violation, broken};
use nokv_env::Clock;
use nokv_namespace::{Context, Durability, Namespace, Plant, QuotaState};
use nokv_types::{MountId, Reason, RequestId, TimeNanos, Version};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What happened, line by line; equal for equal scripts. Clones share.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    lines: Arc<Mutex<Vec<String>>>,
}

impl Trace {
    pub(crate) fn add(&self, line: String) {
        self.lines.lock().push(line);
    }
}

impl PartialEq for Trace {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.lines, &other.lines) || *self.lines.lock() == *other.lines.lock()
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines
            .lock()
            .iter()
            .try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// The state of a run.
pub(crate) struct Run {
    pub(super) machine: Machine,
    pub(super) namespace: Namespace,
    pub(super) profile: Profile,
    pub(super) clients: Vec<Client>,
    /// Operations that gave way.
    pub(super) parked: Vec<Option<Asked>>,
    /// Worlds by version, the oldest first.
    pub(super) history: Vec<Moment>,
    pub(super) known: Known,
    /// What versions looked like when they were first read.
    pub(super) digests: BTreeMap<(Version, LayerId), u64>,
    pub(super) watchers: Vec<Watcher>,
    /// Everything up to here was acknowledged as on disk.
    pub(super) synced: Version,
    /// The numbers of mounts.
    pub(super) mounts: BTreeMap<LayerId, MountId>,
    /// Operations that have ended well, with their requests and versions.
    pub(super) done: Vec<Asked>,
    pub(super) requests: u64,
    pub(super) trace: Trace,
}

/// Runs a script; the trace, and what was wrong.
pub(crate) fn run(
    seed: u64,
    profile: Profile,
    script: &[Step],
    plant: Option<Plant>,
    trace: &Trace,
) -> Result<(), Violation> {
    nokv_namespace::plant(plant);
    let mut run = Run::new(seed, profile, plant)?;
    run.trace = trace.clone();
    let mut outcome = Ok(());
    for step in script {
        outcome = run.step(step);
        if outcome.is_err() {
            break;
        }
    }
    let outcome = outcome.and_then(|()| run.finish());
    nokv_namespace::plant(None);
    outcome
}

impl Run {
    fn new(seed: u64, profile: Profile, plant: Option<Plant>) -> Result<Self, Violation> {
        let machine = Machine::new(seed, profile);
        let namespace = machine.open()?;
        let clients: Result<Vec<_>, _> =
            (0..profile.clients).map(|_| Client::start(plant)).collect();
        let clients = clients.or_else(|error| broken("simulation", error.to_string()))?;
        let at = namespace.read_version();
        let mut run = Self {
            parked: clients.iter().map(|_| None).collect(),
            clients,
            history: Vec::new(),
            known: Known::default(),
            digests: BTreeMap::new(),
            watchers: vec![Watcher::new(at); WATCHERS],
            synced: at,
            mounts: BTreeMap::from([(crate::model::TRUNK, namespace.default_mount())]),
            done: Vec::new(),
            requests: 0,
            trace: Trace::default(),
            machine,
            namespace,
            profile,
        };
        let mut world = World::new();
        world.events.clear();
        world.now = run.now_nanos();
        let root = world.root(crate::model::TRUNK);
        world.forget_times(root);
        run.history.push(Moment {
            version: at,
            world: Arc::new(world),
            events: Some(Vec::new()),
            plain: false,
        });
        run.compare_newest()?;
        Ok(run)
    }

    pub(super) fn newest(&self) -> &Moment {
        self.history.last().expect("a run begins with a world")
    }

    pub(super) fn now_nanos(&self) -> i64 {
        self.machine.clock.now_nanos()
    }

    pub(super) fn next_request(&mut self) -> Option<RequestId> {
        self.requests += 1;
        let mut bytes = [7; 16];
        bytes[..8].copy_from_slice(&self.requests.to_le_bytes());
        (!self.requests.is_multiple_of(3)).then(|| RequestId::from_bytes(bytes))
    }

    fn step(&mut self, step: &Step) -> Result<(), Violation> {
        self.machine.clock.advance(Duration::from_micros(1_500));
        match step {
            Step::Begin {
                client,
                mount,
                op,
                synced,
            } => {
                while self.parked[*client].is_some() {
                    self.go(*client)?;
                }
                let asked = match op {
                    Op::Repeat { back } => self.repeat(*back),
                    _ => self.ask(*mount, op, *synced),
                };
                match asked.filter(|asked| !self.must_wait(&asked.op)) {
                    Some(asked) => self.begin(*client, asked),
                    None => Ok(()),
                }
            }
            Step::Go(client) => self.go(*client),
            Step::Listen(watcher, limit) => self.listen(*watcher, *limit).map(drop),
            Step::Kill(watcher) => {
                self.watchers[*watcher].kill();
                Ok(())
            }
            Step::Note(watcher) => {
                self.watchers[*watcher].note();
                Ok(())
            }
            Step::Read(back) => {
                let past = self.past(*back);
                self.compare_past(past.version, &past.world)
            }
            Step::ReadSnapshots => self.read_snapshots(),
            Step::Compare => self.compare_newest(),
            Step::Wait(millis) => {
                self.machine.clock.advance(Duration::from_millis(*millis));
                Ok(())
            }
            Step::Arm(nth) => {
                self.machine.arm(*nth);
                Ok(())
            }
            Step::Cut(seed) => self.cut(*seed, None),
            Step::Reopen => self.reopen(),
        }
    }

    /// Merges and rounds of collection take turns, which they keep while they give way.
    fn must_wait(&self, op: &Op) -> bool {
        let takes_turn = |op: &Op| matches!(op, Op::Merge { .. } | Op::Collect { .. });
        takes_turn(op)
            && self
                .parked
                .iter()
                .flatten()
                .any(|asked| takes_turn(&asked.op))
    }

    /// The same request again, as a client that lost the answer sends it.
    fn repeat(&self, back: u8) -> Option<Asked> {
        let index = self.done.len().checked_sub(1 + usize::from(back))?;
        let mut asked = self.done[index].clone();
        asked.request?;
        // These take no request.
        if matches!(asked.op, Op::RegisterMount | Op::RetireMount) {
            return None;
        }
        asked.begun = self.namespace.read_version();
        asked.resumed = asked.begun;
        asked.now = self.now_nanos();
        asked.met_removal = false;
        let (first, _) = asked.first.as_ref()?;
        let window_ms = nokv_shard::Options::default().dedupe_ms;
        if first.millis() + window_ms < self.machine.clock.now_millis() {
            // It may be forgotten by now; then it is a new one.
            return None;
        }
        Some(asked)
    }

    fn begin(&mut self, client: usize, asked: Asked) -> Result<(), Violation> {
        let context = Context {
            mount: asked.mount.1,
            branch: asked.branch,
            request: asked.request,
            durability: match asked.synced {
                true => Durability::Synced,
                false => Durability::Buffered,
            },
            ..Context::new(asked.mount.1, TimeNanos::new(asked.now))
        };
        // Where quotas are, any writer may need the turn that these keep.
        let keeps_turn = matches!(asked.op, Op::Merge { .. } | Op::Collect { .. });
        let job = Job {
            namespace: self.namespace.clone(),
            context,
            call: asked.call.clone(),
            gives_way: !(keeps_turn && self.profile.quotas),
        };
        self.trace.add(format!(
            "{client} begins {:?} {:?}",
            asked.call, asked.places
        ));
        let ended = self.clients[client].begin(job);
        self.went_on(client, asked, ended)
    }

    fn go(&mut self, client: usize) -> Result<(), Violation> {
        let Some(client) = (client < self.clients.len()).then_some(client) else {
            return Ok(());
        };
        let Some(mut asked) = self.parked[client].take() else {
            return Ok(());
        };
        asked.resumed = self.namespace.read_version();
        let ended = self.clients[client].go();
        self.went_on(client, asked, ended)
    }

    pub(super) fn compare_newest(&mut self) -> Result<(), Violation> {
        let version = self.namespace.read_version();
        let world = Arc::clone(&self.newest().world);
        match self.compare(version, &world) {
            Ok(()) => Ok(()),
            Err(Stop::Wrong(violation)) => Err(violation),
            Err(Stop::Failed(failure)) => broken("readable", format!("the newest: {failure}")),
        }
    }

    /// A version of the past is as it was, or too old.
    pub(super) fn compare_past(&mut self, at: Version, world: &World) -> Result<(), Violation> {
        let is_retained = at >= self.namespace.floor() || self.is_pinned(at);
        match self.compare(at, world) {
            Ok(()) => Ok(()),
            Err(Stop::Wrong(violation)) => Err(violation),
            Err(Stop::Failed(failure)) => match failure.reason() {
                Reason::Compacted if !is_retained => Ok(()),
                _ => broken("readable", format!("{at}: {failure}")),
            },
        }
    }

    /// Whether a live snapshot shows this version.
    pub(super) fn is_pinned(&self, at: Version) -> bool {
        let now = self.machine.clock.now_millis();
        let snapshots = self.newest().world.snapshots.values();
        let mut live = snapshots.filter(|snapshot| snapshot.end.is_none_or(|end| end > now));
        live.any(|snapshot| snapshot.at == at)
    }

    /// The world at a version.
    pub(super) fn world_at(&self, at: Version) -> Option<Arc<World>> {
        let index = self.history.partition_point(|moment| moment.version <= at);
        let moment = self.history.get(index.checked_sub(1)?)?;
        Some(Arc::clone(&moment.world))
    }

    fn read_snapshots(&mut self) -> Result<(), Violation> {
        let now = self.machine.clock.now_millis();
        let mount = self.namespace.default_mount();
        for (name, snapshot) in self.newest().world.snapshots.clone() {
            let found = self
                .namespace
                .snapshot(mount, &crate::call::snapshot_name(name));
            let over = snapshot.end.is_some_and(|end| end <= now);
            match found {
                Ok(found) if !over && found.at == snapshot.at => {}
                Err(failure) if over && failure.reason() == Reason::SnapshotExpired => continue,
                // Those that expired long ago are forgotten.
                Err(failure) if over && failure.reason() == Reason::NotFound => continue,
                other => return broken("snapshots", format!("s{name}: {other:?}, {snapshot:?}")),
            }
            let world = self.world_at(snapshot.at).expect("a snapshot of what was");
            self.compare_past(snapshot.at, &world)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Violation> {
        for client in 0..self.clients.len() {
            while self.parked[client].is_some() {
                self.go(client)?;
            }
        }
        if self.machine.is_armed {
            self.cut(1, None)?;
        }
        self.compare_newest()?;
        self.check("at the end")?;
        self.check_quotas()?;
        self.check_watchers()?;
        for moment in self.history.clone() {
            self.compare_past(moment.version, &moment.world)?;
        }
        self.read_snapshots()?;
        self.collect_all()?;
        self.compare_newest()?;
        self.check("after collection")?;
        self.check_quotas()?;
        self.read_snapshots()
    }

    fn collect_all(&self) -> Result<(), Violation> {
        for _ in 0..10_000 {
            match self.namespace.reclaim_within(7, 0) {
                Ok(reclaimed) if !reclaimed.more => return Ok(()),
                Ok(_) => {}
                Err(failure) => return broken("collection", failure.to_string()),
            }
        }
        broken("collection", "never ends")
    }

    pub(super) fn check(&self, when: &str) -> Result<(), Violation> {
        match self.namespace.check() {
            Ok(report) if report.problems.is_empty() => Ok(()),
            Ok(report) => broken("consistent", format!("{when}: {:?}", report.problems)),
            Err(failure) => broken("consistent", format!("{when}: {failure}")),
        }
    }

    /// Every quota is there, and what it counts is what is there.
    pub(super) fn check_quotas(&mut self) -> Result<(), Violation> {
        let world = Arc::clone(&self.newest().world);
        self.check_quotas_of(&world)
    }

    pub(super) fn check_quotas_of(&self, world: &World) -> Result<(), Violation> {
        let mount = self.namespace.default_mount();
        let quotas = match self.namespace.quotas(mount) {
            Ok(quotas) => quotas,
            Err(failure) => return broken("quotas", failure.to_string()),
        };
        let active: Vec<_> = quotas
            .into_iter()
            // Those of removed directories go when these are taken apart.
            .filter(|quota| quota.path.is_some() && quota.state == QuotaState::Active)
            .collect();
        if active.len() != world.quotas.len() {
            return broken("quotas", format!("{active:?}, must be {:?}", world.quotas));
        }
        for quota in active {
            let check = match self.namespace.check_quota(mount, quota.directory) {
                Ok(check) => check,
                Err(failure) => return broken("quotas", failure.to_string()),
            };
            if check.counted != check.recounted {
                return broken("quota-equals-recount", format!("{quota:?}: {check:?}"));
            }
        }
        Ok(())
    }
}
