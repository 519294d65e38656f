//! Edits survive, torn ones are cut, damage is told, and the golden file of each format is read.

use std::{path::Path, sync::Arc};

use nokv_env::{Env, FileSystem, MemoryFileSystem, OpenMode};
use proptest::prelude::*;

use super::{
    Edit, Manifest, TableMeta,
    current::manifest_path,
    reader::{encode_head, encode_record, read},
};
use crate::{
    Error, LogMode,
    mark::{Mark, Promise},
    table::TableSummary,
    testing::still_env,
    wal::LogStart,
};

const DIR: &str = "/store";

fn machine() -> (MemoryFileSystem, Env) {
    let files = MemoryFileSystem::new();
    files.create_dir_all(Path::new(DIR)).unwrap();
    let env = still_env(Arc::new(files.clone()));
    (files, env)
}

fn table(number: u64) -> TableMeta {
    let summary = TableSummary {
        bytes: 1000 + number,
        entry_count: 7,
        key_count: 5,
        smallest: vec![1, 2],
        largest: vec![1, 200],
        version_min: 3,
        version_max: 90,
        ..TableSummary::default()
    };
    TableMeta { number, summary }
}

fn add(level: usize, number: u64) -> Edit {
    Edit {
        log_start: Some(LogStart {
            segment: number,
            sequence: number * 10,
        }),
        last_version: Some(number),
        added: vec![(level, table(number))],
        ..Edit::default()
    }
}

fn open(env: &Env, promise: Promise) -> Result<Manifest, Error> {
    let dir = Path::new(DIR);
    let mark = Arc::new(Mark::open(env, dir, promise)?);
    match Manifest::open(env, dir, promise, &mark)? {
        Some(manifest) => Ok(manifest),
        None => Manifest::create(env, dir, &mark, LogMode::Own),
    }
}

fn edit_file(files: &MemoryFileSystem, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let file = files.open(path, OpenMode::ReadWrite).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    change(&mut bytes);
    file.set_len(0).unwrap();
    file.write_at(&bytes, 0).unwrap();
}

#[test]
fn edits_survive_an_open() {
    let (_, env) = machine();
    let mut manifest = open(&env, Promise::default()).unwrap();
    manifest.commit(&add(0, 5)).unwrap();
    manifest.commit(&add(0, 6)).unwrap();
    let removal = Edit {
        removed: vec![(0, 5)],
        added: vec![(3, table(8))],
        ..Edit::default()
    };
    manifest.commit(&removal).unwrap();
    let state = manifest.state().clone();
    assert!(state.has_table(6) && state.has_table(8) && !state.has_table(5));
    assert_eq!((state.last_version, state.next_number), (6, 9));
    drop(manifest);
    assert_eq!(*open(&env, Promise::default()).unwrap().state(), state);
}

#[test]
fn an_edit_that_does_not_fit_changes_nothing() {
    let (_, env) = machine();
    let mut manifest = open(&env, Promise::default()).unwrap();
    let removal = Edit {
        removed: vec![(0, 5)],
        ..Edit::default()
    };
    assert!(matches!(manifest.commit(&removal), Err(Error::Invalid(_))));
    manifest.commit(&add(0, 5)).unwrap();
    assert!(matches!(
        manifest.commit(&add(0, 5)),
        Err(Error::Invalid(_))
    ));
}

#[test]
fn a_torn_edit_is_cut_and_a_promised_one_is_missed() {
    let (files, env) = machine();
    let mut manifest = open(&env, Promise::default()).unwrap();
    manifest.commit(&add(0, 5)).unwrap();
    let before = manifest.state().clone();
    manifest.commit(&add(0, 6)).unwrap();
    drop(manifest);
    let promise = Promise::load(&env, Path::new(DIR)).unwrap();
    let path = manifest_path(Path::new(DIR), 1);
    edit_file(&files, &path, |bytes| bytes.truncate(bytes.len() - 1));
    let refused = open(&env, promise).err();
    assert!(
        matches!(refused, Some(Error::Corrupt { .. })),
        "{refused:?}"
    );
    assert_eq!(*open(&env, Promise::default()).unwrap().state(), before);
    // It was cut, so the next edit follows well.
    let mut manifest = open(&env, Promise::default()).unwrap();
    manifest.commit(&add(0, 7)).unwrap();
    assert!(open(&env, Promise::default()).unwrap().state().has_table(7));
}

#[test]
fn a_flipped_bit_is_told() {
    let (files, env) = machine();
    let mut manifest = open(&env, Promise::default()).unwrap();
    for number in 5..8 {
        manifest.commit(&add(0, number)).unwrap();
    }
    drop(manifest);
    let promise = Promise::load(&env, Path::new(DIR)).unwrap();
    for name in ["0000000001.manifest", "CURRENT"] {
        let path = Path::new(DIR).join(name);
        for bit in 0..files.metadata(&path).unwrap().size * 8 {
            let image = files.crash(0);
            edit_file(&image, &path, |bytes| {
                bytes[(bit / 8) as usize] ^= 1 << (bit % 8)
            });
            let refused = open(&still_env(Arc::new(image)), promise).err();
            let Some(Error::Corrupt { file, .. }) = &refused else {
                panic!("bit {bit} of {name}: {refused:?}");
            };
            assert!(file.ends_with(name) || name == "CURRENT", "{file}");
        }
    }
}

#[test]
fn a_long_manifest_is_written_anew() {
    let (files, env) = machine();
    let mut manifest = open(&env, Promise::default()).unwrap();
    let mut previous = None;
    for number in 5..30_000 {
        let edit = Edit {
            removed: previous.map(|number| (0, number)).into_iter().collect(),
            ..add(0, number)
        };
        previous = Some(number);
        manifest.commit(&edit).unwrap();
    }
    assert!(manifest.number() > 1);
    let state = manifest.state().clone();
    drop(manifest);
    assert!(!files.exists(&manifest_path(Path::new(DIR), 1)).unwrap());
    let promise = Promise::load(&env, Path::new(DIR)).unwrap();
    let again = open(&env, promise).unwrap();
    assert_eq!(again.state().levels, state.levels);
    assert_eq!(again.state().log_start, state.log_start);
}

#[test]
fn a_full_device_stops_one_edit_and_not_the_manifest() {
    let (files, env) = machine();
    let mut manifest = open(&env, Promise::default()).unwrap();
    for number in 5..20 {
        files.set_space_limit(Some(files.used_bytes() + number % 5));
        let refused = manifest.commit(&add(0, number));
        assert!(
            matches!(refused, Err(Error::Exhausted { .. })),
            "{refused:?}"
        );
        files.set_space_limit(None);
        manifest.commit(&add(0, number)).unwrap();
    }
    drop(manifest);
    let promise = Promise::load(&env, Path::new(DIR)).unwrap();
    let again = open(&env, promise).unwrap();
    assert_eq!(again.state().levels[0].len(), 15);
}

/// The golden file of format 1. `UPDATE=1` writes it; that is right only when a format is added.
#[test]
fn format_1_is_read() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../testdata/format/manifest-1.bin"
    );
    let mut bytes = encode_head(7).to_vec();
    for (sequence, edit) in [add(0, 5), add(2, 6)].iter().enumerate() {
        bytes.extend(encode_record(7, sequence as u64, edit).unwrap());
    }
    let files = nokv_env::RealFileSystem::new();
    let golden = Path::new(path);
    if std::env::var_os("UPDATE").is_some() {
        files.create_dir_all(golden.parent().unwrap()).unwrap();
        files
            .open(golden, OpenMode::Create)
            .unwrap()
            .write_at(&bytes, 0)
            .unwrap();
    }
    let file = files.open(golden, OpenMode::Read).unwrap();
    let mut stored = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut stored, 0).unwrap();
    assert_eq!(stored, bytes, "the writer no longer writes format 1");
    let state = read(golden, 7, &stored, stored.len() as u64).unwrap().state;
    assert!(state.has_table(5) && state.has_table(6));
}

proptest! {
    #[test]
    fn any_edit_survives(
        numbers in proptest::collection::vec((0..7_usize, 1..1000_u64), 0..20),
        start in proptest::option::of((any::<u64>(), any::<u64>())),
        version: Option<u64>,
    ) {
        let edit = Edit {
            log_start: start.map(|(segment, sequence)| LogStart { segment, sequence }),
            last_version: version,
            next_number: version,
            applied_index: version,
            removed: numbers.clone(),
            added: numbers.iter().map(|(level, number)| (*level, table(*number))).collect(),
        };
        prop_assert_eq!(Edit::decode(&edit.encode()), Some(edit));
    }

    #[test]
    fn any_bytes_are_an_edit_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        Edit::decode(&bytes);
        read(Path::new("x"), 1, &bytes, 0).ok();
    }
}
