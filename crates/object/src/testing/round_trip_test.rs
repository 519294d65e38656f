//! Bodies go up and come back through stores that fail: the same bytes, or an error, never others.

use super::{Call, Chance, Fault, FaultStore, Operation, Trouble};
use crate::{
    BlockStore, BodyReader, Compression, Error, MemoryBlocks, Piece, ReadOptions, RetryOptions,
    RetryingBlocks, UploadOptions, Uploader,
};
use bytes::Bytes;
use nokv_env::{FileSystem, MemoryFileSystem, OpenMode, Random, SeededRandom};
use nokv_types::{BLOCK_BYTES_MIN, BlockId, Body, Layout, SessionId};
use proptest::prelude::*;
use std::{path::Path, sync::Arc, time::Duration};

const BLOCK: usize = BLOCK_BYTES_MIN as usize;
const SESSION: SessionId = SessionId::new(7);
/// The tightest that the options admit: a pack and two blocks.
const OPTIONS: UploadOptions = UploadOptions {
    block_bytes: BLOCK_BYTES_MIN,
    pack_bytes_max: 48 << 10,
    packed_bytes_max: 20_000,
    parallel_puts: 3,
    memory_bytes_max: (48 << 10) + 2 * BLOCK_BYTES_MIN,
    compression: Compression::Off,
};

fn bytes_of(size: usize, seed: u64) -> Bytes {
    let mut bytes = vec![0; size];
    SeededRandom::new(seed).fill(&mut bytes);
    bytes.into()
}

/// Sizes around every limit, and any others.
fn sizes() -> impl Strategy<Value = Vec<usize>> {
    let limits = [
        0,
        1,
        4_095,
        4_096,
        4_097,
        20_000,
        20_001,
        BLOCK - 1,
        BLOCK,
        BLOCK + 1,
    ];
    let more = [
        BLOCK + 4_096,
        2 * BLOCK,
        3 * BLOCK + 20_000,
        3 * BLOCK + 20_001,
    ];
    let around = prop::sample::select([&limits[..], &more[..]].concat());
    prop::collection::vec(prop_oneof![3 => around, 1 => 0..4 * BLOCK], 1..12)
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.expect("a runtime").block_on(work)
}

/// Repeats at once, as often as it takes.
fn patient(store: Arc<dyn BlockStore>) -> Arc<dyn BlockStore> {
    let options = RetryOptions {
        wait_min: Duration::ZERO,
        wait_max: Duration::ZERO,
        ..RetryOptions::default()
    };
    Arc::new(RetryingBlocks::new(
        store,
        Arc::new(SeededRandom::new(1)),
        options,
    ))
}

fn troubled(store: &Arc<MemoryBlocks>, chance: Chance) -> Arc<FaultStore> {
    Arc::new(FaultStore::new(Arc::clone(store) as _, move |call| {
        chance.fault(call)
    }))
}

fn reader(store: Arc<dyn BlockStore>) -> BodyReader {
    BodyReader::new(
        Arc::new(MemoryFileSystem::new()),
        store,
        ReadOptions::default(),
    )
    .expect("legal options")
}

/// Uploads all at once; returns the bodies and the most bytes that were in memory.
async fn upload(store: Arc<dyn BlockStore>, sources: &[Bytes]) -> Result<(Vec<Body>, u64), Error> {
    let files = Arc::new(MemoryFileSystem::new());
    let uploader = Uploader::new(files, store, SESSION, OPTIONS)?;
    let staging = sources
        .iter()
        .map(|bytes| uploader.upload_bytes(bytes.clone()));
    let mut bodies = Vec::new();
    for staged in futures::future::try_join_all(staging).await? {
        bodies.push(staged.durable().await?);
    }
    Ok((bodies, uploader.stats().memory_bytes_peak))
}

fn sources(sizes: &[usize], seed: u64) -> Vec<Bytes> {
    (seed..)
        .zip(sizes)
        .map(|(seed, size)| bytes_of(*size, seed))
        .collect()
}

/// Bodies in a sound store.
fn stored(sizes: &[usize], seed: u64) -> (Arc<MemoryBlocks>, Vec<Bytes>, Vec<Body>) {
    let (store, sources) = (Arc::new(MemoryBlocks::new()), sources(sizes, seed));
    let (bodies, _) = run(upload(Arc::clone(&store) as _, &sources)).expect("uploads");
    (store, sources, bodies)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Pieces of many bodies at once are what they are in the bodies, in their order.
    #[test]
    fn pieces_of_many_bodies_are_theirs(
        sizes in sizes(),
        seed: u64,
        wants in prop::collection::vec((any::<u16>(), any::<u32>(), 0..100_000_u64), 1..20),
    ) {
        let (store, sources, bodies) = stored(&sizes, seed);
        let reader = reader(store);
        let mut pieces = Vec::new();
        let mut expected = Vec::new();
        for (index, offset, length) in wants {
            let index = usize::from(index) % sizes.len();
            let source = &sources[index];
            let start = offset as usize % (source.len() + 10);
            let range = start as u64..start as u64 + length;
            pieces.push(Piece { body: bodies[index].clone(), range: range.clone() });
            let end = source.len().min(range.end as usize);
            expected.push(source.get(start..end).unwrap_or_default());
        }
        let got = run(reader.read_pieces(&pieces)).expect("few bytes");
        for (got, expected) in got.into_iter().zip(expected) {
            prop_assert_eq!(&got.expect("sound")[..], expected);
        }
    }

    /// A piece at any offset is what it is in the body, also across extents, holes' ends and the
    /// end.
    #[test]
    fn pieces_are_the_body(
        sizes in sizes(),
        seed: u64,
        pieces in prop::collection::vec((any::<u32>(), 0..100_000_u32), 1..20),
    ) {
        let (store, sources, bodies) = stored(&sizes, seed);
        for (source, body) in sources.iter().zip(bodies) {
            let open = reader(Arc::clone(&store) as _).open(body);
            for (offset, length) in &pieces {
                let start = *offset as usize % (source.len() + 10);
                let got = run(open.read_at(start as u64, *length)).expect("sound");
                let end = (start + *length as usize).min(source.len());
                let expected = source.get(start..end).unwrap_or_default();
                prop_assert_eq!(&got[..], expected);
            }
        }
    }

    #[test]
    fn passing_trouble_changes_nothing(sizes in sizes(), seed: u64, ranges: [(u64, u64); 3]) {
        let store = Arc::new(MemoryBlocks::new());
        let chance = Chance { seed, per_thousand: 150, trouble: Trouble::Passing };
        let faulty = troubled(&store, chance);
        let sources = sources(&sizes, seed);
        run(async {
            let patient = patient(faulty);
            let (bodies, peak) = upload(Arc::clone(&patient), &sources).await.expect("uploads");
            assert!(peak <= u64::from(OPTIONS.memory_bytes_max), "{peak} bytes in memory");
            let reader = reader(patient);
            for (body, bytes) in bodies.iter().zip(&sources) {
                assert_eq!(reader.read(body).await.expect("reads"), bytes, "{} bytes", bytes.len());
                for (from, length) in ranges {
                    let from = from % (bytes.len() as u64 + 1);
                    let to = (from + length % (2 * BLOCK as u64)).min(bytes.len() as u64);
                    let part = reader.read_range(body, from..to).await.expect("reads");
                    assert_eq!(part, &bytes[from as usize..to as usize]);
                }
            }
        });
    }

    #[test]
    fn wrong_answers_are_errors_and_never_data(sizes in sizes(), seed: u64) {
        let (store, sources, bodies) = stored(&sizes, seed);
        let chance = Chance { seed, per_thousand: 400, trouble: Trouble::WrongBytes };
        let faulty = troubled(&store, chance);
        run(async {
            let reader = reader(Arc::clone(&faulty) as _);
            for (body, bytes) in bodies.iter().zip(&sources) {
                match reader.read(body).await {
                    Ok(read) => assert_eq!(read, bytes),
                    Err(Error::DigestMismatch(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }

    #[test]
    fn a_flipped_bit_is_found_by_whoever_reads_it(sizes in sizes(), seed: u64, pick: u64) {
        let (store, sources, bodies) = stored(&sizes, seed);
        let objects = store.snapshot();
        prop_assume!(!objects.is_empty());
        let (block, whole) = objects.iter().nth(pick as usize % objects.len()).expect("it is there");
        let at = (pick >> 16) as usize % whole.len();
        let mut damaged = whole.to_vec();
        damaged[at] ^= 1 << (pick & 7);
        run(async {
            store.put(*block, damaged.into()).await.expect("puts");
            let reader = reader(Arc::clone(&store) as _);
            for (body, bytes) in bodies.iter().zip(&sources) {
                let read = reader.read(body).await;
                if needs(body, *block, at) {
                    assert!(matches!(read, Err(Error::DigestMismatch(_))), "{read:?}");
                } else {
                    assert_eq!(read.expect("its bytes are whole"), bytes);
                }
            }
        });
    }

    #[test]
    fn holes_read_as_zeros(size in BLOCK..4 * BLOCK, seed: u64, kept: u8) {
        let (store, sources, bodies) = stored(&[size], seed);
        let Layout::Extents(extents) = bodies[0].layout() else { panic!("it is not inline") };
        let mut expected = vec![0; size];
        let mut left = Vec::new();
        let is_kept = |(index, _): &(usize, _)| kept >> index & 1 == 1;
        for (index, extent) in extents.iter().enumerate().filter(is_kept) {
            let range = index * BLOCK..index * BLOCK + extent.length as usize;
            expected[range.clone()].copy_from_slice(&sources[0][range]);
            left.push(*extent);
        }
        let body = Body::new(size as u64, None, Layout::Extents(left)).expect("legal");
        run(async {
            let files = Arc::new(MemoryFileSystem::new());
            let reader = BodyReader::new(Arc::clone(&files) as _, store, ReadOptions::default()).expect("legal");
            assert_eq!(reader.read(&body).await.expect("reads"), expected);
            reader.read_to_file(&body, Path::new("/out")).await.expect("reads");
            let file = files.open(Path::new("/out"), OpenMode::Read).expect("opens");
            let mut content = vec![1; size];
            file.read_exact_at(&mut content, 0).expect("is as long");
            assert_eq!((content, file.len().expect("has a length")), (expected, size as u64));
        });
    }
}

/// Whether a byte of an object is in a body.
fn needs(body: &Body, block: BlockId, at: usize) -> bool {
    let Layout::Extents(extents) = body.layout() else {
        return false;
    };
    let at = u32::try_from(at).expect("an offset in an object");
    let units = extents.iter().map(|extent| extent.unit);
    units
        .filter(|unit| unit.block == block)
        .any(|unit| unit.object_range().contains(&at))
}

#[test]
fn extents_in_another_order_are_found_by_the_digest() {
    let (store, _, bodies) = stored(&[2 * BLOCK], 3);
    let Layout::Extents(extents) = bodies[0].layout() else {
        panic!("it is not inline")
    };
    let mut swapped = extents.clone();
    swapped.swap(0, 1);
    for (index, extent) in swapped.iter_mut().enumerate() {
        extent.body_offset = (index * BLOCK) as u64;
    }
    let body = Body::new(
        bodies[0].size(),
        bodies[0].digest(),
        Layout::Extents(swapped),
    )
    .expect("legal");
    let error = run(reader(store).read(&body)).expect_err("each block is right, the whole is not");
    assert!(matches!(error, Error::DigestMismatch(mismatch) if mismatch.block.is_none()));
}

#[test]
fn a_missing_object_is_named_with_its_body() {
    let (store, _, bodies) = stored(&[2 * BLOCK], 3);
    let gone = BlockId {
        session: SESSION,
        sequence: 1,
    };
    let faulty = FaultStore::new(store, move |call: &Call| {
        (call.blocks == [gone]).then_some(Fault::Missing)
    });
    let error = run(reader(Arc::new(faulty)).read(&bodies[0])).expect_err("a block is missing");
    let digest = bodies[0].digest().expect("it has one").to_string();
    assert!(
        matches!(&error, Error::MissingBlock { block, body, .. }
            if *block == gone && body.contains(&digest)),
        "{error}"
    );
}

#[test]
fn a_body_whose_object_is_refused_does_not_come_out() {
    let denied = |call: &Call| {
        let fault = Fault::Refused(Error::PermissionDenied("read-only bucket".to_owned()));
        (call.operation == Operation::Put && call.blocks[0].sequence == 2).then_some(fault)
    };
    let store = Arc::new(FaultStore::new(Arc::new(MemoryBlocks::new()), denied));
    let uploaded = run(upload(patient(store), &[bytes_of(4 * BLOCK, 1)]));
    assert!(
        matches!(uploaded, Err(Error::PermissionDenied(_))),
        "{uploaded:?}"
    );
}

#[test]
fn chance_is_repeatable_and_does_happen() {
    let chance = Chance {
        seed: 5,
        per_thousand: 300,
        trouble: Trouble::Any,
    };
    let call = |sequence| Call {
        operation: Operation::Get,
        blocks: vec![BlockId {
            session: SESSION,
            sequence,
        }],
        attempt: 0,
    };
    let faults = || {
        (0..1_000)
            .filter_map(|sequence| chance.fault(&call(sequence)))
            .collect::<Vec<_>>()
    };
    assert_eq!(faults(), faults());
    assert!((200..400).contains(&faults().len()), "{}", faults().len());
}
