//! gRPC in front of the service: any language, from the `.proto` alone.
//!
//! Purpose: what `nokv/v1/services.proto` describes, served by tonic, over the one handler that all
//! doors share ([`nokv_server::Service::call`]): a request that comes as gRPC gets the answer that
//! it would get framed. The crate stands apart from the server because tonic is slow to compile
//! and the hot path does not use it.
//!
//! Reading order: [`services`] (a row per method), [`status`] (failures), [`deadline`], [`watch`]
//! (the one method that is a stream), [`connections`] and [`server`] (listening, health,
//! reflection).
//!
//! Invariants:
//! - every method of the framed protocol has its row, with the same messages (`tests/it` reads the
//!   descriptors);
//! - a failure keeps its reason and its message, in `google.rpc.ErrorInfo`;
//! - a stream holds at most its window of changes, however slow its reader is.

mod connections;
mod deadline;
mod server;
mod services;
mod status;
mod watch;

/// The services, as generated.
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated from the .proto, where the documentation is"
)]
pub mod v1 {
    tonic::include_proto!("nokv.v1");
}

pub use server::{GrpcOptions, GrpcServer, MESSAGE_BYTES_MAX};
