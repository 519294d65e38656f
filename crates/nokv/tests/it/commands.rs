//! What each command answers.

use crate::program::Store;
use std::process::Stdio;

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("UTF-8")
}

fn lines(store: &Store, arguments: &[&str]) -> Vec<serde_json::Value> {
    let answer = text(store.ok(arguments));
    answer
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn directories_are_made_and_listed() {
    let store = Store::new();
    store.ok(["mkdir", "/a", "/b"]);
    store.ok(["mkdir", "-p", "-m", "700", "/a/deep/er"]);
    store.ok(["mkdir", "-p", "/a/deep/er"]);
    store.ok_with_input(&["put", "-", "/a/file"], b"12345");
    assert_eq!(text(store.ok(["ls"])), "a\nb\n");
    assert_eq!(text(store.ok(["ls", "/a/file"])), "/a/file\n");
    assert_eq!(
        text(store.ok(["ls", "/a", "/b"])),
        "/a:\ndeep\nfile\n\n/b:\n"
    );
    assert_eq!(
        text(store.ok(["ls", "-R", "/a"])),
        "/a:\ndeep\nfile\n\n/a/deep:\ner\n\n/a/deep/er:\n"
    );
    let long = text(store.ok(["ls", "-l", "/a"]));
    let fields: Vec<Vec<&str>> = long
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(fields[0][0], "drwxr-xr-x", "{long}");
    assert_eq!((fields[1][0], fields[1][4]), ("-rw-r--r--", "5"), "{long}");
    let entries = lines(&store, &["ls", "--json", "/a"]);
    assert_eq!(entries[0]["path"], "/a/deep");
    assert_eq!(entries[0]["kind"], "directory");
    assert_eq!(entries[1]["size"], 5);
    assert_eq!(
        lines(&store, &["stat", "--json", "/a/deep/er"])[0]["mode"],
        "0700"
    );
}

#[test]
fn names_come_raw_through_a_pipe_and_lossless_in_json() {
    use std::os::unix::ffi::OsStrExt;
    let store = Store::new();
    let name = std::ffi::OsStr::from_bytes(b"/\xff\n");
    store.ok(["mkdir".as_ref(), name]);
    assert_eq!(store.ok(["ls"]), b"\xff\n\n");
    let entry = &lines(&store, &["ls", "--json"])[0];
    assert_eq!(entry["path_bytes"], "L/8K");
    assert!(entry.get("path").is_none());
}

#[test]
fn moving_replaces_refuses_nests_and_exchanges() {
    let store = Store::new();
    for (path, bytes) in [("/a", b"A"), ("/b", b"B"), ("/dir/c", b"C")] {
        store.ok_with_input(&["put", "-", path], bytes);
    }
    assert!(store.fails(["mv", "-n", "/a", "/b"]).contains("/b"));
    store.ok(["mv", "--exchange", "/a", "/b"]);
    assert_eq!(store.ok(["cat", "/a", "/b"]), b"BA");
    store.ok(["mv", "/a", "/b"]);
    assert_eq!(store.ok(["cat", "/b"]), b"B");
    store.ok(["mv", "/b", "/dir"]);
    assert_eq!(text(store.ok(["ls", "/dir"])), "b\nc\n");
    store.ok(["mv", "/dir", "/moved"]);
    assert_eq!(store.ok(["cat", "/moved/b", "/moved/c"]), b"BC");
    assert_eq!(text(store.ok(["ls"])), "moved\n");
}

#[test]
fn links_lead_where_they_say() {
    let store = Store::new();
    store.ok_with_input(&["put", "-", "/runs/42/out"], b"result");
    store.ok(["ln", "-s", "42", "/runs/latest"]);
    store.ok(["ln", "/runs/42/out", "/second"]);
    assert_eq!(
        store.ok(["cat", "/runs/latest/out", "/second"]),
        b"resultresult"
    );
    assert_eq!(text(store.ok(["ls", "/runs/latest"])), "out\n");
    assert!(text(store.ok(["ls", "-l", "/runs"])).contains("latest -> 42\n"));
    let stat = &lines(&store, &["stat", "--json", "/runs/latest"])[0];
    assert_eq!(
        (&stat["kind"], &stat["target"]),
        (&"symlink".into(), &"42".into())
    );
    assert_eq!(
        lines(&store, &["stat", "-L", "--json", "/runs/latest"])[0]["kind"],
        "directory"
    );
    assert_eq!(lines(&store, &["stat", "--json", "/second"])[0]["links"], 2);
    store.fails(["ln", "-s", "43", "/runs/latest"]);
    store.ok(["ln", "-sf", "43", "/runs/latest"]);
    assert!(store.fails(["cat", "/runs/latest/out"]).contains("/runs"));
    store.ok(["rm", "/runs/42/out"]);
    assert_eq!(store.ok(["cat", "/second"]), b"result");
}

#[test]
fn removing_takes_what_it_is_told_to() {
    let store = Store::new();
    store.ok(["mkdir", "-p", "/empty", "/full/of/things"]);
    store.ok_with_input(&["put", "-", "/full/file"], b"x");
    store.ok(["rm", "-d", "/empty"]);
    store.ok(["rm", "-f", "/empty"]);
    store.ok(["rm", "/full/file"]);
    store.ok(["rm", "-r", "/full"]);
    assert_eq!(text(store.ok(["ls"])), "");
}

#[test]
fn sums_and_trees() {
    let store = Store::new();
    store.ok_with_input(&["put", "-", "/r/a/one"], &[1; 1000]);
    store.ok_with_input(&["put", "-", "/r/b/two"], &[2; 24]);
    assert_eq!(
        text(store.ok(["du", "/r"])),
        "1000  /r/a\n  24  /r/b\n1024  /r\n"
    );
    assert_eq!(text(store.ok(["du", "-s", "-h", "/r"])), "1.0 KiB  /r\n");
    assert_eq!(
        lines(&store, &["du", "-s", "--json", "/r"])[0]["bytes"],
        1024
    );
    assert_eq!(
        text(store.ok(["tree", "/r"])),
        "/r\n├── a\n│   └── one\n└── b\n    └── two\n\n2 directories, 2 files\n"
    );
    assert_eq!(
        text(store.ok(["tree", "-d", "-L", "1", "/"])),
        "/\n└── r\n\n1 directory\n"
    );
}

#[test]
fn errors_in_json_carry_their_code() {
    let store = Store::new();
    store.ok(["init"]);
    let outcome = store.run(["cat", "/none", "--json"]);
    assert_eq!(outcome.code, Some(1));
    let error: serde_json::Value = serde_json::from_str(&outcome.stderr).expect("JSON");
    assert_eq!(error["error"]["code"], "NotFound");
    assert!(
        error["error"]["message"]
            .as_str()
            .is_some_and(|text| text.contains("/none"))
    );
}

#[test]
fn a_reader_that_goes_is_no_error() {
    let store = Store::new();
    store.ok_with_input(&["put", "-", "/big"], &vec![9; 8 << 20]);
    let mut cat = store
        .command(["cat", "/big"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut first = [0; 10];
    std::io::Read::read_exact(cat.stdout.as_mut().expect("piped"), &mut first).expect("bytes");
    drop(cat.stdout.take());
    let output = cat.wait_with_output().expect("it ends");
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success());
}

#[test]
fn put_tells_each_durable_path() {
    let store = Store::new();
    let source = store.local("source");
    std::fs::create_dir(&source).expect("new");
    std::fs::write(source.join("a"), b"a").expect("writable");
    std::fs::write(source.join("b"), b"b").expect("writable");
    let source = source.to_str().expect("UTF-8");
    let mut paths: Vec<_> = lines(&store, &["put", "--json", source, "/x"])
        .into_iter()
        .filter_map(|line| line["path"].as_str().map(str::to_owned))
        .collect();
    paths.sort();
    assert_eq!(paths, ["/x", "/x/a", "/x/b"]);
    let told = text(store.ok(["put", "--verbose", source, "/y"]));
    let mut told: Vec<_> = told.lines().collect();
    told.sort_unstable();
    assert_eq!(told, ["/y", "/y/a", "/y/b"]);
    assert_eq!(text(store.ok(["put", source, "/z"])), "");
}

#[test]
fn a_command_that_reads_makes_no_store() {
    let store = Store::new();
    for command in [
        &["ls"][..],
        &["cat", "/x"],
        &["rm", "/x"],
        &["status"],
        &["gc"],
    ] {
        let line = store.fails(command);
        assert!(
            line.contains(store.dir().to_str().expect("UTF-8")),
            "{line}"
        );
    }
    assert!(!store.dir().exists());
}

#[test]
fn two_puts_at_once_are_both_whole() {
    let store = Store::new();
    let server = store.serve::<&str>([]);
    store.ok(["mkdir", "/both"]);
    let sources = ["first", "second"].map(|name| store.local(name));
    let puts: Vec<_> = sources
        .iter()
        .enumerate()
        .map(|(index, source)| {
            crate::tree::make_nasty(source, 41 + index as u64);
            let put = ["put".as_ref(), source.as_os_str(), "/both".as_ref()];
            store
                .command(put)
                .stderr(Stdio::piped())
                .spawn()
                .expect("the binary runs")
        })
        .collect();
    for put in puts {
        let output = put.wait_with_output().expect("it ends");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    for source in &sources {
        let name = source.file_name().expect("a name").to_str().expect("UTF-8");
        let copy = store.local(format!("copy-{name}"));
        let path = format!("/both/{name}");
        store.ok(["get".as_ref(), path.as_ref(), copy.as_os_str()]);
        crate::tree::assert_same(source, &copy);
    }
    drop(server);
}

#[test]
fn an_interrupted_put_leaves_nothing() {
    let store = Store::new();
    store.ok_with_input(&["put", "-", "/kept"], b"before");
    let mut put = store
        .command(["put", "-", "/interrupted"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut input = put.stdin.take().expect("piped");
    // More than one block and a pipe: the upload has begun.
    std::io::Write::write_all(&mut input, &vec![1; 9 << 20]).expect("it reads");
    let id = put.id().to_string();
    let status = std::process::Command::new("kill")
        .args(["-INT", &id])
        .status();
    assert!(status.expect("kill is installed").success());
    let output = put.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    drop(input);
    assert_eq!(text(store.ok(["ls"])), "kept\n");
    store.ok(["gc"]);
    let left = crate::kill::objects(&store.dir().join("objects"));
    assert!(left.is_empty(), "the upload was not given up: {left:?}");
}

#[test]
fn the_store_tells_how_it_is() {
    let store = Store::new();
    store.ok(["init"]);
    let line = store.fails(["init"]);
    assert!(line.contains("already"), "{line}");
    let status = &lines(&store, &["status", "--json"])[0];
    assert!(
        status["objects"]
            .as_str()
            .is_some_and(|url| url.starts_with("file://")),
        "{status}"
    );
    let server = store.serve::<&str>([]);
    let status = &lines(&store, &["status", "--json"])[0];
    assert_eq!(status["process_id"], server.id());
}
