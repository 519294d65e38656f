//! Numbered requests of a session: each is done once, however often it arrives.
//!
//! A connection breaks, the client sends its request again over another one, and the first may
//! still be on its way: a lock that arrives after it was given back would never be given back
//! again. So each change of a session carries a number, and the number up to which the client has
//! all answers; what was answered in between is remembered.

use crate::locks::HeldLock;
use nokv_types::{Failure, Reason};
use std::collections::BTreeMap;

/// Most answers that are remembered of a session: so many requests may be under way at once.
const ANSWERS_MAX: usize = 65_536;

/// What a request was answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// Done, or granted.
    Done,
    /// Not granted, because of this.
    Held(HeldLock),
    /// It was given up while it waited.
    GivenUp,
}

/// The answers of a session.
#[derive(Default)]
pub(super) struct Done {
    /// All below are answered, and the client knows.
    answered_below: u64,
    answers: BTreeMap<u64, Outcome>,
}

impl Done {
    /// What a request was answered before. **Errors**: `Conflict` for one that nobody waits for any
    /// more; `Overloaded`.
    pub(super) fn look(
        &mut self,
        number: u64,
        answered_below: u64,
    ) -> Result<Option<Outcome>, Failure> {
        if answered_below > self.answered_below {
            self.answered_below = answered_below;
            self.answers = self.answers.split_off(&answered_below);
        }
        if number == 0 {
            return Ok(None);
        }
        if number < self.answered_below {
            return Err(Failure::new(
                Reason::Conflict,
                format!("request {number} of the session is over; nobody waits for its answer"),
            ));
        }
        if self.answers.len() >= ANSWERS_MAX && !self.answers.contains_key(&number) {
            return Err(Failure::new(
                Reason::Overloaded,
                "too many requests of the session are under way; come back later",
            ));
        }
        Ok(self.answers.get(&number).copied())
    }

    /// Remembers an answer.
    pub(super) fn note(&mut self, number: u64, outcome: Outcome) {
        if number != 0 {
            self.answers.insert(number, outcome);
        }
    }
}
