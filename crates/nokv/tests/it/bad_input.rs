//! Wrong input: one line that says what is wrong and what to do, exit code 1, and nothing changed.
//!
//! A NUL byte can't stand on a command line; `nokv-types` tests that no path contains one.

use crate::program::{Server, Store};
use crate::random::Random;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// A store with one file and one directory.
fn stocked() -> Store {
    let store = Store::new();
    store.ok_with_input(&["put", "-", "/dir/file"], b"content");
    store
}

/// Runs a command that must fail with a line containing `expected`, and change nothing.
fn check(store: &Store, arguments: &[&str], expected: &str) {
    let before = listing(store);
    let line = store.fails(arguments);
    assert!(
        line.contains(expected),
        "{arguments:?}: {line:?} lacks {expected:?}"
    );
    assert_eq!(listing(store), before, "{arguments:?} changed the store");
}

fn listing(store: &Store) -> String {
    String::from_utf8(store.ok(["ls", "-R", "--json", "/"])).expect("UTF-8")
}

#[test]
fn bad_paths() {
    let store = stocked();
    let file = store.local("local");
    std::fs::write(&file, b"x").expect("writable");
    let file = file.to_str().expect("UTF-8");
    let long_name = format!("/{}", "n".repeat(256));
    let long_path = "/dir".repeat(1025);
    for (path, expected) in [
        ("/dir/../file", "'..'"),
        ("dir/file", "start it with '/'"),
        ("", "start it with '/'"),
        (long_name.as_str(), "longer than 255"),
        (long_path.as_str(), "longer than 4096"),
    ] {
        check(&store, &["put", file, path], expected);
        check(&store, &["mkdir", path], expected);
        check(&store, &["cat", path], expected);
        check(&store, &["rm", "-r", path], expected);
        check(&store, &["mv", "/dir/file", path], expected);
        check(&store, &["ln", "-s", "x", path], expected);
    }
}

#[test]
fn what_is_not_there() {
    let store = stocked();
    let copy = store.local("copy");
    let copy = copy.to_str().expect("UTF-8");
    for arguments in [
        &["cat", "/none"][..],
        &["ls", "/none"],
        &["stat", "/none"],
        &["du", "/none"],
        &["tree", "/none"],
        &["rm", "/none"],
        &["mv", "/none", "/else"],
        &["ln", "/none", "/else"],
        &["get", "/none", copy],
    ] {
        check(&store, arguments, "/none");
    }
    check(&store, &["mkdir", "/missing/child"], "/missing");
    check(&store, &["mv", "/dir/file", "/missing/file"], "/missing");
    check(&store, &["ln", "/dir/file", "/missing/file"], "/missing");
    check(
        &store,
        &["put", "/no/such/local/file", "/x"],
        "/no/such/local/file",
    );
    check(
        &store,
        &["get", "/dir", "/no/such/local/folder/x"],
        "/no/such/local/folder",
    );
    assert!(!Path::new(copy).exists(), "a failed get left something");
}

#[test]
fn what_is_something_else() {
    let store = stocked();
    let file = store.local("local");
    std::fs::write(&file, b"x").expect("writable");
    let file = file.to_str().expect("UTF-8");
    check(&store, &["put", file, "/dir/file/below"], "/dir/file");
    check(&store, &["mkdir", "/dir/file/below"], "/dir/file");
    check(&store, &["mkdir", "-p", "/dir/file"], "/dir/file");
    check(&store, &["mkdir", "/dir"], "/dir");
    check(&store, &["cat", "/dir"], "/dir");
    check(&store, &["rm", "/dir"], "-r");
    check(&store, &["rm", "-d", "/dir"], "/dir");
    check(&store, &["rm", "-r", "/"], "root");
    check(&store, &["mv", "/dir", "/dir/below"], "/dir");
    check(&store, &["ln", "/dir", "/second"], "/dir");
    check(
        &store,
        &[
            "put",
            store.local(".").to_str().expect("UTF-8"),
            "/dir/file",
        ],
        "/dir/file",
    );
}

#[test]
fn bad_options_of_a_store() {
    let store = Store::new();
    let plain = store.local("plain");
    std::fs::write(&plain, b"not a store").expect("writable");
    let plain = plain.to_str().expect("UTF-8");
    let fails = |arguments: &[&str], expected: &str| {
        let line = store.fails(arguments);
        assert!(
            line.contains(expected),
            "{arguments:?}: {line:?} lacks {expected:?}"
        );
    };
    fails(&["ls", "--dir", plain], plain);
    fails(&["ls", "--server", "127.0.0.1:1"], "127.0.0.1:1");
    fails(&["ls", "--server", "no port"], "no port");
    fails(
        &["init", "--objects", "ftp://host/path"],
        "use file:///path",
    );
    fails(&["init", "--objects", "file://relative"], "file://relative");
    fails(&["serve", "--listen", "0.0.0.0:0"], "0.0.0.0");
    let foreign = store.local("foreign");
    std::fs::create_dir(&foreign).expect("new");
    std::fs::write(foreign.join("thesis.tex"), b"mine").expect("writable");
    fails(
        &["init", "--dir", foreign.to_str().expect("UTF-8")],
        "thesis.tex",
    );
}

#[test]
fn a_store_is_opened_once() {
    let store = stocked();
    let server = store.serve::<&str>([]);
    let line = store.fails(["serve"]);
    assert!(
        line.contains(store.dir().to_str().expect("UTF-8")),
        "{line}"
    );
    // The first server is unharmed.
    assert_eq!(store.ok(["cat", "/dir/file"]), b"content");
    drop::<Server>(server);
    // A command that works in process holds the store as long as it runs.
    let mut put = store
        .command(["put", "--verbose", "-", "/held"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut input = put.stdin.take().expect("piped");
    // More than a pipe holds: when this is through, the store is open.
    input.write_all(&vec![1; 1 << 20]).expect("it reads");
    let line = store.fails(["ls"]);
    assert!(
        line.contains(store.dir().to_str().expect("UTF-8")),
        "{line}"
    );
    drop(input);
    assert!(put.wait_with_output().expect("it ends").status.success());
    assert_eq!(store.ok(["ls", "/"]), b"dir\nheld\n");
}

#[test]
fn an_unreachable_object_store() {
    let store = Store::new()
        .with("NOKV_OBJECTS", "s3://bucket/prefix")
        .with("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        .with("AWS_ACCESS_KEY_ID", "key")
        .with("AWS_SECRET_ACCESS_KEY", "secret");
    let file = store.local("file");
    std::fs::write(&file, vec![7; 100_000]).expect("writable");
    let line = store.fails(["put".as_ref(), file.as_os_str(), "/file".as_ref()]);
    assert!(line.contains("http://127.0.0.1:1"), "{line}");
}

/// A disk that has room for a small store and not for what is put.
#[test]
fn a_full_disk_loses_nothing() {
    let store = Store::new();
    let disk = Disk::mount(&store.local("disk"), 48);
    let store = store.with("NOKV_DIR", disk.path.join("store").to_str().expect("UTF-8"));
    let (small, large) = (store.local("small"), store.local("large"));
    let bytes = Random::new(21).bytes(200_000);
    std::fs::write(&small, &bytes).expect("writable");
    std::fs::write(&large, Random::new(22).bytes(64 << 20)).expect("writable");
    store.ok(["put".as_ref(), small.as_os_str(), "/small".as_ref()]);
    let line = store.fails(["put".as_ref(), large.as_os_str(), "/large".as_ref()]);
    assert!(line.contains("space"), "{line}");
    assert_eq!(store.ok(["ls", "/"]), b"small\n");
    assert!(store.ok(["cat", "/small"]) == bytes);
    // What the failed put left behind is collected, and there is room again.
    store.ok(["gc"]);
    store.ok(["put".as_ref(), small.as_os_str(), "/again".as_ref()]);
    assert!(store.ok(["cat", "/again"]) == bytes);
    // Not one byte left for the log: changes fail, and what was acknowledged stays.
    let filler = disk.fill();
    let inline = Random::new(23).bytes(4000);
    let mut names = vec!["again".to_owned(), "small".to_owned()];
    let line = loop {
        let name = format!("inline-{:03}", names.len());
        let outcome = store.run_with_input(&["put", "-", &format!("/{name}")], &inline);
        if outcome.code != Some(0) {
            break outcome.assert_failed();
        }
        names.push(name);
        assert!(names.len() < INLINE_FILES_MAX, "the disk is never full");
    };
    assert!(line.contains("space"), "{line}");
    std::fs::remove_file(filler).expect("ours");
    names.sort();
    let listing = String::from_utf8(store.ok(["ls", "/"])).expect("UTF-8");
    assert_eq!(
        listing.lines().collect::<Vec<_>>(),
        names,
        "the failed put is there, or others are not"
    );
    store.ok(["mkdir", "/room"]);
    assert!(store.ok(["cat", "/small"]) == bytes);
}

/// Inline files that a log has room for without growing, and then some.
const INLINE_FILES_MAX: usize = 500;

/// A small file system in memory; needs root, which CI and containers have.
struct Disk {
    path: std::path::PathBuf,
}

impl Disk {
    fn mount(path: &Path, size_mib: u32) -> Self {
        std::fs::create_dir(path).expect("new");
        let size = format!("size={size_mib}m");
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(path)
            .output()
            .expect("mount is installed");
        assert!(
            output.status.success(),
            "this test mounts a tmpfs and needs root: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Self {
            path: path.to_owned(),
        }
    }

    /// Takes all the room that is left; the file to remove.
    fn fill(&self) -> std::path::PathBuf {
        let path = self.path.join("filler");
        let mut file = std::fs::File::create(&path).expect("an inode is free");
        while file.write_all(&[0; 4096]).is_ok() {}
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whatever still uses it keeps it until it ends.
        drop(
            Command::new("umount")
                .arg("--lazy")
                .arg(&self.path)
                .status(),
        );
    }
}
