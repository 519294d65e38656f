//! The shard from outside: commands against a model, requests, the log, failures of the disk.

mod failures;
mod log;
mod model;
mod parts;
mod support;
