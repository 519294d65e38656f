//! What a server knows of itself, for operators: counters, gauges, latencies.
//!
//! One list of [`Figure`]s is drawn when somebody asks; the Prometheus page, the JSON page, the
//! status of the protocol and `nokv stats` are views of it. Nothing is gathered while nobody asks:
//! hot paths add to counters that are there anyway.
//!
//! Reading order: [`figure`] (what a figure is), [`latency`] (a histogram), [`recorder`] (calls),
//! [`objects`] (requests to the object store), [`gather`] (the list).
//!
//! Invariants:
//! - a name says its unit last, in base units (seconds, bytes), and never changes its meaning;
//! - labels come from closed sets: methods, reasons, levels. Nothing that a caller sends is one.

mod figure;
mod gather;
mod latency;
mod objects;
mod recorder;

pub use figure::{Figure, Value};
pub(crate) use gather::gather;
pub use latency::{Latencies, Latency};
pub(crate) use objects::CountedBlocks;
pub(crate) use recorder::{Asked, Recorder};
