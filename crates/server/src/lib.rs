//! The service: an opened store, the one handler of all requests, and the transports in front of
//! it.
//!
//! Reading order: [`config`] (what an operator chooses), [`identity`] and [`store_lock`] (whose
//! directory it is), [`wire`] (nouns and messages), [`service`] (the handler), [`transport`]
//! (sockets in front of it).
//!
//! Invariants:
//! - one process at a time has a store open;
//! - every transport comes to the same handler and gets the same answers;
//! - without TLS and tokens nothing but a Unix socket (0600) and loopback is listened on;
//! - memory is bounded: by connection, by requests in flight, by bytes in flight.

mod config;
mod figures;
mod identity;
mod objects;
mod restore_store;
mod service;
mod store_lock;
mod transport;
pub mod wire;

pub use nokv_object::{S3Keys, Secret};

pub use config::{Collected, Create, ObjectsCheck, ObjectsConfig, StoreConfig};
pub use figures::{Figure, Latencies, Latency, Value};
pub use identity::FORMAT_VERSION;
pub use objects::reach_objects;
pub use restore_store::{RestoreAt, RestoreStore, RestoredStore, restore_store};
pub use service::{Caller, Lane, Service};
pub use transport::{
    CONNECTIONS_MAX, IN_FLIGHT_MAX, SOCKET_NAME, Server, ServerOptions, bind_tcp, connect_unix,
};
