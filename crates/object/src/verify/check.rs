//! The listing merged with the counters.
//!
//! Invariants:
//! - memory: eight bytes for each session that has objects, and the listing of one session;
//! - online: what looks wrong is asked about again, since writers go on between the listing and the
//!   look at the counters. An object is listed before its counter is read, so one that is published
//!   meanwhile is not missing; a session is asked about before its objects are listed, so one that
//!   uploads meanwhile has no orphans.

use crate::{BlockStore, Error, RESERVED_SESSION, blocking};
use nokv_namespace::{Namespace, ObjectUse};
use nokv_types::{BlockId, SessionId};
use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::Arc,
};

/// Counters read at once.
const PAGE_RECORDS: usize = 4_096;

/// What is wrong with an object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum FindingKind {
    /// Bodies need it, and it is not there.
    Missing,
    /// Bodies need more bytes than it has.
    Short {
        /// Bytes that it has.
        got: u64,
    },
    /// Nobody needs it, and the session that uploaded it is over: a put that came late, or one that
    /// a power cut has brought back.
    Orphan,
    /// Nobody needs it, and this store never gave its session: of another store, or of a later time
    /// than the copy that this store was brought back from.
    Unknown,
}

/// An object that is not as it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The object.
    pub block: BlockId,
    /// What is wrong.
    pub kind: FindingKind,
    /// Bytes: those that bodies need of it, or those of an orphan.
    pub bytes: u64,
    /// Where it is, for a person.
    pub place: String,
}

/// One step of a check.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct BodyCheckPage {
    /// What is wrong, ascending.
    pub findings: Vec<Finding>,
    /// Objects that were looked at.
    pub objects: u64,
    /// Bytes of those that are there.
    pub bytes: u64,
    /// Sessions that are left, about.
    pub left: u64,
    /// The last session that was looked at; `None` when the check is over.
    pub next: Option<SessionId>,
}

/// A check of all objects, step by step.
pub struct BodyCheck {
    namespace: Namespace,
    blocks: Arc<dyn BlockStore>,
    /// Sessions that have objects and were not looked at, ascending; `None` before the listing.
    listed: Option<VecDeque<SessionId>>,
    after: Option<SessionId>,
}

impl fmt::Debug for BodyCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyCheck")
            .field("blocks", &self.blocks)
            .field("after", &self.after)
            .finish_non_exhaustive()
    }
}

impl BodyCheck {
    /// A check that goes on after a session, or begins.
    #[must_use]
    pub fn new(
        namespace: Namespace,
        blocks: Arc<dyn BlockStore>,
        after: Option<SessionId>,
    ) -> Self {
        Self {
            namespace,
            blocks,
            listed: None,
            after,
        }
    }

    /// Whether this is the check to go on with.
    #[must_use]
    pub fn is_at(&self, after: Option<SessionId>) -> bool {
        self.after == after
    }

    /// Looks at the next sessions, until so many objects were seen.
    ///
    /// **Errors**: those of the object store and of the namespace; the same step can be repeated.
    pub async fn step(&mut self, objects_max: u64) -> Result<BodyCheckPage, Error> {
        if self.listed.is_none() {
            let sessions = self.blocks.list_sessions().await?;
            let after = self.after;
            let is_ahead = |session: &SessionId| after.is_none_or(|after| *session > after);
            self.listed = Some(sessions.into_iter().filter(is_ahead).collect());
        }
        let mut page = BodyCheckPage::default();
        while page.objects < objects_max.max(1) {
            let Some(session) = self.next_session().await? else {
                return Ok(page);
            };
            if session != RESERVED_SESSION {
                self.look_at(session, &mut page).await?;
            }
            self.after = Some(session);
            let listed = self.listed.get_or_insert_default();
            while listed.front().is_some_and(|first| *first <= session) {
                listed.pop_front();
            }
            page.next = self.after;
            page.left = listed.len() as u64;
        }
        Ok(page)
    }

    /// The first session after those looked at that is listed, or whose objects somebody needs.
    async fn next_session(&self) -> Result<Option<SessionId>, Error> {
        let after = self.after.map(last_of);
        let namespace = self.namespace.clone();
        let needed = blocking(move || Ok(namespace.objects(after, 1)?)).await?;
        let needed = needed.first().map(|object| object.block.session);
        let listed = self
            .listed
            .as_ref()
            .and_then(|listed| listed.front())
            .copied();
        Ok(needed.into_iter().chain(listed).min())
    }

    async fn look_at(&self, session: SessionId, page: &mut BodyCheckPage) -> Result<(), Error> {
        let namespace = self.namespace.clone();
        // Before the listing, and in this order: see the head.
        let life = blocking(move || {
            let is_known = namespace.session_is_known(session)?;
            Ok((is_known, namespace.session_was_given(session)?))
        });
        let (is_known, was_given) = life.await?;
        let entries = self.blocks.list_session(session).await?;
        let needed = self.needed_of(session).await?;
        page.objects += entries.len() as u64;
        page.bytes += entries.iter().map(|entry| entry.bytes).sum::<u64>();
        let stored: BTreeMap<_, _> = entries
            .iter()
            .map(|entry| (entry.block, entry.bytes))
            .collect();
        for object in needed.values() {
            if stored
                .get(&object.block)
                .is_none_or(|bytes| *bytes < object.end)
            {
                page.objects += u64::from(!stored.contains_key(&object.block));
                page.findings.extend(self.look_again(object).await?);
            }
        }
        if is_known {
            // Its sweep decides.
            return Ok(());
        }
        let kind = match was_given {
            true => FindingKind::Orphan,
            false => FindingKind::Unknown,
        };
        let doomed = self.doomed_of(session).await?;
        let unneeded = entries
            .iter()
            .filter(|entry| !needed.contains_key(&entry.block));
        page.findings.extend(
            unneeded
                .filter(|entry| !doomed.contains(&entry.block))
                .map(|entry| self.finding(entry.block, kind, entry.bytes)),
        );
        page.findings
            .sort_by_key(|finding| (finding.block, finding.kind));
        Ok(())
    }

    /// The objects of a session that somebody needs.
    async fn needed_of(&self, session: SessionId) -> Result<BTreeMap<BlockId, ObjectUse>, Error> {
        let mut needed = BTreeMap::new();
        let mut after = session
            .get()
            .checked_sub(1)
            .map(SessionId::new)
            .map(last_of);
        loop {
            let namespace = self.namespace.clone();
            let page = blocking(move || Ok(namespace.objects(after, PAGE_RECORDS)?)).await?;
            let is_last = page.len() < PAGE_RECORDS;
            for object in page {
                if object.block.session != session {
                    return Ok(needed);
                }
                after = Some(object.block);
                needed.insert(object.block, object);
            }
            if is_last {
                return Ok(needed);
            }
        }
    }

    /// The objects of a session that are to be deleted anyway.
    async fn doomed_of(&self, session: SessionId) -> Result<Vec<BlockId>, Error> {
        let mut doomed = Vec::new();
        let mut after = session
            .get()
            .checked_sub(1)
            .map(SessionId::new)
            .map(last_of);
        loop {
            let namespace = self.namespace.clone();
            let page = blocking(move || Ok(namespace.doomed(after, PAGE_RECORDS)?)).await?;
            let count = page.len();
            after = page.last().copied();
            doomed.extend(page.into_iter().filter(|block| block.session == session));
            if count < PAGE_RECORDS || after.is_some_and(|block| block.session > session) {
                return Ok(doomed);
            }
        }
    }

    /// Whether an object that somebody needs is there now, to its last byte.
    async fn look_again(&self, object: &ObjectUse) -> Result<Option<Finding>, Error> {
        let block = object.block;
        let end = u32::try_from(object.end).unwrap_or(u32::MAX);
        let got = match self
            .blocks
            .get_range(block, end.saturating_sub(1)..end)
            .await
        {
            Ok(bytes) if !bytes.is_empty() => return Ok(None),
            Ok(_) => Some(self.length(block).await?),
            Err(Error::MissingBlock { .. }) => None,
            Err(error) => return Err(error),
        };
        let namespace = self.namespace.clone();
        let needed = blocking(move || Ok(namespace.is_referenced(&[block])?)).await?;
        if needed != [true] {
            return Ok(None);
        }
        let kind = got.map_or(FindingKind::Missing, |got| FindingKind::Short { got });
        Ok(Some(self.finding(block, kind, object.end)))
    }

    async fn length(&self, block: BlockId) -> Result<u64, Error> {
        let entries = self.blocks.list_session(block.session).await?;
        let entry = entries.iter().find(|entry| entry.block == block);
        Ok(entry.map_or(0, |entry| entry.bytes))
    }

    fn finding(&self, block: BlockId, kind: FindingKind, bytes: u64) -> Finding {
        Finding {
            block,
            kind,
            bytes,
            place: self.blocks.place(block),
        }
    }
}

/// The last object that a session can have.
fn last_of(session: SessionId) -> BlockId {
    BlockId {
        session,
        sequence: u32::MAX,
    }
}

/// Deletes those of some objects that are orphans now: their session was given by this store and is
/// over, and nobody needs them. Returns how many were deleted.
///
/// **Errors**: those of the object store and of the namespace; it can be repeated.
pub async fn delete_orphans(
    namespace: &Namespace,
    blocks: &dyn BlockStore,
    orphans: &[BlockId],
) -> Result<u64, Error> {
    let asked = namespace.clone();
    let candidates = orphans.to_vec();
    let garbage = blocking(move || {
        let mut garbage = Vec::new();
        for block in candidates {
            let session = block.session;
            let is_over = session != RESERVED_SESSION
                && !asked.session_is_known(session)?
                && asked.session_was_given(session)?;
            if is_over && asked.is_referenced(&[block])? == [false] {
                garbage.push(block);
            }
        }
        // That the last reference is gone may be known only in memory yet.
        asked.sync()?;
        Ok(garbage)
    });
    let garbage = garbage.await?;
    blocks.delete_many(&garbage).await?;
    Ok(garbage.len() as u64)
}
