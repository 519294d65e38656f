//! The whole namespace under simulation: seeds, a reference model, power cuts, planted bugs.
//!
//! Purpose: to find what no case written by hand finds. A seed gives a script ([`script`]): several
//! clients begin operations of all kinds and are stopped in their middle while others happen,
//! watchers are killed, the power goes, time passes, collection runs. The script runs against the
//! namespace in memory, beside a model that is too plain to be wrong ([`model`]); every answer,
//! every version of the past, every event is compared. The same seed gives the same run.
//!
//! Invariants that are checked, by the names that violations carry: [`INVARIANTS`].
//!
//! Reading order: [`model`], [`op`] (scripts as data), [`generate`] (from a seed to a script),
//! [`call`] (how the namespace is asked), [`turns`] (clients that take turns), [`run`] (the run and
//! its judgements), [`shrink`] (small failing scripts).

mod call;
mod generate;
pub mod model;
mod op;
mod run;
mod shrink;
mod turns;
mod violation;

pub use generate::{Profile, script};
pub use nokv_namespace::Plant;
pub use op::{By, Mount, Op, Path, Place, Step};
pub use run::Trace;
pub use shrink::{Found, replay, simulate, smallest};
pub use violation::Violation;

/// What always holds, and what a violation is named after.
pub const INVARIANTS: &[(&str, &str)] = &[
    (
        "linearizable",
        "each answer is what the model says at a moment between call and answer",
    ),
    (
        "equals-the-model",
        "every name, node, body and attribute of a version is the model's",
    ),
    (
        "repeatable-reads",
        "a version reads the same, byte for byte, whenever it is read",
    ),
    ("readable", "what is retained or pinned can be read"),
    (
        "snapshots",
        "a snapshot shows what it was made of until its lease ends, then fails",
    ),
    (
        "counted",
        "a directory's counters are a recount of its entries",
    ),
    (
        "watch-equals-changes",
        "a watcher hears of each command what the model announces",
    ),
    (
        "watch-once-in-order",
        "no change is heard twice or late, across kill and resume",
    ),
    ("watch-invented", "nothing is heard that did not happen"),
    ("watch-retained", "a retained cursor is never refused"),
    ("watch-fails", "watching does not fail"),
    (
        "quota-never-overshot",
        "no command leaves more below a directory than its quota",
    ),
    (
        "quota-equals-recount",
        "what a quota counts is what is there",
    ),
    ("quotas", "every quota that was set is there"),
    (
        "mounts",
        "every mount that was registered and not retired is there",
    ),
    ("merge-three-way", "a merge is the model's three-way merge"),
    (
        "merge-overwrites-nothing",
        "a conflict never overwrites unless told so",
    ),
    (
        "applied-once",
        "a request that comes again gets its first answer",
    ),
    (
        "prefix-recovery",
        "after a power cut there is a prefix with all that was synced",
    ),
    (
        "no-torn-batch",
        "a command cut off by the power is there whole or not at all",
    ),
    ("consistent", "the namespace's own check finds nothing"),
    ("collection", "collection ends and fails nothing"),
    ("opens", "the store opens after every power cut"),
    ("no-failure", "nothing fails but what was made to fail"),
    ("no-panic", "nothing panics"),
];
