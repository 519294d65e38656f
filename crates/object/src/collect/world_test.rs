//! A store with users, whose collector can be made to lie and to die, and a checker that walks the
//! namespace by itself.

use super::{CollectOptions, Collector, Orphans, Report, ledger::Ledger};
use crate::{
    BlockStore, Error, MemoryBlocks,
    testing::{Call, Chance, Fault, FaultStore, Trouble},
};
use bytes::Bytes;
use nokv_env::{Clock, Env, ManualClock, MemoryFileSystem, Random, SeededRandom};
use nokv_namespace::{
    Content, Context, Durability, Expect, Namespace, NewAttributes, ObjectUse, Options, Parents,
    Publish, PublishItem, Reclaimed, ReferenceCursor, ReferencePage, Relocation, Remove, View,
};
use nokv_types::{
    BlockId, Body, Extent, Failure, Layout, NodeKind, NsPath, Reason, SessionId, TimeNanos, Unit,
    Version,
};
use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

pub(super) const RETENTION_MS: u64 = 10_000;
pub(super) const GRACE_MS: u64 = 5_000;
pub(super) const PATHS: [&str; 6] = ["/a", "/b", "/c", "/dir/a", "/dir/b", "/dir/sub/c"];
pub(super) const BLOCK_BYTES: u32 = 10;

/// Counts down steps; when none is left, the collector is dead.
#[derive(Clone)]
pub(super) struct Fuse(Arc<AtomicI64>);

impl Fuse {
    pub(super) fn new(steps: i64) -> Self {
        Self(Arc::new(AtomicI64::new(steps)))
    }

    pub(super) fn endless() -> Self {
        Self::new(i64::MAX)
    }

    pub(super) fn burn(&self) -> bool {
        self.0.fetch_sub(1, Ordering::Relaxed) <= 0
    }

    pub(super) fn is_burnt(&self) -> bool {
        self.0.load(Ordering::Relaxed) < 0
    }
}

/// What a planted bug believes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lie {
    None,
    NothingIsReferenced,
    EverythingIsReferenced,
    OpenSessionsAreOver,
    NothingIsDoomed,
    /// No lie, but a race: somebody else reclaims once the sessions that are over are known.
    SomebodyReclaims,
}

/// A namespace that dies when the fuse is burnt: before a step, or after its effect.
pub(super) struct Mortal {
    pub(super) namespace: Namespace,
    fuse: Fuse,
    lie: Lie,
    /// Sessions that are open.
    open: Vec<SessionId>,
}

impl Mortal {
    pub(super) fn new(namespace: Namespace, fuse: Fuse, lie: Lie) -> Self {
        let open = Vec::new();
        Self {
            namespace,
            fuse,
            lie,
            open,
        }
    }

    pub(super) fn step<T>(
        &self,
        step: impl FnOnce(&Namespace) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let dead = || Failure::new(Reason::Unavailable, "the power is gone");
        if self.fuse.burn() {
            return Err(dead());
        }
        let done = step(&self.namespace);
        if self.fuse.burn() { Err(dead()) } else { done }
    }
}

impl Ledger for Mortal {
    fn expired_sessions(
        &self,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<SessionId>, Failure> {
        if self.lie == Lie::OpenSessionsAreOver {
            return Ok(if after.is_none() {
                self.open.clone()
            } else {
                Vec::new()
            });
        }
        let sessions = self.step(|namespace| namespace.expired_sessions(after, limit));
        if self.lie == Lie::SomebodyReclaims {
            self.namespace.reclaim_within(100, 0)?;
        }
        sessions
    }

    fn session_is_known(&self, session: SessionId) -> Result<bool, Failure> {
        self.step(|namespace| namespace.session_is_known(session))
    }

    fn session_was_given(&self, session: SessionId) -> Result<bool, Failure> {
        self.step(|namespace| namespace.session_was_given(session))
    }

    fn is_referenced(&self, blocks: &[BlockId]) -> Result<Vec<bool>, Failure> {
        match self.lie {
            Lie::NothingIsReferenced => Ok(vec![false; blocks.len()]),
            Lie::EverythingIsReferenced => Ok(vec![true; blocks.len()]),
            _ => self.step(|namespace| namespace.is_referenced(blocks)),
        }
    }

    fn finish_session(&self, session: SessionId) -> Result<(), Failure> {
        self.step(|namespace| namespace.finish_session(session))
    }

    fn reclaim(&self, limit: usize, retention_ms: Option<u64>) -> Result<Reclaimed, Failure> {
        self.step(|namespace| Ledger::reclaim(namespace, limit, retention_ms))
    }

    fn doomed(&self, after: Option<BlockId>, limit: usize) -> Result<Vec<BlockId>, Failure> {
        if self.lie == Lie::NothingIsDoomed {
            return Ok(Vec::new());
        }
        self.step(|namespace| namespace.doomed(after, limit))
    }

    fn forget_doomed(&self, blocks: &[BlockId]) -> Result<(), Failure> {
        self.step(|namespace| namespace.forget_doomed(blocks))
    }

    fn objects(&self, after: Option<BlockId>, limit: usize) -> Result<Vec<ObjectUse>, Failure> {
        self.step(|namespace| namespace.objects(after, limit))
    }

    fn references(
        &self,
        from: Option<&ReferenceCursor>,
        limit: usize,
    ) -> Result<ReferencePage, Failure> {
        self.step(|namespace| namespace.references(from, limit))
    }

    fn open_session(&self, ttl_ms: u64) -> Result<SessionId, Failure> {
        self.step(|namespace| Ledger::open_session(namespace, ttl_ms))
    }

    fn close_session(&self, session: SessionId) -> Result<(), Failure> {
        self.step(|namespace| namespace.close_session(session))
    }

    fn relocate(&self, session: SessionId, moves: &[Relocation]) -> Result<u64, Failure> {
        self.step(|namespace| namespace.relocate(session, moves))
    }

    fn sync(&self) -> Result<(), Failure> {
        self.step(Namespace::sync)
    }
}

pub(super) struct OpenSession {
    id: SessionId,
    expires_millis: u64,
    blocks: Vec<BlockId>,
}

pub(super) struct World {
    random: SeededRandom,
    pub(super) clock: Arc<ManualClock>,
    files: Arc<MemoryFileSystem>,
    pub(super) namespace: Namespace,
    pub(super) blocks: Arc<MemoryBlocks>,
    sessions: Vec<OpenSession>,
    /// Versions that somebody may go back to.
    versions: Vec<Version>,
    lie: Lie,
    /// Where nothing looks for orphans, none may come to be.
    orphans: Orphans,
}

pub(super) type Checked = Result<(), String>;

pub(super) fn open(files: &Arc<MemoryFileSystem>, clock: &Arc<ManualClock>) -> Namespace {
    let env = Env {
        clock: Arc::clone(clock) as _,
        files: Arc::clone(files) as _,
        ..Env::memory(1)
    };
    let options = Options {
        retention_ms: RETENTION_MS,
        session_grace_ms: GRACE_MS,
        ..Options::default()
    };
    Namespace::open(env, Path::new("/store"), options).expect("opens")
}

pub(super) fn path(text: &str) -> NsPath {
    NsPath::parse(text).expect("a path")
}

pub(super) fn body_of(blocks: &[BlockId]) -> Body {
    let extent = |(index, block): (u64, &BlockId)| {
        let unit = Unit::plain(*block, 0..BLOCK_BYTES, 0);
        Extent::whole(index * u64::from(BLOCK_BYTES), unit)
    };
    let extents: Vec<_> = (0..).zip(blocks).map(extent).collect();
    Body::new(
        blocks.len() as u64 * u64::from(BLOCK_BYTES),
        None,
        Layout::Extents(extents),
    )
    .expect("a body")
}

impl World {
    pub(super) fn new(seed: u64, lie: Lie, orphans: Orphans) -> Self {
        let (files, clock) = (
            Arc::new(MemoryFileSystem::new()),
            Arc::new(ManualClock::new()),
        );
        clock.advance(Duration::from_secs(1_800_000_000));
        Self {
            random: SeededRandom::new(seed),
            namespace: open(&files, &clock),
            clock,
            files,
            blocks: Arc::default(),
            sessions: Vec::new(),
            versions: Vec::new(),
            lie,
            orphans,
        }
    }

    fn below(&self, bound: usize) -> usize {
        usize::try_from(self.random.below(bound as u64)).expect("small")
    }

    pub(super) fn advance(&self, millis: u64) {
        self.clock.advance(Duration::from_millis(millis));
    }

    pub(super) fn context(&self) -> Context {
        let context = Context::new(
            self.namespace.default_mount(),
            TimeNanos::new(self.clock.now_nanos()),
        );
        let durability = if self.random.below(2) == 0 {
            Durability::Synced
        } else {
            Durability::Buffered
        };
        Context {
            durability,
            ..context
        }
    }

    pub(super) async fn step(&mut self) -> Checked {
        match self.below(100) {
            0..10 => self.open_session(),
            10..35 => self.upload().await,
            35..58 => self.publish(),
            58..66 => self.remove(),
            66..72 => self.close_session().await,
            72..80 => self.advance(self.random.below(6_000)),
            80..84 => self.versions.push(self.namespace.read_version()),
            84..97 => return self.collect_and_perhaps_die().await,
            _ => self.crash(),
        }
        Ok(())
    }

    fn open_session(&mut self) {
        if self.sessions.len() < 4 {
            let opened = self
                .namespace
                .open_session(1 + self.random.below(20_000))
                .expect("opens");
            let (id, expires_millis) = (opened.id, opened.expires_millis);
            self.sessions.push(OpenSession {
                id,
                expires_millis,
                blocks: Vec::new(),
            });
        }
    }

    pub(super) async fn put(&self, block: BlockId) {
        self.blocks
            .put(block, Bytes::from_static(&[7; BLOCK_BYTES as usize]))
            .await
            .expect("puts");
    }

    async fn upload(&mut self) {
        let (pick, count) = (self.below(4), 1 + self.below(4));
        let now = self.clock.now_millis();
        let Some(session) = self
            .sessions
            .get_mut(pick)
            .filter(|session| session.expires_millis >= now)
        else {
            return;
        };
        let id = session.id;
        let first = session.blocks.len();
        let new = (first..first + count).map(|sequence| BlockId {
            session: id,
            sequence: sequence as u32,
        });
        let new: Vec<_> = new.collect();
        session.blocks.extend(&new);
        for block in new {
            self.put(block).await;
        }
    }

    /// Blocks of one session, and perhaps of a file that is there.
    fn publish(&mut self) {
        let pick = self.below(4);
        let Some(session) = self.sessions.get(pick) else {
            return;
        };
        let mut items = Vec::new();
        for text in PATHS.iter().filter(|_| self.random.below(3) == 0) {
            let mut blocks: BTreeSet<_> = session
                .blocks
                .iter()
                .copied()
                .filter(|_| self.random.below(3) == 0)
                .collect();
            if self.random.below(3) == 0 {
                let shared = PATHS[self.below(PATHS.len())];
                let view = View::latest(self.namespace.default_mount());
                if let Ok((_, body)) = self.namespace.body(&view, &path(shared)) {
                    blocks.extend(blocks_of(&body));
                }
            }
            items.push(PublishItem {
                path: path(text),
                content: Content::File(body_of(&Vec::from_iter(blocks))),
                attributes: NewAttributes::mode(0o644),
                expect: Expect::Any,
            });
        }
        if items.is_empty() {
            return;
        }
        let publish = Publish {
            items,
            parents: Parents::Create,
            session: Some(session.id),
        };
        if let Err(failure) = self.namespace.publish(&self.context(), publish) {
            assert_eq!(failure.reason(), Reason::SessionExpired, "{failure}");
        }
    }

    /// A file of one block of a session that is closed then.
    pub(super) async fn publish_alone(&self, text: &str) -> BlockId {
        let session = self.namespace.open_session(1_000).expect("opens").id;
        let block = BlockId {
            session,
            sequence: 0,
        };
        self.put(block).await;
        let published = self.publish_block(text, block, session);
        published.expect("publishes");
        self.namespace.close_session(session).expect("closes");
        block
    }

    /// What a client does that remembers an earlier body, if the namespace lets it.
    pub(super) fn publish_again(&self, text: &str, block: BlockId) {
        let session = self.namespace.open_session(1_000).expect("opens").id;
        if let Err(failure) = self.publish_block(text, block, session) {
            assert_eq!(failure.reason(), Reason::MissingBlock, "{failure}");
        }
    }

    fn publish_block(&self, text: &str, block: BlockId, session: SessionId) -> Result<(), Failure> {
        let publish = Publish {
            items: vec![item(text, &[block])],
            parents: Parents::Create,
            session: Some(session),
        };
        self.namespace.publish(&self.context(), publish).map(drop)
    }

    pub(super) fn remove_all(&self) {
        self.namespace
            .remove(&self.context(), &path("/a"), Remove::File)
            .expect("removes");
    }

    pub(super) fn remove_tree(&self, text: &str) {
        self.namespace
            .remove(&self.context(), &path(text), Remove::Tree)
            .expect("removes");
    }

    fn remove(&mut self) {
        let target = ["/a", "/b", "/dir", "/dir/sub", "/dir/b"][self.below(5)];
        if let Err(failure) = self
            .namespace
            .remove(&self.context(), &path(target), Remove::Tree)
        {
            assert_eq!(failure.reason(), Reason::NotFound, "{failure}");
        }
    }

    async fn close_session(&mut self) {
        let pick = self.below(4);
        if pick < self.sessions.len() {
            let session = self.sessions.remove(pick);
            self.namespace.close_session(session.id).expect("closes");
            if self.orphans != Orphans::Ignore && self.random.below(4) == 0 {
                // A put that the network held back: it belongs to nothing.
                self.put(BlockId {
                    session: session.id,
                    sequence: 1_000_000,
                })
                .await;
            }
        }
    }

    /// The power goes: what was not synced is lost.
    pub(super) fn crash(&mut self) {
        self.files = Arc::new(self.files.crash(self.random.next_u64()));
        self.namespace = open(&self.files, &self.clock);
        let newest = self.namespace.read_version();
        self.versions.retain(|version| *version <= newest);
    }

    pub(super) fn collector(
        &self,
        options: CollectOptions,
        fuse: &Fuse,
        chance: Chance,
    ) -> Collector {
        let ledger = Mortal {
            namespace: self.namespace.clone(),
            fuse: fuse.clone(),
            lie: self.lie,
            open: self.sessions.iter().map(|session| session.id).collect(),
        };
        let fuse = fuse.clone();
        let plan = move |call: &Call| {
            if fuse.burn() {
                return Some(Fault::Refused(Error::Unavailable(
                    "the power is gone".to_owned(),
                )));
            }
            if fuse.burn() {
                Some(Fault::AnswerLost)
            } else {
                chance.fault(call)
            }
        };
        let blocks = FaultStore::new(Arc::clone(&self.blocks) as _, plan);
        Collector::over(
            Arc::new(ledger),
            Arc::new(blocks),
            Arc::clone(&self.clock) as _,
            options,
        )
    }

    async fn collect_and_perhaps_die(&mut self) -> Checked {
        let options = CollectOptions {
            sessions_max: 1 + self.below(4),
            objects_max: 1 + self.below(30),
            step_records_max: 1 + self.below(20),
            steps_max: 1 + self.below(4),
            orphan_interval_ms: 1_000,
            orphan_sessions_max: 1 + self.below(8),
            orphans: self.orphans,
            ..CollectOptions::default()
        };
        let dies = self.below(2) == 0;
        let fuse = if dies {
            Fuse::new(self.random.below(60) as i64)
        } else {
            Fuse::endless()
        };
        let chance = Chance {
            seed: self.random.next_u64(),
            per_thousand: 100,
            trouble: Trouble::Any,
        };
        let collector = self.collector(options, &fuse, chance);
        for _ in 0..1 + self.below(3) {
            let round = collector.round().await;
            let may_fail = fuse.is_burnt() || self.lie != Lie::None;
            assert!(round.is_ok() || may_fail, "{round:?}");
            self.advance(self.random.below(3_000));
        }
        if dies && self.below(2) == 0 {
            self.crash();
        }
        self.check()
    }

    /// Whatever anybody can still read, or may still publish, is there.
    pub(super) fn check(&self) -> Checked {
        let stored: BTreeSet<_> = self.blocks.snapshot().into_keys().collect();
        let floor = self.namespace.floor();
        let latest = View::latest(self.namespace.default_mount());
        let earlier = self.versions.iter().filter(|version| **version >= floor);
        for view in earlier.map(|version| latest.at(*version)).chain([latest]) {
            if let Some(block) = reachable(&self.namespace, &view).difference(&stored).next() {
                return Err(format!("{block} was deleted, and {view:?} needs it"));
            }
        }
        let now = self.clock.now_millis();
        let alive = self
            .sessions
            .iter()
            .filter(|session| session.expires_millis >= now);
        match alive
            .flat_map(|session| &session.blocks)
            .find(|block| !stored.contains(block))
        {
            Some(block) => Err(format!("{block} was deleted, and its session is open")),
            None => Ok(()),
        }
    }

    /// Time passes until nothing is left to do: then exactly what is reachable is there.
    pub(super) async fn check_the_end(&mut self) -> Checked {
        self.sessions.clear();
        self.versions.clear();
        self.advance(100_000);
        let options = CollectOptions {
            orphan_interval_ms: 0,
            orphans: self.orphans,
            ..CollectOptions::default()
        };
        let sound = Chance {
            seed: 0,
            per_thousand: 0,
            trouble: Trouble::Any,
        };
        let collector = self.collector(options, &Fuse::endless(), sound);
        let mut last = Report::default();
        for _ in 0..4 {
            self.advance(10_000);
            last = collector
                .round_within(0)
                .await
                .map_err(|error| error.to_string())?;
        }
        self.check()?;
        let stored: BTreeSet<_> = self.blocks.snapshot().into_keys().collect();
        let view = View::latest(self.namespace.default_mount());
        let reachable = reachable(&self.namespace, &view);
        if let Some(block) = stored.difference(&reachable).next() {
            return Err(format!("{block} is left, and nobody needs it"));
        }
        if let Some(block) = self.namespace.doomed(None, 1).expect("asks").first() {
            return Err(format!("{block} is doomed for ever"));
        }
        if last != Report::default() {
            return Err(format!("there is always something to do: {last:?}"));
        }
        self.namespace
            .check()
            .expect("checks")
            .verdict()
            .map_err(|problem| format!("{problem:?}"))
    }
}

pub(super) fn blocks_of(body: &Body) -> Vec<BlockId> {
    match body.layout() {
        Layout::Inline(_) => Vec::new(),
        Layout::Extents(extents) => extents.iter().map(Extent::block).collect(),
    }
}

/// The blocks of all files of a view, found by walking from the root.
pub(super) fn reachable(namespace: &Namespace, view: &View) -> BTreeSet<BlockId> {
    let root = namespace
        .lookup(view, &path("/"), nokv_namespace::Follow::No)
        .expect("there is a root");
    let (mut directories, mut blocks) = (vec![root.id], BTreeSet::new());
    while let Some(directory) = directories.pop() {
        let page = namespace
            .read_dir_plus(view, directory, None, 1_000)
            .expect("lists");
        for entry in page.entries {
            match entry.node.attributes.kind {
                NodeKind::Directory => directories.push(entry.node.id),
                _ => blocks.extend(blocks_of(
                    &namespace.body(view, entry.node.id).expect("has a body").1,
                )),
            }
        }
    }
    blocks
}

pub(super) fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.expect("a runtime").block_on(work)
}

/// A file of these blocks.
pub(super) fn item(text: &str, blocks: &[BlockId]) -> PublishItem {
    PublishItem {
        path: path(text),
        content: Content::File(body_of(blocks)),
        attributes: NewAttributes::mode(0o644),
        expect: Expect::Any,
    }
}

/// A store with a duty of every kind.
pub(super) async fn busy_world(orphans: Orphans) -> World {
    let world = World::new(3, Lie::None, orphans);
    for index in 0..3_u32 {
        let opened = world.namespace.open_session(1_000).expect("opens");
        let blocks: Vec<_> = (0..6)
            .map(|sequence| BlockId {
                session: opened.id,
                sequence,
            })
            .collect();
        for block in &blocks {
            world.put(*block).await;
        }
        let items = vec![
            item("/kept", &blocks[..2]),
            item(&format!("/gone/{index}"), &blocks[1..4]),
        ];
        let publish = Publish {
            items,
            parents: Parents::Create,
            session: Some(opened.id),
        };
        world
            .namespace
            .publish(&world.context(), publish)
            .expect("publishes");
        if index == 0 {
            world.namespace.close_session(opened.id).expect("closes");
        }
    }
    world
        .namespace
        .remove(&world.context(), &path("/gone"), Remove::Tree)
        .expect("removes");
    if orphans != Orphans::Ignore {
        world
            .put(BlockId {
                session: SessionId::new(99 << 20),
                sequence: 0,
            })
            .await;
    }
    world.advance(2_000);
    let closed = world
        .namespace
        .expired_sessions(None, 100)
        .expect("closes the expired");
    assert_eq!(closed.len(), 1, "the others have their grace");
    world.advance(100_000);
    world
}
