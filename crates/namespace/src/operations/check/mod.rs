//! The consistency check: a recount of everything, in steps, beside readers and writers, and what
//! mends what it finds.
//!
//! A step looks at a part of the store at one version, which it holds: what writers do meanwhile is
//! no finding. Parts are whole in themselves (some nodes with all entries that lead to them or lie
//! in them; a branch; some objects with all bodies that need them; all quotas), so each step has a
//! version of its own, and a check that is stopped goes on where it was ([`crate::CheckCursor`]).
//! Memory is about 150 bytes for each node of a step; each step of nodes reads all entries once, so
//! a store that fits into one step is read once.
//!
//! Every problem says what would mend it ([`crate::Repair`]), where that can be known. A repair is
//! one command; its checks are that all it rests on is unchanged since it was found. Nothing that
//! can be reached is ever deleted: what nothing leads to gets a name in `/lost+found`, and only
//! what leads nowhere goes.
//!
//! [`run`] makes steps, [`nodes`] looks at nodes, entries and counters, [`places`] at where
//! directories are, [`branches`], [`bodies`] and [`quotas`] at those; [`mend`] applies repairs, and
//! [`mending`] is what they are made with.

mod bodies;
mod branches;
mod findings;
mod mend;
mod mending;
mod nodes;
mod places;
mod quotas;
mod run;

use findings::Findings;
use nodes::{Seen, Slice};
pub use run::CHECK_NODES_DEFAULT;
