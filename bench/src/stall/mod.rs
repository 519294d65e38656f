//! Write stalls: writers as fast as they can be for minutes, watched second by second.
//!
//! A mean hides that a store stops: here every write is timed, every second has its own highest and
//! 99.9th percentile, and beside them stand the figures of the store that explain them (depth of
//! level 0, memtables that wait, backlog). Afterwards the store is left alone until it rests, and
//! what it then takes on disk is compared with what is live in it.
//!
//! Reading order: `run` (arguments, the run, the verdict), `load` (the writers), `second` (a row of
//! the report), `plot` (the rows as a picture).

mod load;
mod plot;
mod run;
mod second;

pub(crate) use run::{StallArguments, run};
