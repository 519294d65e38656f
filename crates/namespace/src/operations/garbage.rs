//! Background work: taking removed trees apart, raising the floor, naming doomed blocks.
//!
//! Invariants:
//! - the floor is on disk before anything below it is forgotten;
//! - a block is named as doomed only when its last reference is gone on disk and its session is
//!   finished, so nothing can reference it again;
//! - every command here is bounded, whatever the size of tree or body.

use crate::failure::{from_engine, from_shard, malformed};
use crate::layers;
use crate::namespace::{FloorWritten, Turn};
use crate::plan::Plan;
use crate::records::{counter, object, orphan, system};
use crate::spot::{Child, Spot};
use crate::{Context, Namespace, Reclaimed};
use nokv_engine::{Direction, KeyRange};
use nokv_shard::{Check, Command, Durability, Error, Key, Write};
use nokv_types::{BlockId, BranchId, Failure, Name, NodeId, SessionId, TimeNanos, Version};

/// Entries taken apart by one command.
const ORPHAN_ENTRIES_PER_COMMAND: usize = 512;
/// Entries of removed trees that a caller takes apart to make room for itself: some tenths of a
/// second.
const ROOM_ENTRIES_MAX: usize = 65_536;
/// The floor moves in steps of this, so that an idle store is not written all the time.
const FLOOR_STEP_MS: u64 = 60_000;
/// How long the engine keeps versions below the newest in any case: reads of several steps that
/// have begun.
const READ_GRACE_MS: u64 = 60_000;

impl Namespace {
    /// One bounded round of background work: takes removed trees apart, drops the references of
    /// bodies that no retained version can see, ages the log. `limit` bounds the records touched.
    /// Objects that lose their last reference become *doomed*.
    pub fn reclaim(&self, limit: usize) -> Result<Reclaimed, Failure> {
        self.reclaim_within(limit, self.inner.options.retention_ms)
    }

    /// The same with another retention for this round: 0 takes all that only the past can see.
    pub fn reclaim_within(&self, limit: usize, retention_ms: u64) -> Result<Reclaimed, Failure> {
        let _turn = self.inner.reclaiming.lock();
        let mut reclaimed = Reclaimed::default();
        self.expire_leases();
        // One that fails (a record that can't be read) holds up no other.
        let outcomes = [
            self.take_apart(limit, &mut reclaimed),
            self.take_branches_apart(limit, &mut reclaimed),
            self.expire_snapshots(limit)
                .map(|more| reclaimed.more |= more),
            self.expire_tallies(),
            self.move_floor(retention_ms),
            self.forget_bases(limit, &mut reclaimed),
            self.drop_dead(limit, &mut reclaimed),
            self.shard()
                .trim(limit)
                .map(|trimmed| reclaimed.more |= trimmed.more)
                .map_err(from_shard),
        ];
        outcomes.into_iter().collect::<Result<(), _>>()?;
        Ok(reclaimed)
    }

    /// Up to `limit` objects after `after`, in ascending order, that nobody references and that
    /// nobody can reference again: delete them from the object store (deleting twice is harmless,
    /// ids are never reused), then [`Self::forget_doomed`]. Objects of sessions that are not
    /// finished are left to their sweep. Fewer than `limit` are the last ones.
    ///
    /// **Guarantees**: that nobody references them is on disk.
    pub fn doomed(&self, after: Option<BlockId>, limit: usize) -> Result<Vec<BlockId>, Failure> {
        let mut doomed = Vec::new();
        let mut revived = Vec::new();
        let oldest_hold = self.oldest_hold();
        let mut range = match after {
            None => KeyRange::all(),
            Some(after) => KeyRange::all().after(object::doomed_key(after).bytes()),
        };
        'sessions: loop {
            let scan = self
                .engine()
                .scan(
                    object::DOOMED_KEYSPACE,
                    range,
                    self.read_version(),
                    Direction::Forward,
                )
                .map_err(from_engine)?;
            let mut finished: Option<SessionId> = None;
            for item in scan {
                let (key, found) = item.map_err(from_engine)?;
                let block = object::block(&key)
                    .map_err(|flaw| malformed(&Key::new(object::DOOMED_KEYSPACE, &key), &flaw))?;
                if finished != Some(block.session) {
                    if self.session_is_known(block.session)? {
                        let next = BlockId {
                            session: block.session,
                            sequence: u32::MAX,
                        };
                        range = KeyRange::all().after(object::doomed_key(next).bytes());
                        continue 'sessions;
                    }
                    finished = Some(block.session);
                }
                // Published again by its own session before that ended.
                if self.has_references(&[block])? == [true] {
                    revived.push(block);
                    continue;
                }
                // A backup needs it.
                if oldest_hold.is_some_and(|oldest| found.version > oldest) {
                    continue;
                }
                doomed.push(block);
                if doomed.len() >= limit {
                    break;
                }
            }
            break;
        }
        self.forget_doomed(&revived)?;
        if !doomed.is_empty() {
            self.sync()?;
        }
        Ok(doomed)
    }

    /// Forgets doomed objects after their deletion. Idempotent.
    pub fn forget_doomed(&self, blocks: &[BlockId]) -> Result<(), Failure> {
        if blocks.is_empty() {
            return Ok(());
        }
        let writes = blocks
            .iter()
            .map(|block| Write::Delete(object::doomed_key(*block)))
            .collect();
        let command = Command {
            writes,
            ..Command::default()
        };
        self.shard()
            .execute(command, Durability::Buffered)
            .map_err(from_shard)?;
        Ok(())
    }

    /// Raises the floor to what the retention allows, on disk, and tells the engine what it need
    /// not keep.
    fn move_floor(&self, retention_ms: u64) -> Result<(), Failure> {
        let (now, newest) = (self.now_millis(), self.read_version());
        let wanted = match retention_ms {
            0 => newest,
            _ => Version::from_millis(now.saturating_sub(retention_ms)).min(newest),
        };
        let step = FLOOR_STEP_MS.min(retention_ms / 2);
        let floor = self.floor();
        let mut written = self.inner.floor_written.lock();
        // When nothing but the last raising happened since, and the floor is past all before it, a
        // higher floor frees nothing.
        let useful = newest != written.raised || floor < written.newest_before;
        if useful && wanted > floor && wanted.millis() >= floor.millis() + step {
            let writes = vec![Write::Put(system::floor(), system::encode(wanted.as_u64()))];
            let command = Command {
                writes,
                ..Command::default()
            };
            let applied = self
                .shard()
                .execute(command, Durability::Synced)
                .map_err(from_shard)?;
            *written = FloorWritten {
                raised: applied.version,
                newest_before: newest,
            };
            self.raise_floor(wanted);
        }
        let grace = Version::from_millis(now.saturating_sub(READ_GRACE_MS));
        self.prune(self.floor().min(grace));
        Ok(())
    }

    /// Takes removed trees apart because what is in them still counts against a quota that is full;
    /// whether there was anything to take apart.
    pub(crate) fn make_room(&self, turn: Turn) -> Result<bool, Failure> {
        if self.first_orphan()?.is_none() {
            return Ok(false);
        }
        let _turn = (turn == Turn::Free).then(|| self.inner.reclaiming.lock());
        self.take_apart(ROOM_ENTRIES_MAX, &mut Reclaimed::default())?;
        Ok(true)
    }

    /// Takes removed trees apart, about `limit` entries of them.
    fn take_apart(&self, limit: usize, reclaimed: &mut Reclaimed) -> Result<(), Failure> {
        let mut left = limit;
        while let Some((directory, branch)) = self.first_orphan()? {
            if left == 0 {
                reclaimed.more = true;
                break;
            }
            let taken = self.take_apart_some(directory, branch, left)?;
            reclaimed.entries += taken as u64;
            left = left.saturating_sub(taken.max(1));
        }
        Ok(())
    }

    fn first_orphan(&self) -> Result<Option<(NodeId, BranchId)>, Failure> {
        let keyspace = orphan::KEYSPACE;
        let mut scan = self
            .engine()
            .scan(
                keyspace,
                KeyRange::all(),
                self.read_version(),
                Direction::Forward,
            )
            .map_err(from_engine)?;
        match scan.next().transpose().map_err(from_engine)? {
            None => Ok(None),
            Some((key, _)) => orphan::directory(&key)
                .map(Some)
                .map_err(|flaw| malformed(&Key::new(keyspace, &key), &flaw)),
        }
    }

    /// Takes up to a command's worth of entries out of a removed directory; the last time forgets
    /// it.
    fn take_apart_some(
        &self,
        directory: NodeId,
        branch: BranchId,
        limit: usize,
    ) -> Result<usize, Failure> {
        let now = TimeNanos::new(self.inner.clock.now_nanos());
        let charged = self.newest_reader().orphan(directory)?;
        let mount = charged
            .filter(|_| branch == BranchId::TRUNK)
            .map(|charged| charged.mount);
        let mount = mount.filter(|mount| self.is_mounted(*mount));
        let mount = mount.unwrap_or_else(|| self.default_mount());
        let mut context = Context::new(mount, now);
        context.branch = branch;
        let count = limit.min(ORPHAN_ENTRIES_PER_COMMAND);
        loop {
            let reader = self.newest_reader();
            let spot = Spot::live(directory, branch, reader.at);
            let mut plan = self.plan(reader, &context, spot);
            // Somebody may have brought the directory back.
            let key = orphan::key(directory, branch);
            if reader.stored(&key)?.is_none() {
                return Ok(0);
            }
            plan.check(Check::UnchangedSince(key, reader.at));
            // With the branch go its orphans.
            let gone =
                !spot.is_trunk() && layers::read(self.engine(), branch, reader.at)?.is_none();
            let entries = match gone {
                true => Vec::new(),
                false => reader.entries(spot, None, count)?,
            };
            for (name, entry) in &entries {
                erase(&mut plan, spot, name, entry)?;
            }
            if entries.len() < count {
                plan.write(Write::Delete(orphan::key(directory, branch)));
                plan.write(Write::Delete(counter::key(directory, branch)));
            }
            plan.settle()?;
            let (going, nameless) = plan.take_aftermath();
            let command = plan.compile(None, bytes::Bytes::new())?;
            let executed = self.shard().execute(command, Durability::Buffered);
            match executed {
                Ok(_) => {
                    self.after(going, nameless)?;
                    return Ok(entries.len());
                }
                // Somebody changed a file that has a name elsewhere too: progress of theirs, so no
                // bound is needed.
                Err(Error::CheckFailed { .. }) if self.is_mounted(mount) => {}
                // The mount was retired meanwhile: the next round knows.
                Err(Error::CheckFailed { .. }) => return Ok(0),
                Err(error) => return Err(from_shard(error)),
            }
        }
    }
}

fn erase(plan: &mut Plan<'_>, directory: Spot, name: &Name, entry: &Child) -> Result<(), Failure> {
    if entry.is_directory() {
        plan.release_tree(directory, entry)?;
    } else {
        plan.release(directory, entry)?;
    }
    plan.erase_entry(directory, name)
}
