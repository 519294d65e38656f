//! Bodies beside the tools that people copy with: a tree of 20,000 real files, and a set of
//! checkpoint files, into a local folder and into the same S3 server.
//!
//! Guarantees:
//! - the server (`weed`, SeaweedFS) is started for the run and stopped after it; every system uses
//!   it in the same way, with the same number of transfers in flight;
//! - what came back is compared with what went in, outside of the timing: a fast wrong answer is an
//!   error;
//! - the input has only regular files and directories, since not every tool carries more.
//!
//! Reading order: `input` (what is moved), `place` (where to), `server`, `tool` (by whom), `raw`
//! (the object client without anything around it), `cell`, `compare`, `run`.

mod cell;
mod compare;
mod input;
mod place;
mod raw;
mod run;
mod server;
mod tool;

pub(crate) use cell::answer_cell;
pub(crate) use run::{BodiesArguments, run};
