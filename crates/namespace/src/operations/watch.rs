//! The change feed: what the command log announces, in scope and with paths.
//!
//! Invariants:
//! - a reader that continues at `through` hears each change in scope exactly once, in commit order,
//!   also across restarts: the feed is the log itself;
//! - scope and path are answered at the change's own version (for the name that went, just before
//!   it), so nothing is lost or invented when directories move later;
//! - a cursor that is no longer retained is an error, never a gap.

use crate::failure::{from_shard, malformed};
use crate::reader::Reader;
use crate::records::event::{Event, EventKind, Events};
use crate::records::shard;
use crate::spot::Spot;
use crate::{Announced, Change, ChangeKind, ChangePage, ChangedPlace, FeedPage, Namespace, Scope};
use nokv_shard::{Key, LogPage};
use nokv_types::{
    BranchId, Failure, MountId, Name, NodeId, NodeKind, NsPath, PATH_COMPONENTS_MAX, Reason,
    Version,
};
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::time::Duration;

impl Namespace {
    /// The changes in `scope` after the cursor `after`, from about `limit` commands. Begin at
    /// [`Self::read_version`] for what comes, or at a `through` of before; an empty page says
    /// that all was heard up to `through`.
    ///
    /// Attribute changes that were asked for by node, not by name, are heard by [`Scope::Mount`]
    /// and [`Scope::Node`], and for directories by [`Scope::Tree`].
    ///
    /// **Errors**: `Compacted`: the cursor is older than what is retained; read the tree anew and
    /// begin at its version. `NotFound`: no such mount.
    pub fn changes(
        &self,
        mount: MountId,
        scope: Scope,
        after: Version,
        limit: usize,
    ) -> Result<ChangePage, Failure> {
        self.root(mount)?;
        let page = self.feed().next(after, limit)?;
        let heard = page.announced.into_iter();
        let heard = heard.filter(|announced| announced.is_in(mount, scope));
        Ok(ChangePage {
            changes: heard.map(|announced| announced.change).collect(),
            through: page.through,
        })
    }

    /// The changes of all mounts, to be told to many who listen.
    #[must_use]
    pub fn feed(&self) -> Feed {
        Feed {
            namespace: self.clone(),
            chains: FxHashMap::default(),
        }
    }

    /// Waits for a command after `version`, at most `timeout`; returns the newest version either
    /// way.
    #[must_use]
    pub fn wait_for_change(&self, version: Version, timeout: Duration) -> Version {
        self.shard().wait_above(version, timeout)
    }
}

/// What a command announced.
pub(super) fn decode_events(parts: &nokv_shard::Events) -> Result<Option<Events>, Failure> {
    let key = || Key::new(nokv_engine::Keyspace::new(240), b"events");
    Events::decode(parts).map_err(|flaw| malformed(&key(), &flaw))
}

fn compacted(after: Version) -> Failure {
    Failure::new(
        Reason::Compacted,
        format!("changes after {after} are no longer all retained; read anew and watch from there"),
    )
}

/// Reads the log and says of each change where it happened, once for all who listen.
pub struct Feed {
    namespace: Namespace,
    /// Where directories of the trunk are, with the version of the last move of a directory then:
    /// as long as that is the last, they are there.
    chains: FxHashMap<(MountId, NodeId), (Version, Arc<Chain>)>,
}

/// A directory and what it is in, innermost first.
struct Chain {
    /// Those of the trunk.
    directories: Vec<NodeId>,
    /// From the root of the mount; `None` in a removed tree, or when longer than a path may be.
    path: Option<NsPath>,
}

/// Where an event is judged.
#[derive(Clone, Copy)]
struct At {
    mount: MountId,
    root: NodeId,
    version: Version,
}

impl Feed {
    /// The changes after the cursor `after`, from about `limit` commands.
    ///
    /// **Errors**: `Compacted`, as [`Namespace::changes`].
    pub fn next(&mut self, after: Version, limit: usize) -> Result<FeedPage, Failure> {
        let page = self
            .namespace
            .shard()
            .log_after(after, limit.max(1))
            .map_err(from_shard)?;
        let LogPage { records, through } = page.ok_or_else(|| compacted(after))?;
        let mut announced = Vec::new();
        for record in records {
            let Some(events) = decode_events(&record.events)? else {
                continue;
            };
            let mount = events.mount;
            // What happened in a mount that is retired is heard by nobody.
            let Ok(root) = self.namespace.root(mount) else {
                continue;
            };
            let at = At {
                mount,
                root,
                version: record.version,
            };
            for event in events.events {
                announced.push(self.announce(at, event)?);
            }
        }
        // Asked after reading: what was forgotten meanwhile would have been read as absent.
        if after < self.namespace.pruned() {
            return Err(compacted(after));
        }
        Ok(FeedPage { announced, through })
    }

    fn announce(&mut self, at: At, event: Event) -> Result<Announced, Failure> {
        let (before, after) = (at.version.previous(), at.version);
        let branch = event.branch;
        let mut below = Vec::new();
        if branch == BranchId::TRUNK {
            below.push(event.node);
        }
        let nowhere = event.from.is_none() && event.to.is_none();
        // A directory that was changed by node is where its own record says.
        if nowhere && event.node_kind == NodeKind::Directory {
            let chain = self.chain(at, Spot::live(event.node, branch, after))?;
            below.extend(&chain.directories);
        }
        let mut place = |place: Option<(NodeId, Name)>, version| {
            let Some((directory, name)) = place else {
                return Ok::<_, Failure>(None);
            };
            let chain = self.chain(at, Spot::live(directory, branch, version))?;
            below.extend(&chain.directories);
            let path = chain.path.as_ref().and_then(|path| path.join(&name).ok());
            Ok(Some(ChangedPlace {
                directory,
                name,
                path,
            }))
        };
        let from = place(event.from, before)?;
        let to = place(event.to, after)?;
        below.sort_unstable();
        below.dedup();
        let change = Change {
            version: at.version,
            branch,
            kind: kind(event.kind),
            node: event.node,
            node_kind: event.node_kind,
            generation: event.generation,
            size: event.size,
            from,
            to,
            displaced: event.displaced,
        };
        Ok(Announced {
            mount: at.mount,
            change,
            below,
        })
    }

    /// Where a directory is at its version.
    fn chain(&mut self, at: At, directory: Spot) -> Result<Arc<Chain>, Failure> {
        let reader = Reader {
            at: directory.at,
            moves: None,
            ..self.namespace.newest_reader()
        };
        if !directory.is_trunk() {
            return Ok(Arc::new(walk_up(reader, at.root, directory)?));
        }
        let moved = reader.stored(&shard::topology(at.root.shard(), at.mount))?;
        let moved = moved.map_or(Version::ZERO, |found| found.version);
        let key = (at.mount, directory.node);
        if let Some((known, chain)) = self.chains.get(&key)
            && *known == moved
        {
            return Ok(Arc::clone(chain));
        }
        let chain = Arc::new(walk_up(reader, at.root, directory)?);
        if self.chains.len() >= CHAINS_MAX {
            self.chains.clear();
        }
        self.chains.insert(key, (moved, Arc::clone(&chain)));
        Ok(chain)
    }
}

fn walk_up(reader: Reader<'_>, root: NodeId, start: Spot) -> Result<Chain, Failure> {
    let mut chain = Chain {
        directories: Vec::new(),
        path: None,
    };
    let mut names = Vec::new();
    let mut current = start;
    for _ in 0..ANCESTORS_MAX {
        if current.is_trunk() {
            chain.directories.push(current.node);
        }
        let Some(found) = reader.node_record(current)? else {
            return Ok(chain);
        };
        match reader.parent_of(current, &found.record)? {
            Some((parent, name)) => {
                names.push(name);
                current = parent;
            }
            None => break,
        }
    }
    if current.is_trunk() && current.node == root && names.len() <= PATH_COMPONENTS_MAX {
        let mut names = names.iter().rev();
        chain.path = names
            .try_fold(NsPath::root(), |path, name| path.join(name))
            .ok();
    }
    Ok(chain)
}

const fn kind(kind: EventKind) -> ChangeKind {
    match kind {
        EventKind::Created => ChangeKind::Created,
        EventKind::Removed => ChangeKind::Removed,
        EventKind::Renamed => ChangeKind::Renamed,
        EventKind::Published => ChangeKind::Published,
        EventKind::Attributes => ChangeKind::Attributes,
        EventKind::Xattr => ChangeKind::Xattr,
        EventKind::Exchanged => ChangeKind::Exchanged,
        EventKind::Snapshot => ChangeKind::Snapshot,
        EventKind::Branched => ChangeKind::Branched,
        EventKind::SnapshotRemoved => ChangeKind::SnapshotRemoved,
        EventKind::Quota => ChangeKind::Quota,
        EventKind::SnapshotRenewed => ChangeKind::SnapshotRenewed,
    }
}

/// Most ancestors that are followed, as for renames.
const ANCESTORS_MAX: usize = 1 << 20;
/// Directories whose place a feed remembers: some hundred KiB.
const CHAINS_MAX: usize = 4096;
