//! The house style as a test: what a program can check of it, checked on every run.
//!
//! Each rule looks at the sources and reports *measures*: a rule, a file, a number and a sentence.
//! A measure over nothing is an error, unless `xtask/tidy.ratchet` exempts exactly that number for
//! that file: an entry that is too generous or no longer needed is an error too, so the list can
//! only shrink.
//!
//! Reading order: [`source`] (one file, its code without comments and strings), [`rules`] (what one
//! file must be), [`functions`] (where functions begin and end), [`layers`] (which crate may use
//! which), [`modules`] (no orphan files), [`banned`] (crates that must not be built), [`ratchet`]
//! (the exemptions), [`check`] (all of it).

mod banned;
mod check;
mod functions;
mod layers;
mod modules;
mod ratchet;
mod rules;
mod source;

pub(crate) use check::run;
