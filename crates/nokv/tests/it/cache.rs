//! The cache of the machine, through the commands that fill it, look after it and read from it.

use crate::program::Store;
use std::path::{Path, PathBuf};

const DIR: &str = "NOKV_CACHE_DIR";

/// A store of a large file and some small ones, with a cache by name: its objects are local.
fn store() -> (Store, PathBuf) {
    let store = Store::new();
    let cache = store.local("cache");
    let store = store.with(DIR, cache.to_str().expect("UTF-8"));
    let source = store.local("source");
    std::fs::create_dir_all(source.join("small")).expect("made");
    let large: Vec<u8> = (0..9_000_000_u32).map(|at| (at >> 3) as u8).collect();
    std::fs::write(source.join("large"), large).expect("written");
    for number in 0..40_u8 {
        let path = source.join(format!("small/{number}"));
        std::fs::write(path, vec![number; 10_000]).expect("written");
    }
    store.ok(["put", "--quiet", source.to_str().expect("UTF-8"), "/data"]);
    (store, cache)
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("listing") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(files_below(&path)),
            false => found.push(path),
        }
    }
    found
}

fn json(bytes: &[u8]) -> serde_json::Value {
    serde_json::from_slice(bytes).expect("one value")
}

#[test]
fn what_is_warm_is_read_without_the_objects_and_damage_is_found() {
    let (store, cache) = store();
    let warmed = json(&store.ok(["warmup", "--json", "/data"]));
    assert_eq!(
        (&warmed["files"], &warmed["failed"]),
        (&41.into(), &0.into())
    );
    assert_eq!(warmed["bytes"], 9_400_000);
    assert_eq!(warmed["fetched_bytes"], 9_400_000);
    let again = store.ok(["warmup", "/data"]);
    let again = String::from_utf8(again).expect("UTF-8");
    assert!(
        again.contains("41 files") && again.contains(" 0 B fetched"),
        "{again}"
    );
    // The objects are gone, as if their server were.
    let objects = store.dir().join("objects/blocks");
    let away = store.local("away");
    std::fs::rename(&objects, &away).expect("moved away");
    assert_eq!(store.ok(["cat", "/data/small/7"]), vec![7; 10_000]);
    let copy = store.local("copy");
    store.ok(["get", "--quiet", "/data", copy.to_str().expect("UTF-8")]);
    let read = |path: PathBuf| std::fs::read(path).expect("readable");
    assert_eq!(read(copy.join("large")), read(store.local("source/large")));
    std::fs::rename(&away, &objects).expect("moved back");

    let sound = String::from_utf8(store.ok(["cache", "check"])).expect("UTF-8");
    assert!(sound.contains("all sound"), "{sound}");
    let largest = files_below(&cache)
        .into_iter()
        .max_by_key(|path| path.metadata().expect("there").len())
        .expect("entries");
    let mut bytes = std::fs::read(&largest).expect("readable");
    bytes[1_000_000] ^= 1;
    std::fs::write(&largest, bytes).expect("damaged");
    assert!(
        store
            .fails(["cache", "check", "--dry-run"])
            .contains("damaged")
    );
    let checked = String::from_utf8(store.ok(["cache", "check", "--json"])).expect("UTF-8");
    let (damage, sum) = checked.trim_end().split_once('\n').expect("two lines");
    assert!(
        json(damage.as_bytes())["flaw"]
            .as_str()
            .is_some_and(|it| it.contains("999424"))
    );
    assert_eq!(json(sum.as_bytes())["damaged"], 1);
    assert!(!largest.exists());
    assert_eq!(
        store.ok(["cat", "/data/large"]),
        read(store.local("source/large"))
    );
}

#[test]
fn a_cache_is_listed_and_made_smaller() {
    let (store, cache) = store();
    assert!(store.fails(["cache", "ls"]).contains("does not exist"));
    store.ok(["cat", "/data/large"]);
    let listed = json(&store.ok(["cache", "ls", "--json"]));
    assert!(
        listed["bytes"]
            .as_u64()
            .is_some_and(|bytes| bytes >= 8 << 20),
        "{listed}"
    );
    let long = String::from_utf8(store.ok(["cache", "ls", "--long"])).expect("UTF-8");
    assert_eq!(
        long.lines().count() as u64,
        listed["entries"].as_u64().expect("a number")
    );
    assert_eq!(store.run(["cache", "evict"]).code, Some(2));
    let evicted = json(&store.ok(["cache", "evict", "--to", "5MiB", "--json"]));
    assert!(
        evicted["remaining_bytes"]
            .as_u64()
            .is_some_and(|left| left <= 5 << 20)
    );
    store.ok(["cache", "evict", "--all"]);
    let left = files_below(&cache);
    assert!(
        left.iter().all(|path| path.parent() == Some(&cache)),
        "{left:?}"
    );
}

#[test]
fn local_objects_need_no_cache_and_none_means_none() {
    let store = Store::new();
    store.ok_with_input(&["put", "-", "/a"], &[1; 100_000]);
    store.ok(["cat", "/a"]);
    assert!(
        !store.local(".cache").exists(),
        "the objects are on this disk already"
    );
    let line = store.fails(["warmup", "/a"]);
    assert!(line.contains("no cache on disk"), "{line}");
    let store = store.with(DIR, "none");
    assert!(store.fails(["cache", "ls"]).contains("--cache-dir"));
    let small = store.fails(["cat", "--cache-size", "1MiB", "/a"]);
    assert!(small.contains("64 MiB"), "{small}");
}
