//! The real binary, end to end: real processes, real files, a real S3 server.
//!
//! - [`round_trip`]: nasty trees come back bit for bit, in process, over the socket, over TCP.
//! - [`s3`]: the same with the objects in a real S3 server, and what it refuses.
//! - [`kill`]: `kill -9` at random moments of a put; what was acknowledged is whole, nothing is
//!   half there.
//! - [`admin`]: damage of the metadata is named and repaired.
//! - [`bad_input`]: each kind of wrong input has one line that says what to do, and loses nothing.
//! - [`backups`]: a store that was lost comes back.
//! - [`branches`]: made, compared, merged, removed, collected around.
//! - [`damage`]: a truncated or flipped log.
//! - [`commands`]: what each command answers, as text and as JSON.
//! - [`dumps`]: trees into files and back.
//! - [`snapshots`]: the past, by name, by version, by time.
//! - [`mounts`]: several namespaces in one store.
//! - [`quotas`]: limits, met and shown.
//! - [`watch`]: each change once, in order, across kills.
//! - [`undo`]: what was removed or changed, brought back.
//! - [`help`]: every command has examples; completions are made.
#![expect(
    clippy::disallowed_methods,
    reason = "these tests drive real processes"
)]
#![expect(
    clippy::print_stdout,
    reason = "a failed test shows the seed it ran with"
)]

mod admin;
mod backups;
mod bad_input;
mod bodies;
mod branches;
mod cache;
mod commands;
mod damage;
mod dumps;
mod grpc;
mod help;
mod kill;
mod mounts;
mod program;
mod publish;
mod quotas;
mod random;
mod round_trip;
mod s3;
mod shards;
mod snapshots;
mod tree;
mod undo;
mod watch;
mod weed;
