//! A store, its clients and its object store in one seed: what happens, and what must hold.
//!
//! The oracle is the content of every file at every version. Checked all along: whoever can read a
//! file (the newest state, a snapshot, a branch, a retained version, a lease) gets exactly the
//! bytes of one generation of it. Checked at the end, when time has passed: the object store holds
//! what somebody can read, and nothing else.

use super::{
    CollectOptions, Collector, CompactOptions, Orphans, Report,
    simulation_clients::{Habit, State},
    world_test::{Checked, Fuse, Lie, Mortal, open, path},
};
use crate::{
    BodyReader, Error, MemoryBlocks, ReadOptions,
    testing::{Call, Chance, Fault, FaultStore, Trouble},
};
use bytes::Bytes;
use nokv_env::{Clock, ManualClock, MemoryFileSystem, Random, SeededRandom};
use nokv_namespace::{Context, Durability, Namespace, Plant, View};
use nokv_types::{BlockId, Body, Layout, SnapshotName, TimeNanos, Version};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// Late puts are deleted this long after they were seen.
const LATE_GRACE_MS: u64 = 1_000;

/// Somebody who knows where the bytes of a body are.
pub(super) struct Reading {
    pub(super) body: Body,
    pub(super) content: Bytes,
    pub(super) at: Version,
    pub(super) until_millis: u64,
}

pub(super) struct Simulation {
    pub(super) random: SeededRandom,
    pub(super) clock: Arc<ManualClock>,
    pub(super) files: Arc<MemoryFileSystem>,
    pub(super) namespace: Namespace,
    /// The truth.
    pub(super) blocks: Arc<MemoryBlocks>,
    /// How clients reach it.
    pub(super) network: Arc<FaultStore>,
    /// What the namespace holds, since which version.
    pub(super) states: BTreeMap<Version, State>,
    /// The newest version that must survive a power cut.
    pub(super) synced: Version,
    pub(super) snapshots: Vec<(SnapshotName, Version)>,
    pub(super) readings: Vec<Reading>,
    pub(super) number: u64,
    pub(super) habit: Habit,
    /// What was done, for a person who looks at a seed that fails.
    pub(super) trace: Vec<String>,
    plant: Option<Plant>,
    lie: Lie,
}

fn chance(seed: u64) -> Chance {
    Chance {
        seed,
        per_thousand: 60,
        trouble: Trouble::Any,
    }
}

impl Simulation {
    pub(super) fn new(seed: u64, plant: Option<Plant>, lie: Lie, habit: Habit) -> Self {
        let files = Arc::new(MemoryFileSystem::new());
        let clock = Arc::new(ManualClock::new());
        clock.advance(Duration::from_secs(1_800_000_000));
        let random = SeededRandom::new(seed);
        let blocks: Arc<MemoryBlocks> = Arc::default();
        let plan = chance(random.next_u64());
        let faults = move |call: &Call| plan.fault(call);
        let network = Arc::new(FaultStore::new(Arc::clone(&blocks) as _, faults));
        let namespace = open(&files, &clock);
        let mut simulation = Self {
            random,
            clock,
            files,
            namespace,
            blocks,
            network,
            states: BTreeMap::new(),
            synced: Version::ZERO,
            snapshots: Vec::new(),
            readings: Vec::new(),
            number: 0,
            habit,
            trace: Vec::new(),
            plant,
            lie,
        };
        simulation.begin();
        simulation.replant();
        simulation
    }

    fn replant(&self) {
        if let Some(plant) = self.plant {
            self.namespace.plant(plant);
        }
    }

    pub(super) fn below(&self, bound: usize) -> usize {
        usize::try_from(self.random.below(bound as u64)).expect("small")
    }

    pub(super) fn is_one_in(&self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(super) fn context(&self) -> Context {
        let now = TimeNanos::new(self.clock.now_nanos());
        let context = Context::new(self.namespace.default_mount(), now);
        let durability = match self.is_one_in(2) {
            true => Durability::Synced,
            false => Durability::Buffered,
        };
        Context {
            durability,
            ..context
        }
    }

    pub(super) fn view(&self) -> View {
        View::latest(self.namespace.default_mount())
    }

    pub(super) fn advance(&self, millis: u64) {
        self.clock.advance(Duration::from_millis(millis));
    }

    pub(super) async fn step(&mut self) -> Checked {
        match self.below(100) {
            0..26 => self.publish().await?,
            26..41 => self.edit().await?,
            41..45 => self.copy()?,
            45..52 => self.remove()?,
            52..57 => self.snapshot()?,
            57..62 => self.branch()?,
            62..66 => self.undo()?,
            66..70 => self.begin_reading()?,
            70..73 => return self.read_on().await,
            73..80 => self.advance(self.random.below(6_000)),
            80..82 => self
                .network
                .land()
                .await
                .map_err(|error| error.to_string())?,
            82..94 => return self.collect_and_perhaps_die().await,
            94..97 => {
                self.crash();
                return self.check().await;
            }
            _ => return self.check().await,
        }
        Ok(())
    }

    /// The power goes: what was not synced is lost.
    pub(super) fn crash(&mut self) {
        self.trace.push("power cut".to_owned());
        self.files = Arc::new(self.files.crash(self.random.next_u64()));
        self.namespace = open(&self.files, &self.clock);
        self.replant();
        let newest = self.namespace.read_version();
        assert!(newest >= self.synced, "a synced command is lost");
        self.states.split_off(&newest.next());
        // They read what the power cut took back: to nobody's loss but theirs.
        self.readings.retain(|reading| reading.at <= newest);
    }

    fn collector(&self, options: CollectOptions, fuse: &Fuse, per_thousand: u32) -> Collector {
        let ledger = Mortal::new(self.namespace.clone(), fuse.clone(), self.lie);
        let (fuse, chance) = (fuse.clone(), chance(self.random.next_u64()));
        let chance = Chance {
            per_thousand,
            ..chance
        };
        let faults = move |call: &Call| {
            let gone = || Error::Unavailable("the power is gone".to_owned());
            if fuse.burn() {
                return Some(Fault::Refused(gone()));
            }
            match fuse.burn() {
                true => Some(Fault::AnswerLost),
                false => chance.fault(call),
            }
        };
        let blocks = FaultStore::new(Arc::clone(&self.blocks) as _, faults);
        let clock = Arc::clone(&self.clock) as _;
        Collector::over(Arc::new(ledger), Arc::new(blocks), clock, options)
    }

    fn options(&self) -> CollectOptions {
        CollectOptions {
            orphan_interval_ms: 0,
            orphans: Orphans::Late {
                grace_ms: LATE_GRACE_MS,
            },
            compact: CompactOptions {
                waste_bytes_min: 0,
                interval_ms: 0,
                ..CompactOptions::default()
            },
            ..CollectOptions::default()
        }
    }

    async fn collect_and_perhaps_die(&mut self) -> Checked {
        let mut options = self.options();
        if self.is_one_in(2) {
            options.sessions_max = 1 + self.below(4);
            options.objects_max = 1 + self.below(30);
            options.step_records_max = 1 + self.below(20);
            options.steps_max = 1 + self.below(4);
            options.compact.objects_max = 1 + self.below(4);
            options.compact.bytes_max = 1 + self.random.below(100_000);
        }
        let dies = self.is_one_in(2);
        self.trace.push(format!("collects, dies: {dies}"));
        let fuse = match dies {
            true => Fuse::new(i64::try_from(self.below(80)).expect("small")),
            false => Fuse::endless(),
        };
        let collector = self.collector(options, &fuse, 60);
        for _ in 0..1 + self.below(3) {
            let round = match self.is_one_in(3) {
                true => collector.round_within(0).await,
                false => collector.round().await,
            };
            let may_fail = fuse.is_burnt() || self.lie != Lie::None || self.plant.is_some();
            if !may_fail && let Err(error) = round {
                return Err(format!("a round failed: {error}"));
            }
            self.advance(self.random.below(2_000));
        }
        if dies && self.is_one_in(2) {
            self.crash();
        }
        self.check().await
    }

    pub(super) fn reader(&self) -> BodyReader {
        let files = Arc::clone(&self.files) as _;
        let blocks = Arc::clone(&self.blocks) as _;
        BodyReader::new(files, blocks, ReadOptions::default()).expect("options")
    }

    /// Every view that anybody has shows whole bodies, and the right ones.
    pub(super) async fn check(&self) -> Checked {
        let latest = self.view();
        self.check_view(&latest, self.namespace.read_version())
            .await?;
        for (_, at) in &self.snapshots {
            self.check_view(&latest.at(*at), *at).await?;
        }
        let floor = self.namespace.floor();
        let retained: Vec<_> = self.states.range(floor..).map(|(at, _)| *at).collect();
        if !retained.is_empty() {
            let at = retained.get(self.below(retained.len())).copied();
            let at = at.unwrap_or(floor);
            self.check_view(&latest.at(at), at).await?;
        }
        self.check_readings().await
    }

    async fn check_view(&self, view: &View, at: Version) -> Checked {
        let Some((_, state)) = self.states.range(..=at).next_back() else {
            return Ok(());
        };
        let reader = self.reader();
        for (text, content) in &state.files {
            let failed = |what: String| format!("{text} at {view:?}: {what}");
            let found = self.namespace.body(view, &path(text));
            let body = found.map_err(|failure| failed(failure.to_string()))?.1;
            let read = reader.read(&body).await;
            let read = read.map_err(|error| failed(error.to_string()))?;
            if read != content {
                let same = read
                    .iter()
                    .zip(content)
                    .take_while(|(got, wanted)| got == wanted);
                return Err(failed(format!(
                    "{} bytes, {} written, other ones from {}",
                    read.len(),
                    content.len(),
                    same.count()
                )));
            }
        }
        Ok(())
    }

    async fn check_readings(&self) -> Checked {
        let now = self.clock.now_millis();
        let reader = self.reader();
        for reading in self.readings.iter().filter(|one| one.until_millis >= now) {
            let read = reader.read(&reading.body).await;
            let read = read.map_err(|error| format!("a leased read failed: {error}"))?;
            if read != reading.content {
                return Err("a leased read shows other bytes".to_owned());
            }
        }
        Ok(())
    }

    /// Time passes until nothing is left to do: then exactly what is reachable is there.
    pub(super) async fn check_the_end(&mut self) -> Checked {
        let sound = |simulation: &Self| {
            let options = simulation.options();
            simulation.collector(options, &Fuse::endless(), 0)
        };
        self.network
            .land()
            .await
            .map_err(|error| error.to_string())?;
        self.advance(10_000);
        sound(self)
            .round()
            .await
            .map_err(|error| error.to_string())?;
        self.check().await?;
        self.end_pins()?;
        self.readings.clear();
        self.advance(4_000_000);
        let collector = sound(self);
        let mut last = Report::default();
        for _ in 0..12 {
            self.advance(10_000);
            let round = collector.round_within(0).await;
            last = round.map_err(|error| error.to_string())?;
            if last == Report::default() {
                break;
            }
        }
        self.check().await?;
        let report = self.namespace.check().expect("checks");
        report.verdict().map_err(|failure| failure.to_string())?;
        let stored: BTreeSet<_> = self.blocks.snapshot().into_keys().collect();
        let reachable = self.reachable()?;
        if let Some(block) = stored.difference(&reachable).next() {
            return Err(format!("{block} is left, and nobody needs it"));
        }
        match last == Report::default() {
            true => Ok(()),
            false => Err(format!("there is always something to do: {last:?}")),
        }
    }

    fn reachable(&self) -> Result<BTreeSet<BlockId>, String> {
        let (view, mut blocks) = (self.view(), BTreeSet::new());
        for text in self.newest().files.keys() {
            let found = self.namespace.body(&view, &path(text));
            let body = found.map_err(|failure| failure.to_string())?.1;
            if let Layout::Extents(extents) = body.layout() {
                blocks.extend(extents.iter().map(nokv_types::Extent::block));
            }
        }
        Ok(blocks)
    }
}
