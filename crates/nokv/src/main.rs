//! `nokv`, the command line: every command over the SDK, the same in process and through a server.
//!
//! Reading order: [`arguments`] (what can be said), `commands/` (one file each), [`session`] (from
//! options to a client), [`output`] (text or JSON), [`error`] (one line and an exit code), [`run`]
//! (runtime, signals, end).
//!
//! Invariants:
//! - standard output carries answers only; progress, notes and errors go to standard error;
//! - the same command prints the same answer, however the store is reached;
//! - a secret is never an option, so it never stands in the list of processes.

mod arguments;
mod as_of;
mod cache_place;
mod commands;
mod describe;
mod error;
mod layout;
mod local_file;
mod output;
mod pages;
mod progress;
mod repair_plan;
mod run;
mod session;
mod text;
mod transfer;

fn main() -> std::process::ExitCode {
    run::main()
}
