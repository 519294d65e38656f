//! A body whose bytes are on their way.
//!
//! Invariant: a [`Body`] leaves this module only after every object that it needs is durable. That
//! is what makes it impossible to publish a file whose pack was never written.

use super::{pack::PackTicket, uploader::Inner};
use crate::Error;
use nokv_types::Body;
use std::{fmt, sync::Arc};
use tokio::task::JoinSet;

/// An upload that was read completely and may not be durable yet.
///
/// **Guarantees**: dropping it publishes nothing; what it has stored is collected with its session.
#[must_use = "a staged upload is nothing until `durable` gives its body"]
pub struct Staged {
    pub(super) body: Body,
    pub(super) puts: JoinSet<Result<(), Error>>,
    pub(super) pack: Option<PackTicket>,
    pub(super) uploader: Arc<Inner>,
}

impl Staged {
    /// Bytes of the body.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.body.size()
    }

    /// The body, once all its objects are durable. Closes the pack that it shares if that is still
    /// open, so for many small bodies first stage all, then ask each: otherwise each gets a
    /// pack of its own.
    ///
    /// **Errors**: whatever the object store said about any of its objects; the body is lost then,
    /// upload again.
    pub async fn durable(mut self) -> Result<Body, Error> {
        while let Some(joined) = self.puts.join_next().await {
            put_result(joined)?;
        }
        if let Some(mut ticket) = self.pack.take() {
            self.uploader.seal_pack(Some(ticket.block));
            ticket.wait().await?;
        }
        Ok(self.body)
    }
}

impl fmt::Debug for Staged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staged")
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

/// What became of the task of a PUT.
pub(super) fn put_result(
    joined: Result<Result<(), Error>, tokio::task::JoinError>,
) -> Result<(), Error> {
    match joined {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_cancelled) => Err(Error::Unavailable(
            "the runtime is shutting down".to_owned(),
        )),
    }
}
