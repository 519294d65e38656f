//! Flushing: what was written becomes a generation of the file, in one command.
//!
//! Invariants:
//! - the command names only what is durable;
//! - a flush that fails leaves the edits as they were, to be tried again, with all bytes that are
//!   not in an object readable from here;
//! - the edits are applied to the newest generation: what others wrote elsewhere meanwhile stays.

use super::open_file::OpenFile;
use super::options::FlushOptions;
use super::staging::{Progress, Staging};
use super::state::{Base, Taken, TakenPiece, TakenWhat};
use crate::Node;
use bytes::{Bytes, BytesMut};
use nokv_namespace::{Edit, EditAt, EditBody, Edited, Follow, Target};
use nokv_object::SubtreeHash;
use nokv_types::{Digest, Draft, DraftError, Extent, Failure, Reason, Run, SessionId};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// How often a flush begins anew because others changed the file or a session was over.
const ATTEMPTS_MAX: usize = 8;

impl OpenFile {
    /// Stores what was written so far and makes it the file's newest generation. The node after
    /// it.
    pub(crate) async fn flush(&self, options: FlushOptions) -> Result<Node, Failure> {
        let _one = self.flushing.lock().await;
        for attempt in 1.. {
            let taken = {
                let mut state = self.state.lock();
                drop(state.take_trouble());
                if !state.is_edited() {
                    return Ok(state.base.node.clone());
                }
                state.take(&self.sessions)
            };
            let guard = GiveBack(Some(self));
            match self.commit(&taken, options).await {
                Ok(base) => {
                    guard.disarm();
                    let node = base.node.clone();
                    self.state.lock().flushed(base);
                    return Ok(node);
                }
                Err(failure) => {
                    drop(guard);
                    if attempt == ATTEMPTS_MAX || !self.helps(&taken, options, &failure).await? {
                        return Err(failure);
                    }
                }
            }
        }
        unreachable!("the loop has no bound but its attempts")
    }

    /// Does what lets a flush that failed succeed; whether to try again.
    async fn helps(
        &self,
        taken: &Taken,
        options: FlushOptions,
        failure: &Failure,
    ) -> Result<bool, Failure> {
        match failure.reason() {
            Reason::SessionExpired | Reason::MissingBlock => {
                self.fetch_back(taken).await?;
                Ok(true)
            }
            Reason::StaleGeneration if options.expect.is_none() => {
                self.refresh().await?;
                Ok(true)
            }
            Reason::Unsupported => {
                let base = self.refresh().await?;
                Ok(base.node.generation != taken.base.node.generation)
            }
            _ => Ok(false),
        }
    }

    async fn commit(&self, taken: &Taken, options: FlushOptions) -> Result<Arc<Base>, Failure> {
        let absorbed = self.absorb(taken);
        let stagings: Vec<_> = taken
            .pieces
            .iter()
            .chain(&absorbed)
            .filter_map(staging_of)
            .collect();
        settle(&stagings).await?;
        let edit = EditBody {
            edits: edits(taken, &absorbed)?,
            sessions: sessions(&stagings),
            expect: match taken.absorbs() {
                false => options.expect,
                true => Some(taken.base.node.generation),
            },
            digest: digest(taken).map(|digest| (taken.base.node.generation, digest)),
            mtime: options.mtime,
        };
        if let (Some(expected), true) = (options.expect, taken.absorbs())
            && expected != taken.base.node.generation
        {
            let advice = format!("the file no longer has generation {expected}; open it again");
            return Err(Failure::new(Reason::StaleGeneration, advice));
        }
        let edited = self
            .client
            .edit_body(Target::Node(self.node), Follow::No, &edit)
            .await?;
        self.base_after(&taken.base, &edit, edited).await
    }

    /// What an inline base has and the edits leave must become an object once the file is no longer
    /// inline: it is written like the rest.
    fn absorb(&self, taken: &Taken) -> Vec<TakenPiece> {
        let kept = taken.cut.unwrap_or(u64::MAX);
        let Some(inline) = taken.base.inline().filter(|_| taken.absorbs()) else {
            return Vec::new();
        };
        let mut absorbed = Vec::new();
        for gap in gaps(&taken.pieces, 0..kept.min(inline.len() as u64)) {
            let at = |offset: u64| usize::try_from(offset).expect("an inline body is small");
            let bytes = inline.slice(at(gap.start)..at(gap.end));
            let staging = self
                .state
                .lock()
                .stage_apart(&self.sessions, gap.start, bytes);
            let what = TakenWhat::Staged { staging, skip: 0 };
            absorbed.push(TakenPiece { range: gap, what });
        }
        absorbed
    }

    /// The generation that an edit made.
    async fn base_after(
        &self,
        before: &Base,
        edit: &EditBody,
        edited: Edited,
    ) -> Result<Arc<Base>, Failure> {
        if edited.based_on == before.node.generation {
            let mut draft = Draft::of(before.body.body());
            if apply(&mut draft, &edit.edits).is_ok() {
                let body = draft.finish(edited.node.body.digest);
                let body = self.reader.open(body);
                return Ok(Arc::new(Base {
                    node: edited.node,
                    body,
                }));
            }
        }
        self.fetch().await
    }

    /// Has bytes in memory again that were staged in a session that is over: their objects may go
    /// any time.
    async fn fetch_back(&self, taken: &Taken) -> Result<(), Failure> {
        for piece in &taken.pieces {
            let TakenWhat::Staged { staging, skip } = &piece.what else {
                continue;
            };
            if let Some(session) = staging.session() {
                session.end();
            }
            let length = u32::try_from(piece.range.end - piece.range.start);
            let length = length.expect("a piece is at most a block");
            let bytes = self.read_staged(staging, *skip, length).await?;
            let mut state = self.state.lock();
            state.unstage(&self.sessions, piece.range.start, staging, &bytes);
        }
        Ok(())
    }

    /// Makes edits that need no bytes at once, after what was written before.
    pub(crate) async fn edit_now(&self, edits: Vec<Edit>) -> Result<Node, Failure> {
        self.flush(FlushOptions::default()).await?;
        let _one = self.flushing.lock().await;
        let edit = EditBody {
            edits,
            sessions: Vec::new(),
            expect: None,
            digest: None,
            mtime: None,
        };
        self.client
            .edit_body(Target::Node(self.node), Follow::No, &edit)
            .await?;
        let base = self.fetch().await?;
        let node = base.node.clone();
        self.state.lock().base = base;
        Ok(node)
    }
}

/// Gives the edits back if a flush fails or is dropped.
struct GiveBack<'a>(Option<&'a OpenFile>);

impl GiveBack<'_> {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for GiveBack<'_> {
    fn drop(&mut self) {
        if let Some(file) = self.0 {
            file.state.lock().give_back(&file.sessions);
        }
    }
}

fn staging_of(piece: &TakenPiece) -> Option<Arc<Staging>> {
    match &piece.what {
        TakenWhat::Staged { staging, .. } => Some(Arc::clone(staging)),
        TakenWhat::Inline(_) | TakenWhat::Zeros => None,
    }
}

/// Waits until all are durable.
async fn settle(stagings: &[Arc<Staging>]) -> Result<(), Failure> {
    for staging in stagings {
        staging.placed().await;
    }
    for staging in stagings {
        if let (Progress::Placed(_), Some(session)) = (staging.progress(), staging.session()) {
            session.uploader().flush();
        }
    }
    for staging in stagings {
        staging.ended().await;
        if let Progress::Failed(_, failure) = staging.progress() {
            return Err(failure);
        }
    }
    Ok(())
}

fn sessions(stagings: &[Arc<Staging>]) -> Vec<SessionId> {
    let sessions = stagings.iter().filter_map(|staging| staging.session());
    let ids: BTreeSet<_> = sessions.map(|session| session.id()).collect();
    ids.into_iter().collect()
}

/// The edits of a layer, in the order in which they are to be applied.
fn edits(taken: &Taken, absorbed: &[TakenPiece]) -> Result<Vec<Edit>, Failure> {
    let mut edits = Vec::with_capacity(taken.pieces.len() + 2);
    // An inline body that is absorbed can't be made longer before it is written.
    let cut = taken
        .cut
        .filter(|cut| !taken.absorbs() || *cut < taken.base.size());
    edits.extend(cut.map(Edit::Resize));
    let appended = taken.appended_from.unwrap_or(u64::MAX);
    let mut pieces: Vec<&TakenPiece> = taken.pieces.iter().chain(absorbed).collect();
    pieces.sort_unstable_by_key(|piece| piece.range.start);
    let (written, tail): (Vec<_>, Vec<_>) = pieces
        .into_iter()
        .partition(|piece| piece.range.start < appended);
    for piece in &written {
        edits.push(write_edit(piece, EditAt::Offset(piece.range.start))?);
    }
    for piece in &tail {
        edits.push(write_edit(piece, EditAt::End)?);
    }
    let end = written.last().map_or(0, |piece| piece.range.end);
    let reached = end.max(cut.unwrap_or(0));
    if taken.floor > reached && tail.is_empty() {
        edits.push(Edit::Resize(taken.floor));
    }
    if edits.is_empty() {
        // A touch: the same bytes, a new generation.
        edits.push(Edit::Punch(u64::MAX..u64::MAX));
    }
    Ok(edits)
}

fn write_edit(piece: &TakenPiece, at: EditAt) -> Result<Edit, Failure> {
    let length = piece.range.end - piece.range.start;
    let extents = match &piece.what {
        TakenWhat::Inline(bytes) => {
            let bytes = bytes.clone();
            return Ok(Edit::WriteInline { at, bytes });
        }
        TakenWhat::Zeros => Vec::new(),
        TakenWhat::Staged { staging, skip } => {
            let length = u32::try_from(length).expect("a piece is at most a block");
            let extent = staging.extent(0, *skip, length);
            let lost = || Failure::new(Reason::Io, "bytes that were stored are not");
            vec![extent.ok_or_else(lost)?]
        }
    };
    Ok(Edit::Write {
        at,
        length,
        extents,
    })
}

/// The parts of a range that no piece covers.
fn gaps(pieces: &[TakenPiece], range: Range<u64>) -> Vec<Range<u64>> {
    let mut gaps = Vec::new();
    let mut at = range.start;
    for piece in pieces {
        let end = piece.range.start.min(range.end);
        if at < end {
            gaps.push(at..end);
        }
        at = at.max(piece.range.end);
    }
    if at < range.end {
        gaps.push(at..range.end);
    }
    gaps
}

/// The digest of the file after the edits, if all of it was written: block after block, or inline.
fn digest(taken: &Taken) -> Option<Digest> {
    if taken.is_inline {
        let bytes = inline_bytes(taken)?;
        return SubtreeHash::join(&[SubtreeHash::of(&bytes, 0)]);
    }
    let is_all = taken.base.size() == 0 || taken.cut == Some(0);
    let mut hashes = Vec::with_capacity(taken.pieces.len());
    let mut end = 0;
    for piece in &taken.pieces {
        let TakenWhat::Staged { staging, skip: 0 } = &piece.what else {
            return None;
        };
        let is_whole = u64::from(staging.len()) == piece.range.end - piece.range.start;
        if piece.range.start != end || !is_whole {
            return None;
        }
        end = piece.range.end;
        hashes.push(staging.hash_at(piece.range.start)?);
    }
    (is_all && end == taken.size)
        .then(|| SubtreeHash::join(&hashes))
        .flatten()
}

/// The bytes of a file that is inline after the edits.
fn inline_bytes(taken: &Taken) -> Option<Bytes> {
    let size = usize::try_from(taken.size).ok()?;
    let mut bytes = BytesMut::zeroed(size);
    let base = taken.base.inline()?;
    let kept = usize::try_from(taken.cut.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    let kept = base.get(..kept.min(base.len()).min(size))?;
    bytes.get_mut(..kept.len())?.copy_from_slice(kept);
    for piece in &taken.pieces {
        let range =
            usize::try_from(piece.range.start).ok()?..usize::try_from(piece.range.end).ok()?;
        let target = bytes.get_mut(range)?;
        match &piece.what {
            TakenWhat::Inline(written) => target.copy_from_slice(written),
            TakenWhat::Zeros => target.fill(0),
            TakenWhat::Staged { .. } => return None,
        }
    }
    Some(bytes.freeze())
}

/// Applies the edits of a flush as the store did.
fn apply(draft: &mut Draft, edits: &[Edit]) -> Result<(), DraftError> {
    let mut runs: Vec<Run> = Vec::new();
    for edit in edits {
        if let Edit::Write {
            at: EditAt::Offset(start),
            length,
            extents,
        } = edit
        {
            runs.push(run(*start, *length, extents));
            continue;
        }
        draft.write(&std::mem::take(&mut runs))?;
        let end = draft.size();
        match edit {
            Edit::Write {
                length, extents, ..
            } => draft.write(&[run(end, *length, extents)])?,
            Edit::WriteInline { at, bytes } => {
                let offset = match at {
                    EditAt::Offset(offset) => *offset,
                    EditAt::End => end,
                };
                draft.write_inline(offset, bytes)?;
            }
            Edit::Resize(size) => draft.resize(*size)?,
            Edit::Punch(range) => draft.punch(range.clone()),
            Edit::Collapse(_) | Edit::Insert(_) | Edit::Copy { .. } => {
                return Err(DraftError::NeedsBytes);
            }
        }
    }
    draft.write(&runs)
}

fn run(start: u64, length: u64, extents: &[Extent]) -> Run {
    let moved = |extent: &Extent| Extent {
        body_offset: extent.body_offset + start,
        ..*extent
    };
    Run {
        range: start..start + length,
        extents: extents.iter().map(moved).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_what_pieces_leave() {
        let piece = |range| TakenPiece {
            range,
            what: TakenWhat::Zeros,
        };
        let pieces = [piece(2..4), piece(4..6), piece(9..12)];
        assert_eq!(gaps(&pieces, 0..10), [0..2, 6..9]);
        assert_eq!(gaps(&pieces, 0..3), vec![0..2]);
        assert_eq!(gaps(&[], 0..0), []);
    }
}
