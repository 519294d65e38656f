//! Objects that belong to nothing: listed now and then, a part in each round.
//!
//! They come from puts that arrive after their session was swept (a network may hold back a request
//! for long), and from a namespace that was rolled back to a copy. Nothing else finds them.
//!
//! Invariants:
//! - an object is an orphan only if its session was unknown *before* it was listed, and it is
//!   referenced by nothing after: sessions are on disk before their first block, ids are never
//!   reused, so nobody can need it any more;
//! - the age of an orphan is counted from the first sight, hence never overestimated;
//! - memory: eight bytes for each session that has objects, during a look, and [`SIGHTINGS_MAX`]
//!   sightings.

use super::{collector::Round, delete::BATCH_OBJECTS_MAX, options::Orphans};
use crate::{BlockEntry, Error};
use nokv_types::{BlockId, SessionId};
use std::collections::HashMap;

/// A session that no upload gets: whoever opens a store may keep marks of its own there, which are
/// no orphans.
pub const RESERVED_SESSION: SessionId = SessionId::new(u64::MAX);
/// Orphans whose age is remembered; others wait until these are deleted.
const SIGHTINGS_MAX: usize = 65_536;

/// A look at all sessions, over as many rounds as it takes.
#[derive(Default)]
pub(super) struct OrphanLook {
    /// When the next begins, milliseconds since 1970; the first at once.
    due_millis: u64,
    /// Sessions still to look at.
    left: Vec<SessionId>,
    /// Number of this look.
    number: u64,
    sightings: HashMap<BlockId, Sighting>,
}

struct Sighting {
    first_millis: u64,
    /// The last look that saw it.
    look: u64,
}

impl OrphanLook {
    /// Notes a sight; true when the first was `grace_ms` ago.
    fn is_due(&mut self, block: BlockId, now_millis: u64, grace_ms: u64) -> bool {
        let look = self.number;
        if let Some(sighting) = self.sightings.get_mut(&block) {
            sighting.look = look;
            return now_millis.saturating_sub(sighting.first_millis) >= grace_ms;
        }
        if self.sightings.len() < SIGHTINGS_MAX {
            self.sightings.insert(
                block,
                Sighting {
                    first_millis: now_millis,
                    look,
                },
            );
        }
        grace_ms == 0
    }
}

impl Round<'_> {
    pub(super) async fn look_for_orphans(&mut self) -> Result<(), Error> {
        let options = &self.inner.options;
        if options.orphans == Orphans::Ignore || self.is_over() {
            return Ok(());
        }
        let now_millis = self.inner.clock.now_millis();
        if self.state.orphans.left.is_empty() {
            if now_millis < self.state.orphans.due_millis {
                return Ok(());
            }
            match self.inner.blocks.list_sessions().await {
                Ok(sessions) => self.state.orphans.left = sessions,
                Err(error) => {
                    self.refused(error);
                    return Ok(());
                }
            }
            self.state.orphans.number += 1;
        }
        for _ in 0..options.orphan_sessions_max {
            let Some(session) = self.state.orphans.left.pop() else {
                break;
            };
            if session != RESERVED_SESSION {
                self.look_at(session, now_millis).await?;
            }
            if self.is_over() {
                break;
            }
        }
        let look = &mut self.state.orphans;
        if look.left.is_empty() {
            let number = look.number;
            look.due_millis = now_millis.saturating_add(options.orphan_interval_ms);
            look.sightings.retain(|_, sighting| sighting.look == number);
        }
        Ok(())
    }

    async fn look_at(&mut self, session: SessionId, now_millis: u64) -> Result<(), Error> {
        if self
            .inner
            .ask(move |ledger| ledger.session_is_known(session))
            .await?
        {
            return Ok(());
        }
        let entries = match self.inner.blocks.list_session(session).await {
            Ok(entries) => entries,
            Err(error) => {
                self.refused(error);
                return Ok(());
            }
        };
        let grace_ms = self.grace_ms(session).await?;
        for page in entries.chunks(BATCH_OBJECTS_MAX) {
            let orphans = self.unreferenced(page).await?;
            let due = self.due(&orphans, now_millis, grace_ms);
            self.delete_entries(&due).await?;
            let bytes =
                |entries: &[BlockEntry]| entries.iter().map(|entry| entry.bytes).sum::<u64>();
            self.report.orphan_objects += (orphans.len() - due.len()) as u64;
            self.report.orphan_bytes += bytes(&orphans) - bytes(&due);
        }
        Ok(())
    }

    /// At what age the orphans of a session are deleted; `None` if they stay.
    async fn grace_ms(&self, session: SessionId) -> Result<Option<u64>, Error> {
        match self.inner.options.orphans {
            Orphans::Ignore | Orphans::Report => Ok(None),
            Orphans::Delete { grace_ms } => Ok(Some(grace_ms)),
            Orphans::Late { grace_ms } => {
                let was_given = self
                    .inner
                    .ask(move |ledger| ledger.session_was_given(session));
                Ok(was_given.await?.then_some(grace_ms))
            }
        }
    }

    /// Those that were seen for long enough.
    fn due(
        &mut self,
        orphans: &[BlockEntry],
        now_millis: u64,
        grace_ms: Option<u64>,
    ) -> Vec<BlockEntry> {
        let Some(grace_ms) = grace_ms else {
            return Vec::new();
        };
        let look = &mut self.state.orphans;
        let is_due = |entry: &&BlockEntry| look.is_due(entry.block, now_millis, grace_ms);
        orphans.iter().filter(is_due).copied().collect()
    }
}
