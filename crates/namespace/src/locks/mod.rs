//! Advisory locks: who holds which bytes of which file, and who waits for them.
//!
//! Pure: what is asked and the time go in, who is granted comes out. Nothing here is on disk; how
//! locks survive a restart stands in [`crate::clients`].
//!
//! Invariants:
//! - no byte is held exclusively by one owner and held at all by another;
//! - the pieces of one owner in a file do not overlap, and neighbours of one kind are one piece;
//! - among those who wait the first comes first: nobody who waits is overtaken by one who waits
//!   later for what he waits for, unless he himself is waiting for that one;
//! - nobody waits for ever because of the order alone: a circle that would not be one without it is
//!   opened; one that would is refused to the last who comes ([`table::Asked::Deadlock`]).
//!
//! Reading order: [`range`] (the nouns), [`held`] (pieces of one file), [`table`] (asking, giving
//! back), [`queue`] (waiting, granting), [`circle`] (who waits for whom).

mod circle;
mod held;
#[cfg(test)]
mod locks_test;
mod queue;
mod range;
mod table;

pub use held::HeldRanges;
pub use range::{HeldLock, LockFamily, LockKind, LockOwner, LockRange};
pub(crate) use table::{Asked, LockKey, LockTable, Request, WaitId};
