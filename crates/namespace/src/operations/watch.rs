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
use crate::records::event::{At, Event, EventKind, Events};
use crate::spot::Spot;
use crate::walk::Source;
use crate::{Change, ChangeKind, ChangePage, ChangedPlace, Namespace, Scope};
use nokv_shard::{Key, LogPage};
use nokv_types::{BranchId, Failure, MountId, NodeId, NodeKind, Reason, Version};
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
        let root = self.root(mount)?;
        let page = self
            .shard()
            .log_after(after, limit.max(1))
            .map_err(from_shard)?;
        let LogPage { records, through } = page.ok_or_else(|| compacted(after))?;
        let mut changes = Vec::new();
        for record in records {
            if record.events.is_empty() {
                continue;
            }
            let events = Events::decode(&record.events).map_err(|flaw| {
                malformed(&Key::new(nokv_engine::Keyspace::new(240), b"events"), &flaw)
            })?;
            if events.mount != mount {
                continue;
            }
            let listener = Listener {
                namespace: self,
                root,
                scope,
                version: record.version,
            };
            for event in events.events {
                changes.extend(listener.hear(event)?);
            }
        }
        // Asked after reading: what was forgotten meanwhile would have been read as absent.
        if after < self.pruned() {
            return Err(compacted(after));
        }
        Ok(ChangePage { changes, through })
    }

    /// Waits for a command after `version`, at most `timeout`; returns the newest version either
    /// way.
    #[must_use]
    pub fn wait_for_change(&self, version: Version, timeout: Duration) -> Version {
        self.shard().wait_above(version, timeout)
    }
}

fn compacted(after: Version) -> Failure {
    Failure::new(
        Reason::Compacted,
        format!("changes after {after} are no longer all retained; read anew and watch from there"),
    )
}

/// Judges the events of one command.
struct Listener<'a> {
    namespace: &'a Namespace,
    root: NodeId,
    scope: Scope,
    version: Version,
}

impl Listener<'_> {
    fn hear(&self, event: Event) -> Result<Option<Change>, Failure> {
        let before = self.reader(self.version.previous());
        let after = self.reader(self.version);
        let in_trunk = event.branch == BranchId::TRUNK;
        let spot = |reader: Reader<'_>, node| Spot::live(node, event.branch, reader.at);
        let from = event.from.as_ref().map(|at| spot(before, at.0));
        // A directory that was changed by node is where its own record says.
        let to = match (&event.to, event.node_kind) {
            (None, NodeKind::Directory) if from.is_none() => Some(spot(after, event.node)),
            (to, _) => to.as_ref().map(|at| spot(after, at.0)),
        };
        let heard = match self.scope {
            Scope::Mount => true,
            Scope::Node(node) => {
                in_trunk
                    && (event.node == node
                        || [&event.from, &event.to]
                            .into_iter()
                            .flatten()
                            .any(|at| at.0 == node))
            }
            Scope::Tree(top) => {
                in_trunk && event.node == top
                    || self.below(before, from, top)?
                    || self.below(after, to, top)?
            }
        };
        if !heard {
            return Ok(None);
        }
        let kind = match event.kind {
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
        };
        Ok(Some(Change {
            version: self.version,
            branch: event.branch,
            kind,
            node: event.node,
            node_kind: event.node_kind,
            generation: event.generation,
            size: event.size,
            from: self.place(before, event.branch, event.from)?,
            to: self.place(after, event.branch, event.to)?,
            displaced: event.displaced,
        }))
    }

    fn reader(&self, at: Version) -> Reader<'_> {
        Reader {
            at,
            moves: None,
            ..self.namespace.newest_reader()
        }
    }

    fn below(
        &self,
        mut reader: Reader<'_>,
        directory: Option<Spot>,
        top: NodeId,
    ) -> Result<bool, Failure> {
        let mut current = directory;
        for _ in 0..ANCESTORS_MAX {
            match current {
                None => return Ok(false),
                Some(directory) if directory.is_trunk() && directory.node == top => {
                    return Ok(true);
                }
                Some(directory) => current = Source::parent(&mut reader, directory)?,
            }
        }
        Ok(false)
    }

    fn place(
        &self,
        reader: Reader<'_>,
        branch: BranchId,
        at: Option<At>,
    ) -> Result<Option<ChangedPlace>, Failure> {
        let Some((directory, name)) = at else {
            return Ok(None);
        };
        let root = Spot::trunk(self.root, reader.at);
        let parent = reader.path_of(root, Spot::live(directory, branch, reader.at))?;
        let path = parent.and_then(|parent| parent.join(&name).ok());
        Ok(Some(ChangedPlace {
            directory,
            name,
            path,
        }))
    }
}

/// Most ancestors that are followed, as for renames.
const ANCESTORS_MAX: usize = 1 << 20;
