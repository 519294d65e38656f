//! A damaged store: whatever is cut off, flipped or missing, it is never believed.
//!
//! Log: a command either fails with one line that names the file and changes nothing, or the damage
//! was harmless and everything that was acknowledged is there. Objects: a file that needs the
//! damaged bytes is an error that names it, every other file is read as before.

use crate::kill::MARK;
use crate::program::Store;
use crate::random::Random;
use std::path::{Path, PathBuf};

/// Files published one after the other, so that the log has as many records at least.
const FILE_COUNT: usize = 12;
/// Places tried in each log file.
const PLACE_COUNT: u64 = 24;

#[test]
fn a_truncated_log_is_an_error_or_harmless() {
    damage(31, |bytes, random| {
        let keep = random.below(used(bytes));
        bytes.truncate(usize::try_from(keep).expect("an index"));
    });
}

#[test]
fn a_flipped_bit_in_the_log_is_an_error_or_harmless() {
    damage(32, |bytes, random| {
        let at = usize::try_from(random.below(used(bytes))).expect("an index");
        bytes[at] ^= 1 << random.below(8);
    });
}

/// Bytes up to the zeros that a log is grown by ahead of its records.
fn used(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(1, |last| last as u64 + 1)
}

fn damage(seed: u64, spoil: impl Fn(&mut Vec<u8>, &mut Random)) {
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let store = Store::new();
    let contents: Vec<Vec<u8>> = (0..FILE_COUNT).map(|_| random.bytes(900)).collect();
    for (index, bytes) in contents.iter().enumerate() {
        store.ok_with_input(&["put", "-", &format!("/file-{index:02}")], bytes);
    }
    let (mut refused, mut harmless) = (0, 0);
    for log in logs(&store.dir()) {
        let whole = std::fs::read(&log).expect("readable");
        if whole.is_empty() {
            continue;
        }
        for _ in 0..PLACE_COUNT {
            let mut bytes = whole.clone();
            spoil(&mut bytes, &mut random);
            // Opening may repair or rewrite: each try starts from the same files.
            let copy = Store::new();
            copy_folder(&store.dir(), &copy.dir());
            let spoiled = copy
                .dir()
                .join(log.strip_prefix(store.dir()).expect("below"));
            std::fs::write(spoiled, &bytes).expect("writable");
            match check(&copy, &contents) {
                Answer::Refused => refused += 1,
                Answer::Whole => harmless += 1,
            }
        }
    }
    println!("{refused} refused, {harmless} harmless");
    assert!(refused > 0, "no log was found, or nothing in it matters");
}

#[test]
fn damaged_and_missing_objects_are_errors_and_never_data() {
    let seed = 33;
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let store = Store::new();
    let bytes = random.bytes(9 << 20);
    store.ok_with_input(&["put", "-", "/large"], &bytes);
    store.ok_with_input(&["put", "-", "/inline"], b"in the metadata");
    let mut objects = files(&store.dir().join("objects"));
    objects.retain(|object| !object.ends_with(MARK));
    assert!(objects.len() >= 3, "nine MiB are three blocks: {objects:?}");
    for object in &objects {
        let whole = std::fs::read(object).expect("readable");
        let mut flipped = whole.clone();
        let at = usize::try_from(random.below(whole.len() as u64)).expect("an index");
        flipped[at] ^= 1 << random.below(8);
        std::fs::write(object, &flipped).expect("writable");
        assert_unreadable(&store);
        std::fs::write(object, &whole[..whole.len() / 2]).expect("writable");
        assert_unreadable(&store);
        std::fs::remove_file(object).expect("ours");
        assert_unreadable(&store);
        std::fs::write(object, &whole).expect("writable");
        assert!(
            store.ok(["cat", "/large"]) == bytes,
            "mended, and still refused"
        );
    }
}

/// `/large` fails with its name and leaves nothing behind; `/inline` is read.
fn assert_unreadable(store: &Store) {
    let line = store.fails(["cat", "/large"]);
    assert!(line.contains("/large"), "{line}");
    let copy = store.local("copy");
    let line = store.fails(["get".as_ref(), "/large".as_ref(), copy.as_os_str()]);
    assert!(line.contains("/large"), "{line}");
    assert!(!copy.exists(), "half a file was left");
    assert_eq!(store.ok(["cat", "/inline"]), b"in the metadata");
}

enum Answer {
    Refused,
    Whole,
}

fn check(store: &Store, contents: &[Vec<u8>]) -> Answer {
    let outcome = store.run(["ls", "/"]);
    if outcome.code != Some(0) {
        let line = outcome.assert_failed();
        let names_file = line.contains("wal") || line.contains("log") || line.contains("offset");
        assert!(names_file, "it does not say where: {line}");
        assert!(
            line.contains("restore"),
            "it does not say what to do: {line}"
        );
        return Answer::Refused;
    }
    let listing = String::from_utf8(outcome.stdout).expect("UTF-8");
    let expected: Vec<String> = (0..contents.len())
        .map(|index| format!("file-{index:02}"))
        .collect();
    assert_eq!(
        listing.lines().collect::<Vec<_>>(),
        expected,
        "acknowledged and lost"
    );
    for (name, content) in expected.iter().zip(contents) {
        assert!(
            &store.ok(["cat", &format!("/{name}")]) == content,
            "{name} is not what was put"
        );
    }
    Answer::Whole
}

/// The log files of the store.
fn logs(dir: &Path) -> Vec<PathBuf> {
    files(dir)
        .into_iter()
        .filter(|path| {
            path.strip_prefix(dir)
                .is_ok_and(|path| path.to_string_lossy().contains("wal"))
        })
        .collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let kind = entry.file_type().expect("a kind");
        if kind.is_dir() {
            files.extend(self::files(&entry.path()));
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    files
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("writable");
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).expect("below"));
        std::fs::create_dir_all(target.parent().expect("a folder")).expect("writable");
        std::fs::copy(&file, target).expect("readable");
    }
}
