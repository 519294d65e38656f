//! A body that is read piece by piece, at any offset: what a file handle holds.
//!
//! Invariants:
//! - as everywhere in this crate, what is returned was verified;
//! - a body never changes, so a handle never has to be told of anything: a new generation of a file
//!   is another body and another handle;
//! - what is read ahead is bounded for each handle and for all of a reader together, stops when the
//!   reader jumps or the handle is dropped, and its failures are nobody's: who wants those bytes
//!   asks again.

use super::{
    fetch::{BodyName, Fetcher},
    options::{READ_BYTES_MAX, WINDOW_BYTES_MAX},
    plan::{Fetch, Part, Step, plan_range},
    reader::BodyReader,
    stream::zeros,
    window::{Ahead, Window},
};
use crate::Error;
use bytes::{Bytes, BytesMut};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use nokv_types::{Body, Layout, Unit};
use parking_lot::Mutex;
use std::{collections::VecDeque, fmt, ops::Range, sync::Arc};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::task::AbortOnDropHandle;

/// What has passed is kept as far back as reads may come out of order.
const KEPT_BYTES: u64 = 1 << 20;

/// One body, open for reading at any offset.
///
/// **Concurrency**: reads may run beside each other; dropping one stops what only it waited for.
pub struct OpenBody {
    reader: BodyReader,
    body: Body,
    ahead: Mutex<ReadAhead>,
}

/// What is on its way before it is asked for.
#[derive(Default)]
struct ReadAhead {
    window: Window,
    coming: VecDeque<Coming>,
}

/// The plain bytes of some units; `None` when they could not be fetched.
type Units = Option<Arc<Vec<(Unit, Bytes)>>>;

/// Units that are on their way, or here.
struct Coming {
    /// Where in the body the last of them ends.
    end: u64,
    units: Vec<Unit>,
    bytes: Shared<BoxFuture<'static, Units>>,
    _memory: OwnedSemaphorePermit,
}

impl OpenBody {
    pub(super) fn new(reader: BodyReader, body: Body) -> Self {
        Self {
            reader,
            body,
            ahead: Mutex::default(),
        }
    }

    /// What is read.
    #[must_use]
    pub const fn body(&self) -> &Body {
        &self.body
    }

    /// `length` bytes from `offset`, fewer (or none) only where the body ends. **Shape**: at most
    /// [`READ_BYTES_MAX`] bytes.
    ///
    /// **Errors**: as [`BodyReader::read_range`].
    pub async fn read_at(&self, offset: u64, length: u32) -> Result<Bytes, Error> {
        let end = offset.saturating_add(length.into()).min(self.body.size());
        let range = offset.min(end)..end;
        if range.end - range.start > READ_BYTES_MAX {
            return Err(Error::Invalid(format!(
                "a read of {length} bytes is over {READ_BYTES_MAX}: read it in parts, or as a stream"
            )));
        }
        let mut chunks = Vec::new();
        let steps = plan_range(&self.body, range.clone());
        let pending = self.pending(&range, steps);
        for piece in pending {
            match piece {
                Piece::Here(bytes) => chunks.push(bytes),
                Piece::Zeros(count) => chunks.extend(zeros(count)),
                Piece::Fetch(task) => chunks.extend(super::stream::joined(task.await)?),
                Piece::Coming(part, coming) => chunks.push(self.arrived(part, coming).await?),
            }
        }
        Ok(join(chunks))
    }

    /// Starts all that a read needs, and what is worth reading ahead.
    fn pending(&self, range: &Range<u64>, steps: Vec<Step>) -> Vec<Piece> {
        let fetcher = &self.reader.fetcher;
        let mut pieces = Vec::with_capacity(steps.len());
        for step in steps {
            match step {
                Step::Inline(range) => pieces.push(Piece::Here(self.inline(range))),
                Step::Hole(count) => pieces.push(Piece::Zeros(count)),
                Step::Fetch(fetch) => match fetcher.ready(&fetch) {
                    Some(chunks) => pieces.extend(chunks.into_iter().map(Piece::Here)),
                    None => pieces.extend(self.ahead.lock().pieces(fetcher, &self.body, fetch)),
                },
            }
        }
        let mut ahead = self.ahead.lock();
        match ahead.window.read(range, WINDOW_BYTES_MAX) {
            Ahead::Nothing => {}
            Ahead::Drop => ahead.coming.clear(),
            Ahead::Fetch(range) => self.read_ahead(&mut ahead, range),
        }
        let passed = range.start.saturating_sub(KEPT_BYTES);
        ahead.coming.retain(|coming| coming.end > passed);
        pieces
    }

    fn inline(&self, range: Range<usize>) -> Bytes {
        match self.body.layout() {
            Layout::Inline(bytes) => bytes.slice(range),
            Layout::Extents(_) => Bytes::new(),
        }
    }

    /// The end of what is shown of the unit that a read up to `end` touches last: units come whole.
    fn unit_end(&self, end: u64) -> u64 {
        let Layout::Extents(extents) = self.body.layout() else {
            return end;
        };
        let last = extents.partition_point(|extent| extent.body_offset < end);
        let last = last.checked_sub(1).and_then(|last| extents.get(last));
        last.map_or(end, |extent| extent.end().max(end))
    }

    /// Sends for what will be wanted, as far as it is not at hand and there is room for it.
    fn read_ahead(&self, ahead: &mut ReadAhead, range: Range<u64>) {
        let mut end = range.start;
        let range = range.start..self.unit_end(range.end);
        for step in plan_range(&self.body, range) {
            end = end.saturating_add(step.bytes());
            let Step::Fetch(fetch) = step else { continue };
            let fetcher = &self.reader.fetcher;
            let is_new = |part: &Part| !ahead.has(&part.unit) && !fetcher.has(part);
            let parts: Vec<Part> = fetch
                .parts
                .iter()
                .filter(|it| is_new(it))
                .map(Part::all)
                .collect();
            let bytes: u32 = parts.iter().map(|part| part.unit.plain_bytes).sum();
            let Some(fetch) = Fetch::around(parts) else {
                continue;
            };
            let room = Arc::clone(&self.reader.ahead).try_acquire_many_owned(bytes);
            let Ok(memory) = room else { break };
            ahead
                .coming
                .push_back(send_for(fetcher.clone(), &self.body, fetch, end, memory));
        }
    }

    /// The wanted bytes of a unit that is on its way; fetched again if it does not arrive.
    async fn arrived(
        &self,
        part: Part,
        coming: Shared<BoxFuture<'static, Units>>,
    ) -> Result<Bytes, Error> {
        if let Some(units) = coming.await
            && let Some((_, plain)) = units.iter().find(|(unit, _)| *unit == part.unit)
        {
            return Ok(super::fetch::cut_wanted(plain, &part));
        }
        let fetcher = &self.reader.fetcher;
        let fetched = fetcher
            .fetch(BodyName::of(&self.body), Fetch::of(part))
            .await?;
        Ok(join(fetched))
    }
}

/// A part of the answer to a read.
enum Piece {
    Here(Bytes),
    Zeros(u64),
    Fetch(AbortOnDropHandle<Result<Vec<Bytes>, Error>>),
    Coming(Part, Shared<BoxFuture<'static, Units>>),
}

impl ReadAhead {
    fn has(&self, unit: &Unit) -> bool {
        self.coming.iter().any(|coming| coming.units.contains(unit))
    }

    /// Where the parts of a fetch come from: what is on its way, else a GET for all of them.
    fn pieces(&self, fetcher: &Fetcher, body: &Body, fetch: Fetch) -> Vec<Piece> {
        let coming = |part: &Part| {
            let coming = self
                .coming
                .iter()
                .find(|it| it.units.contains(&part.unit))?;
            Some(Piece::Coming(part.clone(), coming.bytes.clone()))
        };
        let all: Option<Vec<Piece>> = fetch.parts.iter().map(coming).collect();
        all.unwrap_or_else(|| {
            let (fetcher, name) = (fetcher.clone(), BodyName::of(body));
            let task = tokio::spawn(async move { fetcher.fetch(name, fetch).await });
            vec![Piece::Fetch(AbortOnDropHandle::new(task))]
        })
    }
}

fn send_for(
    fetcher: Fetcher,
    body: &Body,
    fetch: Fetch,
    end: u64,
    memory: OwnedSemaphorePermit,
) -> Coming {
    let name = BodyName::of(body);
    let units: Vec<Unit> = fetch.parts.iter().map(|part| part.unit).collect();
    let expected = units.clone();
    let task = tokio::spawn(async move { fetcher.fetch(name, fetch).await });
    let task = AbortOnDropHandle::new(task);
    let bytes = async move {
        let fetched = super::stream::joined(task.await).ok()?;
        Some(Arc::new(expected.into_iter().zip(fetched).collect()))
    };
    Coming {
        end,
        units,
        bytes: bytes.boxed().shared(),
        _memory: memory,
    }
}

/// Chunks as one; without a copy when there is one only.
fn join(mut chunks: Vec<Bytes>) -> Bytes {
    if chunks.len() <= 1 {
        return chunks.pop().unwrap_or_default();
    }
    let mut all = BytesMut::with_capacity(chunks.iter().map(Bytes::len).sum());
    for chunk in chunks {
        all.extend_from_slice(&chunk);
    }
    all.freeze()
}

impl fmt::Debug for OpenBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenBody")
            .field("size", &self.body.size())
            .finish_non_exhaustive()
    }
}
