//! One session: its lease, and what it has.

use super::done::Done;
use super::opens::OpenKey;
use crate::{ClientPhase, ClientSession};
use nokv_types::{ClientId, Failure, Reason};
use rustc_hash::FxHashSet;
use std::time::Duration;

/// Most nodes that one session has open, about 50 bytes each.
const OPENS_MAX: usize = 1 << 20;

/// Where a session is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// From before the restart: it must say what it has.
    Unannounced,
    Live,
    /// Its time is over, or it closes: it can do nothing more. What it has goes once its end is on
    /// disk.
    Ending,
}

/// A session whose record is to be deleted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Lapsed(pub(crate) ClientId);

pub(super) struct Session {
    pub(super) label: String,
    pub(super) ttl: Duration,
    /// Monotonic: a wall clock that is set ends no session and prolongs none.
    pub(super) ends: Duration,
    pub(super) phase: Phase,
    pub(super) opens: FxHashSet<OpenKey>,
    pub(super) done: Done,
}

impl Session {
    pub(super) fn new(label: String, ttl: Duration, now: Duration, phase: Phase) -> Self {
        Self {
            label,
            ttl,
            ends: now + ttl,
            phase,
            opens: FxHashSet::default(),
            done: Done::default(),
        }
    }

    pub(super) fn is_over(&self, now: Duration) -> bool {
        self.phase == Phase::Ending || self.ends < now
    }

    /// An unannounced session has its time to live from the restart on, and no more: it holds up
    /// others.
    pub(super) fn renew(&mut self, now: Duration) {
        if self.phase == Phase::Live {
            self.ends = self.ends.max(now + self.ttl);
        }
    }

    pub(super) fn has_room(&self) -> Result<(), Failure> {
        if self.opens.len() < OPENS_MAX {
            return Ok(());
        }
        Err(Failure::new(
            Reason::TooLarge,
            format!("a session may have {OPENS_MAX} files open; close some"),
        ))
    }

    pub(super) fn describe(&self, id: ClientId, now: Duration, incarnation: u64) -> ClientSession {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        ClientSession {
            id,
            label: self.label.clone(),
            ttl_ms: millis(self.ttl),
            left_ms: millis(self.ends.saturating_sub(now)),
            open_count: self.opens.len() as u64,
            phase: match self.phase {
                Phase::Unannounced => ClientPhase::Unannounced,
                Phase::Live | Phase::Ending => ClientPhase::Live,
            },
            incarnation,
        }
    }
}

pub(super) fn expired(client: ClientId) -> Failure {
    Failure::new(
        Reason::SessionExpired,
        format!(
            "client session {client} is over, and with it its locks and open files; open a new one"
        ),
    )
}
