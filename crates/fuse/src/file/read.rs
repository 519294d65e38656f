//! Reading: edits over the body.

use super::overlay::{Segment, Source};
use super::state::{Base, File, State};
use crate::core::{Core, Reading};
use crate::errno;
use bytes::Bytes;
use fuser::Errno;
use nokv_client::Target;
use nokv_types::Layout;
use std::ops::Range;
use std::sync::Arc;

/// Bytes with gaps, the gaps, and what fills them.
type Unfilled = (Vec<u8>, Vec<Range<u64>>, Base);

/// Most bytes of the body that one request of the object store is asked for.
const FETCH_BYTES_MAX: u64 = 4 << 20;

impl File {
    /// The bytes of a range, fewer only at the end of the file.
    pub(crate) async fn read(&self, core: &Core, range: Range<u64>) -> Result<Bytes, Errno> {
        loop {
            if let Some(bytes) = self.read_at_hand(&range)? {
                return Ok(bytes);
            }
            self.base(core).await?;
            // Edits and body of one moment: a flush may end between any two.
            let Some((mut bytes, missing, base)) = self.read_staged(&range)? else {
                continue;
            };
            for part in missing {
                fetch(&base, part, range.start, &mut bytes).await?;
            }
            return Ok(bytes.into());
        }
    }

    /// The bytes of a range, if none of them has to be fetched.
    fn read_at_hand(&self, range: &Range<u64>) -> Result<Option<Bytes>, Errno> {
        let state = self.state.lock();
        let segments = state.overlay.segments(range.clone());
        let inline = state.base.as_ref().and_then(Base::inline);
        if let ([segment], Some(inline)) = (segments.as_slice(), inline)
            && segment.source == Source::Base
        {
            let range = segment.range.start as usize..segment.range.end as usize;
            return Ok(inline.get(range.clone()).map(|_| inline.slice(range)));
        }
        let needs_base = segments
            .iter()
            .any(|segment| segment.source == Source::Base);
        if needs_base && inline.is_none() {
            return Ok(None);
        }
        let mut bytes = state.staged(&segments, range)?;
        for segment in segments
            .iter()
            .filter(|segment| segment.source == Source::Base)
        {
            let from = segment.range.start as usize..segment.range.end as usize;
            if let Some(inline) = inline.and_then(|inline| inline.get(from)) {
                place(&mut bytes, range.start, &segment.range).copy_from_slice(inline);
            }
        }
        Ok(Some(bytes.into()))
    }

    /// The edits of a range, the parts that the base has to fill, and the base; `None` when that
    /// was forgotten meanwhile.
    fn read_staged(&self, range: &Range<u64>) -> Result<Option<Unfilled>, Errno> {
        let state = self.state.lock();
        let Some(base) = state.base.clone() else {
            return Ok(None);
        };
        let segments = state.overlay.segments(range.clone());
        let bytes = state.staged(&segments, range)?;
        let missing = segments
            .into_iter()
            .filter(|segment| segment.source == Source::Base);
        let missing = missing.map(|segment| segment.range).collect();
        Ok(Some((bytes, missing, base)))
    }

    /// The body that the edits lie over.
    pub(super) async fn base(&self, core: &Core) -> Result<Base, Errno> {
        if let Some(base) = self.state.lock().base.clone() {
            return Ok(base);
        }
        let Reading { client, node, .. } = core.reading(self.inode)?;
        let (node, body) = client
            .body(Target::Node(node))
            .await
            .map_err(|failure| errno::of_failure(&failure))?;
        let body = client
            .open_body(body)
            .await
            .map_err(|failure| errno::of_failure(&failure))?;
        let base = Base {
            generation: node.generation,
            body: Arc::new(body),
        };
        let mut state = self.state.lock();
        state.learn(&node);
        Ok(state.base.get_or_insert(base).clone())
    }

    /// Where data or a hole begins at or after an offset; `None` beyond the end.
    pub(crate) async fn seek(
        &self,
        core: &Core,
        offset: u64,
        what: Seek,
    ) -> Result<Option<u64>, Errno> {
        let base = self.base(core).await?;
        let state = self.state.lock();
        let size = state.overlay.size();
        if offset >= size {
            return Ok(None);
        }
        for segment in state.overlay.segments(offset..size) {
            let found = match (segment.source, what) {
                (Source::Staged, Seek::Data) | (Source::Zero, Seek::Hole) => {
                    Some(segment.range.start)
                }
                (Source::Staged, Seek::Hole) | (Source::Zero, Seek::Data) => None,
                (Source::Base, _) => seek_body(&base, segment.range, what),
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        // A hole is at the end of every file.
        Ok((what == Seek::Hole).then_some(size))
    }
}

/// What lseek(2) looks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Seek {
    Data,
    Hole,
}

impl State {
    /// The staged bytes of segments, the rest zeros.
    fn staged(&self, segments: &[Segment], range: &Range<u64>) -> Result<Vec<u8>, Errno> {
        let end = segments.last().map_or(range.start, |last| last.range.end);
        let mut bytes = vec![0; (end - range.start) as usize];
        for segment in segments
            .iter()
            .filter(|segment| segment.source == Source::Staged)
        {
            let part = place(&mut bytes, range.start, &segment.range);
            self.staging
                .read(segment.range.start, part)
                .map_err(|_| Errno::EIO)?;
        }
        Ok(bytes)
    }
}

/// The part of a buffer, which begins at `start`, that is a range of the file.
fn place<'a>(bytes: &'a mut [u8], start: u64, range: &Range<u64>) -> &'a mut [u8] {
    &mut bytes[(range.start - start) as usize..(range.end - start) as usize]
}

/// Fills a part of a buffer, which begins at `start`, from a body.
async fn fetch(base: &Base, range: Range<u64>, start: u64, buffer: &mut [u8]) -> Result<(), Errno> {
    let mut at = range.start;
    while at < range.end {
        let want = (range.end - at).min(FETCH_BYTES_MAX);
        let read = base.body.read_at(at, want as u32).await;
        let bytes = read.map_err(|error| errno::of_failure(&error.into()))?;
        let part = place(buffer, start, &(at..at + want));
        // What a body does not have any more reads as zeros.
        let count = bytes.len().min(part.len());
        part[..count].copy_from_slice(&bytes[..count]);
        at += want;
    }
    Ok(())
}

/// Where data or a hole begins in a range of a body.
fn seek_body(base: &Base, range: Range<u64>, what: Seek) -> Option<u64> {
    let extents = match base.body().layout() {
        Layout::Inline(_) => return (what == Seek::Data).then_some(range.start),
        Layout::Extents(extents) => extents,
    };
    let mut at = range.start;
    for extent in extents.iter().filter(|extent| extent.end() > range.start) {
        if extent.body_offset >= range.end {
            break;
        }
        if extent.body_offset > at && what == Seek::Hole {
            return Some(at);
        }
        if what == Seek::Data {
            return Some(extent.body_offset.max(range.start));
        }
        at = extent.end();
    }
    (what == Seek::Hole && at < range.end).then_some(at)
}
