//! Reading ahead: what a stream of small reads costs, and what a jump leaves.

use crate::{
    BlockStore, BodyReader, Error, MemoryBlocks, ReadOptions, UploadOptions, Uploader,
    testing::FaultStore,
};
use bytes::Bytes;
use nokv_env::{MemoryFileSystem, Random, SeededRandom};
use nokv_types::{BLOCK_BYTES_MIN, BlockId, Body, SessionId};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

const BLOCK: u64 = BLOCK_BYTES_MIN as u64;
const BLOCKS: u64 = 80;
const PIECE: u64 = 16 << 10;

/// How often each object was asked for.
type Gets = Arc<Mutex<BTreeMap<BlockId, u32>>>;

struct Stored {
    source: Bytes,
    body: Body,
    gets: Gets,
    store: Arc<FaultStore>,
}

async fn stored() -> Stored {
    let mut source = vec![0; (BLOCKS * BLOCK) as usize];
    SeededRandom::new(1).fill(&mut source);
    let source = Bytes::from(source);
    let blocks: Arc<dyn BlockStore> = Arc::new(MemoryBlocks::new());
    let options = UploadOptions {
        block_bytes: BLOCK_BYTES_MIN,
        ..UploadOptions::default()
    };
    let files = Arc::new(MemoryFileSystem::new());
    let uploader = Uploader::new(files, Arc::clone(&blocks), SessionId::new(1), options);
    let uploader = uploader.expect("legal options");
    let staged = uploader.upload_bytes(source.clone()).await;
    let body = staged.expect("staged").durable().await.expect("stored");
    let gets = Gets::default();
    let counted = Arc::clone(&gets);
    let store = FaultStore::new(blocks, move |call| {
        for block in &call.blocks {
            *counted.lock().entry(*block).or_default() += 1;
        }
        None
    });
    Stored {
        source,
        body,
        gets,
        store: Arc::new(store),
    }
}

fn reader(store: Arc<dyn BlockStore>, options: ReadOptions) -> BodyReader {
    let files = Arc::new(MemoryFileSystem::new());
    BodyReader::new(files, store, options).expect("legal options")
}

#[tokio::test]
async fn a_stream_of_small_reads_costs_each_block_once() -> Result<(), Error> {
    let stored = stored().await;
    let open = reader(stored.store.clone(), ReadOptions::default()).open(stored.body);
    for start in (0..BLOCKS * BLOCK).step_by(PIECE as usize) {
        let got = open.read_at(start, PIECE as u32).await?;
        assert_eq!(
            got[..],
            stored.source[start as usize..(start + PIECE) as usize]
        );
    }
    let gets = stored.gets.lock();
    assert_eq!(gets.len() as u64, BLOCKS);
    // Without a cache the first reads, before it is known for a stream, fetch by themselves.
    let more = gets.values().map(|count| count - 1).sum::<u32>();
    assert!(more <= 2, "{more} blocks were fetched again");
    Ok(())
}

#[tokio::test]
async fn a_stream_runs_ahead_of_its_reader() -> Result<(), Error> {
    let stored = stored().await;
    let open = reader(stored.store.clone(), ReadOptions::default()).open(stored.body);
    for start in (0..8 * BLOCK).step_by(PIECE as usize) {
        open.read_at(start, PIECE as u32).await?;
    }
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    let blocks = stored.gets.lock().len() as u64;
    assert!(
        blocks >= 16,
        "{blocks} blocks, the window is at least as long as the run"
    );
    assert!(
        blocks <= 8 + 16 + 2,
        "{blocks} blocks, twice the run at most"
    );
    Ok(())
}

#[tokio::test]
async fn random_reads_fetch_what_they_want() -> Result<(), Error> {
    let stored = stored().await;
    let open = reader(stored.store.clone(), ReadOptions::default()).open(stored.body);
    for number in (0..40).rev() {
        open.read_at(number * 2 * BLOCK + 5, 100).await?;
    }
    let gets = stored.gets.lock();
    assert!(gets.values().all(|count| *count == 1));
    assert_eq!(gets.len(), 40);
    Ok(())
}

#[tokio::test]
async fn without_room_nothing_is_read_ahead() -> Result<(), Error> {
    let stored = stored().await;
    let options = ReadOptions {
        ahead_bytes_max: 0,
        ..ReadOptions::default()
    };
    let open = reader(stored.store.clone(), options).open(stored.body);
    for start in (0..4 * BLOCK).step_by(BLOCK as usize) {
        let got = open.read_at(start, BLOCK as u32).await?;
        assert_eq!(
            got[..],
            stored.source[start as usize..(start + BLOCK) as usize]
        );
    }
    assert_eq!(stored.gets.lock().len(), 4);
    Ok(())
}
