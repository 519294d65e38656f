//! Which quotas a directory counts against.
//!
//! Quotas are of the trunk: what a branch changes counts when it is merged.
//!
//! Kept in memory for directories that were asked for lately. What is kept holds as long as no
//! directory moves and no quota comes or goes: both say so before their command is given to the
//! shard ([`crate::paths::DirectoryMoves`]).
//!
//! Invariant: whoever uses an answer has its command check that the mount's topology did not change
//! since the version that it read at. An answer that is newer than that version is therefore
//! harmless, and an older one is never given.

use crate::failure::{contradiction, malformed};
use crate::reader::Reader;
use crate::records::orphan::{self, OrphanRecord};
use crate::records::quota::{self, QuotaRecord};
use crate::spot::Spot;
use nokv_types::{BranchId, Failure, NodeId};
use quick_cache::sync::Cache;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Most directories whose quotas are kept: about 2 MiB.
const DIRECTORIES_MAX: usize = 16_384;
/// Most ancestors that are followed, as for renames.
const ANCESTORS_MAX: usize = 1 << 20;

/// A directory with a quota.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct QuotaAt {
    pub(crate) directory: NodeId,
    pub(crate) record: QuotaRecord,
}

/// The quotas that a directory counts against: its own and those of its ancestors.
pub(crate) type QuotaList = Arc<[QuotaAt]>;

/// Quotas by directory.
pub(crate) struct Quotas {
    /// Whether any quota was ever begun.
    any: AtomicBool,
    known: Cache<NodeId, (QuotaList, u64)>,
}

impl Quotas {
    pub(crate) fn new() -> Self {
        Self {
            any: AtomicBool::new(false),
            known: Cache::new(DIRECTORIES_MAX),
        }
    }

    /// Says that there are quotas, or are about to be: before the command that begins one.
    pub(crate) fn begin(&self) {
        self.any.store(true, Ordering::SeqCst);
    }

    /// Whether there may be quotas at a version that was chosen before the call.
    pub(crate) fn any(&self) -> bool {
        self.any.load(Ordering::SeqCst)
    }
}

impl Reader<'_> {
    /// The quotas that a directory of the trunk counts against.
    pub(crate) fn quotas_of(&self, directory: NodeId) -> Result<QuotaList, Failure> {
        let cache = &self.paths.quotas;
        let mut chain = Vec::new();
        let mut current = Some(directory);
        let mut list = QuotaList::from([]);
        while let Some(at) = current {
            if chain.len() > ANCESTORS_MAX {
                return Err(contradiction(format!(
                    "the ancestors of directory {directory} do not end"
                )));
            }
            if let Some((known, moves)) = cache.known.get(&at)
                && self.paths.moves.is_still(moves)
            {
                self.paths.counts.quota_hits.add();
                list = known;
                break;
            }
            self.paths.counts.quota_misses.add();
            match self.node_record(Spot::trunk(at, self.at))? {
                Some(found) => {
                    chain.push(at);
                    current = found.record.place.map(|place| place.parent);
                }
                None => {
                    list = self.quotas_of_orphan(at)?;
                    break;
                }
            }
        }
        for at in chain.into_iter().rev() {
            if let Some(record) = self.quota(at)? {
                let own = QuotaAt {
                    directory: at,
                    record,
                };
                list = list.iter().copied().chain([own]).collect();
            }
            if let Some(moves) = self.moves {
                let known = (Arc::clone(&list), moves);
                cache.known.insert(at, known);
            }
        }
        Ok(list)
    }

    /// The quota of a directory itself.
    pub(crate) fn quota(&self, directory: NodeId) -> Result<Option<QuotaRecord>, Failure> {
        let key = quota::key(directory, BranchId::TRUNK);
        let Some(found) = self.stored(&key)? else {
            return Ok(None);
        };
        let record = QuotaRecord::decode(&found.value).map_err(|flaw| malformed(&key, &flaw))?;
        Ok(Some(record))
    }

    /// What a removed directory counts against, if it is not taken apart yet.
    pub(crate) fn orphan(&self, directory: NodeId) -> Result<Option<OrphanRecord>, Failure> {
        let key = orphan::key(directory, BranchId::TRUNK);
        let Some(found) = self.stored(&key)? else {
            return Ok(None);
        };
        let record = OrphanRecord::decode(&found.value).map_err(|flaw| malformed(&key, &flaw))?;
        Ok(Some(record))
    }

    fn quotas_of_orphan(&self, directory: NodeId) -> Result<QuotaList, Failure> {
        let orphan = self.orphan(directory)?.unwrap_or_default();
        let mut list = Vec::new();
        for (directory, id) in orphan.quotas {
            if let Some(record) = self.quota(directory)?.filter(|quota| quota.id == id) {
                list.push(QuotaAt { directory, record });
            }
        }
        Ok(list.into())
    }
}
