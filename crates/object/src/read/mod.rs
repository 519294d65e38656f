//! From bodies to bytes.
//!
//! A read is planned (pure), fetched in parallel, verified, and delivered in order. Reading order:
//! [`options`] (limits), [`plan`] (which GETs), [`fetch`] (one GET, verified), [`stream`] (in
//! order, ahead of the consumer), [`reader`] (the doors), [`open`] (piece by piece), [`many`]
//! (whole trees), [`units`] (bytes as they are stored).

mod cached;
mod fetch;
mod hedge;
mod many;
mod open;
#[cfg(test)]
mod open_test;
mod options;
mod pieces;
mod plan;
mod reader;
mod stream;
mod units;
mod warm;
mod window;

pub use hedge::HedgeOptions;
pub use many::{OnItem, ReadItem};
pub use open::OpenBody;
pub use options::{Keep, PARALLEL_GETS_MAX, READ_BYTES_MAX, ReadOptions};
pub use pieces::Piece;
pub use reader::BodyReader;
pub use stream::BodyStream;
pub(crate) use units::{UnitFetch, plan_units};
pub use warm::Warmed;
