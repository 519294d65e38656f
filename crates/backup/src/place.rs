//! Where backups are: an object store below a prefix of its own.
//!
//! **Shape**: the parts that backup *n* has written are the objects of session *n*; manifests are
//! the objects of session `fffffffffffffffe`, under the number of their backup. So nothing is ever
//! written twice, as everywhere in an object store, and what a backup that was cut off has left is
//! found by listing.

use crate::manifest::{MANIFEST_BYTES_MAX, Manifest};
use bytes::Bytes;
use nokv_object::{BlockStore, RESERVED_SESSION};
use nokv_types::{BlockId, Failure, Reason, SessionId};
use std::sync::Arc;

/// The session that manifests are objects of.
pub(crate) const MANIFESTS: SessionId = SessionId::new(RESERVED_SESSION.get() - 1);

/// A place for the backups of one store.
#[derive(Clone, Debug)]
pub struct BackupPlace {
    pub(crate) blocks: Arc<dyn BlockStore>,
}

/// A backup that a listing has found.
#[derive(Debug)]
pub struct Found {
    /// Its number.
    pub number: u32,
    /// What it says of itself, or why that can't be read.
    pub manifest: Result<Manifest, Failure>,
}

impl BackupPlace {
    /// The place at the root of an object store.
    #[must_use]
    pub fn new(blocks: Arc<dyn BlockStore>) -> Self {
        Self { blocks }
    }

    /// All backups, oldest first, those too that can't be read. **Errors**: those of the object
    /// store.
    pub async fn list(&self) -> Result<Vec<Found>, Failure> {
        let mut found = Vec::new();
        for entry in self.blocks.list_session(MANIFESTS).await? {
            let manifest = self.read(entry.block, entry.bytes).await;
            let manifest = match manifest {
                Err(failure) if failure.is_retryable() => return Err(failure),
                manifest => manifest,
            };
            found.push(Found {
                number: entry.block.sequence,
                manifest,
            });
        }
        Ok(found)
    }

    /// A number that no backup has, nor what is left of one. **Errors**: those of the object store.
    pub async fn free_number(&self) -> Result<u32, Failure> {
        let manifests = self.blocks.list_session(MANIFESTS).await?;
        let named = manifests
            .iter()
            .map(|entry| u64::from(entry.block.sequence));
        let sessions = self.blocks.list_sessions().await?;
        let parts = sessions.iter().map(|session| session.get());
        let last = named
            .chain(parts.filter(|session| *session < MANIFESTS.get()))
            .max();
        let next = last.unwrap_or(0).saturating_add(1);
        u32::try_from(next).map_err(|_| {
            let flaw = format!("{:?} holds other things than backups", self.blocks);
            Failure::new(Reason::InvalidArgument, flaw)
        })
    }

    /// Where a manifest is, for a person.
    #[must_use]
    pub fn shown(&self, number: u32) -> String {
        self.blocks.place(manifest_block(number))
    }

    pub(crate) async fn write(&self, manifest: &Manifest) -> Result<(), Failure> {
        let bytes = manifest.encode()?;
        let block = manifest_block(manifest.number);
        Ok(self.blocks.put(block, bytes.into()).await?)
    }

    async fn read(&self, block: BlockId, bytes: u64) -> Result<Manifest, Failure> {
        let place = self.blocks.place(block);
        let length = u32::try_from(bytes).ok();
        let length = length.filter(|length| (1..=MANIFEST_BYTES_MAX).contains(&u64::from(*length)));
        let length = length.ok_or_else(|| {
            let flaw = format!("{place} has {bytes} bytes and is no manifest of a backup");
            Failure::new(Reason::Corrupt, flaw)
        })?;
        let bytes: Bytes = self.blocks.get_range(block, 0..length).await?;
        let manifest = Manifest::decode(&bytes, &place)?;
        if manifest.number != block.sequence {
            return Err(Failure::new(
                Reason::Corrupt,
                format!("{place} is the manifest of backup {}", manifest.number),
            ));
        }
        Ok(manifest)
    }
}

pub(crate) fn manifest_block(number: u32) -> BlockId {
    BlockId {
        session: MANIFESTS,
        sequence: number,
    }
}
