//! The nouns that every layer of NoKV shares.
//!
//! Purpose: one definition for each identifier, name, path, attribute and body descriptor, so that
//! a value that exists is valid ("parse, don't validate") and no two quantities of the same width
//! can be mixed up. This crate does no I/O, knows no key layout and no wire format.
//!
//! Reading order: [`version`] and [`id`] (what time is it, who is it), [`name`] (how things are
//! called), [`as_of`] (moments of the past), [`attributes`] (what a node is), [`body`] and
//! [`extent`] (where its bytes are), [`draft`] (how they are edited), [`failure`] (what can go
//! wrong).

mod as_of;
mod attributes;
mod body;
mod draft;
#[cfg(test)]
mod draft_test;
mod extent;
mod failure;
mod id;
mod name;
mod version;

pub use as_of::{AsOf, SNAPSHOT_NAME_BYTES_MAX, SnapshotName, parse_span_millis, rfc3339_millis};
pub use attributes::{Attributes, NodeKind, TimeNanos};
pub use body::{
    BLOCK_BYTES_DEFAULT, BLOCK_BYTES_MAX, BLOCK_BYTES_MIN, BlockId, Body, Digest, INLINE_BYTES_MAX,
    Layout,
};
pub use draft::{BODY_BYTES_MAX, Draft, DraftError, Run, Slice};
pub use extent::{Encoding, Extent, Unit};
pub use failure::{Class, Failure, Reason};
pub use id::{BranchId, ClientId, Generation, MountId, NodeId, RequestId, SessionId, ShardId};
pub use name::{
    NAME_BYTES_MAX, Name, NsPath, PATH_BYTES_MAX, PATH_COMPONENTS_MAX, SYMLINK_BYTES_MAX,
};
pub use version::Version;
