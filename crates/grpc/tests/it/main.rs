//! A store in memory, served over gRPC on loopback, and the generated client in front of it.

mod calls;
mod methods;
mod support;
mod watch;
