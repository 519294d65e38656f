//! A body whose bytes are on their way.
//!
//! Invariant: a [`Body`] leaves this module only after every object that it needs is durable. That
//! is what makes it impossible to publish a file whose pack was never written.

use super::{pack::PackTicket, prepare::Part, uploader::Inner};
use crate::{Error, SubtreeHash};
use bytes::Bytes;
use nokv_types::{Body, Digest, Layout};
use std::{fmt, sync::Arc};
use tokio::task::JoinSet;

/// An upload that was read completely and may not be durable yet.
///
/// **Guarantees**: dropping it publishes nothing; what it has stored is collected with its session.
#[must_use = "a staged upload is nothing until `durable` gives its body"]
pub struct Staged {
    pub(super) size: u64,
    /// The bytes, if they are inline.
    pub(super) inline: Option<Bytes>,
    pub(super) puts: JoinSet<Result<Part, Error>>,
    /// What is durable already, and what is in the pack.
    pub(super) parts: Vec<Part>,
    pub(super) pack: Option<PackTicket>,
    pub(super) uploader: Arc<Inner>,
}

impl Staged {
    /// Bytes of the body.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The body, once all its objects are durable. Closes the pack that it shares if that is still
    /// open, so for many small bodies first stage all, then ask each: otherwise each gets a
    /// pack of its own.
    ///
    /// **Errors**: whatever the object store said about any of its objects; the body is lost then,
    /// upload again.
    pub async fn durable(mut self) -> Result<Body, Error> {
        while let Some(joined) = self.puts.join_next().await {
            self.parts.push(put_result(joined)?);
        }
        if let Some(mut ticket) = self.pack.take() {
            self.uploader.seal_pack(Some(ticket.block));
            ticket.wait().await?;
        }
        self.body()
    }

    fn body(mut self) -> Result<Body, Error> {
        if let Some(bytes) = self.inline.take() {
            let digest = SubtreeHash::join(&[SubtreeHash::of(&bytes, 0)]);
            return new_body(self.size, digest, Layout::Inline(bytes));
        }
        self.parts
            .sort_unstable_by_key(|part| part.extent.body_offset);
        let hashes: Vec<_> = self.parts.iter().map(|part| part.hash).collect();
        let extents = self.parts.iter().map(|part| part.extent).collect();
        new_body(
            self.size,
            SubtreeHash::join(&hashes),
            Layout::Extents(extents),
        )
    }
}

impl fmt::Debug for Staged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staged")
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

fn new_body(size: u64, digest: Option<Digest>, layout: Layout) -> Result<Body, Error> {
    Body::new(size, digest, layout).map_err(|flaw| Error::Invalid(flaw.to_string()))
}

/// What became of the task of a PUT.
pub(super) fn put_result<T>(
    joined: Result<Result<T, Error>, tokio::task::JoinError>,
) -> Result<T, Error> {
    match joined {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_cancelled) => Err(Error::Unavailable(
            "the runtime is shutting down".to_owned(),
        )),
    }
}
