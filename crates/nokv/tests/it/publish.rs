//! `nokv publish`: all or nothing, pointers, conditions, and a process that is killed on the way.

use crate::program::Store;
use std::io::Read;
use std::process::Stdio;

fn tree(store: &Store, files: usize, bytes: usize) -> std::path::PathBuf {
    let local = store.local("tree");
    std::fs::create_dir(&local).expect("new");
    for index in 0..files {
        let byte = u8::try_from(index % 200).expect("a byte");
        std::fs::write(local.join(format!("f{index:04}")), vec![byte; bytes]).expect("writable");
    }
    local
}

fn json(answer: &[u8]) -> serde_json::Value {
    serde_json::from_slice(answer).expect("JSON")
}

#[test]
fn a_directory_is_published_with_its_pointer_and_conditions() {
    let store = Store::new();
    let local = tree(&store, 3, 10_000);
    let local = local.to_str().expect("UTF-8");
    let answer = store.ok(["publish", local, "/ckpt/1", "--latest", "latest", "--json"]);
    let answer = json(&answer);
    assert_eq!(
        (&answer["files"], &answer["bytes"]),
        (&3.into(), &30_000.into())
    );
    assert_eq!(store.ok(["ls", "/ckpt/latest"]), b"f0000\nf0001\nf0002\n");
    let text = store.ok([
        "publish",
        local,
        "/ckpt/2",
        "--latest",
        "latest",
        "--if-absent",
    ]);
    let text = String::from_utf8(text).expect("UTF-8");
    assert_eq!(
        text,
        "published 3 files, 29.3 KiB, at /ckpt/2; latest leads to it\n"
    );
    let refused = store.fails(["publish", local, "/ckpt/2", "--if-absent"]);
    assert!(
        refused.contains("AlreadyExists") || refused.contains("exists"),
        "{refused}"
    );
    let file = store.local("tree/f0001");
    let file = file.to_str().expect("UTF-8");
    store.ok(["publish", file, "/state"]);
    store.ok(["publish", file, "/state", "--if-generation", "1"]);
    let refused = store.fails(["publish", file, "/state", "--if-generation", "1"]);
    assert!(refused.contains("generation 2"), "{refused}");
    let first = json(&store.ok(["publish", file, "/once", "--id", "x", "--json"]));
    let second = json(&store.ok(["publish", file, "/once", "--id", "x", "--json"]));
    assert_eq!(first["version"], second["version"]);
}

#[test]
fn a_killed_publish_is_resumed_by_the_same_command() {
    let store = Store::new();
    let local = tree(&store, 2_000, 9_000);
    let local = local.to_str().expect("UTF-8");
    store.ok(["mkdir", "/d"]);
    let mut resumed = 0;
    for round in 0..8 {
        let path = format!("/d/{round}");
        let arguments = ["publish", local, &path, "--jobs", "2"];
        let mut child = store
            .command(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let journals = store.local(".local/state/nokv/publish");
        // Until it has noted some files, or is done.
        while child.try_wait().expect("asked").is_none() {
            let noted = std::fs::read_dir(&journals).into_iter().flatten().flatten();
            let bytes = noted
                .filter_map(|entry| entry.metadata().ok())
                .map(|data| data.len());
            if bytes.sum::<u64>() > 60_000 * (1 + round % 3) {
                break;
            }
            std::thread::yield_now();
        }
        child.kill().expect("killed");
        child.wait().expect("ended");
        let mut said = String::new();
        child
            .stderr
            .take()
            .expect("piped")
            .read_to_string(&mut said)
            .expect("UTF-8");
        let done = json(&store.ok(["publish", local, &path, "--json"]));
        assert_eq!(done["files"], 2_000, "{said}");
        resumed += done["resumed_files"].as_u64().expect("a number");
        let listed = store.ok(["ls", &path]);
        assert_eq!(listed.iter().filter(|byte| **byte == b'\n').count(), 2_000);
    }
    assert!(resumed > 0, "no attempt was broken off in the middle");
    let back = store.local("back");
    let back = back.to_str().expect("UTF-8");
    store.ok(["get", "/d/3", back]);
    for index in [0, 700, 1_999] {
        let bytes = std::fs::read(format!("{back}/f{index:04}"))
            .or_else(|_| std::fs::read(format!("{back}/3/f{index:04}")));
        let byte = u8::try_from(index % 200).expect("a byte");
        assert!(bytes.expect("there") == vec![byte; 9_000], "{index}");
    }
    store.ok(["gc", "--abandon-uploads"]);
    store.ok(["fsck"]);
}
