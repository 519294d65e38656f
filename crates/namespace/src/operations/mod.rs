//! The operations, one verb per file.
//!
//! Each mutation is a pure-looking plan (`fn(&mut Plan) -> Result<Answer>`) run by [`crate::Namespace::mutate`]; each
//! read uses one [`crate::reader::Reader`].

mod attributes;
mod check;
mod garbage;
mod link;
mod make;
mod mounts;
mod publish;
mod read;
mod remove;
mod rename;
mod sessions;
mod usage;

pub use sessions::SESSION_TTL_MS_MAX;
