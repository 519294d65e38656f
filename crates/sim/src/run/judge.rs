//! Whether what an operation answered is what the model says, at a moment between its beginning and
//! its end.

use super::ask::Asked;
use super::compare::Stop;
use super::expect::{Said, expect, is_plain};
use super::{Moment, Run};
use crate::call::Answer;
use crate::model::{At, Choice, Joined, Layer, World, touched_alone};
use crate::op::Op;
use crate::turns::Ended;
use crate::violation::{Violation, broken};
use nokv_types::{Class, Failure, Reason, Version};
use std::sync::Arc;

impl Run {
    /// A client gave way, or ended.
    pub(super) fn went_on(
        &mut self,
        client: usize,
        asked: Asked,
        ended: Option<Ended>,
    ) -> Result<(), Violation> {
        match ended {
            None => {
                self.trace.add(format!("{client} gives way"));
                self.parked[client] = Some(asked);
                Ok(())
            }
            Some(Err(panic)) => broken("no-panic", format!("{:?}: {panic}", asked.call)),
            Some(Ok(Err(failure))) => {
                self.trace
                    .add(format!("{client} fails: {:?}", failure.reason()));
                self.failed(asked, &failure)
            }
            Some(Ok(Ok(answer))) => {
                self.trace.add(format!("{client} ends: {answer:?}"));
                self.succeeded(asked, &answer)
            }
        }
    }

    pub(super) fn finish_parked(&mut self, client: usize) -> Result<(), Violation> {
        let Some(mut asked) = self.parked[client].take() else {
            return Ok(());
        };
        asked.resumed = self.namespace.read_version();
        let ended = self.clients[client].go();
        self.went_on(client, asked, ended)
    }

    /// The disk failed: the power is gone, and comes back.
    pub(super) fn after_failure(
        &mut self,
        failure: &Failure,
        asked: Option<Asked>,
    ) -> Result<(), Violation> {
        let class = failure.class();
        let gone = matches!(class, Class::OutcomeUnknown | Class::Io | Class::Retry);
        if !self.profile.cuts || !gone {
            return broken("no-failure", failure.to_string());
        }
        let seed = self.history.len() as u64 * 31 + self.requests;
        self.cut(seed, asked)
    }

    fn failed(&mut self, asked: Asked, failure: &Failure) -> Result<(), Violation> {
        let reason = failure.reason();
        if matches!(
            failure.class(),
            Class::OutcomeUnknown | Class::Io | Class::Retry
        ) {
            return self.after_failure(failure, Some(asked));
        }
        let newest = self.namespace.read_version();
        if self.is_excused(&asked, reason) {
            return Ok(());
        }
        let mut said = Vec::new();
        for world in self.window(asked.begun, newest) {
            let mut next = (*world).clone();
            let expected = match expect(&mut next, &asked, None) {
                Ok(_) if next.overshoots(&world) => Some(Reason::QuotaExceeded),
                Ok(_) => None,
                Err(reason) => Some(reason),
            };
            if expected == Some(reason) {
                return Ok(());
            }
            said.push(expected);
        }
        let call = &asked.call;
        broken(
            "linearizable",
            format!("{call:?}: {failure} ({reason:?}), model: {said:?}"),
        )
    }

    /// Failures that are right without the model: it does not know what is retained, nor that
    /// what was removed counts until it is taken apart.
    fn is_excused(&self, asked: &Asked, reason: Reason) -> bool {
        let past = asked.past.as_ref();
        let too_old = || {
            past.is_some_and(|past| {
                let before = past.version.previous();
                [past.version, before]
                    .iter()
                    .any(|at| *at < self.namespace.floor())
            })
        };
        match reason {
            Reason::Compacted => too_old(),
            // The lease ended between the beginning and the end.
            Reason::SnapshotExpired => true,
            Reason::QuotaExceeded => asked.met_removal,
            // Nobody knows a mount that was retired meanwhile.
            Reason::NotFound => asked.mount.0 != crate::model::TRUNK && self.mount_is_gone(asked),
            _ => false,
        }
    }

    fn mount_is_gone(&self, asked: &Asked) -> bool {
        !self.newest().world.layers.contains_key(&asked.mount.0)
    }

    /// The worlds from a version on.
    fn window(&self, from: Version, to: Version) -> Vec<Arc<World>> {
        let first = self
            .history
            .partition_point(|moment| moment.version <= from);
        let moments = self.history.iter().skip(first.saturating_sub(1));
        let window = moments.take_while(|moment| moment.version <= to);
        let mut worlds: Vec<_> = window.map(|moment| Arc::clone(&moment.world)).collect();
        worlds.reverse();
        worlds
    }

    fn succeeded(&mut self, mut asked: Asked, answer: &Answer) -> Result<(), Violation> {
        let newest = self.namespace.read_version();
        let version = answer.version.unwrap_or(newest);
        if let Some((_, first)) = &asked.first {
            return match answer == first {
                true => Ok(()),
                false => broken(
                    "applied-once",
                    format!("{:?} was {first:?}, again it is {answer:?}", asked.call),
                ),
            };
        }
        if matches!(asked.op, Op::Collect { .. }) {
            return Ok(());
        }
        let is_noop = version <= asked.resumed;
        let before = match is_noop {
            true => self.world_at(version),
            false => Some(Arc::clone(&self.newest().world)),
        };
        let before = before.expect("a world of this run");
        if let Op::SetQuota { .. } = asked.op {
            self.resolve_directory(&mut asked, newest);
        }
        if let Some(shows) = answer.shows {
            asked.shown = self.check_shown(&asked, shows, newest)?;
        }
        if self.is_in_a_removed_tree(&asked, &before) {
            return Ok(());
        }
        let mut next = (*before).clone();
        next.events.clear();
        let said = match expect(&mut next, &asked, Some(answer)) {
            Ok(said) => said,
            Err(reason) => {
                let call = &asked.call;
                let text = format!("{call:?} is done ({answer:?}), the model says {reason:?}");
                return broken("linearizable", text);
            }
        };
        if is_noop {
            asked.first = Some((version, answer.clone()));
            return match next.same_state(&before) {
                true => Ok(()),
                false => broken(
                    "linearizable",
                    format!(
                        "{:?} did nothing at {version}, but it should have",
                        asked.call
                    ),
                ),
            };
        }
        if next.overshoots(&before) && !matches!(asked.op, Op::SetQuota { .. }) {
            let quotas = &next.quotas;
            return broken(
                "quota-never-overshot",
                format!("{:?}: {quotas:?}", asked.call),
            );
        }
        asked.first = Some((version, answer.clone()));
        self.committed(asked, version, (&before, next), said)
    }

    /// What is asked for by node goes on in a removed tree until it is taken apart: no path leads
    /// there, and nothing of it stays.
    fn is_in_a_removed_tree(&self, asked: &Asked, world: &World) -> bool {
        asked.places.iter().any(|place| match place {
            At::Child(directory, _) => !world.is_dir(*directory),
            At::Path(..) => false,
        })
    }

    /// A quota is of the directory that was at the path when it was begun.
    fn resolve_directory(&self, asked: &mut Asked, newest: Version) {
        let Some(at) = asked.places.first() else {
            return;
        };
        let mut window = self.window(asked.begun, newest).into_iter();
        let directory = |world: Arc<World>| {
            let found = world.lookup(at, true).ok();
            found.filter(|found| world.is_dir(*found))
        };
        asked.directory = window.find_map(directory);
    }

    /// A snapshot or branch shows what was when it was asked for, or what it was asked to show.
    fn check_shown(
        &self,
        asked: &Asked,
        at: Version,
        newest: Version,
    ) -> Result<Option<Arc<World>>, Violation> {
        let rests = |world: &Arc<World>| asked.places.first().is_some_and(|at| world.rests(at));
        if let Some(past) = &asked.past {
            return match at == past.version || rests(&past.world) {
                true => Ok(None),
                false => broken("snapshots", format!("{:?} shows {at}", asked.call)),
            };
        }
        if at >= asked.begun && at <= newest {
            return Ok(self.world_at(at));
        }
        // A branch of a branch that never changed is one of what that was made from.
        let mut window = self.window(asked.begun, newest).into_iter();
        match window.find(|world| rests(world)) {
            Some(world) => Ok(Some(world)),
            None => broken("snapshots", format!("{:?} shows {at}", asked.call)),
        }
    }

    fn committed(
        &mut self,
        asked: Asked,
        version: Version,
        (before, mut next): (&World, World),
        said: Said,
    ) -> Result<(), Violation> {
        next.note_changes(before);
        let mut events = Some(next.take_events());
        if let Said::Learn(joined) = said {
            self.learn_merge(version, &mut next, &asked, &joined)?;
            events = None;
        }
        if let Op::Merge { .. } = asked.op {
            next.rested_if(before);
            events = None;
        }
        if matches!(
            asked.op,
            Op::Undo { .. } | Op::SetQuota { .. } | Op::RemoveQuota { .. }
        ) {
            events = None;
        }
        if asked.mount.0 != crate::model::TRUNK
            || matches!(asked.op, Op::RegisterMount | Op::RetireMount)
        {
            events = Some(Vec::new());
        }
        if asked.synced || is_always_synced(&asked.op) {
            self.synced = self.synced.max(version);
        }
        let plain = is_plain(&asked.op, before, &next) && asked.mount.0 == crate::model::TRUNK;
        if next.removed_trees(before) {
            for parked in self.parked.iter_mut().flatten() {
                parked.met_removal = true;
            }
        }
        if let Op::RegisterMount = asked.op
            && let Ok(mount) = self.namespace.mount(crate::call::OTHER_MOUNT)
            && let Some(layer) = next.mounts.get(crate::call::OTHER_MOUNT)
        {
            self.mounts.insert(*layer, mount.id);
        }
        self.push(Moment {
            version,
            world: Arc::new(next),
            events,
            plain,
        });
        let looks = matches!(
            asked.op,
            Op::Merge { .. } | Op::Undo { .. } | Op::Restore { .. }
        ) || self.history.len().is_multiple_of(4);
        self.done.push(asked);
        match looks {
            true => self.compare_newest(),
            false => Ok(()),
        }
    }

    /// What a merge with conflicts did, seen by looking; what was not to be overwritten was not.
    fn learn_merge(
        &mut self,
        version: Version,
        next: &mut World,
        asked: &Asked,
        joined: &Joined,
    ) -> Result<(), Violation> {
        // What the model knows has to be known by its name before strangers are met.
        let before = Arc::clone(&self.newest().world);
        self.compare_past(version.previous(), &before)?;
        let layer = joined.target.layer;
        let found = match self.look(version, next, layer) {
            Ok(found) => found,
            Err(Stop::Wrong(violation)) => return Err(violation),
            Err(Stop::Failed(failure)) => return broken("readable", failure.to_string()),
        };
        let Op::Merge { choice, .. } = asked.op else {
            return broken("simulation", "only merges are learned");
        };
        if next.is_closed(joined) {
            overwrites_nothing(joined, &found.part(joined.target.id), choice)?;
        }
        next.put_layer(layer, found);
        next.rest(joined);
        Ok(())
    }
}

/// Whatever a merge with conflicts comes to, each name is one side's, and the target's own changes
/// stay unless the branch was to win.
fn overwrites_nothing(joined: &Joined, merged: &Layer, choice: Choice) -> Result<(), Violation> {
    let (base, ours, theirs) = (&*joined.base, &joined.ours, &joined.theirs);
    for (at, child) in &merged.names {
        let sides = [ours.names.get(at), theirs.names.get(at)];
        if !sides.contains(&Some(child)) {
            return broken(
                "merge-three-way",
                format!("{at:?} leads to {child:?}, sides {sides:?}"),
            );
        }
    }
    if choice == Choice::Ours {
        for at in touched_alone(base, ours) {
            if merged.names.get(&at) != ours.names.get(&at) {
                return broken(
                    "merge-overwrites-nothing",
                    format!("{at:?} was the target's"),
                );
            }
        }
    }
    for (id, inode) in &merged.nodes {
        let sides = [ours.nodes.get(id), theirs.nodes.get(id)];
        let one = sides.iter().flatten().any(|side| side.same(inode));
        let own = match (choice, ours.nodes.get(id), base.nodes.get(id)) {
            (Choice::Ours, Some(ours), Some(base)) => ours.same(base) || ours.same(inode),
            _ => true,
        };
        if !one || !own {
            return broken(
                "merge-three-way",
                format!("node {id} is {inode:?}, sides {sides:?}"),
            );
        }
    }
    Ok(())
}

/// Commands that are on disk when they are answered, whatever was asked.
const fn is_always_synced(op: &Op) -> bool {
    matches!(
        op,
        Op::RemoveSnapshot { .. } | Op::RegisterMount | Op::RetireMount
    )
}
