//! A body as a stream of verified chunks, with GETs running ahead of the consumer.
//!
//! Invariants: chunks come in order; when the range is the whole body and its digest is known, the
//! last item is the verdict (an error if the digest is wrong); dropping the stream stops its GETs.

use super::{
    fetch::{BodyName, Fetcher, verify_whole},
    options::ZEROS_BYTES,
    plan::{Step, plan_range},
};
use crate::{Error, checksum};
use bytes::Bytes;
use futures::{Stream, StreamExt, future, stream, stream::BoxStream};
use nokv_types::{Body, Layout};
use std::{
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::AbortOnDropHandle;

static ZEROS: [u8; ZEROS_BYTES] = [0; ZEROS_BYTES];

/// The bytes of a body, or of a range of it, in order.
///
/// **Guarantees**: every chunk is verified against its block's checksum. For a whole body, an error
/// after the last chunk means that the chunks, each right, are not the body: whoever has passed
/// them on must take them back.
pub struct BodyStream {
    chunks: BoxStream<'static, Result<Bytes, Error>>,
}

impl Stream for BodyStream {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.chunks.poll_next_unpin(context)
    }
}

/// What one step brings.
pub(crate) struct Delivery {
    pub(crate) chunks: Vec<Bytes>,
    /// Zeros before any chunk.
    pub(crate) zeros: u64,
    /// Given back when the delivery is consumed.
    pub(crate) _memory: Option<OwnedSemaphorePermit>,
}

/// Runs the steps of a range with at most `lookahead` of them under way, in order. Each GET first
/// reserves its bytes in `memory`, if given, in the order of the steps: so the first step never
/// waits for a later one.
pub(crate) fn deliveries(
    fetcher: Fetcher,
    body: &Body,
    range: Range<u64>,
    lookahead: usize,
    memory: Option<(Arc<Semaphore>, u32)>,
) -> BoxStream<'static, Result<Delivery, Error>> {
    let name = BodyName::of(body);
    let inline = match body.layout() {
        Layout::Inline(bytes) => bytes.clone(),
        Layout::Extents(_) => Bytes::new(),
    };
    stream::iter(plan_range(body, range))
        .then(move |step| {
            let memory = memory.clone();
            async move {
                let permit = match (&step, memory) {
                    (Step::Fetch(fetch), Some((memory, most))) => {
                        let bytes = fetch.bytes().min(most);
                        let permit = memory.acquire_many_owned(bytes).await;
                        Some(permit.expect("the semaphore is never closed"))
                    }
                    _ => None,
                };
                (step, permit)
            }
        })
        .map(move |(step, permit)| start(fetcher.clone(), name, step, &inline, permit))
        .buffered(lookahead)
        .boxed()
}

/// Starts a step on a task of its own, so that it goes on while the consumer is busy.
fn start(
    fetcher: Fetcher,
    name: BodyName,
    step: Step,
    inline: &Bytes,
    memory: Option<OwnedSemaphorePermit>,
) -> future::BoxFuture<'static, Result<Delivery, Error>> {
    let ready = |chunks, zeros| {
        Box::pin(future::ready(Ok(Delivery {
            chunks,
            zeros,
            _memory: None,
        })))
    };
    match step {
        Step::Inline(range) => ready(vec![inline.slice(range)], 0),
        Step::Hole(zeros) => ready(Vec::new(), zeros),
        Step::Fetch(fetch) => {
            if let Some(chunks) = fetcher.ready(&fetch) {
                return ready(chunks, 0);
            }
            let task = tokio::spawn(async move { fetcher.fetch(name, fetch).await });
            let task = AbortOnDropHandle::new(task);
            Box::pin(async move {
                let chunks = joined(task.await)?;
                Ok(Delivery {
                    chunks,
                    zeros: 0,
                    _memory: memory,
                })
            })
        }
    }
}

/// A stream over a range.
pub(crate) fn body_stream(
    fetcher: Fetcher,
    body: &Body,
    range: Range<u64>,
    lookahead: usize,
) -> BodyStream {
    let name = BodyName::of(body);
    let is_whole = range.start == 0 && range.end >= body.size() && body.digest().is_some();
    let chunks =
        deliveries(fetcher, body, range, lookahead, None).flat_map(|delivery| match delivery {
            Ok(delivery) => {
                stream::iter(zeros(delivery.zeros).chain(delivery.chunks).map(Ok)).boxed()
            }
            Err(error) => stream::iter([Err(error)]).boxed(),
        });
    if !is_whole {
        return BodyStream {
            chunks: chunks.boxed(),
        };
    }
    let hasher = blake3::Hasher::new();
    let state = (chunks.boxed(), hasher, false);
    let hashed = stream::unfold(state, move |(mut chunks, mut hasher, is_done)| async move {
        if is_done {
            return None;
        }
        match chunks.next().await {
            Some(Ok(chunk)) => {
                hasher.update(&chunk);
                Some((Ok(chunk), (chunks, hasher, false)))
            }
            Some(Err(error)) => Some((Err(error), (chunks, hasher, true))),
            None => {
                let verdict = verify_whole(name, checksum::finish(&hasher)).err()?;
                Some((Err(verdict), (chunks, hasher, true)))
            }
        }
    });
    BodyStream {
        chunks: hashed.boxed(),
    }
}

/// `count` zeros in chunks.
pub(crate) fn zeros(count: u64) -> impl Iterator<Item = Bytes> {
    let mut left = count;
    std::iter::from_fn(move || {
        let next = left.min(ZEROS_BYTES as u64);
        left -= next;
        let length = usize::try_from(next).expect("at most ZEROS_BYTES");
        (length > 0).then(|| Bytes::from_static(ZEROS.get(..length).unwrap_or(&[])))
    })
}

/// The result of a task of our own, whose panic is ours.
pub(super) fn joined<T>(
    joined: Result<Result<T, Error>, tokio::task::JoinError>,
) -> Result<T, Error> {
    match joined {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_cancelled) => Err(Error::Unavailable(
            "the runtime is shutting down".to_owned(),
        )),
    }
}
