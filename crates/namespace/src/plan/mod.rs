//! Planning: an operation reads, decides, and gathers one command.
//!
//! A [`Plan`] is the state at the newest version with the operation's own changes over it. What an
//! operation decides on it asks for with a *checked* read; the plan turns that into a check of the
//! command, so that the command takes effect only if the decision still holds when it is applied.
//! What no decision rests on is read without a check.
//!
//! Which check protects what:
//!
//! | a | an entry that is absent | `Absent` | two creates of one name: one wins |
//! | b | an entry that is present | `UnchangedSince` | remove and rename act on what they saw |
//! | c | a node that is changed | `UnchangedSince` | no change of attributes or body is lost |
//! | d | a directory that gets an entry | `Present` | nothing is made in a removed directory |
//! | e | a directory that is removed | `AtMost(entries, 0)` | a create into it came first, or fails by (d) |
//! | f | a path of several components | `UnchangedSince(topology)` | the path still leads there; no two renames make a cycle |
//! | g | an upload session | `Present(open)` | no publish after the session's blocks may be swept |
//! | i | a branch that is looked at | `UnchangedSince` | nobody writes into a branch that is gone, or over another base |
//! | h | a block of another session | `Present(object)` | no publish of a block that is already doomed |
//!
//! In a branch, (a) to (d) are checks of the branch's own record or of its absence: what lies below
//! is the past.
//!
//! [`state`] holds what was read and changed; [`entries`], [`nodes`], [`bodies`] and [`branches`]
//! are the verbs; [`charges`] works out what changes for
//! quotas; [`placing`] chooses shards; [`compile`] makes the command.

mod bodies;
mod branches;
mod charges;
mod compile;
mod entries;
mod nameless;
mod nodes;
mod placing;
mod state;

pub(crate) use bodies::ChunkPart;
pub(crate) use branches::{BranchEnd, NewBranch};
pub(crate) use charges::size_of;
pub(crate) use entries::taken;
pub(crate) use nodes::check_mode;
pub(crate) use placing::{choose_shard, count_shards};
pub(crate) use state::{Nameless, Plan, Topology};
