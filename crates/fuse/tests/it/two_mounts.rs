//! Two mounts of one store: what one closes, the other sees.

use crate::store::{Store, Way};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Waits until something holds; a change elsewhere is told within milliseconds.
fn soon(what: &str, holds: impl Fn() -> bool) -> Duration {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(5), "{what}");
        std::thread::yield_now();
    }
    start.elapsed()
}

fn both() -> Option<(Store, [std::path::PathBuf; 2])> {
    let mut store = Store::new()?;
    let mounts = [store.mount(Way::InProcess), store.mount(Way::Socket)];
    Some((store, mounts))
}

#[test]
fn what_is_closed_is_seen_by_who_opens() {
    let Some((store, [one, other])) = both() else {
        return;
    };
    for round in 0..200u32 {
        let (writer, reader) = if round % 2 == 0 {
            (&one, &other)
        } else {
            (&other, &one)
        };
        let text = format!("{round} ").repeat(1 + round as usize * 13);
        fs::write(writer.join("file"), &text).expect("writes");
        let seen = fs::read_to_string(reader.join("file")).expect("reads");
        assert_eq!(seen.len(), text.len(), "round {round}");
        assert_eq!(seen, text, "round {round}");
    }
    store.check();
}

#[test]
fn names_and_attributes_are_told() {
    let Some((_store, [one, other])) = both() else {
        return;
    };
    let absent = |path: &Path| !path.exists();
    let mut slowest = Duration::ZERO;
    for round in 0..20 {
        let name = format!("name-{round}");
        let (here, there) = (one.join(&name), other.join(&name));
        assert!(absent(&there));
        fs::write(&here, "x").expect("writes");
        slowest = slowest.max(soon("a new name", || there.exists()));
        assert_eq!(fs::metadata(&there).expect("is there").len(), 1);
        fs::OpenOptions::new()
            .append(true)
            .open(&here)
            .and_then(|mut file| file.write_all(b"yz"))
            .expect("appends");
        slowest = slowest.max(soon("a size", || {
            fs::metadata(&there).expect("is there").len() == 3
        }));
        let moved = other.join(format!("moved-{round}"));
        fs::rename(&there, &moved).expect("moves");
        slowest = slowest.max(soon("a lost name", || absent(&here)));
        fs::remove_file(one.join(format!("moved-{round}"))).expect("removes");
        slowest = slowest.max(soon("a removed name", || absent(&moved)));
    }
    println!("the slowest took {slowest:?}");
}

#[test]
fn an_open_file_follows_what_others_write() {
    let Some((_store, [one, other])) = both() else {
        return;
    };
    fs::write(one.join("log"), "one\n").expect("writes");
    let open = fs::File::open(other.join("log")).expect("opens");
    let read = || {
        let mut bytes = [0; 64];
        let count = std::os::unix::fs::FileExt::read_at(&open, &mut bytes, 0).expect("reads");
        bytes[..count].to_vec()
    };
    assert_eq!(read(), b"one\n");
    fs::write(one.join("log"), "two and more\n").expect("writes");
    soon("the new bytes", || read() == b"two and more\n");
}

#[test]
fn a_file_that_is_open_survives_its_name() {
    let Some((store, [one, _other])) = both() else {
        return;
    };
    let path = one.join("gone");
    let mut file = fs::File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .expect("makes");
    file.write_all(b"before").expect("writes");
    fs::remove_file(&path).expect("removes");
    file.write_all(b" and after").expect("writes");
    let mut bytes = vec![0; 16];
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, 0).expect("reads");
    assert_eq!(bytes, b"before and after");
    let attributes = file.metadata().expect("stats");
    assert_eq!(std::os::unix::fs::MetadataExt::nlink(&attributes), 0);
    assert_eq!(attributes.len(), 16);
    file.set_len(3).expect("cuts");
    assert_eq!(file.metadata().expect("stats").len(), 3);
    file.sync_all().expect("syncs");
    drop(file);
    assert!(!path.exists());
    store.check();
}

#[test]
fn locks_hold_between_mounts() {
    use rustix::fs::FlockOperation as Lock;
    let Some((_store, [one, other])) = both() else {
        return;
    };
    fs::write(one.join("locked"), "0").expect("writes");
    let open = |mount: &Path| {
        let path = mount.join("locked");
        fs::File::options()
            .read(true)
            .write(true)
            .open(path)
            .expect("opens")
    };
    let (here, there) = (open(&one), open(&other));
    rustix::fs::flock(&here, Lock::NonBlockingLockExclusive).expect("locks");
    let refused = rustix::fs::flock(&there, Lock::NonBlockingLockShared);
    assert_eq!(refused, Err(rustix::io::Errno::AGAIN));
    let refused = rustix::fs::fcntl_lock(&there, Lock::NonBlockingLockExclusive);
    assert_eq!(refused, Err(rustix::io::Errno::AGAIN));
    std::thread::scope(|scope| {
        // What one writes before it gives the lock back, the other reads after it has it.
        let waiting = scope.spawn(|| {
            rustix::fs::flock(&there, Lock::LockExclusive).expect("locks");
            let mut byte = [0];
            std::os::unix::fs::FileExt::read_exact_at(&there, &mut byte, 0).expect("reads");
            byte[0]
        });
        std::os::unix::fs::FileExt::write_all_at(&here, b"1", 0).expect("writes");
        rustix::fs::flock(&here, Lock::Unlock).expect("unlocks");
        assert_eq!(waiting.join().expect("ends"), b'1');
    });
    drop(there);
    // The kernel tells of a last close without waiting.
    soon("closing gives back", || {
        rustix::fs::flock(&here, Lock::NonBlockingLockExclusive).is_ok()
    });
}
