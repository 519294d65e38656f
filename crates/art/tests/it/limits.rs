//! The named limits and the costs that must not depend on what the keys look like.

use std::sync::Arc;

use nokv_art::{
    Cursor, EntryRef, KEY_BYTES_MAX, Memtable, MemtableOptions, Structure, VALUE_BYTES_MAX,
};

const STRUCTURES: [Structure; 2] = [Structure::Art, Structure::SkipList];

fn memtable(structure: Structure) -> Arc<Memtable> {
    Arc::new(Memtable::new(MemtableOptions {
        structure,
        ..MemtableOptions::default()
    }))
}

fn entry(value: &[u8]) -> EntryRef<'_> {
    EntryRef { kind: 1, value }
}

#[test]
fn an_almost_empty_memtable_costs_little() {
    for structure in STRUCTURES {
        let memtable = memtable(structure);
        assert_eq!(memtable.allocated_bytes(), 0);
        memtable.insert(b"key", 1, entry(b"value"));
        assert!(memtable.allocated_bytes() < 64 << 10);
        assert!(!memtable.is_full());
    }
}

#[test]
fn a_full_memtable_says_so_within_a_chunk_of_its_budget() {
    const BUDGET_BYTES: usize = if cfg!(miri) { 64 << 10 } else { 4 << 20 };
    for structure in STRUCTURES {
        let options = MemtableOptions {
            structure,
            budget_bytes: BUDGET_BYTES,
        };
        let memtable = Memtable::new(options);
        let mut written = 0_u64;
        while !memtable.is_full() {
            memtable.insert(&written.rotate_left(20).to_be_bytes(), 1, entry(&[0; 500]));
            written += 508;
        }
        assert!(memtable.allocated_bytes() <= BUDGET_BYTES * 9 / 8);
        assert!(
            // Chunks are a large part of so small a budget.
            written > BUDGET_BYTES as u64 * if cfg!(miri) { 5 } else { 6 } / 8,
            "{written} bytes fit {BUDGET_BYTES}"
        );
    }
}

#[test]
fn keys_and_values_of_the_largest_size_are_stored() {
    for structure in STRUCTURES {
        let memtable = memtable(structure);
        let keys = [
            vec![0xff; KEY_BYTES_MAX],
            vec![0xff; KEY_BYTES_MAX - 1],
            Vec::new(),
        ];
        let value = vec![3; if cfg!(miri) { 9_000 } else { VALUE_BYTES_MAX }];
        keys.iter()
            .for_each(|key| memtable.insert(key, 5, entry(&value)));
        for key in &keys {
            assert_eq!(
                memtable.get(key, 5).map(|found| found.value),
                Some(value.as_slice())
            );
        }
        assert_eq!(memtable.key_count(), 3);
    }
}

#[test]
#[should_panic(expected = "a key of 65538 bytes")]
fn a_longer_key_is_refused() {
    memtable(Structure::Art).insert(&vec![0; KEY_BYTES_MAX + 1], 1, entry(b""));
}

#[test]
#[should_panic(expected = "a value of 67108881 bytes")]
#[cfg_attr(miri, ignore = "64 MiB")]
fn a_longer_value_is_refused() {
    memtable(Structure::Art).insert(b"", 1, entry(&vec![0; VALUE_BYTES_MAX + 1]));
}

/// Every key is a prefix of the next: the deepest tree that so many bytes allow, and a node for
/// every byte.
#[test]
fn a_tree_as_deep_as_its_keys_are_long_needs_no_stack() {
    const DEPTH: usize = if cfg!(miri) { 100 } else { 3_000 };
    for structure in STRUCTURES {
        let memtable = memtable(structure);
        let key = vec![b'k'; DEPTH];
        for length in (0..=DEPTH).step_by(2).chain((1..DEPTH).step_by(2)) {
            memtable.insert(&key[..length], 1, entry(b""));
        }
        let mut cursor = Cursor::new(Arc::clone(&memtable));
        cursor.seek_to_first();
        for length in 0..=DEPTH {
            assert_eq!(cursor.key().map(<[u8]>::len), Some(length));
            cursor.next_key();
        }
        cursor.seek_for_prev(&[b'k', 0xff]);
        assert_eq!(cursor.key().map(<[u8]>::len), Some(DEPTH));
        cursor.seek(b"j");
        assert_eq!(cursor.key().map(<[u8]>::len), Some(1));
    }
}

/// Linear searches in the chain would take 20,000,000,000 steps here.
#[test]
fn any_version_of_a_hot_key_is_found_in_few_steps() {
    const VERSIONS: u64 = if cfg!(miri) { 200 } else { 200_000 };
    let memtable = memtable(Structure::Art);
    let mut writer = memtable.writer();
    (1..=VERSIONS).for_each(|step| writer.insert(b"hot", 2 * step, entry(b"")));
    // Out of order, each far from the head.
    (1..=VERSIONS / 100).for_each(|step| writer.insert(b"hot", 200 * step + 1, entry(b"")));
    drop(writer);
    for at in 2..=2 * VERSIONS {
        let expected = if at > 200 && at % 200 == 1 {
            at
        } else {
            at / 2 * 2
        };
        assert_eq!(
            memtable.get(b"hot", at).map(|found| found.version),
            Some(expected)
        );
    }
    assert_eq!(memtable.get(b"hot", 1), None);
}

/// A value and a cursor keep the memory that they point to.
#[test]
fn values_and_cursors_outlive_the_last_other_share() {
    let memtable = memtable(Structure::Art);
    memtable.insert(b"key", 1, entry(b"kept"));
    let value = memtable
        .get_owned(b"key", 1)
        .map(|found| found.value)
        .unwrap();
    let mut cursor = Cursor::new(memtable);
    cursor.seek(b"");
    let copy = cursor.version_at_owned(1).map(|found| found.value).unwrap();
    drop(cursor);
    assert_eq!((&*value, &*copy), (&b"kept"[..], &b"kept"[..]));
}
