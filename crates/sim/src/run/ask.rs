//! From a step of the script to a call: who the nodes are, which version "back" is.

use super::{Run, World};
use crate::call::{Answer, Call, Where, ns_path};
use crate::model::{At, Kind, LayerId, Spot, TRUNK};
use crate::op::{By, Mount, Op, Place};
use nokv_types::{BranchId, MountId, Name, RequestId, Version};
use std::sync::Arc;

/// An operation that was asked for.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) op: Op,
    pub(crate) call: Call,
    /// The places of the operation, for the model.
    pub(crate) places: Vec<At>,
    /// The past that it looks at: the version, what was then, and what was before.
    pub(crate) past: Option<Past>,
    pub(crate) mount: (LayerId, MountId),
    pub(crate) branch: BranchId,
    pub(crate) request: Option<RequestId>,
    /// The newest version when it began.
    pub(crate) begun: Version,
    /// The newest version when it last went on.
    pub(crate) resumed: Version,
    /// The time that it puts on things, nanoseconds.
    pub(crate) now: i64,
    pub(crate) synced: bool,
    /// The directory that a quota was set on.
    pub(crate) directory: Option<Spot>,
    /// What a branch that is of the newest shows: what was when it was planned.
    pub(crate) shown: Option<Arc<World>>,
    /// The version that it had, and the answer, when it ended well.
    pub(crate) first: Option<(Version, Answer)>,
    /// Whether a tree was removed meanwhile, which counts until it is taken apart.
    pub(crate) met_removal: bool,
}

/// A version of the past.
#[derive(Clone)]
pub(crate) struct Past {
    pub(crate) version: Version,
    pub(crate) world: Arc<World>,
    pub(crate) before: Arc<World>,
    /// Whether the model can take the command of this version back.
    pub(crate) plain: bool,
}

/// Both ways to name the places of an operation, and the branch that nodes are of.
struct Places {
    wheres: Vec<Where>,
    places: Vec<At>,
    branch: BranchId,
}

impl Run {
    pub(super) fn past(&self, back: u8) -> Past {
        let last = self.history.len() - 1;
        let index = last.saturating_sub(usize::from(back));
        let moment = &self.history[index];
        Past {
            version: moment.version,
            world: Arc::clone(&moment.world),
            before: Arc::clone(&self.history[index.saturating_sub(1)].world),
            plain: moment.plain && index > 0,
        }
    }

    /// What the operation is now; `None` where it makes no sense in this run.
    pub(super) fn ask(&mut self, mount: Mount, op: &Op, synced: bool) -> Option<Asked> {
        let mount = self.mount_of(mount)?;
        let newest = self.namespace.read_version();
        let mut asked = Asked {
            op: op.clone(),
            call: Call::RegisterMount,
            places: Vec::new(),
            past: None,
            mount,
            branch: BranchId::TRUNK,
            request: self.next_request(),
            begun: newest,
            resumed: newest,
            now: self.now_nanos(),
            synced,
            directory: None,
            shown: None,
            first: None,
            met_removal: false,
        };
        if self.ask_of_names(&mut asked) || self.ask_of_trees(&mut asked) {
            return Some(asked);
        }
        asked.call = match op {
            Op::RegisterMount => Call::RegisterMount,
            Op::RetireMount => Call::RetireMount,
            Op::Collect { limit, everything } => Call::Collect(*limit, *everything),
            Op::RenewSnapshot { .. } | Op::RemoveSnapshot { .. } if asked.mount.0 != TRUNK => {
                return None;
            }
            Op::RenewSnapshot { name, lease } => Call::RenewSnapshot(*name, *lease),
            Op::RemoveSnapshot { name } => Call::RemoveSnapshot(*name),
            _ => return None,
        };
        Some(asked)
    }

    fn mount_of(&self, mount: Mount) -> Option<(LayerId, MountId)> {
        let world = &self.newest().world;
        match mount {
            Mount::Default => Some((TRUNK, self.namespace.default_mount())),
            Mount::Other => {
                let layer = *world.mounts.get(crate::call::OTHER_MOUNT)?;
                Some((layer, *self.mounts.get(&layer)?))
            }
        }
    }

    /// Operations on names and nodes.
    fn ask_of_names(&self, asked: &mut Asked) -> bool {
        let mount = asked.mount.0;
        let one = |at: &Place| self.places(mount, &[at]);
        let places = match &asked.op {
            Op::MakeDir { at, .. } | Op::MakeNode { at, .. } | Op::Symlink { at, .. } => one(at),
            Op::Remove { at, .. } => one(at),
            Op::SetAttributes { at, .. } | Op::SetXattr { at, .. } => one(at),
            Op::Link { from, to } | Op::Rename { from, to, .. } => self.places(mount, &[from, to]),
            Op::Publish { .. } => self.places(mount, &[]),
            _ => return false,
        };
        asked.call = call_of(&asked.op, &places.wheres);
        asked.places = places.places;
        asked.branch = places.branch;
        true
    }

    /// Operations on whole trees, by path.
    fn ask_of_trees(&self, asked: &mut Asked) -> bool {
        let at = |path: &crate::op::Path| At::Path(TRUNK, path.clone());
        if asked.mount.0 != TRUNK {
            return false;
        }
        let (places, past, call) = match &asked.op {
            Op::Snapshot { name, back, lease } => {
                let past = back.map(|back| self.past(back));
                let version = past.as_ref().map(|past| past.version);
                (vec![], past, Call::Snapshot(*name, version, *lease))
            }
            Op::Branch { source, to, back } => {
                let past = back.map(|back| self.past(back));
                let then = past
                    .as_ref()
                    .map_or(&self.newest().world, |past| &past.world);
                let part = then
                    .lookup(&at(source), true)
                    .ok()
                    .map(|spot| then.part(spot));
                if part.is_some_and(|part| part.has_branches()) {
                    return false;
                }
                let version = past.as_ref().map(|past| past.version);
                let call = Call::Branch(ns_path(source), ns_path(to), version);
                (vec![at(source), at(to)], past, call)
            }
            Op::Merge {
                source,
                target,
                choice,
                dry,
            } => {
                let call = Call::Merge(ns_path(source), ns_path(target), *choice, *dry);
                (vec![at(source), at(target)], None, call)
            }
            Op::Restore { at: place, back } => {
                let past = self.past(*back);
                // A directory comes back as a branch; inside of a tree that would be met through
                // other branches, which the model does not have.
                let then = past.world.lookup(&at(place), false);
                if place.len() > 1 && then.is_ok_and(|then| past.world.is_dir(then)) {
                    return false;
                }
                let call = Call::Restore(ns_path(place), past.version);
                (vec![at(place)], Some(past), call)
            }
            Op::Undo { back } => {
                let past = self.past(*back);
                if !past.plain {
                    return false;
                }
                let call = Call::Undo(past.version);
                (vec![], Some(past), call)
            }
            Op::SetQuota { at: place, limits } => (
                vec![at(place)],
                None,
                Call::SetQuota(ns_path(place), *limits),
            ),
            Op::RemoveQuota { at: place } => {
                (vec![at(place)], None, Call::RemoveQuota(ns_path(place)))
            }
            _ => return false,
        };
        (asked.places, asked.past, asked.call) = (places, past, call);
        true
    }

    /// Names places by node if all are asked so and are of one layer, else by path.
    fn places(&self, mount: LayerId, all: &[&Place]) -> Places {
        self.nodes(mount, all).unwrap_or_else(|| Places {
            wheres: all
                .iter()
                .map(|place| Where::Path(ns_path(&place.path)))
                .collect(),
            places: all
                .iter()
                .map(|place| At::Path(mount, place.path.clone()))
                .collect(),
            branch: BranchId::TRUNK,
        })
    }

    fn nodes(&self, mount: LayerId, all: &[&Place]) -> Option<Places> {
        let world = &self.newest().world;
        let mut found = Places {
            wheres: Vec::new(),
            places: Vec::new(),
            branch: BranchId::TRUNK,
        };
        let mut layer = None;
        for place in all {
            if place.by == By::Path {
                return None;
            }
            let name = place.path.last()?;
            let (directory, _) = world.place(&At::Path(mount, place.path.clone())).ok()?;
            if *layer.get_or_insert(directory.layer) != directory.layer {
                return None;
            }
            let node = *self.known.nodes.get(&directory.id)?;
            let legal = Name::new(name.as_bytes().to_vec()).ok()?;
            found.wheres.push(Where::Child(node, legal));
            found.places.push(At::Child(directory, name));
        }
        let layer = layer?;
        if world.origins.contains_key(&layer) {
            found.branch = *self.known.branches.get(&layer)?;
        }
        Some(found)
    }
}

fn call_of(op: &Op, wheres: &[Where]) -> Call {
    let first = || wheres.first().cloned().expect("asked with a place");
    let second = || wheres.get(1).cloned().expect("asked with two places");
    match op {
        Op::MakeDir { parents, .. } => Call::MakeDir(first(), *parents),
        Op::MakeNode { pipe, .. } => Call::MakeNode(first(), made(*pipe)),
        Op::Symlink { target, .. } => Call::MakeNode(first(), Kind::Symlink((*target).to_string())),
        Op::Link { .. } => Call::Link(first(), second()),
        Op::Publish { items, parents } => Call::Publish(items.clone(), *parents),
        Op::Rename { mode, .. } => Call::Rename(first(), second(), *mode),
        Op::Remove { what, .. } => Call::Remove(first(), *what),
        Op::SetAttributes {
            follow,
            mode,
            mtime,
            size,
            ..
        } => Call::SetAttributes(first(), *follow, *mode, *mtime, *size),
        Op::SetXattr {
            follow,
            name,
            change,
            ..
        } => Call::SetXattr(first(), *follow, name, change.clone()),
        _ => unreachable!("an operation on names"),
    }
}

/// What mknod makes.
pub(super) fn made(pipe: bool) -> Kind {
    match pipe {
        true => Kind::Pipe,
        false => Kind::File(Vec::new()),
    }
}
