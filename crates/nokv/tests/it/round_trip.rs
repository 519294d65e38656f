//! A tree of everything nasty is put and got back identical, all three ways of reaching a store.

use crate::program::{Server, Store};
use crate::tree::{assert_diff_is_empty, assert_same, make_nasty};

/// How the commands of a test reach the store.
fn round_trip(store: &Store, seed: u64, options: &[&str]) {
    println!("seed {seed}");
    let (source, copy) = (store.local("source"), store.local("copy"));
    make_nasty(&source, seed);
    let run = |arguments: &[&std::ffi::OsStr]| {
        store.ok(options
            .iter()
            .map(std::ffi::OsStr::new)
            .chain(arguments.iter().copied()))
    };
    run(&["put".as_ref(), source.as_ref(), "/tree".as_ref()]);
    run(&["get".as_ref(), "/tree".as_ref(), copy.as_ref()]);
    assert_same(&source, &copy);
    assert_diff_is_empty(&source, &copy);
}

#[test]
fn a_nasty_tree_comes_back_identical_in_process() {
    round_trip(&Store::new(), 1, &[]);
}

#[test]
fn a_nasty_tree_comes_back_identical_over_the_socket() {
    let store = Store::new();
    let server = store.serve::<&str>([]);
    round_trip(&store, 2, &[]);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_nasty_tree_comes_back_identical_over_tcp() {
    let store = Store::new();
    let server = store.serve(["--listen", "127.0.0.1:0"]);
    // From a home of its own: nothing but the address leads to the store.
    let elsewhere = Store::new();
    round_trip(&elsewhere, 3, &["--server", &server.address()]);
    assert!(!elsewhere.dir().exists(), "a client made a store");
    drop::<Server>(server);
}

#[test]
fn what_was_put_in_process_is_read_through_a_server_and_back() {
    let store = Store::new();
    let source = store.local("source");
    make_nasty(&source, 4);
    store.ok(["put".as_ref(), source.as_os_str(), "/tree".as_ref()]);
    let server = store.serve::<&str>([]);
    let copy = store.local("copy");
    store.ok(["get".as_ref(), "/tree".as_ref(), copy.as_os_str()]);
    assert_same(&source, &copy);
    let usage = store.ok(["du", "-s", "/tree", "--json"]);
    server.kill();
    assert_eq!(store.ok(["du", "-s", "/tree", "--json"]), usage);
}

#[test]
fn putting_again_replaces_and_putting_into_a_directory_nests() {
    let store = Store::new();
    let source = store.local("source");
    std::fs::create_dir(&source).expect("new");
    std::fs::write(source.join("a"), b"first").expect("writable");
    let put = |local: &std::path::Path| {
        store.ok(["put".as_ref(), local.as_os_str(), "/tree".as_ref()]);
    };
    put(&source);
    assert_eq!(store.ok(["cat", "/tree/a"]), b"first");
    // As `cp -r`: the destination is a directory now.
    put(&source);
    assert_eq!(store.ok(["cat", "/tree/source/a"]), b"first");
    std::fs::write(source.join("a"), b"second").expect("writable");
    put(&source.join("."));
    assert_eq!(store.ok(["cat", "/tree/a"]), b"second");
    assert_eq!(store.ok(["cat", "/tree/source/a"]), b"first");
}

#[test]
fn standard_input_becomes_a_file() {
    let store = Store::new();
    let bytes = crate::random::Random::new(5).bytes(9 << 20);
    store.ok_with_input(&["put", "-", "/from/stdin"], &bytes);
    assert!(store.ok(["cat", "/from/stdin"]) == bytes);
    store.ok_with_input(&["put", "-", "/from/nothing"], b"");
    assert_eq!(store.ok(["cat", "/from/nothing"]), b"");
}
