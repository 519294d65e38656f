//! Removing backups, and what no backup needs.
//!
//! Invariant: a manifest is gone before a part that it alone names; while a manifest can't be read,
//! no part is deleted.

use crate::place::{BackupPlace, MANIFESTS, manifest_block};
use nokv_types::{BlockId, Failure};
use std::collections::HashSet;

/// Objects of one call.
const BATCH_OBJECTS_MAX: usize = 1_000;

/// What a sweep has deleted.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Swept {
    /// Objects.
    pub object_count: u64,
    /// Their size, bytes.
    pub byte_count: u64,
}

/// Removes backups; their parts are left to [`sweep`]. Idempotent. **Errors**: those of the object
/// store.
pub async fn remove(place: &BackupPlace, numbers: &[u32]) -> Result<(), Failure> {
    let blocks: Vec<_> = numbers
        .iter()
        .map(|number| manifest_block(*number))
        .collect();
    for batch in blocks.chunks(BATCH_OBJECTS_MAX) {
        place.blocks.delete_many(batch).await?;
    }
    Ok(())
}

/// Deletes the parts that no backup names. Nobody may make a backup there meanwhile.
///
/// **Errors**: `Corrupt` when a manifest can't be read; those of the object store.
pub async fn sweep(place: &BackupPlace) -> Result<Swept, Failure> {
    let mut needed: HashSet<BlockId> = HashSet::new();
    for found in place.list().await? {
        let manifest = found.manifest?;
        needed.extend(manifest.parts().map(crate::PartEntry::block));
    }
    let mut swept = Swept::default();
    for session in place.blocks.list_sessions().await? {
        if session.get() >= MANIFESTS.get() {
            continue;
        }
        let entries = place.blocks.list_session(session).await?;
        let is_needed = |block: &BlockId| needed.contains(block);
        let goes: Vec<_> = entries
            .iter()
            .filter(|entry| !is_needed(&entry.block))
            .collect();
        let blocks: Vec<_> = goes.iter().map(|entry| entry.block).collect();
        for batch in blocks.chunks(BATCH_OBJECTS_MAX) {
            place.blocks.delete_many(batch).await?;
        }
        if goes.len() == entries.len() {
            place.blocks.forget_session(session).await?;
        }
        swept.object_count += goes.len() as u64;
        swept.byte_count += goes.iter().map(|entry| entry.bytes).sum::<u64>();
    }
    Ok(swept)
}
