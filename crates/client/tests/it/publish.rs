//! Publishes of trees: all or nothing, resumed, repeated, and many at one path.

use crate::store::{Store, connect_dir, path, snapshot};
use nokv_client::{
    Client, ClientOptions, CollectRules, Content, Expect, Follow, GetOptions, NewAttributes,
    Ongoing, Parents, Placement, Publish, PublishExpect, PublishItem, PublishOptions,
    PublishReport, UploadSession,
};
use nokv_types::{Body, Failure, Generation, Name, NodeKind, NsPath, Reason};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn make_tree(root: &Path, files: usize) {
    for index in 0..files {
        let dir = root.join(format!("d{}", index % 3));
        std::fs::create_dir_all(&dir).expect("writable");
        let byte = u8::try_from(index % 251).expect("a byte");
        let bytes = vec![byte; 5_000 + index % 7 * 3_000];
        write(&dir.join(format!("f{index}")), &bytes);
    }
    write(&root.join("small"), b"small");
    std::fs::create_dir(root.join("empty")).expect("writable");
    std::os::unix::fs::symlink("small", root.join("link")).expect("writable");
}

#[expect(clippy::disallowed_methods, reason = "the test makes real files")]
fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).expect("writable");
}

fn resuming(dir: &Path) -> PublishOptions {
    PublishOptions {
        journal_dir: Some(dir.join("journals")),
        ..PublishOptions::default()
    }
}

async fn matches_local(client: &Client, local: &Path, at: &NsPath, scratch: &Path) {
    let back = scratch.join("back");
    let options = GetOptions {
        placement: Placement::Exact,
        ..GetOptions::default()
    };
    client.get_tree(at, &back, options).await.expect("got");
    assert_eq!(snapshot(&back), snapshot(local));
    std::fs::remove_dir_all(&back).expect("removable");
}

async fn is_clean(client: &Client) {
    let checked = client.check().await.expect("checked");
    assert!(checked.problems.is_empty(), "{:?}", checked.problems);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_appears_at_once_with_its_pointer() {
    let store = Store::new().await;
    let local = store.dir.path().join("local");
    make_tree(&local, 7);
    for (way, client) in store.clients().await {
        let at = path(&format!("/ckpt/{way}/step-1"));
        let latest = Some(Name::new("latest").expect("a name"));
        let options = PublishOptions {
            latest: latest.clone(),
            expect: PublishExpect::Absent,
            ..PublishOptions::default()
        };
        let report = client
            .publish_tree(&local, &at, options.clone())
            .await
            .expect("published");
        let counts = (
            report.file_count,
            report.directory_count,
            report.symlink_count,
        );
        assert_eq!(counts, (8, 5, 1), "{way}");
        let versions: Vec<_> = report.published.iter().map(|one| one.version).collect();
        assert!(versions.iter().all(|version| *version == report.version));
        matches_local(&client, &local, &at, store.dir.path()).await;
        let link = client
            .read_link(&path(&format!("/ckpt/{way}/latest")))
            .await;
        assert_eq!(link.expect("a link"), "step-1");
        let again = client
            .publish_tree(&local, &at, options)
            .await
            .expect_err("it is there");
        assert_eq!(again.reason(), Reason::AlreadyExists);
        let next = path(&format!("/ckpt/{way}/step-2"));
        let options = PublishOptions {
            latest,
            ..PublishOptions::default()
        };
        client
            .publish_tree(&local.join("small"), &next, options)
            .await
            .expect("published");
        let through = client
            .lookup(&path(&format!("/ckpt/{way}/latest")), Follow::Yes)
            .await;
        assert_eq!(through.expect("found").attributes.kind, NodeKind::File);
        is_clean(&client).await;
    }
    store.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_or_expected_publishes_nothing() {
    let store = Store::new().await;
    let client = connect_dir(store.dir.path()).await;
    let local = store.dir.path().join("local");
    make_tree(&local, 4);
    let publish = |local: &Path, options| {
        let (client, local) = (client.clone(), local.to_owned());
        async move {
            client
                .publish_tree(&local, &path("/new/tree"), options)
                .await
        }
    };
    let stale = PublishOptions {
        expect: PublishExpect::Generation(Generation::new(3)),
        ..PublishOptions::default()
    };
    let refused = publish(&local, stale.clone())
        .await
        .expect_err("a directory");
    assert_eq!(refused.reason(), Reason::InvalidArgument);
    let refused = publish(&local.join("small"), stale)
        .await
        .expect_err("nothing is there");
    assert_eq!(refused.reason(), Reason::NotFound);
    rustix::fs::mkfifoat(rustix::fs::CWD, local.join("pipe"), 0o600.into()).expect("made");
    let refused = publish(&local, PublishOptions::default())
        .await
        .expect_err("a pipe");
    assert!(refused.message().contains("pipe"), "{refused}");
    let nothing = client
        .lookup(&path("/new"), Follow::No)
        .await
        .expect_err("nothing");
    assert_eq!(nothing.reason(), Reason::NotFound);
    store.stop().await;
}

/// Publishes, and gives up after some files were sent.
async fn broken_off(
    client: &Client,
    local: &Path,
    at: &NsPath,
    options: PublishOptions,
    after: usize,
) {
    let sent = Arc::new(AtomicUsize::new(0));
    let (stop, mut stopped) = tokio::sync::mpsc::unbounded_channel();
    let counting = Arc::clone(&sent);
    let options = PublishOptions {
        on_event: Some(Arc::new(move |event| {
            if matches!(event, nokv_client::PutEvent::Uploaded { .. })
                && counting.fetch_add(1, Ordering::Relaxed) + 1 == after
            {
                stop.send(()).expect("somebody waits");
            }
        })),
        parallel: 1,
        ..options
    };
    tokio::select! {
        done = client.publish_tree(local, at, options) => {
            assert!(done.is_ok(), "{done:?}");
        }
        _ = stopped.recv() => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_broke_off_is_resumed() {
    let store = Store::new().await;
    let local = store.dir.path().join("local");
    make_tree(&local, 1_200);
    let client = connect_dir(store.dir.path()).await;
    let at = path("/tree");
    let options = resuming(store.dir.path());
    // Twice, so that the third attempt goes on from both.
    for after in [600, 600] {
        broken_off(&client, &local, &at, options.clone(), after).await;
        let nothing = client
            .lookup(&at, Follow::No)
            .await
            .expect_err("nothing is visible");
        assert_eq!(nothing.reason(), Reason::NotFound);
    }
    write(&local.join("d0/f0"), b"changed meanwhile");
    let report = client
        .publish_tree(&local, &at, options.clone())
        .await
        .expect("published");
    assert_eq!(
        report.resumed_count, 1_023,
        "two rounds of 512 files, but one that changed"
    );
    matches_local(&client, &local, &at, store.dir.path()).await;
    let again = client
        .publish_tree(&local, &at, options)
        .await
        .expect("published");
    assert_eq!(
        again.resumed_count, 0,
        "a publish that is done leaves no journal"
    );
    collect(&client).await;
    matches_local(&client, &local, &at, store.dir.path()).await;
    store.stop().await;
}

async fn collect(client: &Client) {
    let rules = CollectRules {
        retention_ms: Some(0),
        uploads: Ongoing::End,
        reads: Ongoing::End,
    };
    client.collect_by(rules).await.expect("collected");
    is_clean(client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_swept_is_begun_anew() {
    let store = Store::new().await;
    let local = store.dir.path().join("local");
    make_tree(&local, 600);
    let client = connect_dir(store.dir.path()).await;
    let options = resuming(store.dir.path());
    broken_off(&client, &local, &path("/tree"), options.clone(), 590).await;
    collect(&client).await;
    let report = client
        .publish_tree(&local, &path("/tree"), options)
        .await
        .expect("published");
    assert_eq!(report.resumed_count, 0);
    matches_local(&client, &local, &path("/tree"), store.dir.path()).await;
    store.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_publish_again_changes_nothing() {
    let store = Store::new().await;
    let local = store.dir.path().join("local");
    make_tree(&local, 5);
    for (way, client) in store.clients().await {
        let at = path(&format!("/{way}"));
        let options = PublishOptions {
            request: Some(PublishOptions::request_named(way)),
            ..PublishOptions::default()
        };
        let publish = || client.publish_tree(&local, &at, options.clone());
        let first: PublishReport = publish().await.expect("published");
        let second = publish().await.expect("the same answer");
        assert_eq!(
            (first.version, &first.published),
            (second.version, &second.published)
        );
        let other = client
            .publish_tree(&local.join("small"), &path("/x"), options.clone())
            .await;
        assert_eq!(
            other.expect_err("another content").reason(),
            Reason::RequestReused
        );
    }
    store.stop().await;
}

fn item(body: Body, expect: Expect) -> Publish {
    Publish {
        items: vec![PublishItem {
            path: path("/hot"),
            content: Content::File(body),
            attributes: NewAttributes::mode(0o644),
            expect,
        }],
        parents: Parents::Required,
        session: None,
    }
}

/// One of a hundred: uploads a body of its own and publishes it over the generation that it saw.
async fn replace(client: Client, number: u8) -> Result<Generation, Failure> {
    let mut session = UploadSession::open(&client).await?;
    let uploader = session
        .uploader(nokv_client::UploadOptions::default())
        .await?;
    let staged = uploader.upload_bytes(vec![number; 10_000].into()).await?;
    let seen = client.lookup(&path("/hot"), Follow::No).await?.generation;
    let mut publish = item(staged.durable().await?, Expect::Generation(seen));
    publish.session = Some(session.id());
    let published = client.publish(publish).await;
    session.close().await;
    Ok(published?.first().expect("one").generation)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_replacers_of_one_path() {
    let store = Store::new().await;
    let embedded = Client::embedded(store.service.clone(), ClientOptions::default());
    embedded
        .publish(item(Body::empty(), Expect::Absent))
        .await
        .expect("published");
    let clients: Vec<_> = store
        .clients()
        .await
        .into_iter()
        .map(|(_, client)| client)
        .collect();
    let tasks: Vec<_> = (0..100_u8)
        .map(|number| {
            let client = clients[usize::from(number) % clients.len()].clone();
            tokio::spawn(replace(client, number))
        })
        .collect();
    let mut generations = Vec::new();
    let mut losers = 0;
    for task in tasks {
        match task.await.expect("it ran") {
            Ok(generation) => generations.push(generation.get()),
            Err(failure) => {
                assert_eq!(failure.reason(), Reason::StaleGeneration, "{failure}");
                losers += 1;
            }
        }
    }
    generations.sort_unstable();
    let winners = u64::try_from(generations.len()).expect("few");
    assert_eq!(
        generations,
        (2..2 + winners).collect::<Vec<_>>(),
        "each success is one generation"
    );
    assert_eq!(winners + losers, 100);
    assert!(winners > 0);
    let body = || async {
        let (node, mut stream) = embedded
            .read(&path("/hot"), 0..u64::MAX)
            .await
            .expect("read");
        let mut bytes = Vec::new();
        while let Some(part) = stream.next().await.expect("right bytes") {
            bytes.extend_from_slice(&part);
        }
        (node.generation.get(), bytes)
    };
    let (generation, bytes) = body().await;
    assert_eq!((generation, bytes.len()), (1 + winners, 10_000));
    assert!(
        bytes.iter().all(|byte| *byte == bytes[0]),
        "one writer's bytes"
    );
    collect(&embedded).await;
    assert_eq!(body().await, (generation, bytes));
    let checked = embedded.check().await.expect("checked");
    assert_eq!(
        (checked.blocks, checked.dead_bodies),
        (1, 0),
        "no lost block"
    );
    drop(clients);
    store.stop().await;
}
