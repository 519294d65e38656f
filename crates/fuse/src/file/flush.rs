//! Flushing: what was edited becomes the node's body.

use super::overlay::{Segment, Source};
use super::plan::{self, Piece};
use super::state::{Base, File};
use super::upload::Upload;
use crate::core::{Core, Reading};
use crate::errno;
use bytes::Bytes;
use fuser::Errno;
use nokv_client::{ReplaceBody, Staged, Target};
use nokv_types::{Body, Extent, Failure, INLINE_BYTES_MAX, Layout, Reason, TimeNanos};
use std::ops::Range;
use std::sync::Arc;

/// What a flush works on, as of one moment.
struct Taken {
    segments: Vec<Segment>,
    size: u64,
    mtime: TimeNanos,
    ctime: TimeNanos,
    base: Option<Base>,
}

impl File {
    /// Makes the node's body what the file is now. Durable once the store has been synced.
    ///
    /// **Errors**: those of the store; the edits stay, and a later flush tries again.
    pub(crate) async fn flush(&self, core: &Core) -> Result<(), Errno> {
        let _one = self.flushing.lock().await;
        let needs_base = {
            let state = self.state.lock();
            if !state.overlay.is_edited() || state.is_orphan {
                return Ok(());
            }
            let segments = state.overlay.segments(0..state.overlay.size());
            segments
                .iter()
                .any(|segment| segment.source == Source::Base)
        };
        if needs_base {
            self.base(core).await?;
        }
        let taken = self.take();
        let mut stored = self.store(core, &taken).await;
        if let Err(failure) = &stored
            && failure.reason() == Reason::SessionExpired
        {
            core.uploads.end().await;
            stored = self.store(core, &taken).await;
        }
        self.settle(core, stored).await
    }

    fn take(&self) -> Taken {
        let mut state = self.state.lock();
        state.overlay.take();
        let size = state.overlay.size();
        Taken {
            segments: state.overlay.segments(0..size),
            size,
            mtime: state.mtime,
            ctime: state.ctime,
            base: state.base.clone(),
        }
    }

    /// Stores what was taken and makes the change.
    async fn store(&self, core: &Core, taken: &Taken) -> Result<Stored, Failure> {
        let Reading { client, node, .. } = core
            .reading(self.inode)
            .map_err(|_| Failure::new(Reason::NotFound, "the node can't be changed"))?;
        let (body, upload) = self.body(core, taken).await?;
        let new = ReplaceBody {
            body: body.clone(),
            session: upload.as_ref().map(|upload| upload.session()),
            expect: None,
            mtime: Some(taken.mtime),
            ctime: Some(taken.ctime),
        };
        let changed = client.replace_body(Target::Node(node), &new).await?;
        core.made(&changed);
        let base = Base {
            generation: changed.node.generation,
            body: Arc::new(client.open_body(body).await?),
        };
        Ok(Stored {
            node: changed.node,
            base,
        })
    }

    /// The body that was taken, and the session of what was stored for it.
    async fn body(
        &self,
        core: &Core,
        taken: &Taken,
    ) -> Result<(Body, Option<Arc<Upload>>), Failure> {
        if taken.size <= INLINE_BYTES_MAX as u64 {
            let bytes = self.bytes(taken, 0..taken.size).await?;
            return Ok((Body::new(taken.size, None, Layout::Inline(bytes))?, None));
        }
        let pieces = plan::plan(&taken.planned());
        let upload = core.uploads.upload(core).await?;
        if let [Piece::Store(range)] = pieces.as_slice()
            && *range == (0..taken.size)
        {
            let bytes = self.bytes(taken, range.clone()).await?;
            let staged = upload.uploader.upload_bytes(bytes).await?;
            return Ok((staged.durable().await?, Some(upload)));
        }
        let mut extents = Vec::new();
        let mut staged: Vec<(u64, Staged)> = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Store(range) => {
                    let bytes = self.bytes(taken, range.clone()).await?;
                    staged.push((range.start, upload.uploader.upload_bytes(bytes).await?));
                }
                Piece::Share(range) => extents.extend(shared(taken, &range)),
            }
        }
        for (start, staged) in staged {
            if let Layout::Extents(stored) = staged.durable().await?.layout() {
                extents.extend(stored.iter().map(|extent| Extent {
                    body_offset: extent.body_offset + start,
                    ..*extent
                }));
            }
        }
        extents.sort_unstable_by_key(|extent| extent.body_offset);
        let body = Body::new(taken.size, None, Layout::Extents(extents))?;
        Ok((body, Some(upload)))
    }

    /// The bytes of a range as they were taken.
    async fn bytes(&self, taken: &Taken, range: Range<u64>) -> Result<Bytes, Failure> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        for segment in &taken.segments {
            let part = segment.range.start.max(range.start)..segment.range.end.min(range.end);
            if part.is_empty() {
                continue;
            }
            let place = (part.start - range.start) as usize..(part.end - range.start) as usize;
            match (segment.source, &taken.base) {
                (Source::Staged, _) => {
                    let state = self.state.lock();
                    let read = state.staging.read(part.start, &mut bytes[place]);
                    read.map_err(|error| {
                        Failure::new(Reason::Io, format!("staged bytes: {error}"))
                    })?;
                }
                (Source::Base, Some(base)) => {
                    let length = (part.end - part.start) as u32;
                    let read = base.body.read_at(part.start, length).await?;
                    bytes[place][..read.len()].copy_from_slice(&read);
                }
                (Source::Zero, _) | (Source::Base, None) => {}
            }
        }
        Ok(bytes.into())
    }

    /// Ends a flush.
    async fn settle(&self, core: &Core, stored: Result<Stored, Failure>) -> Result<(), Errno> {
        let now = core.now();
        let mut state = self.state.lock();
        match stored {
            Ok(stored) => {
                if stored.node.version >= state.node.version {
                    state.node = stored.node;
                }
                state.base = Some(stored.base);
                state.overlay.flushed();
                if state.overlay.staged_bytes() == 0 {
                    state.staging.clear();
                }
                state.failed = None;
                core.unsynced();
                Ok(())
            }
            Err(failure) if failure.reason() == Reason::NotFound => {
                // Removed elsewhere: it goes on for those who have it open.
                state.overlay.give_back();
                drop(state);
                self.orphan(now);
                Ok(())
            }
            Err(failure) => {
                let errno = errno::of_failure(&failure);
                state.overlay.give_back();
                state.edited_at = core.monotonic_millis();
                state.failed = Some(errno);
                Err(errno)
            }
        }
    }
}

impl Taken {
    /// The segments for the plan: a body that lies in its node has nothing to share.
    fn planned(&self) -> Vec<Segment> {
        let is_inline = self
            .base
            .as_ref()
            .is_some_and(|base| base.inline().is_some());
        let mut segments = self.segments.clone();
        if is_inline {
            for segment in &mut segments {
                if segment.source == Source::Base {
                    segment.source = Source::Staged;
                }
            }
        }
        segments
    }
}

/// What a flush has made.
struct Stored {
    node: nokv_client::Node,
    base: Base,
}

/// What the base has in a range.
fn shared(taken: &Taken, range: &Range<u64>) -> Vec<Extent> {
    let layout = taken.base.as_ref().map(|base| base.body().layout());
    match layout {
        Some(Layout::Extents(extents)) => extents
            .iter()
            .filter_map(|extent| extent.cut(range))
            .collect(),
        // A body in its node is stored again, see `Taken::planned`.
        Some(Layout::Inline(_)) | None => Vec::new(),
    }
}
