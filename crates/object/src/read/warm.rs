//! Bodies into the cache of the machine, before anybody reads them.
//!
//! Invariants:
//! - what is there is not fetched; what is fetched is verified first, as for a reader;
//! - bytes fetched and not yet on disk never exceed `memory_bytes_max`.

use super::{
    fetch::{BodyName, Wholes},
    plan::{Fetch, Part, plan_many},
    reader::BodyReader,
};
use crate::{BlockCache, Error, blocking};
use bytes::Bytes;
use futures::{StreamExt, stream};
use nokv_types::{Body, Layout};
use std::sync::Arc;

/// What warming a body came to.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Warmed {
    /// Bytes of the body that are in the cache now, inline ones included.
    pub bytes: u64,
    /// Stored bytes that had to be fetched for it.
    pub fetched_bytes: u64,
}

impl BodyReader {
    /// Brings bodies into the disk cache. `on_bytes` hears how many bytes of the bodies are dealt
    /// with, as they are.
    ///
    /// **Guarantees**: one result for each body, in order; an `Ok` says that all of it is in the
    /// cache, until it is evicted. **Errors**: [`Error::Invalid`] without a disk cache; for a body,
    /// those of reading it, or [`Error::NoSpace`] when the cache could not keep it.
    pub async fn warm(
        &self,
        bodies: &[Body],
        on_bytes: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Vec<Result<Warmed, Error>>, Error> {
        let cache = self.fetcher.cache.as_ref().filter(|cache| cache.has_disk());
        let Some(cache) = cache else {
            let advice = "there is no cache on disk to warm; name its directory";
            return Err(Error::Invalid(advice.to_owned()));
        };
        let (mut results, mut wanted) = (Vec::new(), Vec::new());
        for (index, body) in bodies.iter().enumerate() {
            let mut bytes = body.size();
            if let Layout::Extents(extents) = body.layout() {
                wanted.extend(extents.iter().map(|extent| (*extent, index)));
                let shown: u64 = extents.iter().map(|extent| u64::from(extent.length)).sum();
                bytes = bytes.saturating_sub(shown);
            }
            on_bytes(bytes);
            results.push(Ok(Warmed {
                bytes,
                fetched_bytes: 0,
            }));
        }
        let name_of = |index: usize| bodies.get(index).map_or(BodyName::UNKNOWN, BodyName::of);
        let mut running = stream::iter(plan_many(wanted))
            .map(|(fetch, marks)| async move {
                let name = |part: usize| name_of(marks.get(part).copied().unwrap_or(usize::MAX));
                let warmed = self.warm_fetch(cache, fetch, &name).await;
                (marks, warmed)
            })
            .buffer_unordered(self.options.parallel_files);
        while let Some((marks, warmed)) = running.next().await {
            for (index, part) in marks.into_iter().zip(warmed) {
                if let Ok(part) = &part {
                    on_bytes(part.bytes);
                }
                if let Some(result) = results.get_mut(index) {
                    add(result, part);
                }
            }
        }
        Ok(results)
    }

    /// What of a fetch is missing into the cache; a result for each part.
    async fn warm_fetch(
        &self,
        cache: &Arc<BlockCache>,
        fetch: Fetch,
        name_of: &(dyn Fn(usize) -> BodyName + Send + Sync),
    ) -> Vec<Result<Warmed, Error>> {
        let bytes = fetch.bytes().min(self.options.memory_bytes_max);
        let memory = self.memory.acquire_many(bytes).await;
        let _memory = memory.expect("the semaphore is never closed");
        let mut results: Vec<_> = fetch.parts.iter().map(|part| Ok(shown(part))).collect();
        let missing = self.missing(cache, &fetch).await;
        let parts = missing
            .iter()
            .filter_map(|at| fetch.parts.get(*at).cloned());
        let Some(ours) = Fetch::around(parts.collect()) else {
            return results;
        };
        let name = |at: usize| name_of(missing.get(at).copied().unwrap_or(usize::MAX));
        let got = self.fetcher.wholes(&ours, &name).await;
        let kept = keep(cache, &ours, &got).await;
        for (at, (index, whole)) in missing.into_iter().zip(got.wholes).enumerate() {
            let stored = whole.map(|whole| whole.stored.len() as u64);
            let kept = kept.get(at).copied().unwrap_or(false);
            if let Some(result) = results.get_mut(index) {
                *result = stored.and_then(|stored| match (result.as_ref(), kept) {
                    (Ok(shown), true) => Ok(Warmed {
                        fetched_bytes: stored,
                        ..*shown
                    }),
                    _ => Err(Error::NoSpace(
                        "the cache can't keep it: its disk is full, fails, or is being evicted"
                            .to_owned(),
                    )),
                });
            }
        }
        results
    }

    /// The parts that the disk does not have.
    async fn missing(&self, cache: &Arc<BlockCache>, fetch: &Fetch) -> Vec<usize> {
        let (cache, parts) = (Arc::clone(cache), fetch.parts.clone());
        let every = (0..parts.len()).collect();
        let looked = blocking(move || {
            let is_missing = |(_, part): &(usize, Part)| !cache.holds_on_disk(&part.unit);
            let missing = parts.into_iter().enumerate().filter(is_missing);
            Ok(missing.map(|(index, _)| index).collect())
        });
        looked.await.unwrap_or(every)
    }
}

fn shown(part: &Part) -> Warmed {
    Warmed {
        bytes: part.wanted.len() as u64,
        fetched_bytes: 0,
    }
}

/// Writes verified units to disk; whether each is there.
async fn keep(cache: &Arc<BlockCache>, fetch: &Fetch, got: &Wholes) -> Vec<bool> {
    let runs = super::cached::verified_runs(fetch, got);
    let block = fetch.block;
    let (cache, count) = (Arc::clone(cache), fetch.parts.len());
    let units: Vec<_> = fetch.parts.iter().map(|part| part.unit).collect();
    let kept = blocking(move || {
        for (start, bytes) in runs {
            let bytes: Bytes = bytes;
            cache.keep_on_disk_now(block, start, &bytes);
        }
        Ok(units.iter().map(|unit| cache.holds_on_disk(unit)).collect())
    });
    kept.await.unwrap_or_else(|_| vec![false; count])
}

/// Adds what became of a part; the first error stays.
fn add(result: &mut Result<Warmed, Error>, part: Result<Warmed, Error>) {
    match (result.as_mut(), part) {
        (Ok(sum), Ok(part)) => {
            sum.bytes += part.bytes;
            sum.fetched_bytes += part.fetched_bytes;
        }
        (Ok(_), Err(error)) => *result = Err(error),
        (Err(_), _) => {}
    }
}
