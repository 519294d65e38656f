//! Faults by chance, from a seed.
//!
//! Invariant: whether a call fails depends on the seed, the call and its attempt only, not on what
//! ran before or beside it; so a failure found with a seed is found again.

use super::fault_store::{Call, Fault, Operation};
use crate::Error;
use nokv_env::{Random, SeededRandom};

/// What may go wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// Only what the same call, repeated, gets over: refusals and lost answers.
    Passing,
    /// Only wrong answers to gets, which nothing may take for data: flipped bits, missing ends.
    WrongBytes,
    /// Any of these, errors that repeating does not help, and puts that arrive later.
    Any,
}

/// A plan for [`super::FaultStore`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chance {
    /// Other seeds fail other calls.
    pub seed: u64,
    /// How many calls of a thousand fail.
    pub per_thousand: u32,
    /// What may go wrong.
    pub trouble: Trouble,
}

impl Chance {
    /// What goes wrong with a call.
    #[must_use]
    pub fn fault(&self, call: &Call) -> Option<Fault> {
        let random = self.random(call);
        if random.below(1_000) >= u64::from(self.per_thousand) {
            return None;
        }
        let passing = [
            Fault::Refused(Error::Unavailable("the object store is busy".to_owned())),
            Fault::AnswerLost,
        ];
        let wrong = [Fault::BitFlipped(random.next_u64() >> 1), Fault::Truncated];
        let lasting = [Fault::Refused(Error::PermissionDenied(
            "not this one".to_owned(),
        ))];
        let is_get = call.operation == Operation::Get;
        let mut faults = Vec::new();
        if self.trouble != Trouble::WrongBytes {
            faults.extend(passing);
        }
        if is_get && self.trouble != Trouble::Passing {
            faults.extend(wrong);
        }
        if self.trouble == Trouble::Any {
            faults.extend(lasting);
            if call.operation == Operation::Put {
                faults.push(Fault::Late);
            }
        }
        let index = random.below(faults.len() as u64);
        faults.get(usize::try_from(index).ok()?).cloned()
    }

    fn random(&self, call: &Call) -> SeededRandom {
        let block = call.blocks.first().map_or([0, 0], |block| {
            [block.session.get(), u64::from(block.sequence)]
        });
        let parts = [
            call.operation as u64,
            block[0],
            block[1],
            u64::from(call.attempt),
        ];
        let mixed = parts.iter().fold(self.seed, |mixed, part| {
            SeededRandom::new(mixed.rotate_left(17) ^ part).next_u64()
        });
        SeededRandom::new(mixed)
    }
}
