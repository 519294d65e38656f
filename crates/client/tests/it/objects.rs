//! Bodies in a folder: straight from the client, collected when nothing needs them, and never
//! another store's.

use crate::store::{path, snapshot};
use nokv_client::{
    Client, ClientOptions, CollectRules, Create, Endpoint, GetOptions, ObjectsConfig, Ongoing,
    PutOptions, Remove, WriteOptions,
};
use nokv_env::Env;
use nokv_server::{ObjectsCheck, Server, ServerOptions, Service, StoreConfig};
use nokv_types::{Failure, Reason};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn folder(dir: &Path) -> ObjectsConfig {
    ObjectsConfig {
        url: Some(format!("file://{}", dir.display())),
        ..ObjectsConfig::default()
    }
}

fn config(dir: &Path, objects: ObjectsConfig) -> StoreConfig {
    StoreConfig {
        create: Create::IfMissing,
        objects,
        objects_check: ObjectsCheck::Probe,
        maintenance_ms: None,
        ..StoreConfig::new(dir.to_owned())
    }
}

async fn open(dir: &Path, objects: ObjectsConfig) -> Result<Service, Failure> {
    Service::open(Env::real(), config(dir, objects)).await
}

async fn connect(dir: &Path) -> Client {
    let endpoint = Endpoint::Dir {
        dir: dir.to_owned(),
        create: Create::Never,
        objects: ObjectsConfig::default(),
    };
    let client = Client::connect(Env::real(), endpoint, ClientOptions::default()).await;
    client.expect("connects")
}

/// The files below a folder that hold blocks, but for the mark of the store.
fn blocks(objects: &Path) -> Vec<PathBuf> {
    let is_block = |path: &PathBuf| !path.to_string_lossy().contains("ffffffffffffffff");
    let files = snapshot(objects).into_iter().filter(|entry| entry.1 == 'f');
    files.map(|entry| entry.0).filter(is_block).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tree_goes_straight_to_the_folder_and_is_collected_when_removed() {
    let scratch = TempDir::new().expect("a directory");
    let (dir, source) = (scratch.path().join("store"), scratch.path().join("source"));
    std::fs::create_dir(&source).expect("made");
    for index in 0..40_u8 {
        let bytes = vec![index; 1 << (index / 2)];
        #[expect(clippy::disallowed_methods, reason = "the test makes real files")]
        std::fs::write(source.join(index.to_string()), bytes).expect("written");
    }
    let service = open(&dir, ObjectsConfig::default()).await.expect("created");
    let server = Server::start(service, ServerOptions::default())
        .await
        .expect("listens");
    let client = connect(&dir).await;
    let objects = dir.join("objects");
    let sources = [source.clone()];
    client
        .put_tree(&sources, &path("/t"), PutOptions::default())
        .await
        .expect("put");
    assert!(!blocks(&objects).is_empty());
    let before = client.status().await.expect("status").request_count;
    let copy = scratch.path().join("copy");
    client
        .get_tree(&path("/t"), &copy, GetOptions::default())
        .await
        .expect("got");
    let asked = client.status().await.expect("status").request_count - before;
    assert!(
        asked < 10,
        "{asked} requests: blocks did not come from the folder"
    );
    assert!(snapshot(&copy) == snapshot(&source));

    client
        .put_tree(&sources, &path("/t"), PutOptions::default())
        .await
        .expect("put into /t");
    client
        .write(&path("/one"), &[1_u8; 10_000][..], WriteOptions::default())
        .await
        .expect("put");
    client
        .write(&path("/one"), &[2_u8; 10_000][..], WriteOptions::default())
        .await
        .expect("put");
    client
        .remove(&path("/t"), Remove::Tree)
        .await
        .expect("removed");
    client.collect(Some(0)).await.expect("collected");
    assert!(blocks(&objects).len() > 1, "the reads have their leases");
    let rules = CollectRules {
        retention_ms: Some(0),
        reads: Ongoing::End,
        ..CollectRules::default()
    };
    client.collect_by(rules).await.expect("collected");
    assert_eq!(
        blocks(&objects).len(),
        1,
        "only the block of the newest /one is left"
    );
    let (_, mut stream) = client.read(&path("/one"), 0..u64::MAX).await.expect("read");
    assert_eq!(
        stream.next().await.expect("verified").expect("bytes")[..],
        [2; 10_000]
    );
    server.stop().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_dropped_leaves_nothing() {
    let scratch = TempDir::new().expect("a directory");
    let dir = scratch.path().join("store");
    let service = open(&dir, ObjectsConfig::default()).await.expect("created");
    let client = Client::embedded(service, ClientOptions::default());
    let (mut sender, receiver) = tokio::io::duplex(1 << 16);
    let writer = tokio::spawn({
        let client = client.clone();
        async move {
            client
                .write(&path("/f"), receiver, WriteOptions::default())
                .await
        }
    });
    tokio::io::AsyncWriteExt::write_all(&mut sender, &vec![7; 9 << 20])
        .await
        .expect("taken");
    writer.abort();
    assert!(writer.await.expect_err("dropped").is_cancelled());
    let objects = dir.join("objects");
    // Closing a dropped session is a task of its own: collect until it has run.
    while !blocks(&objects).is_empty() {
        client.collect(Some(0)).await.expect("collected");
        tokio::task::yield_now().await;
    }
    let absent = client.body(&path("/f")).await.expect_err("never visible");
    assert_eq!(absent.reason(), Reason::NotFound);
    client.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_store_belongs_to_one_store() {
    let scratch = TempDir::new().expect("a directory");
    let (first, second) = (scratch.path().join("first"), scratch.path().join("second"));
    let (shared, other) = (scratch.path().join("shared"), scratch.path().join("other"));
    let service = open(&first, folder(&shared)).await.expect("created");
    service.close().await.expect("closed");
    let refused = open(&second, folder(&shared))
        .await
        .err()
        .expect("another store's");
    assert_eq!(refused.reason(), Reason::Conflict);
    let refused = open(&first, folder(&other))
        .await
        .err()
        .expect("not where the bodies are");
    assert_eq!(refused.reason(), Reason::NotFound);
    for objects in [ObjectsConfig::default(), folder(&shared)] {
        let service = open(&first, objects).await.expect("its own");
        service.close().await.expect("closed");
    }
    let service = open(&second, folder(&other))
        .await
        .expect("goes on where it was refused");
    service.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_with_another_folder_goes_through_the_server() {
    let scratch = TempDir::new().expect("a directory");
    let (dir, other) = (scratch.path().join("store"), scratch.path().join("other"));
    let service = open(&dir, ObjectsConfig::default()).await.expect("created");
    let server = Server::start(service, ServerOptions::default())
        .await
        .expect("listens");
    let endpoint = Endpoint::Dir {
        dir: dir.clone(),
        create: Create::Never,
        objects: folder(&other),
    };
    let client = Client::connect(Env::real(), endpoint, ClientOptions::default()).await;
    let client = client.expect("connects");
    let bytes = vec![5; 10 << 20];
    client
        .write(&path("/f"), &bytes[..], WriteOptions::default())
        .await
        .expect("put");
    assert!(!other.exists(), "nothing went to the other folder");
    assert_eq!(blocks(&dir.join("objects")).len(), 3);
    let (_, mut stream) = client.read(&path("/f"), 0..u64::MAX).await.expect("read");
    let mut read = Vec::new();
    while let Some(chunk) = stream.next().await.expect("verified") {
        read.extend_from_slice(&chunk);
    }
    assert!(read == bytes);
    server.stop().await.expect("stops");
}
