//! The limits of transports, with their reasons.

use std::net::SocketAddr;
use std::time::Duration;

/// Connections at once unless told; beyond it a connection waits in the kernel's queue. Each idle
/// one takes some KiB.
pub const CONNECTIONS_MAX: usize = 1_024;
/// Requests of one connection in flight: beyond it the server does not read on, so that a client's
/// backlog stays with the client. Enough to keep both cores busy over a 10 ms line.
pub const IN_FLIGHT_MAX: usize = 256;
/// Bytes of all large requests and answers in memory, over all connections.
pub(super) const BUDGET_BYTES: usize = 128 << 20;
/// From here on a request or an answer counts against the budget. Smaller ones are bounded by their
/// number.
pub(super) const LARGE_BYTES: usize = 256 << 10;
/// Bytes of answers that wait for their reader before the server stops to take requests from it.
pub(super) const OUT_BYTES_FULL: usize = 512 << 10;
/// Room that a read gets when the connection was idle.
pub(super) const READ_BYTES_MIN: usize = 4 << 10;
/// Room that a read gets when bytes come fast.
pub(super) const READ_BYTES_MAX: usize = 64 << 10;
/// How long a peer may stop in the middle of a frame, or not take its answers.
pub(super) const STALL_MAX: Duration = Duration::from_secs(60);
/// How long a new connection may take to say what it speaks.
pub(super) const PREFACE_MAX: Duration = Duration::from_secs(10);
/// Pending connections in the kernel's queue.
pub(super) const BACKLOG: i32 = 1_024;

/// What an operator chooses of a server.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Network addresses to listen on beside the socket in the store's directory: loopback only.
    pub listen: Vec<SocketAddr>,
    /// Connections at once.
    pub connections_max: usize,
    /// How long requests in flight may take to end when the server stops.
    pub drain_max: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            connections_max: CONNECTIONS_MAX,
            drain_max: Duration::from_secs(10),
        }
    }
}
