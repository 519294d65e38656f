//! The machine: files that lose what was not synced, and what is found after the power went.

use super::ask::Asked;
use super::compare::Stop;
use super::expect::{Said, expect};
use super::{Moment, Run};
use crate::call::{Answer, snapshot_name};
use crate::generate::Profile;
use crate::model::World;
use crate::op::Op;
use crate::turns::Turns;
use crate::violation::{Violation, broken};
use nokv_env::{
    Clock, Env, FaultFileSystem, ManualClock, MemoryFileSystem, Operation, Outcome, Random, Rule,
    SeededRandom, Trigger,
};
use nokv_namespace::{MergeOutcome, Namespace, Options, SnapshotState};
use nokv_types::Version;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Where the clock begins, milliseconds since 1970.
const START_MILLIS: u64 = 1_800_000_000_000;

/// Files, clock and options of a run.
pub(super) struct Machine {
    memory: MemoryFileSystem,
    faults: FaultFileSystem,
    pub(super) clock: Arc<ManualClock>,
    random: Arc<SeededRandom>,
    options: Options,
    /// Whether the power may still go by itself.
    pub(super) is_armed: bool,
}

impl Machine {
    pub(super) fn new(seed: u64, profile: Profile) -> Self {
        let clock = Arc::new(ManualClock::new());
        clock.advance(Duration::from_millis(START_MILLIS));
        let mut options = Options::default();
        if profile.tables {
            options.engine.memtable_bytes = nokv_engine::Options::MEMTABLE_BYTES_MIN;
            options.engine.segment_bytes = nokv_engine::Options::MEMTABLE_BYTES_MIN as u64;
            options.engine.level0_tables = 2;
        }
        let memory = MemoryFileSystem::new();
        Self {
            faults: FaultFileSystem::over_memory(&memory, seed),
            memory,
            clock,
            random: Arc::new(SeededRandom::new(seed)),
            options,
            is_armed: false,
        }
    }

    pub(super) fn open(&self) -> Result<Namespace, Violation> {
        let env = Env {
            files: Arc::new(self.faults.clone()),
            clock: Arc::clone(&self.clock) as _,
            random: Arc::clone(&self.random) as _,
            spawn: Arc::new(Turns),
        };
        let opened = Namespace::open(env, Path::new("/store"), self.options.clone());
        opened.or_else(|failure| broken("opens", failure.to_string()))
    }

    /// The power goes at the nth write or sync of the log from now.
    pub(super) fn arm(&mut self, nth: u64) {
        self.is_armed = true;
        self.faults.add_rule(Rule {
            operations: vec![
                Operation::Write,
                Operation::WriteSlices,
                Operation::SyncData,
            ],
            path_contains: ".wal".to_string(),
            trigger: Trigger::Nth(nth),
            outcome: Outcome::Crash,
        });
    }

    /// What is found when the power comes back.
    fn after_cut(&mut self, seed: u64) {
        self.is_armed = false;
        self.memory = self.memory.crash(seed);
        self.faults = FaultFileSystem::over_memory(&self.memory, seed);
        let _used = self.random.next_u64();
    }
}

impl Run {
    /// The power goes; `unknown` is an operation that was under way on the disk.
    pub(super) fn cut(&mut self, seed: u64, unknown: Option<Asked>) -> Result<(), Violation> {
        let newest = self.namespace.read_version();
        let before = self.machine.faults.clone();
        self.machine.after_cut(seed);
        // Nothing that the old machine still does reaches the disk.
        before.add_rule(Rule {
            operations: Vec::new(),
            path_contains: String::new(),
            trigger: Trigger::From(1),
            outcome: Outcome::Crash,
        });
        for client in 0..self.clients.len() {
            while self.parked[client].is_some() {
                if self.clients[client].go().is_some() {
                    self.parked[client] = None;
                }
            }
        }
        self.machine.clock.advance(Duration::from_millis(5));
        self.namespace = self.machine.open()?;
        let found = self.namespace.read_version();
        self.trace
            .add(format!("power cut: {newest} before, {found} after"));
        if found < self.synced {
            return broken(
                "prefix-recovery",
                format!("synced {}, found {found}", self.synced),
            );
        }
        if found > newest && unknown.is_none() && !self.machine.just_opened(found, newest) {
            return broken("prefix-recovery", format!("found {found}, never written"));
        }
        self.lose_after(found);
        self.settle_unknown(found, unknown)?;
        self.synced = found;
        self.check("after a power cut")
    }

    fn lose_after(&mut self, found: Version) {
        self.history.retain(|moment| moment.version <= found);
        self.digests.retain(|(version, _), _| *version <= found);
        self.done.retain(|asked| {
            asked
                .first
                .as_ref()
                .is_some_and(|(first, _)| *first <= found)
        });
        for watcher in &mut self.watchers {
            watcher.lose_after(found);
        }
        self.forget_lost_nodes();
    }

    /// What was made and lost may get the same numbers again.
    fn forget_lost_nodes(&mut self) {
        let worlds = self.history.iter().map(|moment| &moment.world);
        let layers: Vec<_> = worlds.flat_map(|world| &world.layers).collect();
        let nodes = layers
            .iter()
            .flat_map(|(_, layer)| layer.nodes.keys().copied());
        let live = layers.iter().map(|(id, _)| **id).collect();
        self.known.retain(&nodes.collect(), &live);
    }

    /// An operation that was cut off happened whole or not at all.
    fn settle_unknown(&mut self, found: Version, unknown: Option<Asked>) -> Result<(), Violation> {
        let world = Arc::clone(&self.newest().world);
        let memory = (self.known.clone(), self.digests.clone());
        let unknown = unknown.filter(|_| found > self.newest().version);
        let mut not_with = None;
        if let Some(asked) = unknown
            && let Some(with) = self.with(&world, &asked)
        {
            match self.compare_cut(found, &with) {
                Ok(()) => {
                    let (events, plain) = (None, false);
                    let world = Arc::new(with);
                    self.push(Moment {
                        version: found,
                        world,
                        events,
                        plain,
                    });
                    return Ok(());
                }
                Err(violation) => not_with = Some((asked.call, violation)),
            }
            (self.known, self.digests) = memory;
        }
        match (self.compare_cut(found, &world), not_with) {
            (Ok(()), _) => Ok(()),
            (Err(violation), None) => Err(violation),
            (Err(without), Some((call, with))) => broken(
                "no-torn-batch",
                format!("{call:?} is neither done ({with}) nor not done ({without})"),
            ),
        }
    }

    /// The world with an operation of which nobody knows whether it was done.
    fn with(&self, world: &World, asked: &Asked) -> Option<World> {
        let mut answer = Answer::default();
        if let Op::Snapshot { name, .. } = asked.op {
            let found = self.namespace.snapshot(asked.mount.1, &snapshot_name(name));
            answer.shows = Some(found.ok()?.at);
        }
        // Of a merge nobody heard whether there were conflicts: either may be.
        [false, true].into_iter().find_map(|conflicts| {
            let merged = Some((MergeOutcome::Merged, conflicts));
            let answer = Answer {
                merged: merged.filter(|_| matches!(asked.op, Op::Merge { .. })),
                ..answer.clone()
            };
            let mut with = world.clone();
            with.events.clear();
            match expect(&mut with, asked, Some(&answer)) {
                Ok(Said::World) => {
                    with.note_changes(world);
                    with.rested_if(world);
                    Some(with)
                }
                _ => None,
            }
        })
    }

    fn compare_cut(&mut self, found: Version, world: &World) -> Result<(), Violation> {
        match self.compare(found, world) {
            Ok(()) => self.compare_registers(world),
            Err(Stop::Wrong(violation)) => Err(violation),
            Err(Stop::Failed(failure)) => broken("readable", failure.to_string()),
        }
    }

    /// Snapshots, mounts and quotas are those of the world.
    fn compare_registers(&mut self, world: &World) -> Result<(), Violation> {
        let mount = self.namespace.default_mount();
        let listed = self.namespace.snapshots(mount).unwrap_or_default();
        let now = self.machine.clock.now_millis();
        let live = world
            .snapshots
            .iter()
            .filter(|(_, known)| known.end.is_none_or(|end| end > now));
        let wanted: BTreeSet<_> = live
            .map(|(name, known)| (format!("s{name}"), known.at))
            .collect();
        let live = listed
            .iter()
            .filter(|found| found.state == SnapshotState::Live);
        let found: BTreeSet<_> = live
            .map(|found| (found.name.to_string(), found.at))
            .collect();
        if found != wanted {
            return broken("snapshots", format!("{found:?}, must be {wanted:?}"));
        }
        let found: BTreeSet<_> = self
            .namespace
            .mounts()
            .into_iter()
            .map(|one| one.name)
            .collect();
        if found != world.mounts.keys().cloned().collect() {
            return broken("mounts", format!("{found:?}, must be {:?}", world.mounts));
        }
        self.check_quotas_of(world)
    }

    /// The store is closed and opened again.
    pub(super) fn reopen(&mut self) -> Result<(), Violation> {
        for client in 0..self.clients.len() {
            while self.parked[client].is_some() {
                self.finish_parked(client)?;
            }
        }
        let newest = self.namespace.read_version();
        if let Err(failure) = self.namespace.close() {
            return self.after_failure(&failure, None);
        }
        self.namespace = self.machine.open()?;
        let found = self.namespace.read_version();
        if found < newest {
            return broken(
                "prefix-recovery",
                format!("closed at {newest}, opened at {found}"),
            );
        }
        self.synced = found;
        self.compare_newest()
    }

    pub(super) fn push(&mut self, moment: Moment) {
        self.history.push(moment);
    }
}

impl Machine {
    /// Opening may write: what was found then is newer than what was there.
    fn just_opened(&self, found: Version, _newest: Version) -> bool {
        found.millis() >= self.clock.now_millis()
    }
}
