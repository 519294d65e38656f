//! The namespace from outside: operations and their errors, garbage, concurrency, crashes, and a
//! model.

mod branches;
mod clients;
mod damage;
mod dumps;
mod edits;
mod garbage;
mod holds;
mod leases;
mod merge;
mod model;
mod mounts;
mod nameless;
mod operations;
mod quotas;
mod races;
mod relocate;
mod shards;
mod snapshots;
mod support;
mod undo;
mod watch;
