//! Client sessions through the SDK: open files and locks over every way, and across restarts.

use crate::store::{Store, connect_tcp, path, serve};
use nokv_client::{
    Client, ClientOptions, Follow, LiveSession, LockFamily, LockKind, LockPlace, LockRange,
    LostClaims, Remove, WantedLock,
};
use nokv_types::{BranchId, NodeId, Reason};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

async fn session(client: &Client) -> LiveSession {
    let opened = client.open_live_session("test", 10_000).await;
    opened.expect("opens")
}

fn exclusive(node: NodeId) -> WantedLock {
    WantedLock {
        place: LockPlace {
            branch: BranchId::TRUNK,
            node,
            family: LockFamily::Range,
            owner: 1,
        },
        process: 1,
        kind: LockKind::Exclusive,
        range: LockRange::ALL,
    }
}

async fn is_there(client: &Client, node: NodeId) -> bool {
    match client.lookup(node, Follow::No).await {
        Ok(found) => found.attributes.links == 0,
        Err(failure) => {
            assert_eq!(failure.reason(), Reason::NotFound);
            false
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn open_files_and_locks_work_over_every_way() {
    let store = Store::new().await;
    for (way, client) in store.clients().await {
        let (first, second) = (session(&client).await, session(&client).await);
        let file = path(&format!("/{way}"));
        let made = first.create(&file, 0o600).await.expect("makes");
        let node = made.node.id;
        let opened = second.open_node(&file, Follow::Yes).await.expect("opens");
        assert_eq!((opened.id, opened.attributes.mode), (node, 0o600), "{way}");
        client.remove(&file, Remove::File).await.expect("removes");
        first
            .close_node(BranchId::TRUNK, node)
            .await
            .expect("closes");
        assert!(
            is_there(&client, node).await,
            "{way}: the second has it open"
        );
        let wanted = exclusive(node);
        assert_eq!(first.try_lock(wanted).await, Ok(None), "{way}");
        let held = second.try_lock(wanted).await.expect("is told");
        assert_eq!(
            held.map(|held| held.owner.client),
            Some(first.id()),
            "{way}"
        );
        let tested = second.test_lock(&wanted).await.expect("is told");
        assert_eq!(tested, held, "{way}");
        let second = Arc::new(second);
        let waiter = Arc::clone(&second);
        let waiting = tokio::spawn(async move { waiter.lock(wanted).await });
        // One who gives up leaves nothing behind.
        let given_up = tokio::time::timeout(Duration::from_millis(50), second.lock(wanted));
        assert!(given_up.await.is_err(), "{way}");
        first.close().await.expect("closes");
        waiting.await.expect("runs").expect("locks");
        second
            .close_node(BranchId::TRUNK, node)
            .await
            .expect("closes");
        assert!(!is_there(&client, node).await, "{way}");
        let unnamed = second.make_unnamed(&path("/"), 0o600).await.expect("makes");
        let named = path(&format!("/{way}-named"));
        client.link(unnamed.node.id, &named).await.expect("links");
        client.lookup(&named, Follow::No).await.expect("is there");
    }
    store.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_lives_on_when_the_server_is_started_anew() {
    let dir = TempDir::new().expect("a directory");
    let (_, server) = serve(dir.path()).await;
    let address = server.addresses()[0];
    let client = connect_tcp(address.to_string(), ClientOptions::default()).await;
    let (keeper, other) = (session(&client).await, session(&client).await);
    let file = path("/f");
    let node = keeper.create(&file, 0o600).await.expect("makes").node.id;
    client.remove(&file, Remove::File).await.expect("removes");
    let wanted = exclusive(node);
    assert_eq!(keeper.try_lock(wanted).await, Ok(None));
    server.stop().await.expect("stops");
    let (_, server) = serve_at(dir.path(), address).await;
    // Each is announced by the first thing it does.
    let tested = keeper.test_lock(&wanted);
    let held = other.try_lock(wanted);
    let (tested, held) = tokio::join!(tested, held);
    assert_eq!(tested, Ok(None), "its own");
    let held = held.expect("is told").expect("is held");
    assert_eq!(held.owner.client, keeper.id());
    assert_eq!(keeper.take_lost(), LostClaims::default());
    assert!(keeper.is_assured());
    assert!(is_there(&client, node).await);
    keeper.close().await.expect("closes");
    assert!(!is_there(&client, node).await);
    let gone = other.try_lock(wanted).await.expect_err("is gone");
    assert_eq!(gone.reason(), Reason::NotFound);
    server.stop().await.expect("stops");
}

async fn serve_at(
    dir: &std::path::Path,
    address: std::net::SocketAddr,
) -> (nokv_server::Service, nokv_server::Server) {
    let config = crate::store::config(dir);
    let service = nokv_server::Service::open(nokv_env::Env::real(), config).await;
    let service = service.expect("opens");
    let options = nokv_server::ServerOptions {
        listen: vec![address],
        ..nokv_server::ServerOptions::default()
    };
    let server = nokv_server::Server::start(service.clone(), options).await;
    (service, server.expect("listens"))
}
