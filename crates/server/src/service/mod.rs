//! The service: an opened store and the one handler of all requests.
//!
//! Every transport, and the client in the same process, come to [`Service::call`]. A method is
//! *inline* (short, no waiting for disk or network in the usual case: answered where the request
//! was read), *blocking* (long or always on disk: on a thread for it), or *waiting* (the object
//! store: a task). Changes are applied inline without a sync and then wait, as tasks, for a sync
//! that they share: no thread per change.
//!
//! Invariants:
//! - a handler that panics answers `Io` and harms nobody else;
//! - a change asked for as synced is acknowledged after a sync that began after it was applied;
//! - background work stops before the store closes.
//!
//! Reading order: [`store`] (open, create, close), [`call`] (lanes), [`reads`], [`changes`],
//! [`edits`], [`bodies`], [`clients`], [`leases`], [`snapshots`], [`branches`], [`restore`],
//! [`quotas`], [`shards`], [`watch`], [`admin`], [`sync`], [`maintenance`].

mod admin;
pub(crate) mod backup;
mod bodies;
mod branches;
mod call;
mod changes;
mod clients;
mod collect;
mod dump;
mod edits;
mod leases;
mod maintenance;
pub(crate) mod marker;
#[cfg(test)]
mod mutations_test;
mod nodes;
mod quotas;
mod reads;
mod restore;
#[cfg(test)]
mod service_test;
mod shards;
mod snapshots;
mod store;
mod sync;
mod watch;
#[cfg(test)]
mod watch_test;

pub(crate) use call::Applied;
pub use call::{Caller, Lane};
pub use store::Service;
pub(crate) use store::on_blocking_thread;
