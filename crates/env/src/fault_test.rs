//! Every kind of operation can fail; the rules choose as they say.

use std::{io, io::IoSlice, path::Path, sync::Arc, time::Duration};

use crate::{
    Clock, FaultFileSystem, FileSystem, ManualClock, MemoryFileSystem, OpenMode, Operation,
    Outcome, Rule, Trigger,
};

fn rule(operations: &[Operation], path: &str, trigger: Trigger, outcome: Outcome) -> Rule {
    Rule {
        operations: operations.to_vec(),
        path_contains: path.to_owned(),
        trigger,
        outcome,
    }
}

fn prepared() -> (MemoryFileSystem, FaultFileSystem) {
    let memory = MemoryFileSystem::new();
    memory.create_dir_all(Path::new("/d/e")).unwrap();
    let file = memory.open(Path::new("/d/a"), OpenMode::CreateNew).unwrap();
    file.write_at(b"first", 0).unwrap();
    file.sync_all().unwrap();
    memory.sync_dir(Path::new("/d")).unwrap();
    let faults = FaultFileSystem::new(Arc::new(memory.clone()), 1);
    (memory, faults)
}

/// Does one operation of the kind.
fn perform(files: &FaultFileSystem, operation: Operation) -> io::Result<()> {
    let (a, d) = (Path::new("/d/a"), Path::new("/d"));
    let file = || files.open(a, OpenMode::ReadWrite);
    match operation {
        Operation::OpenRead => files.open(a, OpenMode::Read).map(drop),
        Operation::OpenReadWrite => file().map(drop),
        Operation::Create => files.open(Path::new("/d/c"), OpenMode::Create).map(drop),
        Operation::CreateNew => files.open(Path::new("/d/n"), OpenMode::CreateNew).map(drop),
        Operation::OpenOrCreate => files.open(a, OpenMode::OpenOrCreate).map(drop),
        Operation::Read => file()?.read_at(&mut [0; 2], 0).map(drop),
        Operation::Write => file()?.write_at(b"x", 0),
        Operation::WriteSlices => file()?.write_slices_at(&[IoSlice::new(b"x")], 0),
        Operation::SyncData => file()?.sync_data(),
        Operation::SyncAll => file()?.sync_all(),
        Operation::Len => file()?.len().map(drop),
        Operation::SetLen => file()?.set_len(3),
        Operation::Allocate => file()?.allocate(9),
        Operation::Remove => files.remove(a),
        Operation::Rename => files.rename(a, Path::new("/d/b")),
        Operation::Link => files.link(a, Path::new("/d/l")),
        Operation::List => files.list(d).map(drop),
        Operation::CreateDir => files.create_dir_all(Path::new("/d/f")),
        Operation::RemoveDir => files.remove_dir(Path::new("/d/e")),
        Operation::SyncDir => files.sync_dir(d),
        Operation::Metadata => files.metadata(a).map(drop),
        Operation::MarkUsed => files.mark_used(a),
        Operation::Lock => files.lock(Path::new("/d/LOCK")).map(drop),
        Operation::AvailableBytes => files.available_bytes(d).map(drop),
    }
}

#[test]
fn every_kind_fails_when_told_and_works_otherwise() {
    assert!(Operation::ALL.len() >= 18);
    for operation in Operation::ALL {
        perform(&prepared().1, *operation).unwrap_or_else(|error| panic!("{operation:?}: {error}"));
        let (_, faults) = prepared();
        faults.add_rule(rule(
            &[*operation],
            "",
            Trigger::Nth(1),
            Outcome::DeviceError,
        ));
        assert!(perform(&faults, *operation).is_err(), "{operation:?}");
        assert!(faults.count(*operation) >= 1);
        let (_, faults) = prepared();
        faults.add_rule(rule(&[*operation], "", Trigger::Nth(1), Outcome::NoSpace));
        let error = perform(&faults, *operation).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{operation:?}");
    }
}

#[test]
fn nth_and_path_choose() {
    let (_, faults) = prepared();
    faults.add_rule(rule(
        &[Operation::Write],
        "/a",
        Trigger::Nth(2),
        Outcome::DeviceError,
    ));
    let a = faults.open(Path::new("/d/a"), OpenMode::ReadWrite).unwrap();
    let b = faults.open(Path::new("/d/b"), OpenMode::Create).unwrap();
    assert!(a.write_at(b"1", 0).is_ok());
    assert!(b.write_at(b"1", 0).is_ok() && b.write_at(b"2", 0).is_ok());
    assert!(a.write_at(b"2", 0).is_err());
    assert!(a.write_at(b"3", 0).is_ok());
}

#[test]
fn a_probability_is_the_same_for_the_same_seed() {
    let run = |seed| -> Vec<bool> {
        let (memory, _) = prepared();
        let faults = FaultFileSystem::new(Arc::new(memory), seed);
        faults.add_rule(rule(&[], "", Trigger::OnceIn(3), Outcome::DeviceError));
        (0..50)
            .map(|_| faults.metadata(Path::new("/d/a")).is_ok())
            .collect()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
    assert!(run(1).contains(&true) && run(1).contains(&false));
}

#[test]
fn a_torn_write_leaves_a_part() {
    let (memory, faults) = prepared();
    faults.add_rule(rule(
        &[Operation::Write],
        "",
        Trigger::From(1),
        Outcome::TornWrite,
    ));
    let file = faults.open(Path::new("/d/t"), OpenMode::Create).unwrap();
    assert!(file.write_at(&[7; 1000], 0).is_err());
    let left = memory.metadata(Path::new("/d/t")).unwrap().size;
    assert!(left < 1000 && left > 0, "{left} bytes left");
}

#[test]
fn a_lost_sync_lies() {
    let (memory, faults) = prepared();
    faults.add_rule(rule(
        &[Operation::SyncData],
        "",
        Trigger::From(1),
        Outcome::LostSync,
    ));
    let file = faults.open(Path::new("/d/a"), OpenMode::ReadWrite).unwrap();
    file.write_at(b"other", 0).unwrap();
    file.sync_data().unwrap();
    let lost = (0..50).any(|seed| {
        let image = memory.crash(seed);
        let mut bytes = [0; 5];
        let file = image.open(Path::new("/d/a"), OpenMode::Read).unwrap();
        file.read_exact_at(&mut bytes, 0).unwrap();
        &bytes == b"first"
    });
    assert!(lost);
}

#[test]
fn a_failed_sync_drops_what_it_should_have_written() {
    let (memory, _) = prepared();
    let faults = FaultFileSystem::over_memory(&memory, 1);
    let nth = rule(
        &[Operation::SyncData],
        "",
        Trigger::Nth(1),
        Outcome::FailedSync,
    );
    faults.add_rule(nth);
    let file = faults.open(Path::new("/d/a"), OpenMode::ReadWrite).unwrap();
    file.write_at(b"other", 0).unwrap();
    assert!(file.sync_data().is_err());
    // A second one says that all is well, and lies.
    file.sync_data().unwrap();
    let mut bytes = [0; 5];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"other");
    for seed in 0..20 {
        let image = memory.crash(seed);
        let file = image.open(Path::new("/d/a"), OpenMode::Read).unwrap();
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"first");
    }
}

#[test]
fn short_reads_are_read_to_the_end() {
    let (_, faults) = prepared();
    faults.add_rule(rule(
        &[Operation::Read],
        "",
        Trigger::From(1),
        Outcome::ShortRead,
    ));
    let file = faults.open(Path::new("/d/a"), OpenMode::Read).unwrap();
    let mut bytes = [0; 5];
    let lengths: Vec<usize> = (0..20)
        .map(|_| file.read_at(&mut bytes, 0).unwrap())
        .collect();
    assert!(lengths.iter().any(|length| *length < 5) && lengths.iter().all(|length| *length > 0));
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(
        (&bytes, file.read_full_at(&mut [0; 9], 0).unwrap()),
        (b"first", 5)
    );
}

#[test]
fn a_call_is_interrupted_or_late() {
    let (_, faults) = prepared();
    let clock = Arc::new(ManualClock::new());
    let faults = faults.with_clock(Arc::<ManualClock>::clone(&clock));
    let late = Outcome::Slow(Duration::from_secs(3));
    faults.add_rule(rule(&[Operation::List], "", Trigger::Nth(1), late));
    faults.add_rule(rule(
        &[Operation::List],
        "",
        Trigger::Nth(1),
        Outcome::Interrupted,
    ));
    let start = clock.monotonic();
    faults.list(Path::new("/d")).unwrap();
    assert_eq!(clock.monotonic() - start, Duration::from_secs(3));
    let error = faults.list(Path::new("/d")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Interrupted);
}

#[test]
fn after_a_crash_point_nothing_works() {
    let (_, faults) = prepared();
    faults.add_rule(rule(
        &[Operation::SyncDir],
        "",
        Trigger::Nth(1),
        Outcome::Crash,
    ));
    assert!(faults.metadata(Path::new("/d/a")).is_ok());
    assert!(faults.sync_dir(Path::new("/d")).is_err());
    assert!(faults.has_crashed());
    for operation in Operation::ALL {
        assert!(perform(&faults, *operation).is_err(), "{operation:?}");
    }
}
