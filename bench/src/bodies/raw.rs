//! The `object_store` client alone: files cut into blocks of 4 MiB, so many in flight, no digest,
//! no metadata. What it moves in a second is the ceiling for anything built on it.

use super::place::{ACCESS_KEY_ID, BUCKET, Place, REGION, SECRET_ACCESS_KEY};
use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// As NoKV cuts bodies.
const BLOCK_BYTES: u64 = 4 << 20;

/// Enough to make the server spread over its volumes.
const WARM_UP_OBJECTS: u32 = 256;
const WARM_UP_BYTES: usize = 64 << 10;
const WARM_UP_CONCURRENCY: usize = 16;

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Direction {
    /// To the place.
    Put,
    /// From the place.
    Get,
}

struct Block {
    file: Arc<File>,
    offset: u64,
    length: u64,
    key: Key,
}

/// Moves the files of `source` to the place, or what was put from there back into `target`.
pub(crate) fn transfer(
    direction: Direction,
    place: &Place,
    (source, target): (&Path, &Path),
    concurrency: u32,
) -> Result<()> {
    let store = connect(place)?;
    let blocks = blocks(direction, source, target)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        stream::iter(blocks.into_iter().map(|block| {
            let store = Arc::clone(&store);
            async move {
                match direction {
                    Direction::Put => put(&*store, block).await,
                    Direction::Get => get(&*store, block).await,
                }
            }
        }))
        .buffer_unordered(concurrency as usize)
        .try_collect::<()>()
        .await
    })
}

/// Puts and deletes some objects, so that a fresh server has made its volumes before the first
/// system comes.
pub(crate) fn warm_up(place: &Place) -> Result<()> {
    let store = connect(place)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        stream::iter(0..WARM_UP_OBJECTS)
            .map(|number| {
                let store = Arc::clone(&store);
                async move {
                    let key = Key::from(format!("warm-up/{number}"));
                    store.put(&key, vec![0; WARM_UP_BYTES].into()).await?;
                    store.delete(&key).await
                }
            })
            .buffer_unordered(WARM_UP_CONCURRENCY)
            .try_collect::<()>()
            .await
    })?;
    Ok(())
}

async fn put(store: &dyn ObjectStore, block: Block) -> Result<()> {
    let Block {
        file,
        offset,
        length,
        key,
    } = block;
    let bytes = tokio::task::spawn_blocking(move || -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(length)?];
        file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    })
    .await??;
    store.put(&key, bytes.into()).await.context("put a block")?;
    Ok(())
}

async fn get(store: &dyn ObjectStore, block: Block) -> Result<()> {
    let bytes = store
        .get(&block.key)
        .await
        .context("get a block")?
        .bytes()
        .await?;
    tokio::task::spawn_blocking(move || block.file.write_all_at(&bytes, block.offset)).await??;
    Ok(())
}

fn blocks(direction: Direction, source: &Path, target: &Path) -> Result<Vec<Block>> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(source)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    paths.sort();
    if direction == Direction::Get {
        std::fs::create_dir_all(target)?;
    }
    let mut blocks = Vec::new();
    for (number, path) in paths.iter().enumerate() {
        let length = std::fs::metadata(path)?.len();
        let file = match direction {
            Direction::Put => File::open(path)?,
            Direction::Get => File::create(target.join(path.file_name().context("a name")?))?,
        };
        let file = Arc::new(file);
        blocks.extend((0..length.div_ceil(BLOCK_BYTES)).map(|index| {
            let offset = index * BLOCK_BYTES;
            Block {
                file: Arc::clone(&file),
                offset,
                length: BLOCK_BYTES.min(length - offset),
                key: Key::from(format!("raw/{number:04}/{index:08}")),
            }
        }));
    }
    Ok(blocks)
}

fn connect(place: &Place) -> Result<Arc<dyn ObjectStore>> {
    Ok(match place {
        Place::Folder(dir) => {
            std::fs::create_dir_all(dir)?;
            Arc::new(LocalFileSystem::new_with_prefix(dir)?)
        }
        Place::S3 { endpoint, .. } => Arc::new(
            AmazonS3Builder::new()
                .with_endpoint(endpoint)
                .with_allow_http(true)
                .with_bucket_name(BUCKET)
                .with_region(REGION)
                .with_access_key_id(ACCESS_KEY_ID)
                .with_secret_access_key(SECRET_ACCESS_KEY)
                .build()?,
        ),
    })
}
