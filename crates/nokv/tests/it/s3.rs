//! Objects in a real S3 server.

use crate::program::Store;
use crate::tree::{assert_diff_is_empty, assert_same, make_nasty};
use crate::weed::{ACCESS_KEY, BUCKET, SECRET_KEY, Weed};

fn store(endpoint: &str, prefix: &str) -> Store {
    Store::new()
        .with("NOKV_OBJECTS", &format!("s3://{BUCKET}/{prefix}"))
        .with("AWS_ENDPOINT_URL", endpoint)
        .with("AWS_REGION", "us-east-1")
        .with("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .with("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
}

/// One server for all of these tests: it takes seconds to start and 200 MB to run.
#[test]
fn a_real_s3_server_holds_the_bytes() {
    let weed = Weed::start();
    let endpoint = weed.endpoint();
    a_nasty_tree_comes_back_identical(&store(&endpoint, "in-process"), 11);
    let served = store(&endpoint, "served");
    let server = served.serve::<&str>([]);
    a_nasty_tree_comes_back_identical(&served, 12);
    drop(server);
    credentials_may_come_by_options(&endpoint);
    wrong_credentials_are_one_line(&endpoint);
    a_foreign_bucket_is_one_line(&endpoint);
    a_vanished_server_is_one_line(weed);
}

fn a_nasty_tree_comes_back_identical(store: &Store, seed: u64) {
    println!("seed {seed}");
    let (source, copy) = (store.local("source"), store.local("copy"));
    make_nasty(&source, seed);
    store.ok(["put".as_ref(), source.as_os_str(), "/tree".as_ref()]);
    store.ok(["get".as_ref(), "/tree".as_ref(), copy.as_os_str()]);
    assert_same(&source, &copy);
    assert_diff_is_empty(&source, &copy);
    assert!(
        !store.dir().join("objects").exists(),
        "bytes went to a local folder"
    );
}

fn credentials_may_come_by_options(endpoint: &str) {
    let store = Store::new();
    let (secret, file) = (store.local("secret"), store.local("file"));
    std::fs::write(&secret, format!("{SECRET_KEY}\n")).expect("writable");
    let bytes = vec![7; 100_000];
    std::fs::write(&file, &bytes).expect("writable");
    let url = format!("s3://{BUCKET}/by-options");
    let options = [
        "--objects",
        &url,
        "--s3-endpoint",
        endpoint,
        "--s3-region",
        "us-east-1",
        "--s3-access-key-id",
        ACCESS_KEY,
        "--s3-secret-access-key-file",
        secret.to_str().expect("UTF-8"),
    ];
    let put = ["put", file.to_str().expect("UTF-8"), "/file"];
    store.ok(put.iter().chain(&options));
    assert!(store.ok(["cat", "/file"].iter().chain(&options)) == bytes);
}

fn wrong_credentials_are_one_line(endpoint: &str) {
    let store = store(endpoint, "refused").with("AWS_SECRET_ACCESS_KEY", "wrong");
    let file = store.local("file");
    std::fs::write(&file, vec![7; 100_000]).expect("writable");
    let line = store.fails(["put".as_ref(), file.as_os_str(), "/file".as_ref()]);
    assert!(
        line.contains("credentials") || line.contains("access key"),
        "{line}"
    );
    assert!(!line.contains("wrong"), "a secret is printed: {line}");
}

fn a_foreign_bucket_is_one_line(endpoint: &str) {
    let store = store(endpoint, "x").with("NOKV_OBJECTS", "s3://somebody-elses/x");
    let file = store.local("file");
    std::fs::write(&file, vec![7; 100_000]).expect("writable");
    let line = store.fails(["put".as_ref(), file.as_os_str(), "/file".as_ref()]);
    assert!(line.contains("somebody-elses"), "{line}");
}

/// The server dies between two commands: what was published stays, a put fails and leaves nothing.
fn a_vanished_server_is_one_line(weed: Weed) {
    let store = store(&weed.endpoint(), "vanished");
    let file = store.local("file");
    std::fs::write(&file, b"small enough to live in the metadata").expect("writable");
    store.ok(["put".as_ref(), file.as_os_str(), "/small".as_ref()]);
    let endpoint = weed.endpoint();
    drop(weed);
    std::fs::write(&file, vec![7; 100_000]).expect("writable");
    let line = store.fails(["put".as_ref(), file.as_os_str(), "/large".as_ref()]);
    assert!(line.contains(&endpoint), "{line}");
    assert_eq!(store.ok(["ls", "/"]), b"small\n");
    assert_eq!(
        store.ok(["cat", "/small"]),
        b"small enough to live in the metadata"
    );
}
