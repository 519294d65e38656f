//! Many bodies into local files with few GETs.
//!
//! A tree of 20,000 small files is a handful of packs: the plan goes by object, each pack (or the
//! wanted stretch of it) is fetched once, and all files in it are verified and written in one trip
//! to a blocking thread.
//!
//! Invariant: every item has exactly one result, in the order of the input; one damaged body fails
//! alone.

use super::{
    fetch::{BodyName, verify_whole},
    plan::{Fetch, plan_many},
    reader::BodyReader,
};
use crate::{Error, PACKED_BYTES_MAX, blocking, checksum};
use bytes::Bytes;
use futures::{StreamExt, stream};
use nokv_env::{FileSystem, OpenMode};
use nokv_types::{Body, Extent, Layout};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Inline bodies written in one trip to a blocking thread.
const INLINE_BATCH_COUNT: usize = 256;

/// One body and the local file that it goes to.
#[derive(Clone, Debug)]
pub struct ReadItem {
    /// The body.
    pub body: Body,
    /// The file, made or replaced; its directory must exist.
    pub path: PathBuf,
}

/// What an item's reader is told: the item's index, and how it ended.
pub type OnItem<'a> = &'a (dyn Fn(usize, &Result<(), Error>) + Send + Sync);

/// A small file whose bytes are at hand.
struct SmallFile {
    index: usize,
    path: PathBuf,
    name: BodyName,
    bytes: Result<Bytes, Error>,
}

/// A part of the work, run beside others.
enum Job {
    Inline(Vec<SmallFile>),
    Pack(Fetch, Vec<usize>),
    Single(usize),
}

impl BodyReader {
    /// Writes many bodies to local files. `on_item` is called once for each, when it is done.
    ///
    /// **Guarantees**: results in the order of `items`. An item that fails leaves no file and does
    /// not disturb the others. Files are not synced.
    pub async fn read_many(
        &self,
        items: Vec<ReadItem>,
        on_item: OnItem<'_>,
    ) -> Vec<Result<(), Error>> {
        let jobs = plan_jobs(&items);
        let mut results: Vec<Option<Result<(), Error>>> = Vec::new();
        results.resize_with(items.len(), || None);
        let items = &items;
        let mut running = stream::iter(jobs)
            .map(|job| self.run(job, items))
            .buffer_unordered(self.options.parallel_files);
        while let Some(done) = running.next().await {
            for (index, result) in done {
                on_item(index, &result);
                if let Some(slot) = results.get_mut(index) {
                    *slot = Some(result);
                }
            }
        }
        results
            .into_iter()
            .map(|slot| slot.expect("each item is in exactly one job"))
            .collect()
    }

    async fn run(&self, job: Job, items: &[ReadItem]) -> Vec<(usize, Result<(), Error>)> {
        match job {
            Job::Inline(files) => self.write_small(files).await,
            Job::Pack(fetch, indexes) => self.run_pack(fetch, &indexes, items).await,
            Job::Single(index) => match items.get(index) {
                Some(item) => vec![(index, self.read_to_file(&item.body, &item.path).await)],
                None => Vec::new(),
            },
        }
    }

    async fn run_pack(
        &self,
        fetch: Fetch,
        indexes: &[usize],
        items: &[ReadItem],
    ) -> Vec<(usize, Result<(), Error>)> {
        let bytes = fetch.bytes().min(self.options.memory_bytes_max);
        let _memory = self
            .memory
            .acquire_many(bytes)
            .await
            .expect("the semaphore is never closed");
        let item_of = |part: usize| indexes.get(part).and_then(|index| items.get(*index));
        let name_of =
            |part: usize| item_of(part).map_or(BodyName::UNKNOWN, |item| BodyName::of(&item.body));
        let fetched = self.fetcher.fetch_each(&fetch, &name_of).await;
        let small = |(index, bytes): (&usize, _)| {
            let item = items.get(*index)?;
            Some(SmallFile {
                index: *index,
                path: item.path.clone(),
                name: BodyName::of(&item.body),
                bytes,
            })
        };
        let files = indexes.iter().zip(fetched).filter_map(small).collect();
        self.write_small(files).await
    }

    /// Writes small files on one blocking thread.
    async fn write_small(&self, small: Vec<SmallFile>) -> Vec<(usize, Result<(), Error>)> {
        let files = Arc::clone(&self.files);
        let indexes: Vec<usize> = small.iter().map(|file| file.index).collect();
        let written = blocking(move || {
            let write = |file: SmallFile| (file.index, write_small(&*files, file));
            Ok(small.into_iter().map(write).collect::<Vec<_>>())
        });
        match written.await {
            Ok(results) => results,
            Err(error) => indexes
                .into_iter()
                .map(|index| (index, Err(error.clone())))
                .collect(),
        }
    }
}

fn write_small(files: &dyn FileSystem, small: SmallFile) -> Result<(), Error> {
    let bytes = small.bytes?;
    verify_whole(small.name, checksum::digest(&bytes))?;
    let path: &Path = &small.path;
    let failed = |error: io::Error| Error::from_io("write", path, &error);
    let file = files.open(path, OpenMode::Create).map_err(failed)?;
    if let Err(error) = file.write_at(&bytes, 0) {
        if let Err(error) = files.remove(path) {
            tracing::debug!(%error, "could not remove an incomplete file");
        }
        return Err(failed(error));
    }
    Ok(())
}

/// Sorts items into jobs: inline bodies in batches, small bodies by their packs, the rest one by
/// one.
fn plan_jobs(items: &[ReadItem]) -> Vec<Job> {
    let mut inline = Vec::new();
    let mut packed: Vec<(Extent, usize)> = Vec::new();
    let mut jobs = Vec::new();
    for (index, item) in items.iter().enumerate() {
        match item.body.layout() {
            Layout::Inline(bytes) => inline.push(SmallFile {
                index,
                path: item.path.clone(),
                name: BodyName::of(&item.body),
                bytes: Ok(bytes.clone()),
            }),
            Layout::Extents(extents) => match extents.as_slice() {
                [extent] if is_small(&item.body, extent) => packed.push((*extent, index)),
                _ => jobs.push(Job::Single(index)),
            },
        }
    }
    jobs.extend(
        plan_many(packed)
            .into_iter()
            .map(|(fetch, marks)| Job::Pack(fetch, marks)),
    );
    while !inline.is_empty() {
        let rest = inline.split_off(inline.len().min(INLINE_BATCH_COUNT));
        jobs.push(Job::Inline(std::mem::replace(&mut inline, rest)));
    }
    jobs
}

/// Whether the body is just this extent, and small.
fn is_small(body: &Body, extent: &Extent) -> bool {
    extent.unit.plain_bytes <= PACKED_BYTES_MAX && u64::from(extent.length) == body.size()
}
