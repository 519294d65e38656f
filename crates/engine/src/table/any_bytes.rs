//! What decoders of tables do with any bytes at all: nothing but answer. Shared by the property
//! tests and by the fuzz targets (`fuzz/fuzz_targets/table_*.rs`).
//!
//! A checksum keeps random bytes away from most decoders, so each is also called behind it, with
//! the bytes as payload.

use std::{path::Path, sync::Arc};

use nokv_env::{Env, OpenMode};

use super::{
    LookupKey, Table, TableCursor, block_cursor::BlockCursor, data_block::DataBlock,
    footer::Footer, frame, index_block::IndexBlock, layout::Content, reader::decode_tombstones,
    summary::TableSummary,
};
use crate::cache::BlockCache;

/// Steps of a walk: blocks of hostile bytes may say that they have very many entries of no bytes.
const STEPS_MAX: usize = 1000;

/// The bytes as a block of every content, as the payload of a data block, and as a summary.
pub(crate) fn block(bytes: &[u8]) {
    let contents = [
        Content::Data,
        Content::Partition,
        Content::Index,
        Content::Tombstones,
        Content::Properties,
    ];
    for content in contents {
        assert!(frame::open_copy(content, bytes, 0).is_err() || bytes.len() > 4);
    }
    TableSummary::decode(&mut &*bytes, 1).ok();
    decode_tombstones(bytes.get(..200).unwrap_or(bytes));
    let Ok(block) = DataBlock::parse(bytes.to_vec().into()) else {
        return;
    };
    block.check().ok();
    let key = bytes.get(..4).unwrap_or_default();
    block.search(key, 1 << 40).ok();
    let mut cursor = BlockCursor::default();
    cursor.enter(block);
    let walks: [fn(&mut BlockCursor, &[u8]) -> bool; 4] = [
        |cursor, _| cursor.seek_to_first().is_ok(),
        |cursor, _| cursor.seek_to_last().is_ok(),
        |cursor, key| cursor.seek(key, 7).is_ok(),
        |cursor, key| cursor.seek_for_prev(key, 7).is_ok(),
    ];
    for (number, walk) in walks.iter().enumerate() {
        let mut is_going = walk(&mut cursor, key);
        for _ in 0..STEPS_MAX {
            if !is_going || !cursor.is_valid() {
                break;
            }
            assert_eq!(&*cursor.value_bytes(), cursor.value());
            let step = if number % 2 == 0 {
                cursor.next()
            } else {
                cursor.prev()
            };
            is_going = step.is_ok();
        }
    }
}

/// The bytes as the payload of an index block.
pub(crate) fn index(bytes: &[u8]) {
    let Ok(index) = IndexBlock::parse(bytes.to_vec().into()) else {
        return;
    };
    let key = bytes.get(..5).unwrap_or_default();
    index.may_contain(0x0123_4567_89AB_CDEF);
    index.seek(key, 7).ok();
    index.seek_for_prev(key).ok();
    for place in 0..index.entry_count().min(STEPS_MAX) {
        index.handle(place).ok();
        index.is_above(place, key).ok();
        index.is_below(place, key).ok();
        index.begins_at_or_above(place, key).ok();
    }
}

/// The bytes as a footer, and as a whole file.
pub(crate) fn file(bytes: &[u8]) {
    Footer::decode(bytes, bytes.len() as u64).ok();
    let env = Env::memory(1);
    let path = Path::new("/table");
    let Ok(file) = env.files.open(path, OpenMode::Create) else {
        return;
    };
    file.write_at(bytes, 0).expect("memory");
    let cache = Arc::new(BlockCache::new(1 << 20));
    let Ok(table) = Table::open(file, path, 1, cache) else {
        return;
    };
    table.verify().ok();
    table
        .get(
            &LookupKey::new(bytes.get(..3).unwrap_or_default()),
            u64::MAX,
        )
        .ok();
    let mut cursor = TableCursor::new(Arc::new(table), Default::default());
    let mut is_going = cursor.seek_to_first().is_ok();
    for _ in 0..STEPS_MAX {
        is_going = is_going && cursor.is_valid() && cursor.next().is_ok();
    }
}

#[cfg(test)]
mod tests {
    use nokv_env::Env;
    use proptest::prelude::*;

    use super::*;
    use crate::table::{
        TableOptions,
        data_builder::DataBuilder,
        footer, index_builder,
        layout::Handle,
        testing::{self, OwnedEntry},
    };

    /// Bytes that begin as a real payload does, with some of them changed.
    fn damage(mut bytes: Vec<u8>, changes: &[(usize, u8)]) -> Vec<u8> {
        for (place, byte) in changes {
            let length = bytes.len().max(1);
            if let Some(slot) = bytes.get_mut(place % length) {
                *slot = *byte;
            }
        }
        bytes
    }

    fn changes() -> impl Strategy<Value = Vec<(usize, u8)>> {
        proptest::collection::vec((any::<usize>(), any::<u8>()), 0..6)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn any_bytes_are_answered(bytes: Vec<u8>) {
            block(&bytes);
            index(&bytes);
            file(&bytes);
        }

        #[test]
        fn damage_behind_the_checksum_is_answered(changes in changes(), count in 1..60_u8) {
            let mut builder = DataBuilder::default();
            let mut partition = index_builder::IndexBuilder::default();
            for number in 0..count {
                let key = [number / 8, number];
                builder.add(&key, number.into(), crate::entry::EntryKind::Put, &key);
                partition.add_hash(number.into());
                let bounds = index_builder::Bounds::of(&key, &key, number.into());
                partition.add(bounds, Handle { offset: number.into(), bytes: 9 });
            }
            block(&damage(builder.finish().to_vec(), &changes));
            let mut payload = Vec::new();
            partition.finish(&mut payload);
            index(&damage(payload, &changes));
        }

        #[test]
        fn a_damaged_file_is_answered(changes in changes(), fix: bool) {
            let entries: Vec<_> =
                (0..50_u8).map(|n| OwnedEntry::put(&[n], 1, &[n; 9])).collect();
            let own = testing::file(&Env::memory(1), "t");
            let options = TableOptions { block_bytes: 64, ..TableOptions::default() };
            testing::write(&own, &entries, &[], options);
            let mut bytes = vec![0; usize::try_from(own.len().unwrap()).unwrap()];
            own.read_exact_at(&mut bytes, 0).unwrap();
            let mut bytes = damage(bytes, &changes);
            if fix {
                // Right checksums on wrong handles.
                footer::fix_checksum(&mut bytes);
            }
            file(&bytes);
        }
    }
}
