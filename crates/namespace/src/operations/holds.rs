//! Backups hold collection back.
//!
//! A backup names the objects that had a reference at its version. An object loses its last
//! reference in a command, which leaves a record of it as doomed, at the version of that command;
//! as long as there is a hold of an older version, the object is not named for deletion, and counts
//! as referenced. So nothing else is kept back: neither versions nor records.
//!
//! Invariants: a hold is on disk before it is answered, so before its backup is begun; it is let go
//! on disk before an object that it kept is deleted.

use crate::failure::{from_engine, from_shard, malformed};
use crate::records::{hold, object, system};
use crate::{Hold, Namespace};
use nokv_engine::{Direction, Engine, KeyRange};
use nokv_shard::{Command, Durability, Key, Write};
use nokv_types::{BlockId, Failure, Reason, SessionId, Version};

/// Most holds: far more backups than anybody keeps, and few enough to look through.
pub(crate) const HOLDS_MAX: usize = 100_000;

impl Namespace {
    /// Keeps the objects that are referenced now, or later, from being deleted, for a backup that
    /// is begun after this returns; `until_millis` ends it by itself. The same backup again
    /// replaces its hold but keeps its version.
    ///
    /// **Errors**: `QuotaExceeded` with too many.
    pub fn hold_objects(&self, backup: u64, until_millis: Option<u64>) -> Result<Hold, Failure> {
        let version = {
            let holds = self.inner.holds.lock();
            let before = holds.iter().find(|hold| hold.backup == backup);
            if before.is_none() && holds.len() >= HOLDS_MAX {
                let flaw = format!("{HOLDS_MAX} backups are kept; remove some first");
                return Err(Failure::new(Reason::QuotaExceeded, flaw));
            }
            before.map_or_else(|| self.read_version(), |hold| hold.version)
        };
        self.put_hold(Hold {
            backup,
            version,
            until_millis,
        })
    }

    /// The same with a version that is known: for a store that was restored.
    pub fn put_hold(&self, hold: Hold) -> Result<Hold, Failure> {
        // In memory first: what is doomed from here on is kept.
        self.replace_hold(hold.backup, Some(hold));
        self.write_system(vec![Write::Put(
            hold::key(hold.backup),
            hold::encode(&hold),
        )])?;
        Ok(hold)
    }

    /// Lets the objects of a backup go. On disk when it returns. Idempotent.
    pub fn release_hold(&self, backup: u64) -> Result<(), Failure> {
        self.write_system(vec![Write::Delete(hold::key(backup))])?;
        self.replace_hold(backup, None);
        Ok(())
    }

    /// The holds there are, those too that have ended by themselves.
    #[must_use]
    pub fn holds(&self) -> Vec<Hold> {
        self.inner.holds.lock().clone()
    }

    /// Has no session id up to this one given any more: another store may have used it.
    pub fn skip_sessions(&self, last: SessionId) -> Result<(), Failure> {
        let given = self.session_was_given(last)?;
        let next = last.get().saturating_add(1);
        match given {
            true => Ok(()),
            false => self.write_system(vec![Write::Put(system::sessions(), system::encode(next))]),
        }
    }

    /// A session id above all that were given.
    pub fn sessions_reserved(&self) -> Result<u64, Failure> {
        let found = crate::ids::read(self.engine(), &system::sessions())?;
        Ok(found.map_or(0, |(next, _)| next))
    }

    /// Which of some blocks have no reference any more, but may have had one at the version of a
    /// backup.
    pub(super) fn held_back(&self, blocks: &[BlockId]) -> Result<Vec<bool>, Failure> {
        let Some(oldest) = self.oldest_hold() else {
            return Ok(vec![false; blocks.len()]);
        };
        let keys: Vec<Key> = blocks
            .iter()
            .map(|block| object::doomed_key(*block))
            .collect();
        let bytes: Vec<&[u8]> = keys.iter().map(Key::bytes).collect();
        let found = self
            .engine()
            .multi_get(object::DOOMED_KEYSPACE, &bytes, self.read_version())
            .map_err(from_engine)?;
        let is_held = |record: &Option<nokv_engine::Record>| {
            record
                .as_ref()
                .is_some_and(|record| record.version > oldest)
        };
        Ok(found.iter().map(is_held).collect())
    }

    /// The oldest version that a backup has, or one that is being made.
    pub(super) fn oldest_hold(&self) -> Option<Version> {
        let now = self.now_millis();
        let holds = self.inner.holds.lock();
        let live = holds
            .iter()
            .filter(|hold| hold.until_millis.is_none_or(|until| until > now));
        live.map(|hold| hold.version).min()
    }

    fn replace_hold(&self, backup: u64, hold: Option<Hold>) {
        let mut holds = self.inner.holds.lock();
        holds.retain(|other| other.backup != backup);
        holds.extend(hold);
    }

    fn write_system(&self, writes: Vec<Write>) -> Result<(), Failure> {
        let command = Command {
            writes,
            ..Command::default()
        };
        self.shard()
            .execute(command, Durability::Synced)
            .map_err(from_shard)?;
        Ok(())
    }
}

/// The holds of a store.
pub(crate) fn read_holds(engine: &Engine) -> Result<Vec<Hold>, Failure> {
    let scan = engine
        .scan(
            hold::KEYSPACE,
            KeyRange::all(),
            Version::MAX,
            Direction::Forward,
        )
        .map_err(from_engine)?;
    let mut holds = Vec::new();
    for item in scan {
        let (key, found) = item.map_err(from_engine)?;
        let decoded = hold::decode(&key, &found.value);
        holds.push(decoded.map_err(|flaw| malformed(&Key::new(hold::KEYSPACE, &key), &flaw))?);
    }
    Ok(holds)
}
