//! Shards, placement and mending from the command line.

use crate::program::Store;
use nokv_engine::{Batch, Direction, Durability, Engine, KeyRange, Keyspace};
use nokv_env::Env;
use nokv_types::Version;

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("UTF-8")
}

fn json_lines(bytes: &[u8]) -> Vec<serde_json::Value> {
    let lines = bytes.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_slice(line).expect("JSON"))
        .collect()
}

#[test]
fn shards_are_added_and_directories_placed() {
    let store = Store::new();
    store.ok(["init", "--shards", "2"]);
    assert_eq!(json_lines(&store.ok(["shards", "--json"])).len(), 2);
    store.ok(["shards", "add", "4"]);
    store.ok(["mkdir", "/runs"]);
    let set = json_lines(&store.ok(["placement", "set", "/runs", "spread", "--json"]));
    assert_eq!(
        (&set[0]["own"], &set[0]["shard"]),
        (&"spread".into(), &0.into())
    );
    let mut shards = std::collections::BTreeSet::new();
    for run in 0..12 {
        let path = format!("/runs/{run}");
        store.ok(["mkdir", &path]);
        store.ok_with_input(&["put", "-", &format!("{path}/log")], b"x");
        let placed = json_lines(&store.ok(["placement", "get", &path, "--json"]));
        shards.insert(placed[0]["shard"].as_u64());
    }
    assert!(shards.len() > 1, "{shards:?}");
    store.ok(["mv", "/runs/1/log", "/runs/2/moved"]);
    store.ok(["placement", "unset", "/runs"]);
    store.ok(["placement", "mount", "default", "least-loaded"]);
    let placed = text(store.ok(["placement", "get", "/runs"]));
    assert_eq!(placed, "shard 0  least-loaded (the mount's)  /runs\n");
    assert!(text(store.ok(["fsck"])).starts_with("checked "));
    assert!(
        store
            .fails(["shards", "add", "1000"])
            .contains("at most 256")
    );
}

/// Deletes the first record of a keyspace of a store at rest.
fn lose(store: &Store, keyspace: u8) {
    let dir = store.dir().join("meta");
    let options = nokv_engine::Options::default();
    let engine = Engine::open(Env::real(), &dir, options).expect("opens");
    let keyspace = Keyspace::new(keyspace);
    let newest = engine.last_version();
    let mut scan = engine
        .scan(keyspace, KeyRange::all(), Version::MAX, Direction::Forward)
        .expect("scans");
    let (key, _) = scan.next().expect("one").expect("read");
    drop(scan);
    let mut batch = Batch::new();
    batch.delete(keyspace, &key, newest.next());
    engine.write(batch, Durability::Synced).expect("written");
    engine.close().expect("closed");
}

#[test]
fn fsck_plans_and_applies_what_mends_the_store() {
    const COUNTERS: u8 = 6;
    let store = Store::new();
    store.ok(["mkdir", "/dir"]);
    store.ok_with_input(&["put", "-", "/dir/file"], b"x");
    let plan = store.dir().parent().expect("a folder").join("plan.jsonl");
    let plan = plan.to_str().expect("UTF-8");
    store.ok(["fsck", "--plan", plan]);
    assert!(text(store.ok(["fsck", "--apply", plan])).is_empty());
    lose(&store, COUNTERS);
    let outcome = store.run(["fsck", "--plan", plan]);
    assert_eq!(outcome.code, Some(1));
    let shown = text(outcome.stdout);
    assert!(
        shown.contains("WrongCount") && shown.contains("to mend it: add"),
        "{shown}"
    );
    assert!(
        store.fails(["fsck"]).contains("problem"),
        "nothing was changed yet"
    );
    let done = text(store.ok(["fsck", "--apply", plan]));
    assert!(done.starts_with("done: add"), "{done}");
    store.ok(["fsck"]);
    let again = store.run(["fsck", "--apply", plan]);
    assert_eq!(again.code, Some(1), "the state has moved");
    assert!(text(again.stdout).starts_with("refused: add"));
    assert_eq!(text(store.ok(["ls", "/dir"])), "file\n");
}
