//! Whole trees, in and out.

use crate::store::{Store, path, snapshot};
use nokv_client::{Client, Existing, GetOptions, Placement, PutEvent, PutOptions};
use nokv_types::Reason;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

#[expect(clippy::disallowed_methods, reason = "the test makes real files")]
fn write(path: impl AsRef<Path>, bytes: &[u8]) {
    std::fs::write(path, bytes).expect("written");
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
}

/// A tree with everything that a real one has.
fn grow(root: &Path) {
    std::fs::create_dir_all(root.join("deep/er/st")).expect("made");
    std::fs::create_dir(root.join("empty")).expect("made");
    std::fs::create_dir(root.join("many")).expect("made");
    write(root.join("empty file"), b"");
    write(root.join("new\nline"), b"one\n");
    write(root.join("Grüße 🦀"), b"utf-8");
    write(root.join(OsStr::from_bytes(b"no utf-8 \xff\xfe")), b"raw");
    write(root.join(OsStr::from_bytes(&[b'n'; 255])), b"long");
    write(root.join("deep/er/st/inline"), &[7; 4096]);
    write(root.join("deep/er/packed"), &[8; 4097]);
    let large: Vec<u8> = (0..9_000_001_u64)
        .map(|index| ((index * index) >> 3) as u8)
        .collect();
    write(root.join("large"), &large);
    for index in 0..700 {
        write(
            root.join(format!("many/{index}")),
            format!("file {index}").repeat(index).as_bytes(),
        );
    }
    symlink("large", root.join("link")).expect("made");
    symlink("/nowhere/at all", root.join("deep/dangling")).expect("made");
    set_mode(&root.join("large"), 0o640);
    set_mode(&root.join("new\nline"), 0o4755);
    set_mode(&root.join("empty"), 0o700);
    set_mode(&root.join("deep"), 0o555);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tree_comes_back_bit_for_bit() {
    let store = Store::new().await;
    let local = TempDir::new().expect("a directory");
    let source = local.path().join("source");
    grow(&source);
    let before = snapshot(&source);
    for (way, client) in store.clients().await {
        let told = Arc::new(Mutex::new(HashSet::new()));
        let heard = Arc::clone(&told);
        let on_event = move |event: PutEvent<'_>| {
            if let PutEvent::Published { published, .. } = event {
                assert!(heard.lock().insert(published.path.clone()), "told once");
            }
        };
        let options = PutOptions {
            on_event: Some(Arc::new(on_event)),
            ..PutOptions::default()
        };
        let to = path(&format!("/{way}/tree"));
        let report = client
            .put_tree(std::slice::from_ref(&source), &to, options)
            .await
            .expect("put");
        assert_eq!(report.destinations, std::slice::from_ref(&to));
        assert_eq!((report.file_count, report.symlink_count), (708, 2));
        assert_eq!(report.directory_count, 6);
        assert_eq!(report.skipped, []);
        assert_eq!(told.lock().len() as u64, 708 + 2 + 6);
        let copy = local.path().join(way);
        let report = client
            .get_tree(&to, &copy, GetOptions::default())
            .await
            .expect("got");
        assert_eq!(
            (
                report.file_count,
                report.symlink_count,
                report.directory_count
            ),
            (708, 2, 6)
        );
        let after = snapshot(&copy);
        assert_eq!(before.len(), after.len());
        for (before, after) in before.iter().zip(&after) {
            assert!(before == after, "{way}: {:?} and {:?}", &before.0, &after.0);
        }
        // Again, over what is there, which has a directory that may not be written.
        let options = GetOptions {
            placement: Placement::Exact,
            ..GetOptions::default()
        };
        if rustix::process::getuid().is_root() {
            client
                .get_tree(&to, &copy, options)
                .await
                .expect("got again");
            assert!(snapshot(&copy) == before);
        }
    }
    set_mode(&source.join("deep"), 0o755);
    store.stop().await;
}

async fn put(
    client: &Client,
    locals: &[&Path],
    to: &str,
    placement: Placement,
) -> Result<Vec<String>, Reason> {
    let locals: Vec<_> = locals.iter().map(|local| local.to_path_buf()).collect();
    let options = PutOptions {
        placement,
        ..PutOptions::default()
    };
    let report = client.put_tree(&locals, &path(to), options).await;
    let report = report.map_err(|failure| failure.reason())?;
    Ok(report
        .destinations
        .iter()
        .map(ToString::to_string)
        .collect())
}

async fn get(
    client: &Client,
    from: &str,
    to: &Path,
    placement: Placement,
) -> Result<PathBuf, Reason> {
    let options = GetOptions {
        placement,
        ..GetOptions::default()
    };
    let report = client.get_tree(&path(from), to, options).await;
    report
        .map(|report| report.destination)
        .map_err(|failure| failure.reason())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn placement_is_that_of_cp() {
    use Placement::{Auto, Exact, Inside};
    let store = Store::new().await;
    let local = TempDir::new().expect("a directory");
    let (a, b) = (local.path().join("a"), local.path().join("b"));
    std::fs::create_dir(&a).expect("made");
    write(a.join("f"), b"f");
    write(&b, b"b");
    let (_, client) = store.clients().await.remove(1);
    let went = |paths: &[&str]| Ok(paths.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(put(&client, &[&a], "/x", Auto).await, went(&["/x"]));
    assert_eq!(put(&client, &[&a], "/x", Auto).await, went(&["/x/a"]));
    assert_eq!(put(&client, &[&a], "/x", Exact).await, went(&["/x"]));
    assert_eq!(
        put(&client, &[&a, &b], "/y", Inside).await,
        went(&["/y/a", "/y/b"])
    );
    assert_eq!(put(&client, &[&b], "/x/a/f", Auto).await, went(&["/x/a/f"]));
    assert_eq!(
        put(&client, &[&a, &b], "/z", Auto).await,
        Err(Reason::NotDirectory)
    );
    assert_eq!(
        put(&client, &[&a], "/x/f", Exact).await,
        Err(Reason::NotDirectory)
    );
    let missing = local.path().join("missing");
    assert_eq!(
        put(&client, &[&missing], "/m", Auto).await,
        Err(Reason::NotFound)
    );

    let out = local.path().join("out");
    assert_eq!(get(&client, "/x", &out, Auto).await, Ok(out.clone()));
    assert_eq!(get(&client, "/x/f", &out, Auto).await, Ok(out.join("f")));
    assert_eq!(get(&client, "/x", &out, Auto).await, Ok(out.join("x")));
    let inside = local.path().join("in/side");
    assert_eq!(
        get(&client, "/x/f", &inside, Inside).await,
        Ok(inside.join("f"))
    );
    assert_eq!(
        get(&client, "/none", &out, Exact).await,
        Err(Reason::NotFound)
    );
    let nowhere = local.path().join("no/where");
    assert_eq!(
        get(&client, "/x/f", &nowhere, Exact).await,
        Err(Reason::NotFound)
    );
    store.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_get_writes_nothing_outside_of_its_target_and_nothing_half() {
    let store = Store::new().await;
    let local = TempDir::new().expect("a directory");
    let (source, outside) = (local.path().join("source"), local.path().join("outside"));
    std::fs::create_dir_all(source.join("sub")).expect("made");
    std::fs::create_dir(&outside).expect("made");
    write(source.join("sub/f"), b"new");
    write(source.join("g"), b"new");
    let (_, client) = store.clients().await.remove(0);
    client
        .put_tree(&[source], &path("/t"), PutOptions::default())
        .await
        .expect("put");

    let copy = local.path().join("copy");
    std::fs::create_dir(&copy).expect("made");
    symlink(&outside, copy.join("sub")).expect("made");
    let exact = GetOptions {
        placement: Placement::Exact,
        ..GetOptions::default()
    };
    let refused = client
        .get_tree(&path("/t"), &copy, exact.clone())
        .await
        .expect_err("refused");
    assert_eq!(refused.reason(), Reason::NotDirectory);
    assert_eq!(snapshot(&outside).len(), 1, "nothing went through the link");

    std::fs::remove_dir_all(&copy).expect("removed");
    std::fs::create_dir(&copy).expect("made");
    write(outside.join("target"), b"kept");
    symlink(outside.join("target"), copy.join("g")).expect("made");
    client
        .get_tree(&path("/t"), &copy, exact.clone())
        .await
        .expect("got");
    assert!(
        copy.join("g")
            .symlink_metadata()
            .expect("is there")
            .is_file(),
        "the link is replaced"
    );
    assert_eq!(
        std::fs::read_to_string(outside.join("target")).expect("read"),
        "kept"
    );

    write(copy.join("g"), b"mine");
    let keep = GetOptions {
        existing: Existing::Refuse,
        ..exact
    };
    let refused = client
        .get_tree(&path("/t"), &copy, keep)
        .await
        .expect_err("refused");
    assert_eq!(refused.reason(), Reason::AlreadyExists);
    assert_eq!(
        std::fs::read_to_string(copy.join("g")).expect("read"),
        "mine"
    );
    let left: Vec<_> = snapshot(&copy).into_iter().map(|entry| entry.0).collect();
    let expected = ["", "g", "sub", "sub/f"].map(PathBuf::from);
    assert_eq!(left, expected, "no temporary file is left");
    store.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn special_files_are_left_out_and_told() {
    let store = Store::new().await;
    let local = TempDir::new().expect("a directory");
    let source = local.path().join("source");
    std::fs::create_dir(&source).expect("made");
    write(source.join("f"), b"f");
    let _socket = std::os::unix::net::UnixListener::bind(source.join("socket")).expect("bound");
    let (_, client) = store.clients().await.remove(2);
    let to = path("/s");
    let report = client
        .put_tree(std::slice::from_ref(&source), &to, PutOptions::default())
        .await
        .expect("put");
    assert_eq!((report.file_count, report.skipped.len()), (1, 1));
    assert_eq!(report.skipped[0].local, source.join("socket"));
    store.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_batches_and_one_upload_at_a_time_give_the_same_tree() {
    let store = Store::new().await;
    let local = TempDir::new().expect("a directory");
    let source = local.path().join("source");
    grow(&source);
    set_mode(&source.join("deep"), 0o755);
    let before = snapshot(&source);
    let (_, client) = store.clients().await.remove(0);
    let options = PutOptions {
        parallel: 1,
        batch_items: 3,
        ..PutOptions::default()
    };
    client
        .put_tree(&[source], &path("/t"), options)
        .await
        .expect("put");
    let copy = local.path().join("copy");
    client
        .get_tree(&path("/t"), &copy, GetOptions::default())
        .await
        .expect("got");
    assert!(snapshot(&copy) == before);
    let options = PutOptions {
        batch_items: 0,
        ..PutOptions::default()
    };
    let refused = client
        .put_tree(&[copy], &path("/u"), options)
        .await
        .expect_err("refused");
    assert_eq!(refused.reason(), Reason::InvalidArgument);
    store.stop().await;
}
