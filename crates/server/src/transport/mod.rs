//! Sockets in front of the handler.
//!
//! Invariants:
//! - a connection can harm only itself: its bytes are checked, its requests in flight and its
//!   memory are limited, and one that stops halfway is dropped after a while;
//! - nothing listens where a stranger could reach it: a Unix socket of mode 0600, and loopback.
//!
//! Reading order: [`limits`], [`unix`] and [`tcp`] (where to listen), [`connection`] (one peer),
//! [`server`] (all of them).

mod budget;
mod connection;
mod limits;
mod server;
mod tcp;
mod unix;

pub use limits::{CONNECTIONS_MAX, IN_FLIGHT_MAX, ServerOptions};
pub use server::Server;
pub use tcp::bind_tcp;
pub use unix::{SOCKET_NAME, connect_unix};
