//! Watchers: what they heard is what the model says happened, each change once and in order,
//! however often they were killed.

use super::Run;
use crate::model::{Event, Id};
use crate::violation::{Violation, broken};
use nokv_env::Clock;
use nokv_namespace::{Change, ChangeKind, ChangedPlace, Scope};
use nokv_types::{Reason, Version};

/// One watcher of the first mount.
#[derive(Clone)]
pub(super) struct Watcher {
    /// Where it listens on.
    cursor: Version,
    /// The cursor that it wrote down.
    noted: Version,
    /// Commands heard since it began, or began anew.
    heard: Vec<(Version, Vec<Change>)>,
    began: Version,
}

impl Watcher {
    pub(super) fn new(at: Version) -> Self {
        Self {
            cursor: at,
            noted: at,
            heard: Vec::new(),
            began: at,
        }
    }

    pub(super) fn note(&mut self) {
        self.noted = self.cursor;
    }

    /// Begins again where it last wrote its cursor down.
    pub(super) fn kill(&mut self) {
        self.cursor = self.noted;
        let noted = self.noted;
        self.heard.retain(|(version, _)| *version <= noted);
    }

    /// What was lost with the power was not to be relied on.
    pub(super) fn lose_after(&mut self, version: Version) {
        self.heard.retain(|(heard, _)| *heard <= version);
        self.cursor = self.cursor.min(version);
        self.noted = self.noted.min(version);
        self.began = self.began.min(version);
    }
}

impl Run {
    /// Lets a watcher hear at most so many commands; whether it heard all.
    pub(super) fn listen(&mut self, index: usize, limit: usize) -> Result<bool, Violation> {
        let mut watcher = self.watchers[index].clone();
        let mount = self.namespace.default_mount();
        let page = match self
            .namespace
            .changes(mount, Scope::Mount, watcher.cursor, limit)
        {
            Ok(page) => page,
            Err(failure) if failure.reason() == Reason::Compacted => {
                let log_ms = nokv_shard::Options::default().log_ms;
                let young = watcher.cursor.millis() + log_ms > self.machine.clock.now_millis();
                if watcher.cursor >= self.namespace.floor() && young {
                    return broken("watch-retained", format!("{failure}, but it is retained"));
                }
                self.watchers[index] = Watcher::new(self.namespace.read_version());
                return Ok(false);
            }
            Err(failure) => return broken("watch-fails", failure.to_string()),
        };
        for change in page.changes {
            if change.version <= watcher.cursor || change.version > page.through {
                let text = format!("{change:?} is not after {}", watcher.cursor);
                return broken("watch-once-in-order", text);
            }
            match watcher.heard.last_mut() {
                Some((version, changes)) if *version == change.version => changes.push(change),
                Some((version, _)) if *version > change.version => {
                    return broken("watch-once-in-order", format!("{change:?} came late"));
                }
                _ => watcher.heard.push((change.version, vec![change])),
            }
        }
        let is_end =
            page.through == watcher.cursor || page.through >= self.namespace.read_version();
        watcher.cursor = page.through;
        self.watchers[index] = watcher;
        Ok(is_end)
    }

    /// Everything is heard, and it is what happened.
    pub(super) fn check_watchers(&mut self) -> Result<(), Violation> {
        for index in 0..self.watchers.len() {
            while !self.listen(index, 3)? {}
            let watcher = self.watchers[index].clone();
            self.check_heard(&watcher)?;
        }
        Ok(())
    }

    fn check_heard(&mut self, watcher: &Watcher) -> Result<(), Violation> {
        let mut heard = watcher.heard.iter().peekable();
        let announced: Vec<_> = self
            .history
            .iter()
            .filter(|moment| moment.version > watcher.began)
            .map(|moment| (moment.version, moment.events.clone()))
            .collect();
        for (version, wanted) in announced {
            while heard
                .next_if(|(at, changes)| *at < version && is_aside(changes))
                .is_some()
            {}
            if let Some((earlier, changes)) = heard.peek().filter(|(at, _)| *at < version) {
                return broken("watch-invented", format!("{changes:?} at {earlier}"));
            }
            let changes = heard
                .next_if(|(at, _)| *at == version)
                .map(|(_, changes)| changes);
            let Some(wanted) = wanted else { continue };
            let changes = changes.map_or(&[][..], Vec::as_slice);
            self.same(version, &wanted, changes)?;
        }
        Ok(())
    }

    fn same(&mut self, at: Version, all: &[Event], changes: &[Change]) -> Result<(), Violation> {
        let same = all.len() == changes.len()
            && all
                .iter()
                .zip(changes)
                .all(|(event, change)| self.is(event, change));
        match same {
            true => Ok(()),
            false => broken(
                "watch-equals-changes",
                format!("at {at} heard {changes:?}, must be {all:?}"),
            ),
        }
    }

    fn is(&mut self, event: &Event, change: &Change) -> bool {
        let by_name = matches!(event.kind.as_str(), "Attributes" | "Xattr");
        event.kind == format!("{:?}", change.kind)
            && self.known.is(event.node, change.node)
            && (by_name || self.at(event.from.as_ref(), change.from.as_ref()))
            && (by_name || self.at(event.to.as_ref(), change.to.as_ref()))
            && match (event.displaced, change.displaced) {
                (None, None) => true,
                (Some(id), Some(node)) => self.known.is(id, node),
                _ => false,
            }
    }

    fn at(&mut self, wanted: Option<&(Id, String)>, found: Option<&ChangedPlace>) -> bool {
        match (wanted, found) {
            (None, None) => true,
            (Some((id, name)), Some(place)) => {
                self.known.is(*id, place.directory) && *name == place.name.to_string()
            }
            _ => false,
        }
    }
}

/// What the model leaves out: setting a quota takes several commands, and what is asked for by node
/// in a removed tree happens where no path leads.
fn is_aside(changes: &[Change]) -> bool {
    let nowhere =
        |place: &Option<ChangedPlace>| place.as_ref().is_none_or(|place| place.path.is_none());
    changes.iter().all(|change| {
        change.kind == ChangeKind::Quota || nowhere(&change.from) && nowhere(&change.to)
    })
}
