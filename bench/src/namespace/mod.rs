//! The namespace beside what an application would build without it.
//!
//! - *create*: one file by one command, alone and by 16 callers, buffered and synced; a thousand by
//!   one command.
//! - *lookup*: a path of eight components, one call.
//! - *readdirplus*: a directory of 65,536 entries with their attributes.
//!
//! Peers: the *client-stitched* path over the same engine (an entry table and a node table; one
//! scan and then one get for each entry, alone, as a multi-get, and fanned out), and a Redis server
//! with scripts in the shape of JuiceFS (one script to create, one to resolve a path).
//!
//! Reading order: `workload`, `subject` (what everybody implements), `ours`, `stitched`, `redis`,
//! `cell`, `run`.

mod cell;
mod ours;
mod redis;
mod run;
mod stitched;
mod subject;
mod workload;

pub(crate) use cell::answer_cell;
pub(crate) use run::{NamespaceArguments, run};
