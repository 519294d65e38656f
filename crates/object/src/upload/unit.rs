//! Single units: what a writer at random offsets uploads.
//!
//! Invariants: as of [`super::uploader`]; whoever hands in bytes has reserved them in the memory
//! that the uploader was made with, and the reservation ends with the PUT.

use super::{pack::PackTicket, prepare::Prepared, staged::put_result, uploader::Uploader};
use crate::{Error, SubtreeHash};
use bytes::Bytes;
use nokv_types::Unit;
use std::fmt;
use tokio::{sync::OwnedSemaphorePermit, task::JoinSet};

/// A unit on its way.
///
/// **Guarantees**: dropping it publishes nothing; what it has stored is collected with its session.
#[must_use = "a unit is nothing until it is durable"]
pub struct StagedUnit {
    unit: Unit,
    hash: SubtreeHash,
    put: Put,
}

enum Put {
    Alone(JoinSet<Result<(), Error>>),
    Packed(PackTicket),
}

impl Uploader {
    /// Waits until so many bytes of the memory of this uploader are free. **Shape**: at most its
    /// limit.
    pub async fn reserve(&self, bytes: u32) -> OwnedSemaphorePermit {
        self.inner.reserve(bytes).await
    }

    /// Uploads bytes as one unit; small ones share an object. They are those at `offset` of a file,
    /// which decides what they are hashed to. `memory` is their reservation; `None` for bytes that
    /// are in memory anyway.
    ///
    /// **Shape**: 1..= the block size of the uploader. **Errors**: [`Error::Invalid`] for other
    /// lengths; [`Error::Exhausted`]; those of the object store come from
    /// [`StagedUnit::durable`].
    pub async fn upload_unit(
        &self,
        bytes: Bytes,
        offset: u64,
        memory: Option<OwnedSemaphorePermit>,
    ) -> Result<StagedUnit, Error> {
        let inner = &self.inner;
        if bytes.is_empty() || bytes.len() > inner.options.block_bytes as usize {
            let (got, most) = (bytes.len(), inner.options.block_bytes);
            return Err(Error::Invalid(format!(
                "a unit of {got} bytes, not 1..={most}"
            )));
        }
        let memory = match memory {
            Some(memory) => memory,
            None => inner.reserve(0).await,
        };
        let is_small = bytes.len() <= inner.options.packed_bytes_max as usize;
        let prepared = Prepared::beside(bytes, offset, inner.options.compression).await?;
        let hash = prepared.hash;
        if is_small {
            let (part, ticket) = inner.add_to_pack(&prepared, 0, memory)?;
            let put = Put::Packed(ticket);
            let unit = part.extent.unit;
            return Ok(StagedUnit { unit, hash, put });
        }
        let block = inner.next_block()?;
        let unit = prepared.part(block, 0, 0).extent.unit;
        let put = inner.put(block, prepared.stored);
        let mut puts = JoinSet::new();
        puts.spawn(async move {
            let result = put.await;
            drop(memory);
            result
        });
        let put = Put::Alone(puts);
        Ok(StagedUnit { unit, hash, put })
    }
}

impl StagedUnit {
    /// The unit and its hash, once its object is durable. One that shares an object waits until
    /// that is full, or [`Uploader::flush`] was called.
    ///
    /// **Errors**: those of the object store; upload the bytes again.
    pub async fn durable(self) -> Result<(Unit, SubtreeHash), Error> {
        match self.put {
            Put::Alone(mut puts) => {
                while let Some(joined) = puts.join_next().await {
                    put_result(joined)?;
                }
            }
            Put::Packed(mut ticket) => ticket.wait().await?,
        }
        Ok((self.unit, self.hash))
    }
}

impl fmt::Debug for StagedUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StagedUnit")
            .field("unit", &self.unit)
            .finish_non_exhaustive()
    }
}
