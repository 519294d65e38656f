//! `nokv admin`: what is in the files of a stopped store, what is damaged, what can be saved.
//!
//! It reads files, not the namespace: it works when the store does not open. Nothing is written but
//! by `repair --apply`.
//!
//! Reading order: [`run`] (the command line, and which folder), [`list`] (what is in the files),
//! [`mend`] (verify and repair).

mod list;
mod mend;
mod run;

pub(crate) use run::{Arguments, run};
