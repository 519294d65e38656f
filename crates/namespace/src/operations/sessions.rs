//! Upload sessions: who may publish blocks, and when the rest may be swept.
//!
//! Life of a session: open → (closed by its owner, or expired) → closed → (swept) → forgotten.
//!
//! Invariants:
//! - opening is on disk before the first block is uploaded, closing before the first is swept:
//!   whatever a crash loses, blocks that nobody references belong to a session that will be swept;
//! - publish and closing are decided in log order: a publish that comes after fails, one that came
//!   before left references that the sweep sees.

use crate::failure::{from_engine, from_shard, invalid, malformed};
use crate::plant::Plant;
use crate::records::{SessionRecord, object};
use crate::{Namespace, Session, SessionState};
use nokv_engine::{Direction, KeyRange};
use nokv_shard::{Check, Command, Durability, Error, Key, Write};
use nokv_types::{BlockId, Failure, Reason, SessionId, Version};

/// Longest life that a session may ask for at once, a day; it can be renewed again and again.
pub const SESSION_TTL_MS_MAX: u64 = 86_400_000;

impl Namespace {
    /// Opens an upload session, on disk before it returns: the first block may be uploaded after.
    ///
    /// **Errors**: `InvalidArgument` for a life of 0 or over [`SESSION_TTL_MS_MAX`].
    pub fn open_session(&self, ttl_ms: u64) -> Result<Session, Failure> {
        check_ttl(ttl_ms)?;
        let id = self.inner.ids.session(self.shard())?;
        let expires_millis = self.now_millis().saturating_add(ttl_ms);
        let record = SessionRecord {
            millis: expires_millis,
        };
        let command = Command {
            checks: vec![Check::Absent(SessionRecord::open_key(id))],
            writes: vec![Write::Put(SessionRecord::open_key(id), record.encode())],
            ..Command::default()
        };
        let durability = match self.inner.planted.is(Plant::ForgetSession) {
            false => Durability::Synced,
            true => Durability::Buffered,
        };
        self.shard()
            .execute(command, durability)
            .map_err(from_shard)?;
        Ok(Session {
            id,
            expires_millis,
            state: SessionState::Open,
        })
    }

    /// Lets a session live until now plus `ttl_ms`; never shortens. **Errors**: `SessionExpired`.
    pub fn renew_session(&self, session: SessionId, ttl_ms: u64) -> Result<Session, Failure> {
        check_ttl(ttl_ms)?;
        let now = self.now_millis();
        let expired = || {
            Failure::new(
                Reason::SessionExpired,
                format!("upload session {session} is over; open a new one and upload again"),
            )
        };
        loop {
            let (record, version) = self
                .session_at(&SessionRecord::open_key(session))?
                .ok_or_else(expired)?;
            if record.millis < now {
                return Err(expired());
            }
            let expires_millis = record.millis.max(now.saturating_add(ttl_ms));
            let key = SessionRecord::open_key(session);
            let record = SessionRecord {
                millis: expires_millis,
            };
            let command = Command {
                checks: vec![Check::UnchangedSince(key.clone(), version)],
                writes: vec![Write::Put(key, record.encode())],
                ..Command::default()
            };
            match self.shard().execute(command, Durability::Buffered) {
                Ok(_) => {
                    return Ok(Session {
                        id: session,
                        expires_millis,
                        state: SessionState::Open,
                    });
                }
                // Each failure means that somebody renewed or closed it: progress, so no bound is
                // needed.
                Err(Error::CheckFailed { .. }) => {}
                Err(error) => return Err(from_shard(error)),
            }
        }
    }

    /// Ends a session: no publish of it can succeed after, and no upload may be under way. What
    /// it uploaded and nobody references becomes garbage at once. Idempotent.
    pub fn close_session(&self, session: SessionId) -> Result<(), Failure> {
        let key = SessionRecord::open_key(session);
        while let Some((_, version)) = self.session_at(&key)? {
            if self.close_if_unchanged(session, version, self.now_millis())? {
                break;
            }
        }
        Ok(())
    }

    /// Closes sessions past their expiry, then names up to `limit` closed ones after `after`, in
    /// ascending order, whose blocks are to be swept: list the objects of the session, keep those
    /// that [`Self::is_referenced`], delete the others, then [`Self::finish_session`]. Fewer than
    /// `limit` are the last ones.
    ///
    /// **Guarantees**: the sessions are closed on disk.
    pub fn expired_sessions(
        &self,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<SessionId>, Failure> {
        let now = self.now_millis();
        for (session, record, version) in self.sessions(SessionRecord::OPEN)? {
            if record.millis < now {
                let sweep = now.saturating_add(self.inner.options.session_grace_ms);
                self.close_if_unchanged(session, version, sweep)?;
            }
        }
        let closed = self.sessions(SessionRecord::CLOSED)?;
        let due: Vec<_> = closed
            .into_iter()
            .filter(|(_, record, _)| record.millis <= now)
            .map(|(session, ..)| session)
            .filter(|session| after.is_none_or(|after| *session > after))
            .take(limit)
            .collect();
        if !due.is_empty() {
            self.sync()?;
        }
        Ok(due)
    }

    /// Ends every session now, without grace, so that the next round sweeps what they uploaded: for
    /// when it is known that nobody uploads. A client that does all the same fails with
    /// `SessionExpired` and harms nothing; at worst an upload still on its way lands after the
    /// sweep.
    ///
    /// Returns how many were open.
    pub fn abandon_sessions(&self) -> Result<u64, Failure> {
        let now = self.now_millis();
        let mut abandoned = 0;
        for (session, _, version) in self.sessions(SessionRecord::OPEN)? {
            if self.close_if_unchanged(session, version, now)? {
                abandoned += 1;
            } else {
                // Renewed or closed by its owner meanwhile.
                self.close_session(session)?;
            }
        }
        for (session, record, version) in self.sessions(SessionRecord::CLOSED)? {
            if record.millis > now {
                let key = SessionRecord::closed_key(session);
                let due = SessionRecord { millis: now };
                let command = Command {
                    checks: vec![Check::UnchangedSince(key.clone(), version)],
                    writes: vec![Write::Put(key, due.encode())],
                    ..Command::default()
                };
                match self.shard().execute(command, Durability::Buffered) {
                    // A failed check: it was swept and finished meanwhile.
                    Ok(_) | Err(Error::CheckFailed { .. }) => {}
                    Err(error) => return Err(from_shard(error)),
                }
            }
        }
        Ok(abandoned)
    }

    /// For each block whether any body, live or retained, needs it.
    pub fn is_referenced(&self, blocks: &[BlockId]) -> Result<Vec<bool>, Failure> {
        let mut referenced = self.has_references(blocks)?;
        for (referenced, held) in referenced.iter_mut().zip(self.held_back(blocks)?) {
            *referenced |= held;
        }
        Ok(referenced)
    }

    /// The same without what only backups need.
    pub(super) fn has_references(&self, blocks: &[BlockId]) -> Result<Vec<bool>, Failure> {
        let keys: Vec<Key> = blocks.iter().map(|block| object::key(*block)).collect();
        let bytes: Vec<&[u8]> = keys.iter().map(Key::bytes).collect();
        let found = self
            .engine()
            .multi_get(object::KEYSPACE, &bytes, self.read_version())
            .map_err(from_engine)?;
        Ok(found.iter().map(Option::is_some).collect())
    }

    /// Forgets a closed session after its sweep. Idempotent. **Errors**: `Conflict` when it is
    /// still open.
    pub fn finish_session(&self, session: SessionId) -> Result<(), Failure> {
        let command = Command {
            checks: vec![Check::Absent(SessionRecord::open_key(session))],
            writes: vec![Write::Delete(SessionRecord::closed_key(session))],
            ..Command::default()
        };
        match self.shard().execute(command, Durability::Buffered) {
            Ok(_) => Ok(()),
            Err(Error::CheckFailed { .. }) => Err(Failure::new(
                Reason::Conflict,
                format!("upload session {session} is still open; close it first"),
            )),
            Err(error) => Err(from_shard(error)),
        }
    }

    /// Whether a session is known: open, or closed and not yet finished.
    pub fn session_is_known(&self, session: SessionId) -> Result<bool, Failure> {
        Ok(self
            .session_at(&SessionRecord::open_key(session))?
            .is_some()
            || self
                .session_at(&SessionRecord::closed_key(session))?
                .is_some())
    }

    /// How many sessions are over and to be swept.
    pub(super) fn due_session_count(&self) -> Result<u64, Failure> {
        let now = self.now_millis();
        let due = |prefix| -> Result<usize, Failure> {
            let sessions = self.sessions(prefix)?;
            let due = sessions
                .iter()
                .filter(|(_, record, _)| record.millis <= now);
            Ok(due.count())
        };
        Ok((due(SessionRecord::OPEN)? + due(SessionRecord::CLOSED)?) as u64)
    }

    /// Whether this store has ever given a session this id: what lies in the object store under any
    /// other is not of this store, or of a later time than the copy that it was brought back from.
    pub fn session_was_given(&self, session: SessionId) -> Result<bool, Failure> {
        self.inner.ids.session_was_given(self.shard(), session)
    }

    /// Moves a session from open to closed; false when it changed since `version`.
    fn close_if_unchanged(
        &self,
        session: SessionId,
        version: Version,
        sweep_millis: u64,
    ) -> Result<bool, Failure> {
        let record = SessionRecord {
            millis: sweep_millis,
        };
        let command = Command {
            checks: vec![Check::UnchangedSince(
                SessionRecord::open_key(session),
                version,
            )],
            writes: vec![
                Write::Delete(SessionRecord::open_key(session)),
                Write::Put(SessionRecord::closed_key(session), record.encode()),
            ],
            ..Command::default()
        };
        match self.shard().execute(command, Durability::Buffered) {
            Ok(_) => Ok(true),
            Err(Error::CheckFailed { .. }) => Ok(false),
            Err(error) => Err(from_shard(error)),
        }
    }

    fn session_at(&self, key: &Key) -> Result<Option<(SessionRecord, Version)>, Failure> {
        let found = self
            .engine()
            .get(key.keyspace(), key.bytes(), self.read_version())
            .map_err(from_engine)?;
        let Some(found) = found else { return Ok(None) };
        let record = SessionRecord::decode(&found.value).map_err(|flaw| malformed(key, &flaw))?;
        Ok(Some((record, found.version)))
    }

    fn sessions(&self, prefix: &[u8]) -> Result<Vec<(SessionId, SessionRecord, Version)>, Failure> {
        let keyspace = SessionRecord::KEYSPACE;
        let scan = self
            .engine()
            .scan(
                keyspace,
                KeyRange::prefix(prefix),
                self.read_version(),
                Direction::Forward,
            )
            .map_err(from_engine)?;
        let mut sessions = Vec::new();
        for item in scan {
            let (key, found) = item.map_err(from_engine)?;
            let flaw = |flaw| malformed(&Key::new(keyspace, &key), &flaw);
            let id = SessionRecord::id(&key).map_err(flaw)?;
            sessions.push((
                id,
                SessionRecord::decode(&found.value).map_err(flaw)?,
                found.version,
            ));
        }
        Ok(sessions)
    }
}

fn check_ttl(ttl_ms: u64) -> Result<(), Failure> {
    if ttl_ms == 0 || ttl_ms > SESSION_TTL_MS_MAX {
        return Err(invalid(format!(
            "a session may live 1 to {SESSION_TTL_MS_MAX} ms before it is renewed, not {ttl_ms}"
        )));
    }
    Ok(())
}
