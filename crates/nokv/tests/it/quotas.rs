//! Quotas from the command line.

use crate::program::Store;

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("UTF-8")
}

fn json(bytes: Vec<u8>) -> serde_json::Value {
    serde_json::from_slice(&bytes).expect("one JSON value")
}

#[test]
fn quotas_are_set_met_listed_checked_and_removed() {
    let store = Store::new();
    store.ok_with_input(&["put", "-", "/team/a/one"], &[1; 3000]);
    let set = json(store.ok([
        "quota", "set", "/team", "--bytes", "4KiB", "--inodes", "5", "--json",
    ]));
    assert_eq!((&set["bytes"], &set["inodes"]), (&3000.into(), &2.into()));
    let refused = store.run_with_input(&["put", "--json", "-", "/team/a/two"], &[1; 2000]);
    assert_eq!(refused.code, Some(1));
    let line = refused.stderr.lines().last().expect("one line").to_owned();
    let error: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(error["error"]["code"], "QuotaExceeded");
    let message = error["error"]["message"].as_str().expect("text");
    assert!(
        message.contains("/team") && message.contains("4096"),
        "{message}"
    );
    assert_eq!(text(store.ok(["ls", "/team/a"])), "one\n");
    store.ok_with_input(&["put", "-", "/team/a/two"], &[1; 1000]);
    let listed = text(store.ok(["quota", "ls"]));
    assert_eq!(listed, "3.9 KiB of 4.0 KiB 3 names of 5  /team\n");
    assert!(text(store.ok(["quota", "check", "/team"])).contains("counted right"));
    store.ok(["quota", "set", "/", "--inodes", "100"]);
    let all = json(store.ok(["quota", "get", "/", "--json"]));
    assert_eq!(all["bytes_limit"], serde_json::Value::Null);
    assert_eq!(all["inodes"], 4);
    let checked = text(store.ok(["fsck"]));
    assert!(
        checked.starts_with("checked 5 nodes, 4 entries"),
        "{checked}"
    );
    let checked = json(store.ok(["fsck", "--json"]));
    assert_eq!(checked["problems"], 0);
    store.ok(["quota", "rm", "/team"]);
    store.ok_with_input(&["put", "-", "/team/a/three"], &[1; 5000]);
    let none = store.fails(["quota", "get", "/team"]);
    assert!(none.contains("no quota"), "{none}");
    assert_eq!(store.run(["quota", "set", "/team"]).code, Some(2));
}
