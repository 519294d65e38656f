//! Insert, get and scan of both structures beside a `BTreeMap`, which stores no versions and takes
//! no lock.
//!
//! `cargo bench -p nokv-art -- [KEYS] [NAME]` (10,000 keys unless told, so that it is quick where
//! it is only run to see it run; NAME is a part of the name of a key set). Prints nanoseconds per
//! operation, the ratio to the `BTreeMap`, and bytes per entry as the allocator saw them.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use nokv_art::{EntryRef, Memtable, MemtableOptions, Structure};

/// Bytes of each value: an inode record.
const VALUE: [u8; 64] = [7; 64];
/// Keys read by one scan: a directory page.
const SCAN_KEYS: usize = 100;
const KEYS_DEFAULT: usize = 10_000;

/// The system allocator, counting.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on unchanged to the system allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The operations compared.
trait Table {
    fn insert(&mut self, key: &[u8], version: u64);
    fn get(&self, key: &[u8]) -> Option<&[u8]>;
    fn scan(&self, from: &[u8]) -> usize;
}

impl Table for BTreeMap<Vec<u8>, Vec<u8>> {
    fn insert(&mut self, key: &[u8], _version: u64) {
        BTreeMap::insert(self, key.to_vec(), VALUE.to_vec());
    }

    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        BTreeMap::get(self, key).map(Vec::as_slice)
    }

    fn scan(&self, from: &[u8]) -> usize {
        let rows = self
            .range::<[u8], _>((Bound::Included(from), Bound::Unbounded))
            .take(SCAN_KEYS);
        rows.map(|(key, value)| usize::from(key[key.len() - 1]) + usize::from(value[0]))
            .sum()
    }
}

impl Table for Memtable {
    fn insert(&mut self, key: &[u8], version: u64) {
        Memtable::insert(
            self,
            key,
            version,
            EntryRef {
                kind: 0,
                value: &VALUE,
            },
        );
    }

    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        Memtable::get(self, key, u64::MAX).map(|found| found.value)
    }

    fn scan(&self, from: &[u8]) -> usize {
        let mut cursor = self.cursor();
        cursor.seek(from);
        let mut sum = 0;
        for _ in 0..SCAN_KEYS {
            let (Some(key), Some(found)) = (cursor.key(), cursor.version_at(u64::MAX)) else {
                break;
            };
            sum += usize::from(key[key.len() - 1]) + usize::from(found.value[0]);
            cursor.next_key();
        }
        sum
    }
}

/// SplitMix64: the same keys in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, (self.next() % (last as u64 + 1)) as usize);
        }
    }
}

/// `shard | directory | name`, 40 bytes, 500 names in a directory.
fn path_key(index: usize) -> Vec<u8> {
    let mut key = vec![0, (index / 50_000 % 16) as u8];
    key.extend((index as u64 / 500).wrapping_mul(0x9e37).to_be_bytes());
    key.extend(format!("checkpoint-step-{:09}.bin", index % 500 * 1_000).bytes());
    key.resize(40, b'-');
    key
}

fn nanoseconds(count: usize, mut operation: impl FnMut(usize)) -> f64 {
    #[expect(clippy::disallowed_methods, reason = "a bench measures time")]
    let start = Instant::now();
    (0..count).for_each(&mut operation);
    start.elapsed().as_nanos() as f64 / count as f64
}

/// insert, get, get of what is absent, scan (each ns), bytes per entry.
fn measure(
    table: impl FnOnce() -> Box<dyn Table>,
    keys: &[Vec<u8>],
    reads: &[Vec<u8>],
) -> [f64; 5] {
    let before = ALLOCATED.load(Ordering::Relaxed);
    let mut table = table();
    let insert = nanoseconds(keys.len(), |index| table.insert(&keys[index], index as u64));
    let bytes = (ALLOCATED.load(Ordering::Relaxed) - before) as f64 / keys.len() as f64;
    let get = nanoseconds(reads.len(), |index| {
        assert!(black_box(table.get(&reads[index])).is_some());
    });
    let mut absent = reads[0].clone();
    let miss = nanoseconds(reads.len(), |index| {
        absent.copy_from_slice(&reads[index]);
        *absent.last_mut().expect("keys are not empty") ^= 0x80;
        black_box(table.get(&absent));
    });
    let scan = nanoseconds(reads.len() / 20, |index| {
        black_box(table.scan(&reads[index]));
    });
    [insert, get, miss, scan, bytes]
}

#[expect(clippy::print_stdout, reason = "the table is the result")]
fn report(name: &str, keys: &[Vec<u8>]) {
    let mut reads = keys.to_vec();
    Random(2).shuffle(&mut reads);
    let memtable = |structure| {
        move || {
            let options = MemtableOptions {
                structure,
                budget_bytes: 64 << 20,
            };
            Box::new(Memtable::new(options)) as Box<dyn Table>
        }
    };
    let map = measure(
        || Box::new(BTreeMap::<Vec<u8>, Vec<u8>>::new()),
        keys,
        &reads,
    );
    let art = measure(memtable(Structure::Art), keys, &reads);
    let skip_list = measure(memtable(Structure::SkipList), keys, &reads);
    println!(
        "\n{name}, {} keys: ns per operation (ratio to BTreeMap)",
        keys.len()
    );
    println!(
        "{:10} {:>14} {:>14} {:>14} {:>16} {:>14}",
        "", "insert", "get", "get absent", "scan 100", "bytes/entry"
    );
    for (label, row) in [("BTreeMap", map), ("Art", art), ("SkipList", skip_list)] {
        print!("{label:10}");
        for (value, base) in row.iter().zip(map) {
            print!(" {value:7.0} ({:4.2})", value / base);
        }
        println!();
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|text| text != "--bench")
        .collect();
    let count = arguments
        .iter()
        .find_map(|text| text.parse().ok())
        .unwrap_or(KEYS_DEFAULT);
    let wanted = |name: &str| {
        let mut names = arguments
            .iter()
            .filter(|text| text.parse::<usize>().is_err())
            .peekable();
        names.peek().is_none() || names.any(|text| name.contains(text.as_str()))
    };
    let mut keys: Vec<Vec<u8>> = (0..count).map(path_key).collect();
    if wanted("paths in order") {
        report("paths in order", &keys);
    }
    Random(1).shuffle(&mut keys);
    if wanted("paths shuffled") {
        report("paths shuffled", &keys);
    }
    let mut random = Random(3);
    keys.iter_mut().for_each(|key| {
        *key = [random.next(), random.next()]
            .map(u64::to_be_bytes)
            .concat()
    });
    if wanted("random 16 B") {
        report("random 16 B", &keys);
    }
}
