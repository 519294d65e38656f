//! Measures the way of bodies into a local folder and back, beside the bare `object_store` client.
//!
//! `cargo run --release -p nokv-object --example throughput -- DIR [MIB] [FILES] [ROUNDS]`
//!
//! Both sides read the same source file in blocks of 4 MiB, 16 at once. The bare client runs
//! without syncing (its default) and with it; only the second promises what ours does. Rounds are
//! interleaved, so that a disturbance hits all sides; the median is shown with the least and the
//! most. Pages stay in the page cache on all sides.
#![expect(clippy::print_stdout, reason = "a report is what this program is for")]

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use nokv_env::{Env, File, OpenMode, Random, SeededRandom};
use nokv_object::{
    BlockStore, BodyReader, Error, FolderBlocks, ReadItem, ReadOptions, UploadOptions, Uploader,
};
use nokv_types::{Body, SessionId};
use object_store::{ObjectStore, ObjectStoreExt, local::LocalFileSystem, path::Path as Key};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

const BLOCK_BYTES: u64 = 4 << 20;
const PARALLEL: usize = 16;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

struct Bench {
    env: Env,
    dir: PathBuf,
    source: PathBuf,
    bytes: u64,
    small: Vec<(PathBuf, u64)>,
    /// Megabytes or files per second of each row, one for each round.
    rows: BTreeMap<&'static str, Vec<f64>>,
}

fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(
        arguments
            .next()
            .ok_or("the first argument is a directory")?,
    );
    let mut number = |usual: u64| arguments.next().map_or(Ok(usual), |text| text.parse());
    let (mib, files, rounds) = (number(1024)?, number(10_000)?, number(3)?);
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let mut bench = Bench::new(dir, mib, files)?;
            for round in 0..rounds {
                bench.large(round).await?;
                bench.many(round).await?;
            }
            bench.report();
            Ok(())
        })
}

impl Bench {
    fn new(dir: PathBuf, mib: u64, files: u64) -> Outcome<Self> {
        let env = Env::real();
        let random = SeededRandom::new(1);
        env.files.create_dir_all(&dir.join("small"))?;
        let source = dir.join("source");
        let bytes = mib << 20;
        let file = env.files.open(&source, OpenMode::Create)?;
        let mut block = vec![0; BLOCK_BYTES as usize];
        for offset in (0..bytes).step_by(BLOCK_BYTES as usize) {
            random.fill(&mut block);
            file.write_at(&block, offset)?;
        }
        let mut small = Vec::new();
        for index in 0..files {
            let path = dir.join("small").join(format!("{index:05}"));
            let size = (3 << 10) + random.below(17 << 10);
            let some = block.get(..size as usize).ok_or("a small file is small")?;
            let file = env.files.open(&path, OpenMode::Create)?;
            file.write_at(some, 0)?;
            file.write_at(&index.to_le_bytes(), 0)?;
            small.push((path, size));
        }
        file.sync_all()?;
        Ok(Self {
            env,
            dir,
            source,
            bytes,
            small,
            rows: BTreeMap::new(),
        })
    }

    /// Runs something and notes how much of `amount` it did in a second.
    async fn time<T>(
        &mut self,
        row: &'static str,
        amount: f64,
        work: impl Future<Output = Outcome<T>>,
    ) -> Outcome<T> {
        let start = self.env.clock.monotonic();
        let value = work.await?;
        let took: Duration = self.env.clock.monotonic() - start;
        self.rows
            .entry(row)
            .or_default()
            .push(amount / took.as_secs_f64());
        Ok(value)
    }

    async fn large(&mut self, round: u64) -> Outcome {
        let megabytes = self.bytes as f64 / 1e6;
        let (source, bytes) = (
            self.env.files.open(&self.source, OpenMode::Read)?,
            self.bytes,
        );
        for (put, get, fsync) in [
            ("1 put   raw, unsynced", "2 get   raw", false),
            ("1 put   raw, synced", "2 get   raw (again)", true),
        ] {
            let root = self.fresh("raw", round)?;
            let raw = LocalFileSystem::new_with_prefix(&root)?.with_fsync(fsync);
            let raw: Arc<dyn ObjectStore> = Arc::new(raw);
            self.time(put, megabytes, raw_put(&raw, &source, bytes))
                .await?;
            self.time(get, megabytes, raw_get(&raw, bytes)).await?;
            self.clear(&root)?;
        }
        let (root, store) = self.folder(round)?;
        let uploader = self.uploader(&store, round)?;
        let path = self.source.clone();
        let body = self
            .time("1 put   NoKV, synced", megabytes, async {
                Ok(uploader.upload_file(&path, None).await?.durable().await?)
            })
            .await?;
        let reader = self.reader(&store)?;
        self.time("2 get   NoKV, verified", megabytes, drain(&reader, &body))
            .await?;
        self.clear(&root)
    }

    async fn many(&mut self, round: u64) -> Outcome {
        let (root, store) = self.folder(round)?;
        let uploader = self.uploader(&store, round)?;
        let small = self.small.clone();
        let count = small.len() as f64;
        let bodies = self
            .time("3 put   small files", count, upload_all(&uploader, &small))
            .await?;
        let puts = uploader.stats().object_count as f64;
        self.rows
            .entry("5 PUTs  for all small files")
            .or_default()
            .push(puts);
        let out = self.fresh("out", round)?;
        self.env.files.create_dir_all(&out)?;
        let item = |(index, body)| ReadItem {
            body,
            path: out.join(format!("{index:05}")),
        };
        let items: Vec<_> = bodies.into_iter().enumerate().map(item).collect();
        let reader = self.reader(&store)?;
        self.time("4 get   small files", count, async {
            let results = reader.read_many(items, &|_, _| {}).await;
            Ok(results.into_iter().collect::<Result<Vec<()>, Error>>()?)
        })
        .await?;
        self.clear(&out)?;
        self.clear(&root)
    }

    fn uploader(&self, store: &Arc<dyn BlockStore>, round: u64) -> Outcome<Uploader> {
        let (files, session) = (Arc::clone(&self.env.files), SessionId::new(round + 1));
        let options = UploadOptions {
            parallel_puts: PARALLEL,
            ..UploadOptions::default()
        };
        Ok(Uploader::new(files, Arc::clone(store), session, options)?)
    }

    fn reader(&self, store: &Arc<dyn BlockStore>) -> Outcome<BodyReader> {
        let options = ReadOptions {
            parallel_gets: PARALLEL,
            lookahead_gets: PARALLEL,
            ..ReadOptions::default()
        };
        Ok(BodyReader::new(
            Arc::clone(&self.env.files),
            Arc::clone(store),
            options,
        )?)
    }

    fn folder(&self, round: u64) -> Outcome<(PathBuf, Arc<dyn BlockStore>)> {
        let root = self.fresh("nokv", round)?;
        let store = Arc::new(FolderBlocks::new(&self.env, root.clone()));
        Ok((root, store))
    }

    fn fresh(&self, name: &str, round: u64) -> Outcome<PathBuf> {
        let root = self.dir.join(format!("{name}-{round}"));
        self.env.files.create_dir_all(&root)?;
        Ok(root)
    }

    /// Empties and removes a directory that this program has made.
    fn clear(&self, dir: &Path) -> Outcome {
        for entry in self.env.files.list(dir)? {
            let path = dir.join(&entry.name);
            match entry.kind {
                nokv_env::EntryKind::Directory => self.clear(&path)?,
                _ => self.env.files.remove(&path)?,
            }
        }
        Ok(self.env.files.remove_dir(dir)?)
    }

    fn report(&self) {
        println!(
            "{:<32} {:>10} {:>10} {:>10}",
            "MB/s or files/s or count", "median", "least", "most"
        );
        for (row, values) in &self.rows {
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
            let last = sorted.len().saturating_sub(1);
            println!(
                "{row:<32} {:>10.0} {:>10.0} {:>10.0}",
                at(sorted.len() / 2),
                at(0),
                at(last)
            );
        }
    }
}

fn key(offset: u64) -> Key {
    Key::from(format!("raw/{:08x}", offset / BLOCK_BYTES))
}

async fn raw_put(store: &Arc<dyn ObjectStore>, file: &Arc<dyn File>, bytes: u64) -> Outcome {
    stream::iter((0..bytes).step_by(BLOCK_BYTES as usize))
        .map(|offset| {
            let (store, file) = (Arc::clone(store), Arc::clone(file));
            async move {
                let read = tokio::task::spawn_blocking(move || {
                    let mut block = vec![0; BLOCK_BYTES as usize];
                    file.read_exact_at(&mut block, offset)
                        .map(|()| Bytes::from(block))
                });
                store.put(&key(offset), read.await??.into()).await?;
                Outcome::Ok(())
            }
        })
        .buffer_unordered(PARALLEL)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

async fn raw_get(store: &Arc<dyn ObjectStore>, bytes: u64) -> Outcome {
    stream::iter((0..bytes).step_by(BLOCK_BYTES as usize))
        .map(|offset| {
            let store = Arc::clone(store);
            // On tasks of their own, as ours are.
            async move {
                let get = async move { store.get_range(&key(offset), 0..BLOCK_BYTES).await };
                Outcome::Ok(tokio::spawn(get).await??.len())
            }
        })
        .buffered(PARALLEL)
        .try_collect::<Vec<usize>>()
        .await?;
    Ok(())
}

async fn drain(reader: &BodyReader, body: &Body) -> Outcome {
    let mut chunks = reader.stream(body, 0..body.size());
    while chunks.try_next().await?.is_some() {}
    Ok(())
}

async fn upload_all(uploader: &Uploader, small: &[(PathBuf, u64)]) -> Outcome<Vec<Body>> {
    let staged: Vec<_> = stream::iter(small)
        .map(|(path, size)| {
            let uploader = uploader.clone();
            async move { uploader.upload_file(path, Some(*size)).await }
        })
        .buffered(4 * PARALLEL)
        .try_collect()
        .await?;
    let mut bodies = Vec::with_capacity(staged.len());
    for one in staged {
        bodies.push(one.durable().await?);
    }
    Ok(bodies)
}
