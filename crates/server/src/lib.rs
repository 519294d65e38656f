//! The service: an opened store, the one handler of all requests, and the transports in front of it.

mod config;
pub mod wire;

pub use config::{Collected, Create, ObjectsConfig, StoreConfig};
