//! Packs: objects that many small bodies share.
//!
//! Invariants:
//! - a pack gets its id when it is opened, so an extent is known at once; whether it is *durable*
//!   is known only through its [`PackTicket`], and nothing outside this module can turn one into a
//!   body without waiting;
//! - the memory of a pack is the merged reservation of what was put into it, given back when the
//!   PUT ends.

use super::prepare::{Part, Prepared};
use crate::Error;
use bytes::Bytes;
use nokv_types::BlockId;
use tokio::sync::{OwnedSemaphorePermit, watch};

/// `None` while the PUT has not ended.
type Outcome = Option<Result<(), Error>>;

/// A pack that still takes bytes.
pub(crate) struct OpenPack {
    block: BlockId,
    bytes: Vec<u8>,
    memory: Option<OwnedSemaphorePermit>,
    outcome: watch::Sender<Outcome>,
}

/// A pack that takes no more: what its PUT needs.
pub(crate) struct SealedPack {
    pub(crate) block: BlockId,
    pub(crate) bytes: Bytes,
    pub(crate) memory: Option<OwnedSemaphorePermit>,
    pub(crate) outcome: watch::Sender<Outcome>,
}

/// The right to learn whether a pack is durable.
pub(crate) struct PackTicket {
    pub(crate) block: BlockId,
    outcome: watch::Receiver<Outcome>,
}

impl OpenPack {
    /// An empty pack with room for `capacity` bytes.
    pub(crate) fn new(block: BlockId, capacity: usize) -> Self {
        let (outcome, _) = watch::channel(None);
        Self {
            block,
            bytes: Vec::with_capacity(capacity),
            memory: None,
            outcome,
        }
    }

    pub(crate) fn block(&self) -> BlockId {
        self.block
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds bytes, which the caller has checked to fit, and their reservation.
    pub(crate) fn add(
        &mut self,
        piece: &Prepared,
        body_offset: u64,
        memory: OwnedSemaphorePermit,
    ) -> (Part, PackTicket) {
        let offset = u32::try_from(self.bytes.len()).expect("a pack is at most PACK_BYTES_MAX");
        self.bytes.extend_from_slice(&piece.stored);
        match &mut self.memory {
            Some(held) => held.merge(memory),
            None => self.memory = Some(memory),
        }
        (
            piece.part(self.block, offset, body_offset),
            PackTicket {
                block: self.block,
                outcome: self.outcome.subscribe(),
            },
        )
    }

    pub(crate) fn seal(self) -> SealedPack {
        SealedPack {
            block: self.block,
            bytes: Bytes::from(self.bytes),
            memory: self.memory,
            outcome: self.outcome,
        }
    }
}

impl PackTicket {
    /// Waits until the pack's PUT has ended. The pack must have been sealed, or this waits for that
    /// too.
    pub(crate) async fn wait(&mut self) -> Result<(), Error> {
        match self.outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Ok(())),
            Err(_closed) => Err(Error::Unavailable(
                "the upload of a pack was cancelled: upload its files again".to_owned(),
            )),
        }
    }
}
