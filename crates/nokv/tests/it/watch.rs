//! Watching: ready, order, each change once, across kills and restarts.

use crate::program::Store;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};

/// A running `nokv watch --json`.
struct Watch {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Watch {
    fn start(store: &Store, arguments: &[&str]) -> (Self, String) {
        let mut child = store
            .command(["watch", "--json"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let lines = BufReader::new(child.stdout.take().expect("piped"));
        let mut watch = Self { child, lines };
        let ready = watch.next();
        assert_eq!(ready["event"], "ready");
        let cursor = ready["cursor"].as_str().expect("text").to_owned();
        (watch, cursor)
    }

    fn next(&mut self) -> serde_json::Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("text");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line:?}"))
    }

    /// The next changes: what happened, and where.
    fn heard(&mut self, count: usize) -> Vec<(String, String, String)> {
        let part = |value: &serde_json::Value| value.as_str().unwrap_or("?").to_owned();
        (0..count)
            .map(|_| self.next())
            .map(|line| {
                (
                    part(&line["event"]),
                    part(&line["path"]),
                    part(&line["cursor"]),
                )
            })
            .collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn shown(heard: &[(String, String, String)]) -> Vec<String> {
    heard
        .iter()
        .map(|(event, path, _)| format!("{event} {path}"))
        .collect()
}

#[test]
fn each_change_is_told_once_in_order_across_kills_of_both_sides() {
    let store = Store::new();
    store.ok(["mkdir", "-p", "/in/deep", "/out"]);
    let server = store.serve::<&str>([]);
    let (mut watch, start) = Watch::start(&store, &["/in"]);
    store.ok_with_input(&["put", "-", "/out/no"], b"not in scope");
    store.ok_with_input(&["put", "-", "/in/deep/f"], b"1");
    store.ok(["mv", "/in/deep/f", "/out/g"]);
    let first = watch.heard(2);
    assert_eq!(shown(&first), ["created /in/deep/f", "renamed /out/g"]);
    drop(watch);
    store.ok(["mv", "/out/g", "/in/h"]);
    drop(server);
    let _server = store.serve::<&str>([]);
    store.ok(["rm", "/in/h"]);
    let (mut watch, resumed) = Watch::start(&store, &["/in", "--from", &first[1].2]);
    assert_eq!(resumed, first[1].2);
    assert_eq!(shown(&watch.heard(2)), ["renamed /in/h", "removed /in/h"]);
    store.ok(["snapshot", "create", "/in", "s"]);
    store.ok(["quota", "set", "/in", "--inodes", "9"]);
    assert_eq!(shown(&watch.heard(2)), ["snapshot /in", "quota /in"]);
    let all = ["--from", start.as_str(), "--count", "6", "/in"];
    let (mut again, _) = Watch::start(&store, &all);
    let heard = again.heard(6);
    assert_eq!(heard[..2], first[..]);
    assert_eq!(shown(&heard)[4..], ["snapshot /in", "quota /in"]);
    assert!(again.child.wait().expect("it ends").success());
}

#[test]
fn a_watch_goes_on_in_the_middle_of_a_command() {
    let store = Store::new();
    store.ok(["mkdir", "/runs"]);
    let source = store.local("source");
    std::fs::create_dir(&source).expect("new");
    for name in ["a", "b", "c", "d"] {
        std::fs::write(source.join(name), name).expect("writable");
    }
    let _server = store.serve::<&str>([]);
    let (mut watch, _) = Watch::start(&store, &["/"]);
    store.ok(["put", source.to_str().expect("UTF-8"), "/runs/1"]);
    let whole = watch.heard(5);
    for from in 0..5 {
        let (mut resumed, _) = Watch::start(&store, &["--from", &whole[from].2, "/"]);
        assert_eq!(resumed.heard(4 - from), whole[from + 1..], "from {from}");
    }
}

#[test]
fn cursors_that_can_not_be_used_say_so() {
    let store = Store::new();
    store.ok(["mkdir", "/d"]);
    let early = store.fails(["watch", "--from", "1", "/d"]);
    assert!(
        early.contains("retained") || early.contains("not exist"),
        "{early}"
    );
    let wrong = store.fails(["watch", "--from", "x", "/d"]);
    assert!(wrong.contains("cursor"), "{wrong}");
    assert!(store.fails(["watch", "/none"]).contains("/none"));
}
