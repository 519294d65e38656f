//! What the memory file system promises, and what it must be able to lose.

use std::{io, path::Path};

use crate::{FileSystem, MemoryFileSystem, OpenMode};

const SEEDS: u64 = 200;

fn read_all(files: &MemoryFileSystem, path: &str) -> Option<Vec<u8>> {
    let file = files.open(Path::new(path), OpenMode::Read).ok()?;
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    Some(bytes)
}

fn synced_file(bytes: &[u8]) -> MemoryFileSystem {
    let files = MemoryFileSystem::new();
    files.create_dir_all(Path::new("/d")).unwrap();
    let file = files.open(Path::new("/d/a"), OpenMode::CreateNew).unwrap();
    file.write_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
    files.sync_dir(Path::new("/d")).unwrap();
    files
}

#[test]
fn synced_bytes_survive_every_crash() {
    let files = synced_file(b"certain");
    for seed in 0..SEEDS {
        assert_eq!(
            read_all(&files.crash(seed), "/d/a").as_deref(),
            Some(&b"certain"[..]),
            "seed {seed}"
        );
    }
}

#[test]
fn a_name_without_sync_dir_can_vanish_and_can_survive() {
    let files = MemoryFileSystem::new();
    files.create_dir_all(Path::new("/d")).unwrap();
    files
        .open(Path::new("/d/a"), OpenMode::CreateNew)
        .unwrap()
        .sync_all()
        .unwrap();
    let survived = (0..SEEDS)
        .filter(|seed| read_all(&files.crash(*seed), "/d/a").is_some())
        .count();
    assert!(survived > 0 && survived < SEEDS as usize);
}

#[test]
fn unsynced_writes_can_be_lost_torn_and_reordered() {
    let files = synced_file(&[b'.'; 2048]);
    let file = files.open(Path::new("/d/a"), OpenMode::ReadWrite).unwrap();
    file.write_at(&[b'1'; 1024], 0).unwrap();
    file.write_at(&[b'2'; 1024], 1024).unwrap();
    let mut images = std::collections::BTreeSet::new();
    for seed in 0..SEEDS {
        let bytes = read_all(&files.crash(seed), "/d/a").unwrap();
        assert_eq!(bytes.len(), 2048);
        let sectors: Vec<u8> = bytes.chunks(512).map(|sector| sector[0]).collect();
        assert!(
            bytes
                .chunks(512)
                .all(|sector| sector.iter().all(|byte| *byte == sector[0]))
        );
        images.insert(sectors);
    }
    assert!(images.contains(b"....".as_slice()), "all lost");
    assert!(images.contains(b"1122".as_slice()), "all kept");
    assert!(images.contains(b"1...".as_slice()), "torn");
    assert!(images.contains(b"..22".as_slice()), "reordered");
}

#[test]
fn a_rename_is_whole_or_not_at_all() {
    let files = synced_file(b"first");
    let file = files.open(Path::new("/d/b"), OpenMode::CreateNew).unwrap();
    file.write_at(b"second", 0).unwrap();
    file.sync_data().unwrap();
    files.sync_dir(Path::new("/d")).unwrap();
    files.rename(Path::new("/d/b"), Path::new("/d/a")).unwrap();
    for seed in 0..SEEDS {
        let image = files.crash(seed);
        let renamed = read_all(&image, "/d/b").is_none();
        let expected: &[u8] = if renamed { b"second" } else { b"first" };
        assert_eq!(
            read_all(&image, "/d/a").as_deref(),
            Some(expected),
            "seed {seed}"
        );
    }
}

#[test]
fn a_full_disk_says_so_and_loses_nothing() {
    let files = synced_file(b"12345678");
    files.set_space_limit(Some(10));
    let file = files.open(Path::new("/d/a"), OpenMode::ReadWrite).unwrap();
    assert_eq!(
        file.write_at(b"xyz", 8).unwrap_err().kind(),
        io::ErrorKind::StorageFull
    );
    file.write_at(b"xy", 8).unwrap();
    assert_eq!(files.available_bytes(Path::new("/d")).unwrap(), 0);
    files.remove(Path::new("/d/a")).unwrap();
    assert_eq!(files.available_bytes(Path::new("/d")).unwrap(), 10);
}

#[test]
fn locks_exclude_until_dropped() {
    let files = synced_file(b"");
    let lock = files.lock(Path::new("/d/LOCK")).unwrap();
    assert!(crate::is_already_locked(
        &files.lock(Path::new("/d/LOCK")).unwrap_err()
    ));
    drop(lock);
    assert!(files.lock(Path::new("/d/LOCK")).is_ok());
}

#[test]
fn times_follow_the_order_of_changes() {
    let files = MemoryFileSystem::new();
    let (a, b) = (Path::new("/a"), Path::new("/b"));
    let times = |path| {
        let metadata = files.metadata(path).unwrap();
        (metadata.written_ns, metadata.used_ns)
    };
    files.open(a, OpenMode::Create).unwrap();
    let file = files.open(b, OpenMode::Create).unwrap();
    assert!(times(a).0 < times(b).0);
    files.mark_used(a).unwrap();
    assert!(times(a).1 > times(b).0 && times(b).1 == 0);
    let before = times(b);
    file.write_at(b"x", 0).unwrap();
    assert!(times(b).0 > times(a).1.max(before.0));
    assert!(files.mark_used(Path::new("/c")).is_err());
}
