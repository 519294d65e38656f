//! From bodies to bytes.
//!
//! A read is planned (pure), fetched in parallel, verified, and delivered in order. Reading order:
//! [`options`] (limits), [`plan`] (which GETs), [`fetch`] (one GET, verified), [`stream`] (in
//! order, ahead of the consumer), [`reader`] (the doors), [`many`] (whole trees).

mod fetch;
mod many;
mod options;
mod plan;
mod reader;
mod stream;

pub use many::{OnItem, ReadItem};
pub use options::{PARALLEL_GETS_MAX, READ_BYTES_MAX, ReadOptions};
pub use reader::BodyReader;
pub use stream::BodyStream;

/// The result of a task of our own, whose panic is ours.
fn joined<T>(
    joined: Result<Result<T, crate::Error>, tokio::task::JoinError>,
) -> Result<T, crate::Error> {
    match joined {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_cancelled) => Err(crate::Error::Unavailable(
            "the runtime is shutting down".to_owned(),
        )),
    }
}
