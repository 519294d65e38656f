//! HTTP in front of the service: for load balancers, Prometheus, and people with `curl`.
//!
//! | path | answer |
//! |---|---|
//! | `/healthz` | 200 while the process serves |
//! | `/readyz` | 200 when a sync and a round trip to the object store succeed, else 503 and why |
//! | `/metrics` | all figures in the OpenMetrics text format, prefix `nokv_` |
//! | `/stats` | the same as JSON, latencies as count, mean and quantiles |
//! | `/debug/vars` | the groups `nokv_fsmeta_executor`, `_watch`, `_quota`, `_mount`, as JSON |
//!
//! Reading order: [`routes`], then the pages [`metrics`], [`stats`], [`vars`], then [`server`].
//!
//! Invariants:
//! - nothing here changes anything, and nothing shows what a store holds;
//! - only where the service itself would listen ([`nokv_server::bind_tcp`]).

mod metrics;
mod routes;
mod server;
mod stats;
mod vars;

pub use server::{HttpOptions, HttpServer};
