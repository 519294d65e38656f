//! Watching: one reader of the log for all who listen.
//!
//! While somebody waits, one thread reads the log, works out once where each change happened, and
//! gives it to those whose scope it is in. A watcher that waits is a task and an entry in two maps;
//! it is not looked at for changes elsewhere. What came between its requests it finds in a short
//! memory of late changes, else in the log.
//!
//! Invariants:
//! - a watcher is registered, or looks at the late changes, under the same lock under which changes
//!   are handed out: none falls between;
//! - what is handed to a watcher are whole commands, everything in its scope up to `through`.

use super::store::{Inner, on_blocking_thread};
use crate::figures::Figure;
use crate::wire;
use nokv_namespace::{Announced, Feed, Namespace, Scope};
use nokv_proto::v1::{self, response::Result as Answer, watch_request::Scope as WireScope};
use nokv_proto::{invalid, present};
use nokv_types::{Failure, MountId, NodeId, Reason, Version};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Commands of one answer when the caller leaves it to the server.
const LIMIT_DEFAULT: u32 = 1024;
/// Most commands of one answer.
const LIMIT_MAX: u32 = 4096;
/// Longest wait: what is between a client and a server must see traffic now and then.
const WAIT_MS_MAX: u32 = 30_000;
/// Late changes that are remembered: what a watcher misses between two requests. Some MiB.
const LATE_MAX: usize = 8192;
/// Commands that the reader takes at a time.
const READ_COMMANDS: usize = 1024;
/// How long the reader waits for a command before it looks whether anybody still listens.
const READ_WAIT: Duration = Duration::from_millis(250);
/// Most watchers that wait at once: at about a KiB each.
const WATCHERS_MAX: usize = 100_000;

/// Who listens, and what was heard lately.
#[derive(Default)]
pub(super) struct Hub {
    pub(super) state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) is_running: bool,
    is_stopped: bool,
    /// Late changes: all after `since`, up to `through`.
    late: VecDeque<Arc<Announced>>,
    since: Version,
    pub(super) through: Version,
    next_id: u64,
    /// Changes read from the log, and changes given to watchers, since the start.
    event_count: u64,
    delivered_count: u64,
    pub(super) waiting: HashMap<u64, Waiting>,
    mounts: HashMap<MountId, BTreeSet<u64>>,
    trees: HashMap<(MountId, NodeId), BTreeSet<u64>>,
    pub(super) nodes: HashMap<(MountId, NodeId), BTreeSet<u64>>,
}

/// A watcher that waits.
pub(super) struct Waiting {
    mount: MountId,
    scope: Scope,
    heard: Vec<Arc<Announced>>,
    sender: oneshot::Sender<Heard>,
}

/// What a watcher gets.
pub(super) type Heard = Result<(Vec<Arc<Announced>>, Version), Failure>;

/// What a request asks for.
#[derive(Clone, Copy)]
pub(super) struct Ask {
    pub(super) mount: MountId,
    pub(super) scope: Scope,
    pub(super) after: Version,
    pub(super) limit: usize,
}

/// Answers a request: at once if there is something to tell, else when there is.
pub(super) async fn watch(inner: &Arc<Inner>, ask: v1::WatchRequest) -> Result<Answer, Failure> {
    let wait = Duration::from_millis(ask.wait_ms.min(WAIT_MS_MAX).into());
    let limit = match ask.limit {
        0 => LIMIT_DEFAULT,
        limit => limit.min(LIMIT_MAX),
    };
    let scope = match present("scope", ask.scope)? {
        WireScope::Everything(_) => Scope::Mount,
        WireScope::Tree(node) => Scope::Tree(NodeId::from_u64(node)),
        WireScope::Node(node) => Scope::Node(NodeId::from_u64(node)),
    };
    let ask_for = Ask {
        mount: inner.mount_or_default(MountId::new(ask.mount)),
        scope,
        after: Version::from_u64(ask.after),
        limit: limit as usize,
    };
    if !inner.namespace.is_mounted(ask_for.mount) {
        return Err(retired(ask_for.mount));
    }
    let newest = inner.namespace.read_version();
    if ask_for.after == Version::ZERO {
        return Ok(answer(&[], newest));
    }
    if ask_for.after > newest {
        return Err(invalid("after", "is a cursor of the future"));
    }
    let (heard, through) = match inner.hub.listen(&inner.namespace, ask_for)? {
        Listen::Read => read(inner, ask_for).await?,
        Listen::Heard(heard, through) => (heard, through),
        Listen::Wait(id, receiver) => {
            start(inner);
            inner.hub.wait(id, receiver, wait).await?
        }
    };
    Ok(answer(&heard, through))
}

fn answer(heard: &[Arc<Announced>], through: Version) -> Answer {
    let changes = heard
        .iter()
        .map(|heard| wire::change_to_wire(&heard.change));
    Answer::Watch(v1::WatchResponse {
        changes: changes.collect(),
        through: through.as_u64(),
    })
}

/// Changes that are not remembered: from the log.
async fn read(inner: &Inner, ask: Ask) -> Heard {
    let namespace = inner.namespace.clone();
    on_blocking_thread(move || {
        let page = namespace.feed().next(ask.after, ask.limit)?;
        let heard = page.announced.into_iter();
        let heard = heard.filter(|announced| announced.is_in(ask.mount, ask.scope));
        Ok((heard.map(Arc::new).collect(), page.through))
    })
    .await
}

/// Starts the reader, unless it runs.
fn start(inner: &Arc<Inner>) {
    if std::mem::replace(&mut inner.hub.state.lock().is_running, true) {
        return;
    }
    let inner = Arc::clone(inner);
    tokio::task::spawn_blocking(move || {
        let mut feed = inner.namespace.feed();
        while inner.hub.step(&inner.namespace, &mut feed) {}
    });
}

/// What becomes of a request.
pub(super) enum Listen {
    /// Its cursor is older than what is remembered.
    Read,
    /// It is told at once.
    Heard(Vec<Arc<Announced>>, Version),
    /// It waits.
    Wait(u64, oneshot::Receiver<Heard>),
}

impl Hub {
    /// Ends the waiting of those who watch a mount.
    pub(super) fn close(&self, mount: MountId) {
        let mut state = self.state.lock();
        let waiting = state.waiting.iter();
        let ids: Vec<_> = waiting
            .filter(|(_, waiting)| waiting.mount == mount)
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            if let Some(waiting) = state.take(id) {
                drop(waiting.sender.send(Err(retired(mount))));
            }
        }
    }

    /// Who waits, and what was told.
    pub(super) fn figures(&self) -> [Figure; 4] {
        let state = self.state.lock();
        let (waiting, late) = (state.waiting.len() as f64, state.late.len() as f64);
        [
            Figure::gauge("watchers", "Watchers that wait", waiting),
            Figure::gauge("watch_late", "Late changes that are remembered", late),
            Figure::counter(
                "watch_events",
                "Changes read for watchers",
                state.event_count,
            ),
            Figure::counter(
                "watch_delivered",
                "Changes given to waiting watchers",
                state.delivered_count,
            ),
        ]
    }

    /// Ends all waiting, for good.
    pub(super) fn stop(&self) {
        let mut state = self.state.lock();
        state.is_stopped = true;
        state.fail(&stopped());
    }

    /// Tells what is remembered, or has the watcher wait.
    pub(super) fn listen(&self, namespace: &Namespace, ask: Ask) -> Result<Listen, Failure> {
        let mut state = self.state.lock();
        if state.is_stopped {
            return Err(stopped());
        }
        if !state.is_running && state.waiting.is_empty() {
            // Nobody listened for a while: begin anew at what is there now.
            state.late.clear();
            state.since = namespace.read_version();
            state.through = state.since;
        }
        if ask.after < state.since {
            return Ok(Listen::Read);
        }
        let first = state
            .late
            .partition_point(|late| late.change.version <= ask.after);
        let heard = state.late.range(first..);
        let heard: Vec<_> = heard
            .filter(|late| late.is_in(ask.mount, ask.scope))
            .cloned()
            .collect();
        if !heard.is_empty() {
            return Ok(Listen::Heard(heard, state.through));
        }
        if state.waiting.len() >= WATCHERS_MAX {
            return Err(Failure::new(
                Reason::Overloaded,
                format!("{WATCHERS_MAX} watchers wait already; come back later"),
            ));
        }
        let (sender, receiver) = oneshot::channel();
        let id = state.register(ask, sender);
        Ok(Listen::Wait(id, receiver))
    }

    /// Waits until there is something to tell, or the time is over.
    pub(super) async fn wait(
        &self,
        id: u64,
        mut receiver: oneshot::Receiver<Heard>,
        wait: Duration,
    ) -> Heard {
        // A caller that goes away takes its registration along.
        let registered = Registered { hub: self, id };
        if let Ok(heard) = tokio::time::timeout(wait, &mut receiver).await {
            return heard.unwrap_or_else(|_| Err(stopped()));
        }
        let through = {
            let mut state = self.state.lock();
            state.forget(id).then_some(state.through)
        };
        drop(registered);
        match through {
            Some(through) => Ok((Vec::new(), through)),
            // It was told at the last moment.
            None => receiver.await.unwrap_or_else(|_| Err(stopped())),
        }
    }

    /// Reads on and tells; whether anybody still listens.
    pub(super) fn step(&self, namespace: &Namespace, feed: &mut Feed) -> bool {
        let through = {
            let mut state = self.state.lock();
            if state.waiting.is_empty() {
                state.is_running = false;
                return false;
            }
            state.through
        };
        if namespace.wait_for_change(through, READ_WAIT) <= through {
            return true;
        }
        match feed.next(through, READ_COMMANDS) {
            Ok(page) => {
                let announced = page.announced.into_iter().map(Arc::new).collect();
                self.state.lock().tell(announced, page.through);
                true
            }
            Err(failure) => {
                let mut state = self.state.lock();
                state.fail(&failure);
                state.is_running = false;
                false
            }
        }
    }
}

/// Forgets a watcher that is dropped while it waits.
struct Registered<'a> {
    hub: &'a Hub,
    id: u64,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.hub.state.lock().forget(self.id);
    }
}

impl State {
    fn register(&mut self, ask: Ask, sender: oneshot::Sender<Heard>) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let waiting = Waiting {
            mount: ask.mount,
            scope: ask.scope,
            heard: Vec::new(),
            sender,
        };
        self.listeners(ask.mount, ask.scope).insert(id);
        self.waiting.insert(id, waiting);
        id
    }

    fn listeners(&mut self, mount: MountId, scope: Scope) -> &mut BTreeSet<u64> {
        match scope {
            Scope::Mount => self.mounts.entry(mount).or_default(),
            Scope::Tree(top) => self.trees.entry((mount, top)).or_default(),
            Scope::Node(node) => self.nodes.entry((mount, node)).or_default(),
        }
    }

    /// Takes a watcher out; whether it still waited.
    pub(super) fn forget(&mut self, id: u64) -> bool {
        self.take(id).is_some()
    }

    fn take(&mut self, id: u64) -> Option<Waiting> {
        let waiting = self.waiting.remove(&id)?;
        let (mount, scope) = (waiting.mount, waiting.scope);
        let listeners = self.listeners(mount, scope);
        listeners.remove(&id);
        if listeners.is_empty() {
            match scope {
                Scope::Mount => drop(self.mounts.remove(&mount)),
                Scope::Tree(top) => drop(self.trees.remove(&(mount, top))),
                Scope::Node(node) => drop(self.nodes.remove(&(mount, node))),
            }
        }
        Some(waiting)
    }

    /// Hands changes to those in whose scope they are, and remembers them.
    fn tell(&mut self, announced: Vec<Arc<Announced>>, through: Version) {
        let mut told = Vec::new();
        for change in announced {
            let mount = change.mount;
            let near: BTreeSet<_> = change.near().collect();
            let trees = change
                .below
                .iter()
                .map(|top| self.trees.get(&(mount, *top)));
            let nodes = near.iter().map(|node| self.nodes.get(&(mount, *node)));
            let lists = trees.chain(nodes).chain([self.mounts.get(&mount)]);
            for id in lists.flatten().flatten() {
                if let Some(waiting) = self.waiting.get_mut(id) {
                    if waiting.heard.is_empty() {
                        told.push(*id);
                    }
                    waiting.heard.push(Arc::clone(&change));
                }
            }
            self.event_count += 1;
            self.late.push_back(change);
        }
        self.through = through;
        // Whole commands go: all with the version of the last that goes.
        while self.late.len() > LATE_MAX
            && let Some(oldest) = self.late.pop_front()
        {
            self.since = oldest.change.version;
        }
        while let Some(oldest) = self.late.front()
            && oldest.change.version <= self.since
        {
            self.late.pop_front();
        }
        for id in told {
            if let Some(waiting) = self.take(id) {
                self.delivered_count += waiting.heard.len() as u64;
                // A watcher that has gone away does not care.
                drop(waiting.sender.send(Ok((waiting.heard, through))));
            }
        }
    }

    /// Tells all that the reader failed.
    fn fail(&mut self, failure: &Failure) {
        self.mounts.clear();
        self.trees.clear();
        self.nodes.clear();
        for (_, waiting) in self.waiting.drain() {
            drop(waiting.sender.send(Err(failure.clone())));
        }
    }
}

fn retired(mount: MountId) -> Failure {
    Failure::new(Reason::NotFound, format!("mount {mount} does not exist"))
}

fn stopped() -> Failure {
    Failure::new(
        Reason::Unavailable,
        "the server stopped; watch again from the last cursor",
    )
}
