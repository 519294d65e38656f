//! The wire: messages, frames, and the way between messages and nouns.
//!
//! Purpose: the one place that knows how NoKV speaks. `proto/nokv/v1/*.proto` is the description,
//! for every language; [`v1`] is generated from it; [`frame`] puts messages on a connection;
//! [`convert`] turns messages into the nouns of `nokv-types` and back. A noun that comes out of
//! here is valid: what is not becomes a [`nokv_types::Failure`] that names the field.
//!
//! Invariants:
//! - bytes from the network never panic and never take memory beyond their own size times a small
//!   factor;
//! - names and paths are bytes, not UTF-8;
//! - messages grow by fields only, and a field number has one meaning for ever.

mod convert;
mod frame;
mod guard;

#[cfg(test)]
mod convert_test;
#[cfg(test)]
mod frame_test;

/// The messages, as generated.
#[allow(
    missing_docs,
    unused_qualifications,
    clippy::all,
    reason = "generated from the .proto, where the documentation is"
)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/nokv.v1.rs"));
    include!(concat!(env!("OUT_DIR"), "/methods.rs"));
}

/// The encoded `FileDescriptorSet` of `nokv.v1`, with comments, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/nokv.v1.bin"));

pub use convert::{
    FromWire, digest_from_wire, extents_from_wire, failure_from_wire, invalid, kind_from_wire,
    kind_to_wire, mode_from_wire, name_from_wire, optional_request_id, path_from_wire, present,
    version_from_wire,
};
pub use frame::{
    BLOCK_BYTES_RPC_MAX, FRAME_BYTES_MAX, Frame, FrameError, HEADER_BYTES, PREFACE, decode_frame,
    encode_frame, missing_bytes,
};
pub use guard::decode_message;
