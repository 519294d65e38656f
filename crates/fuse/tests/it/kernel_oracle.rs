//! The mount against the kernel's own file system in memory: the same random operations give the
//! same answers and leave the same tree.

use crate::store::{Store, Way, as_user};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rustix::fs::{self as sys, AtFlags, CWD, Mode, OFlags, RenameFlags, XattrFlags};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Users that act: the super-user and two others.
const USERS: [u32; 3] = [0, 1001, 1002];

#[derive(Clone, Debug)]
enum Step {
    Create(usize, u32),
    Write(usize, u64, usize),
    Truncate(usize, u64),
    MakeDir(usize, u32),
    Unlink(usize),
    RemoveDir(usize),
    Rename(usize, usize, u32),
    Link(usize, usize),
    Symlink(usize, usize),
    Pipe(usize),
    Chmod(usize, u32),
    Chown(usize, usize),
    Times(usize, i64),
    Xattr(usize, u8, u8),
}

fn step() -> impl Strategy<Value = (usize, Step)> {
    let place = || 0usize..PLACES.len();
    let mode = || {
        prop_oneof![
            prop::sample::select(vec![0o644, 0o755, 0o777, 0o600, 0o1777, 0o6755, 0o2775]),
            0u32..0o7777,
        ]
    };
    let write = (place(), 0u64..20_000, 0usize..9_000);
    let step = prop_oneof![
        3 => (place(), mode()).prop_map(|(at, mode)| Step::Create(at, mode)),
        4 => write.prop_map(|(at, from, length)| Step::Write(at, from, length)),
        2 => (place(), 0u64..30_000).prop_map(|(at, size)| Step::Truncate(at, size)),
        3 => (place(), mode()).prop_map(|(at, mode)| Step::MakeDir(at, mode)),
        2 => place().prop_map(Step::Unlink),
        2 => place().prop_map(Step::RemoveDir),
        4 => (place(), place(), 0u32..3).prop_map(|(from, to, how)| Step::Rename(from, to, how)),
        2 => (place(), place()).prop_map(|(from, to)| Step::Link(from, to)),
        1 => (place(), place()).prop_map(|(at, to)| Step::Symlink(at, to)),
        1 => place().prop_map(Step::Pipe),
        2 => (place(), mode()).prop_map(|(at, mode)| Step::Chmod(at, mode)),
        2 => (place(), 0usize..4).prop_map(|(at, owner)| Step::Chown(at, owner)),
        1 => (place(), -5i64..2_000_000_000).prop_map(|(at, time)| Step::Times(at, time)),
        1 => (place(), 0u8..4, 0u8..4).prop_map(|(at, name, how)| Step::Xattr(at, name, how)),
    ];
    (0usize..4, step)
}

/// Few names, so that operations meet.
const PLACES: [&str; 12] = [
    "a", "b", "d", "d/a", "d/b", "d/d", "d/d/a", "e", "e/a", "e/a/x", "e/l", "l",
];

/// Does a step; what a program would be told.
fn act(root: &Path, user: usize, step: &Step) -> Result<(), Errno> {
    let at = |place: usize| root.join(PLACES[place]);
    let mode = |bits: u32| Mode::from_raw_mode(bits);
    // Most steps are the super-user's, so that something comes of them.
    let user = USERS.get(user).copied().unwrap_or(0);
    as_user(user, &[user], || match *step {
        Step::Create(place, bits) => {
            let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::EXCL;
            sys::open(at(place), flags, mode(bits & 0o7777)).map(drop)
        }
        Step::Write(place, offset, length) => {
            let file = sys::open(at(place), OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty())?;
            let bytes: Vec<u8> = (0..length)
                .map(|byte| (byte as u64 + offset) as u8)
                .collect();
            let file = std::fs::File::from(file);
            let written = file.write_all_at(&bytes, offset);
            written.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
        }
        Step::Truncate(place, size) => {
            let path = std::ffi::CString::new(at(place).to_str().expect("text")).expect("no NUL");
            let file = sys::open(&path, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty())?;
            sys::ftruncate(file, size)
        }
        Step::MakeDir(place, bits) => sys::mkdir(at(place), mode(bits & 0o1777)),
        Step::Unlink(place) => sys::unlink(at(place)),
        Step::RemoveDir(place) => sys::rmdir(at(place)),
        Step::Rename(from, to, flags) => {
            let modes = [
                RenameFlags::empty(),
                RenameFlags::NOREPLACE,
                RenameFlags::EXCHANGE,
            ];
            let flags = modes[flags as usize];
            sys::renameat_with(CWD, at(from), CWD, at(to), flags)
        }
        Step::Link(from, to) => sys::linkat(CWD, at(from), CWD, at(to), AtFlags::empty()),
        Step::Symlink(place, to) => sys::symlink(PLACES[to], at(place)),
        Step::Pipe(place) => sys::mknodat(CWD, at(place), sys::FileType::Fifo, mode(0o644), 0),
        Step::Chmod(place, bits) => sys::chmod(at(place), mode(bits & 0o7777)),
        Step::Chown(place, owner) => {
            let id = [0u32, 1001, 1002, 1001][owner];
            let uid = (owner != 3).then(|| rustix::process::Uid::from_raw(id));
            let gid = (owner != 2).then(|| rustix::process::Gid::from_raw(id));
            sys::chownat(CWD, at(place), uid, gid, AtFlags::SYMLINK_NOFOLLOW)
        }
        Step::Times(place, seconds) => {
            let time = sys::Timespec {
                tv_sec: seconds,
                tv_nsec: 123_456_789,
            };
            let times = sys::Timestamps {
                last_access: time,
                last_modification: time,
            };
            sys::utimensat(CWD, at(place), &times, AtFlags::SYMLINK_NOFOLLOW)
        }
        Step::Xattr(place, name, flags) => {
            let name = format!("user.x{name}");
            let value = [flags; 3];
            match flags {
                0 => sys::lremovexattr(at(place), name.as_str()),
                1 => sys::lsetxattr(at(place), name.as_str(), &value, XattrFlags::CREATE),
                2 => sys::lsetxattr(at(place), name.as_str(), &value, XattrFlags::REPLACE),
                _ => sys::lsetxattr(at(place), name.as_str(), &value, XattrFlags::empty()),
            }
        }
    })
}

/// What there is to see of a tree: path, and a line about each node.
fn look(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut seen = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let node = std::fs::symlink_metadata(&path).expect("is there");
        let mut line = format!(
            "{:o} {}:{} links {}",
            node.mode(),
            node.uid(),
            node.gid(),
            node.nlink()
        );
        if node.is_dir() {
            for entry in std::fs::read_dir(&path).expect("lists") {
                left.push(entry.expect("an entry").path());
            }
        } else if node.is_file() {
            let bytes = std::fs::read(&path).expect("reads");
            assert_eq!(bytes.len() as u64, node.size());
            let sum = bytes
                .iter()
                .fold(0u64, |sum, byte| sum.wrapping_mul(31) + u64::from(*byte));
            line += &format!(" size {} sum {sum}", node.size());
        } else if node.is_symlink() {
            line += &format!(" to {:?}", std::fs::read_link(&path).expect("reads"));
        }
        if node.mtime() < 1_700_000_000 || node.mtime_nsec() == 123_456_789 {
            line += &format!(" mtime {}.{}", node.mtime(), node.mtime_nsec());
        }
        let mut names = [0u8; 512];
        let count = sys::llistxattr(&path, &mut names[..]).unwrap_or(0);
        for name in names[..count]
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
        {
            if !name.starts_with(b"user.") {
                continue;
            }
            let name = std::str::from_utf8(name).expect("text");
            let mut value = [0u8; 16];
            let count = sys::lgetxattr(&path, name, &mut value[..]).expect("is there");
            line += &format!(" {name}={:?}", &value[..count]);
        }
        seen.insert(path.strip_prefix(root).expect("below").to_owned(), line);
    }
    seen
}

fn run(way: Way, cases: u32) {
    let Some(mut store) = Store::new() else {
        return;
    };
    let mount = store.mount(way);
    let oracle = tempfile::tempdir_in("/dev/shm").expect("memory");
    let rounds = std::cell::Cell::new(0);
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&prop::collection::vec(step(), 1..60), |steps| {
        let round = rounds.get();
        rounds.set(round + 1);
        let (ours, theirs) = (
            mount.join(format!("r{round}")),
            oracle.path().join(format!("r{round}")),
        );
        for root in [&ours, &theirs] {
            std::fs::create_dir(root).expect("a root");
            sys::chmod(root, Mode::from_raw_mode(0o777)).expect("open to all");
        }
        for (user, step) in &steps {
            let (our, their) = (act(&ours, *user, step), act(&theirs, *user, step));
            prop_assert_eq!(our, their, "{:?} by {}", step, user);
        }
        prop_assert_eq!(look(&ours), look(&theirs));
        Ok(())
    });
    outcome.expect("the same as in memory");
    store.check();
}

#[test]
fn operations_are_as_in_memory() {
    run(Way::InProcess, 24);
}

#[test]
fn operations_are_as_in_memory_over_a_socket() {
    run(Way::Socket, 8);
}
