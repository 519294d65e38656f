//! `kill -9` at random moments of a put. After a restart, what was acknowledged is there and whole,
//! no file is half there, the server starts by itself, and after collection every object is one
//! that a file needs.
//!
//! A hundred moments: in half of them the process dies that puts (and holds the store), in a
//! quarter the server that it talks to, in a quarter the client of a server that lives on. Half of
//! the moments are counted in acknowledged paths, half in microseconds.

use crate::program::Store;
use crate::random::Random;
use crate::tree::{Node, walk};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Files of the tree, small and of every layout, in several directories.
const FILE_COUNT: u64 = 120;

/// Small batches: a put of many commits, so that there is much to interrupt.
const BATCH: &str = "--batch=5";

/// Who dies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Victim {
    /// The process that puts and holds the store.
    Alone,
    /// The server, while a client puts.
    Server,
    /// The client, while the server lives on.
    Client,
}

/// When it dies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Moment {
    /// After this many acknowledged paths.
    Acknowledged(u64),
    /// After this time.
    Elapsed(Duration),
}

#[test]
fn a_killed_put_leaves_whole_files_and_no_garbage() {
    rounds(Victim::Alone, 1, 50);
}

#[test]
fn a_killed_server_leaves_whole_files_and_no_garbage() {
    rounds(Victim::Server, 2, 25);
}

#[test]
fn a_killed_client_leaves_whole_files_and_no_garbage() {
    rounds(Victim::Client, 3, 25);
}

fn rounds(victim: Victim, seed: u64, count: u64) {
    let mut random = Random::new(seed);
    let store = Store::new();
    let source = store.local("source");
    make_tree(&source, &mut random);
    let start = Instant::now();
    let put = ["put".as_ref(), BATCH.as_ref(), source.as_os_str()];
    store.ok(put.into_iter().chain(["/whole".as_ref()]));
    let usual = start.elapsed();
    let mut partial = 0;
    for round in 0..count {
        let micros = u64::try_from(usual.as_micros()).expect("a short time");
        let moment = if round % 2 == 0 {
            Moment::Acknowledged(random.below(FILE_COUNT))
        } else {
            Moment::Elapsed(Duration::from_micros(random.below(micros * 5 / 4)))
        };
        let to = format!("/round-{round}");
        let acknowledged = put_and_kill(&store, &source, &to, victim, moment);
        let told = acknowledged.len() as u64;
        println!("seed {seed} round {round}: {victim:?} at {moment:?}, {told} acknowledged");
        partial += u64::from((1..FILE_COUNT).contains(&told));
        verify(&store, &source, round, &acknowledged);
    }
    // A kill that always comes too early or too late proves nothing.
    assert!(partial > 0, "no put was interrupted in the middle");
    collects_to_what_is_needed(&store);
}

fn make_tree(root: &Path, random: &mut Random) {
    std::fs::create_dir(root).expect("new");
    for index in 0..FILE_COUNT {
        let folder = root.join(format!("folder-{}", index % 7));
        std::fs::create_dir_all(&folder).expect("writable");
        let size = random.pick(&[0, 100, 4096, 5000, 20_000, 300_000]);
        std::fs::write(folder.join(format!("file-{index}")), random.bytes(size)).expect("writable");
    }
}

/// Puts the tree at `to`, kills the victim at the moment; the paths that were acknowledged before.
fn put_and_kill(
    store: &Store,
    source: &Path,
    to: &str,
    victim: Victim,
    moment: Moment,
) -> BTreeSet<String> {
    let server = (victim != Victim::Alone).then(|| store.serve::<&str>([]));
    let mut put = store
        .command([
            "put".as_ref(),
            "--json".as_ref(),
            BATCH.as_ref(),
            source.as_os_str(),
            to.as_ref(),
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let lines = read_lines(&mut put);
    let mut acknowledged = BTreeSet::new();
    wait_for(moment, &lines, &mut acknowledged);
    match (victim, server) {
        (Victim::Server, Some(server)) => {
            server.kill();
            drop(put.kill());
        }
        _ => drop(put.kill()),
    }
    put.wait().expect("ours");
    acknowledged.extend(lines.iter());
    acknowledged
}

/// The acknowledged paths, as they come; a line cut off by the kill is none.
fn read_lines(put: &mut Child) -> mpsc::Receiver<String> {
    let mut stdout = BufReader::new(put.stdout.take().expect("piped"));
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        while stdout.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
            if line.ends_with('\n') {
                let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
                if let Some(path) = value["path"].as_str() {
                    drop(send.send(path.to_owned()));
                }
            }
            line.clear();
        }
    });
    receive
}

fn wait_for(moment: Moment, lines: &mpsc::Receiver<String>, acknowledged: &mut BTreeSet<String>) {
    match moment {
        Moment::Acknowledged(count) => {
            while (acknowledged.len() as u64) < count {
                match lines.recv() {
                    Ok(path) => acknowledged.insert(path),
                    Err(_) => return,
                };
            }
        }
        Moment::Elapsed(time) => std::thread::sleep(time),
    }
}

/// Starts a server on what is left and compares everything with the source.
fn verify(store: &Store, source: &Path, round: u64, acknowledged: &BTreeSet<String>) {
    let server = store.serve::<&str>([]);
    let root = format!("/round-{round}");
    let copy = store.local("copy");
    let listing = String::from_utf8(store.ok(["ls", "/"])).expect("UTF-8");
    if listing.lines().any(|name| root == format!("/{name}")) {
        store.ok(["get".as_ref(), root.as_ref(), copy.as_os_str()]);
        let (left, right) = (walk(source), walk(&copy));
        for (path, node) in &right {
            assert_whole(left.get(path), node, path);
        }
        for path in acknowledged {
            let below = path
                .strip_prefix(&root)
                .expect("below")
                .trim_start_matches('/');
            let path = PathBuf::from(below);
            assert!(right.contains_key(&path), "acknowledged and lost: {path:?}");
            if matches!(left[&path], Node::File(..)) {
                assert_eq!(
                    left[&path], right[&path],
                    "acknowledged and changed: {path:?}"
                );
            }
        }
        std::fs::remove_dir_all(&copy).expect("ours");
    } else {
        assert!(
            acknowledged.is_empty(),
            "acknowledged and lost: {acknowledged:?}"
        );
    }
    assert_eq!(server.stop(), Some(0));
}

/// A file is the whole file; a directory may still lack entries and its own time.
fn assert_whole(expected: Option<&Node>, found: &Node, path: &Path) {
    match (expected, found) {
        (Some(Node::Directory(..)), Node::Directory(..)) => {}
        (Some(expected), found) if expected == found => {}
        _ => panic!("half there or made up: {path:?}"),
    }
}

/// Collects, then compares the objects in the folder with those that files name.
fn collects_to_what_is_needed(store: &Store) {
    store.ok(["gc", "--abandon-uploads"]);
    let listing = String::from_utf8(store.ok(["ls", "-R", "--json", "/"])).expect("UTF-8");
    let files = listing.lines().filter_map(|line| {
        let entry: serde_json::Value = serde_json::from_str(line).expect("JSON");
        (entry["kind"] == "file").then(|| entry["path"].as_str().expect("UTF-8").to_owned())
    });
    let files: Vec<String> = files.collect();
    let mut needed = BTreeSet::new();
    for some in files.chunks(500) {
        let arguments = ["stat", "--json"]
            .into_iter()
            .chain(some.iter().map(String::as_str));
        for line in String::from_utf8(store.ok(arguments))
            .expect("UTF-8")
            .lines()
        {
            let file: serde_json::Value = serde_json::from_str(line).expect("JSON");
            for extent in file["extents"].as_array().into_iter().flatten() {
                needed.insert(extent["object"].as_str().expect("a name").to_owned());
            }
        }
    }
    let there: BTreeSet<String> = objects(&store.dir().join("objects"));
    assert!(!needed.is_empty(), "the test put nothing into objects");
    let missing: Vec<_> = needed.difference(&there).collect();
    assert!(missing.is_empty(), "needed and gone: {missing:?}");
    let garbage: Vec<_> = there.difference(&needed).collect();
    assert!(garbage.is_empty(), "needed by nobody: {garbage:?}");
}

/// The object by which a store knows that a folder is its own; no file needs it.
pub(crate) const MARK: &str = "ffffffffffffffff/00000000";

/// The objects below a folder as `session/sequence`; temporary files of half-done uploads count
/// too.
pub(crate) fn objects(folder: &Path) -> BTreeSet<String> {
    walk(folder)
        .into_iter()
        .filter(|(_, node)| matches!(node, Node::File(..)))
        .map(|(path, _)| {
            let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
            parts[parts.len().saturating_sub(2)..].join("/")
        })
        .filter(|object| object != MARK)
        .collect()
}
