//! Key-value engines beside each other: the six YCSB workloads, appends, and a metadata-shaped set.
//!
//! Guarantees that make the comparison fair:
//! - one trait, one key and value generator, one seed: every engine sees the same operations in the
//!   same order per worker;
//! - equal durability: `buffered` is "in the log or with the operating system, no fsync per write";
//!   `synced` is "on disk before the write returns", with group commit where the engine has it;
//! - equal cache budget; a reader gets the value copied into its own buffer;
//! - the state is carried from workload to workload (load, A, B, C, F, D, E, as YCSB prescribes),
//!   each in a new process: an engine that defers work pays for it in the next row.
//!
//! Reading order: `zipfian` and `keys` (what is asked), `engine` (of whom), `workload` (in which
//! mix), `cell` (one measurement), `run` (all of them), `scaling` (ours with more readers).

mod cell;
mod engine;
#[cfg(test)]
mod engine_test;
mod keys;
mod peers;
mod run;
mod scaling;
mod workload;
mod zipfian;

pub(crate) use cell::answer_cell;
pub(crate) use engine::Durability;
pub(crate) use run::{YcsbArguments, run};
pub(crate) use scaling::{ScalingArguments, run_scaling};
