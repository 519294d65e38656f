//! Reading the past: by name, by version, by time; collected around, expired, removed.

use crate::program::Store;

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("UTF-8")
}

fn json(bytes: Vec<u8>) -> serde_json::Value {
    serde_json::from_slice(&bytes).expect("one JSON value")
}

/// The whole story, whichever way the store is reached.
fn past_stays_readable(store: &Store) {
    let (before, after) = (vec![b'1'; 300_000], vec![b'2'; 300_000]);
    store.ok_with_input(&["put", "-", "/runs/42/model"], &before);
    store.ok_with_input(&["put", "-", "/runs/42/gone"], b"gone");
    let made = json(store.ok(["snapshot", "create", "/runs/42", "best", "--json"]));
    assert_eq!(made["path"], "/runs/42");
    assert_eq!(made["expires"], serde_json::Value::Null);
    let version = made["version"].to_string();
    store.ok_with_input(&["put", "-", "/runs/42/model"], &after);
    store.ok(["rm", "/runs/42/gone"]);
    store.ok(["gc", "--retention", "0s", "--end-reads"]);
    for at in ["best", version.as_str()] {
        assert_eq!(store.ok(["cat", "--at", at, "/runs/42/model"]), before);
        let names = text(store.ok(["ls", "--at", at, "/runs/42"]));
        assert_eq!(names, "gone\nmodel\n");
        let sum = text(store.ok(["du", "-s", "--at", at, "/runs/42"]));
        assert_eq!(sum, "300004  /runs/42\n");
        assert!(text(store.ok(["tree", "--at", at])).contains("gone"));
        let stat = json(store.ok(["stat", "--json", "--at", at, "/runs/42/gone"]));
        assert_eq!(stat["size"], 4);
        let copy = store.local(format!("copy-{at}"));
        let copy_text = copy.to_str().expect("UTF-8");
        store.ok(["get", "--at", at, "/runs/42/.", copy_text]);
        assert_eq!(std::fs::read(copy.join("model")).expect("got"), before);
    }
    assert_eq!(store.ok(["cat", "/runs/42/model"]), after);
    assert_eq!(store.ok(["cat", "--at", "-0s", "/runs/42/model"]), after);
    let failed = store.fails(["ls", "--at", "1h ago", "/"]);
    assert!(failed.contains("retained"), "{failed}");
    assert!(store.fails(["ls", "--at", "none", "/"]).contains("none"));
    assert!(
        store
            .fails(["ls", "--at", "1 beer", "/"])
            .contains("moment")
    );
    let again = store.fails(["snapshot", "create", "/", "best"]);
    assert!(again.contains("exists already"), "{again}");
    store.ok(["snapshot", "create", "/runs", "again", "--at", "best"]);
    store.ok(["snapshot", "rm", "best"]);
    store.ok(["gc", "--retention", "0s", "--end-reads"]);
    let model = "/runs/42/model";
    assert_eq!(store.ok(["cat", "--at", "again", model]), before);
    store.ok(["snapshot", "rm", "again"]);
    store.ok(["gc", "--retention", "0s", "--end-reads"]);
    assert!(
        store
            .fails(["cat", "--at", "again", model])
            .contains("again")
    );
    let failed = store.fails(["cat", "--at", version.as_str(), model]);
    assert!(failed.contains("retained"), "{failed}");
}

#[test]
fn the_past_stays_readable_in_process() {
    past_stays_readable(&Store::new());
}

#[test]
fn the_past_stays_readable_through_a_server() {
    let store = Store::new();
    store.ok(["init"]);
    let _server = store.serve::<&str>([]);
    past_stays_readable(&store);
}

#[test]
fn leases_end_and_say_so() {
    let store = Store::new();
    store.ok_with_input(&["put", "-", "/f"], b"x");
    store.ok(["snapshot", "create", "/", "short", "--lease", "1ms"]);
    store.ok(["snapshot", "create", "/", "long", "--lease", "1h"]);
    let failed = store.run(["cat", "/f", "--at", "short", "--json"]);
    let error: serde_json::Value = serde_json::from_str(&failed.stderr).expect("JSON");
    assert_eq!(error["error"]["code"], "SnapshotExpired");
    let renewed = store.fails(["snapshot", "renew", "short", "--lease", "1h"]);
    assert!(renewed.contains("ended"), "{renewed}");
    let longer = json(store.ok(["snapshot", "renew", "long", "--lease", "2h", "--json"]));
    let shorter = json(store.ok(["snapshot", "renew", "long", "--lease", "1s", "--json"]));
    assert_eq!(longer, shorter);
    store.ok(["snapshot", "renew", "long", "--permanent"]);
    let listed = text(store.ok(["snapshot", "ls"]));
    let lines: Vec<Vec<&str>> = listed
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!((lines[0][0], lines[0][3]), ("long", "permanent"));
    assert_eq!((lines[1][0], lines[1][3]), ("short", "expired"));
    assert_eq!(store.run(["snapshot", "renew", "long"]).code, Some(2));
    assert_eq!(store.run(["snapshot", "create", "/", "1st"]).code, Some(2));
}
