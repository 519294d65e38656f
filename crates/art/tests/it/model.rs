//! A memtable against an ordered map: the same operations from a stream of bytes, for the property
//! test and the fuzz target.
//!
//! Keys are drawn from an alphabet and a set of stems that make prefixes of each other, long shared
//! prefixes, the empty key and the bytes 0x00 and 0xff common; versions come out of order and
//! repeat.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use nokv_art::{Cursor, EntryRef, Found, Hold, Memtable, MemtableOptions, Structure};

/// Bytes that keys are made of: few, so that keys share prefixes; the extremes among them.
const ALPHABET: [u8; 6] = [0x00, 0x01, b'a', b'b', 0xfe, 0xff];

/// Longest stem of a key.
const STEM_BYTES_MAX: usize = if cfg!(miri) { 20 } else { 3_000 };

type Place = (Vec<u8>, Reverse<u64>);
type Model = BTreeMap<Place, (u8, Vec<u8>)>;

/// Reads decisions from bytes; yields zeros when they run out.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit
    }

    /// One arbitrary byte and perhaps another (for nodes of all sizes); or a stem, often empty,
    /// letters of the alphabet and perhaps an arbitrary byte among them (for long shared prefixes
    /// and keys that end anywhere).
    fn key(&mut self) -> Vec<u8> {
        let mut key = match self.below(16) {
            8.. => {
                let mut key = vec![self.byte()];
                key.extend((self.below(4) == 0).then(|| self.byte()));
                return key;
            }
            0 => vec![0xff; STEM_BYTES_MAX],
            1 => vec![b'a'; STEM_BYTES_MAX / 2],
            2 => vec![0x00; 9],
            3 => b"shard|directory|".to_vec(),
            _ => Vec::new(),
        };
        let letters = self.below(6);
        key.extend((0..letters).map(|_| ALPHABET[self.below(ALPHABET.len())]));
        if self.below(3) == 0 {
            key.push(self.byte());
            let tail = self.below(3);
            key.extend((0..tail).map(|_| ALPHABET[self.below(ALPHABET.len())]));
        }
        key
    }

    fn version(&mut self) -> u64 {
        match self.byte() {
            255 => u64::MAX,
            byte => u64::from(byte % 24),
        }
    }

    fn value(&mut self) -> Vec<u8> {
        let fill = self.byte();
        let length = match self.below(64) {
            0 => 40_000,
            length => length % 20,
        };
        vec![fill; length]
    }
}

/// Applies what `bytes` says to a memtable of each structure and to the model, and compares every
/// answer.
pub(crate) fn check(bytes: &[u8]) {
    for structure in [Structure::Art, Structure::SkipList] {
        let options = MemtableOptions {
            structure,
            budget_bytes: 1 << 20,
        };
        let memtable = Arc::new(Memtable::new(options));
        run(&memtable, &mut Choices(bytes));
    }
}

fn run(memtable: &Arc<Memtable>, choices: &mut Choices<'_>) {
    let mut model = Model::new();
    let mut owning = Cursor::new(Arc::clone(memtable));
    while !choices.is_empty() {
        match choices.below(8) {
            0 => check_get(memtable, &model, &choices.key(), choices.version()),
            1 => {
                let (key, steps) = (choices.key(), choices.byte());
                check_walk(&mut owning, &model, &key, steps);
                check_walk(&mut memtable.cursor(), &model, &key, steps);
            }
            _ => {
                let (key, version) = (choices.key(), choices.version());
                let (kind, value) = (choices.byte(), choices.value());
                memtable.insert(
                    &key,
                    version,
                    EntryRef {
                        kind,
                        value: &value,
                    },
                );
                model.insert((key, Reverse(version)), (kind, value));
            }
        }
    }
    check_all(memtable, &model);
}

fn found<'a>((place, (kind, value)): (&Place, &'a (u8, Vec<u8>))) -> Found<'a> {
    Found {
        version: place.1.0,
        kind: *kind,
        value,
    }
}

fn check_get(memtable: &Arc<Memtable>, model: &Model, key: &[u8], at: u64) {
    let expected = model
        .range((key.to_vec(), Reverse(at))..=(key.to_vec(), Reverse(0)))
        .next()
        .map(found);
    assert_eq!(memtable.get(key, at), expected);
    let owned = memtable.get_owned(key, at);
    assert_eq!(
        owned.as_ref().map(|owned| &*owned.value),
        expected.map(|found| found.value)
    );
}

fn check_versions<H: Hold>(cursor: &Cursor<H>, model: &Model) {
    let Some(key) = cursor.key() else {
        assert_eq!(cursor.versions().count(), 0);
        return;
    };
    let chain = || {
        model
            .range((key.to_vec(), Reverse(u64::MAX))..=(key.to_vec(), Reverse(0)))
            .map(found)
    };
    assert!(cursor.versions().eq(chain()), "versions of {key:02x?}");
    for at in [0, 7, 20, u64::MAX] {
        assert_eq!(
            cursor.version_at(at),
            chain().find(|found| found.version <= at)
        );
    }
}

/// Seeks both ways from `key`, then walks by the bits of `steps` (1 is forward).
fn check_walk<H: Hold>(cursor: &mut Cursor<H>, model: &Model, key: &[u8], steps: u8) {
    let keys: BTreeSet<&[u8]> = model.keys().map(|(key, _)| key.as_slice()).collect();
    cursor.seek_for_prev(key);
    assert_eq!(
        cursor.key(),
        keys.range::<&[u8], _>(..=key).next_back().copied(),
        "floor of {key:02x?}"
    );
    cursor.seek(key);
    let mut expected = keys.range::<&[u8], _>(key..).next().copied();
    assert_eq!(cursor.key(), expected, "ceiling of {key:02x?}");
    for step in 0..8 {
        let forward = steps >> step & 1 == 1;
        expected = expected.and_then(|key| {
            if forward {
                keys.range::<&[u8], _>((Bound::Excluded(key), Bound::Unbounded))
                    .next()
                    .copied()
            } else {
                keys.range::<&[u8], _>(..key).next_back().copied()
            }
        });
        if forward {
            cursor.next_key()
        } else {
            cursor.prev_key()
        }
        assert_eq!(cursor.key(), expected);
        check_versions(cursor, model);
    }
}

/// Whole iteration both ways, every version of every key, and the counters.
fn check_all(memtable: &Arc<Memtable>, model: &Model) {
    let mut keys: Vec<&[u8]> = model.keys().map(|(key, _)| key.as_slice()).collect();
    keys.dedup();
    let mut cursor = memtable.cursor();
    cursor.seek_to_first();
    for key in &keys {
        assert_eq!(cursor.key(), Some(*key));
        check_versions(&cursor, model);
        cursor.next_key();
    }
    assert!(!cursor.is_valid());
    cursor.seek_to_last();
    for key in keys.iter().rev() {
        assert_eq!(cursor.key(), Some(*key));
        cursor.prev_key();
    }
    assert!(!cursor.is_valid());
    for (key, Reverse(version)) in model.keys() {
        check_get(memtable, model, key, *version);
    }
    assert_eq!(
        (memtable.len(), memtable.key_count()),
        (model.len(), keys.len())
    );
    assert!(memtable.garbage_bytes() <= memtable.approximate_bytes());
    assert!(memtable.approximate_bytes() <= memtable.allocated_bytes());
}
