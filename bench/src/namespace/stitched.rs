//! What a client would stitch together over the same engine: an entry table (directory, name →
//! node) and a node table (node → attributes). Each step is a call of its own, as over a remote
//! key-value store, and nothing makes the whole atomic.

use super::subject::{Subject, list_name};
use anyhow::{Context, Result, bail, ensure};
use nokv_engine::{Batch, Direction, Engine, KeyRange, Keyspace, Options, Record, Retention};
use nokv_env::Env;
use nokv_types::{Attributes, NodeKind, TimeNanos, Version};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

const ENTRIES: Keyspace = Keyspace::new(1);
const NODES: Keyspace = Keyspace::new(2);
/// The listed directory.
const DIRECTORY: u64 = 42;
/// Bytes of a node's attributes: as our node record without a body.
const NODE_BYTES: usize = 96;
/// Threads of the fanned-out variant.
const FAN_OUT: usize = 16;
/// Records of a batch while preparing.
const PREPARE_BATCH: u64 = 1_000;

/// How the nodes of a page are fetched after the scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fetch {
    /// One get after the other.
    Gets,
    /// One call with all keys.
    MultiGet,
    /// Gets on sixteen threads.
    FanOut,
}

/// The tables.
pub(crate) struct Stitched {
    engine: Engine,
    version: AtomicU64,
    fetch: Fetch,
}

impl Stitched {
    /// Opens a new engine.
    pub(crate) fn open(dir: &Path, fetch: Fetch) -> Result<Self> {
        let engine = Engine::open(Env::real(), dir, Options::default())?;
        engine.set_retention(Retention {
            horizon: Version::MAX,
            pins: Vec::new(),
        });
        let version = AtomicU64::new(engine.last_version().next().as_u64());
        Ok(Self {
            engine,
            version,
            fetch,
        })
    }

    fn node(&self, key: &[u8]) -> Result<Attributes> {
        decode(self.engine.get(NODES, key, Version::MAX)?)
    }

    fn nodes(&self, keys: &[Vec<u8>]) -> Result<Vec<Attributes>> {
        match self.fetch {
            Fetch::Gets => keys.iter().map(|key| self.node(key)).collect(),
            Fetch::MultiGet => {
                let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
                let records = self.engine.multi_get(NODES, &keys, Version::MAX)?;
                records.into_iter().map(decode).collect()
            }
            Fetch::FanOut => std::thread::scope(|scope| {
                let part_length = keys.len().div_ceil(FAN_OUT).max(1);
                let parts: Vec<_> = keys
                    .chunks(part_length)
                    .map(|part| scope.spawn(|| part.iter().map(|key| self.node(key)).collect()))
                    .collect();
                let mut nodes = Vec::with_capacity(keys.len());
                for part in parts {
                    let found: Result<Vec<Attributes>> = part.join().ok().context("a panic")?;
                    nodes.extend(found?);
                }
                Ok(nodes)
            }),
        }
    }
}

/// Attributes as a client keeps them: fixed fields.
fn encode(index: u64) -> [u8; NODE_BYTES] {
    let mut bytes = [0; NODE_BYTES];
    bytes[..8].copy_from_slice(&index.to_be_bytes());
    bytes[8..16].copy_from_slice(&0o644u64.to_be_bytes());
    bytes
}

fn decode(record: Option<Record>) -> Result<Attributes> {
    let record = record.context("an entry has a node")?;
    ensure!(record.value.len() == NODE_BYTES, "a node has its length");
    let (fields, _) = record.value.as_chunks::<8>();
    let field = |index: usize| u64::from_be_bytes(fields[index]);
    let narrow = |index: usize| field(index) as u32;
    let time = |index: usize| TimeNanos::new(field(index).cast_signed());
    Ok(Attributes {
        kind: NodeKind::File,
        mode: narrow(1),
        uid: narrow(2),
        gid: narrow(3),
        links: narrow(4),
        size: field(5),
        atime: time(6),
        mtime: time(7),
        ctime: time(8),
        btime: time(9),
    })
}

fn entry_key(name: &str) -> Vec<u8> {
    [&DIRECTORY.to_be_bytes()[..], name.as_bytes()].concat()
}

impl Subject for Stitched {
    fn prepare_list(&self, entries: u64) -> Result<()> {
        for first in (0..entries).step_by(PREPARE_BATCH as usize) {
            let mut batch = Batch::new();
            let version = Version::from_u64(self.version.fetch_add(1, Ordering::Relaxed));
            for index in first..entries.min(first + PREPARE_BATCH) {
                let node = (1_000 + index).to_be_bytes();
                batch.put(ENTRIES, &entry_key(&list_name(index)), &node, version);
                batch.put(NODES, &node, &encode(index), version);
            }
            self.engine
                .write(batch, nokv_engine::Durability::Buffered)?;
        }
        Ok(())
    }

    fn list(&self) -> Result<u64> {
        let range = KeyRange::prefix(DIRECTORY.to_be_bytes());
        let scan = self
            .engine
            .scan(ENTRIES, range, Version::MAX, Direction::Forward)?;
        let mut names = Vec::new();
        let mut keys = Vec::new();
        for entry in scan {
            let (key, record) = entry?;
            names.push(key);
            keys.push(record.value.to_vec());
        }
        let nodes = self.nodes(&keys)?;
        let listing: Vec<_> = names.into_iter().zip(nodes).collect();
        Ok(std::hint::black_box(listing).len() as u64)
    }

    fn prepare_create(&self) -> Result<()> {
        bail!("only listings are stitched")
    }

    fn create(&self, _caller: u32, _index: u64) -> Result<()> {
        bail!("only listings are stitched")
    }

    fn create_batch(&self, _first: u64) -> Result<()> {
        bail!("only listings are stitched")
    }

    fn prepare_lookup(&self) -> Result<()> {
        bail!("only listings are stitched")
    }

    fn lookup(&self, _index: u64) -> Result<u64> {
        bail!("only listings are stitched")
    }
}
