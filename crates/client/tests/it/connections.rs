//! Trouble on the way: broken, slow and foreign peers, stores that are taken, servers that go and
//! come back.

use crate::store::{Store, config, connect_dir, connect_tcp, dir_endpoint, path, serve};
use bytes::{Bytes, BytesMut};
use nokv_client::{Client, ClientOptions, Endpoint, Follow, ObjectsConfig, Parents};
use nokv_env::Env;
use nokv_proto::{
    FRAME_BYTES_MAX, Frame, HEADER_BYTES, PREFACE, decode_frame, encode_frame, failure_from_wire,
    v1,
};
use nokv_server::{SOCKET_NAME, Server, ServerOptions, Service};
use nokv_types::{Failure, Reason};
use prost::Message;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A bare peer, which can do everything wrong.
struct Peer {
    socket: TcpStream,
    input: BytesMut,
}

impl Peer {
    async fn new(store: &Store) -> Self {
        let socket = TcpStream::connect(store.server.addresses()[0])
            .await
            .expect("connects");
        let mut peer = Self {
            socket,
            input: BytesMut::new(),
        };
        peer.send(&PREFACE).await;
        let mut theirs = [0; 8];
        peer.socket.read_exact(&mut theirs).await.expect("greets");
        assert_eq!(theirs, PREFACE);
        peer
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.expect("sent");
    }

    /// The next answer; `None` when the server has closed.
    async fn answer(&mut self) -> Option<(u64, Result<v1::response::Result, Failure>)> {
        loop {
            if let Some(Frame { id, message }) = decode_frame(&mut self.input).expect("whole") {
                let response = v1::Response::decode(message).expect("a response");
                let result = match response.result.expect("a result") {
                    v1::response::Result::Failure(failure) => Err(failure_from_wire(&failure)),
                    result => Ok(result),
                };
                return Some((id, result));
            }
            match self.socket.read_buf(&mut self.input).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
}

fn status(id: u64) -> BytesMut {
    let method = Some(v1::request::Method::Status(v1::StatusRequest::default()));
    let mut frame = BytesMut::new();
    encode_frame(
        id,
        &v1::Request {
            deadline_ms: 0,
            method,
        },
        &mut frame,
    )
    .expect("small");
    frame
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_peer_is_told_and_harms_nobody_else() {
    let store = Store::new().await;
    let mut good = Peer::new(&store).await;

    let mut flipped = Peer::new(&store).await;
    let mut frame = status(7);
    let last = frame.len() - 1;
    frame[last] ^= 1;
    flipped.send(&frame).await;
    let (id, answer) = flipped.answer().await.expect("told");
    assert_eq!(
        (id, answer.expect_err("refused").reason()),
        (7, Reason::Unavailable)
    );
    assert!(flipped.answer().await.is_none(), "and closed");

    let mut oversized = Peer::new(&store).await;
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&(FRAME_BYTES_MAX as u32 + 1).to_le_bytes());
    header[8] = 9;
    oversized.send(&header).await;
    let (id, answer) = oversized.answer().await.expect("told");
    assert_eq!(
        (id, answer.expect_err("refused").reason()),
        (9, Reason::TooLarge)
    );
    assert!(oversized.answer().await.is_none(), "and closed");

    let mut nonsense = Peer::new(&store).await;
    let mut frame = BytesMut::new();
    let garbage = v1::PutBlockRequest {
        block: None,
        data: Bytes::from_static(&[0xff; 64]),
    };
    encode_frame(3, &garbage, &mut frame).expect("small");
    nonsense.send(&frame).await;
    let (id, answer) = nonsense.answer().await.expect("told");
    assert_eq!(id, 3);
    assert!(matches!(
        answer.expect_err("refused").reason(),
        Reason::InvalidArgument | Reason::Unsupported
    ));
    nonsense.send(&status(4)).await;
    assert!(
        matches!(nonsense.answer().await, Some((4, Ok(_)))),
        "the connection goes on"
    );

    let stranger = TcpStream::connect(store.server.addresses()[0])
        .await
        .expect("connects");
    let mut stranger = Peer {
        socket: stranger,
        input: BytesMut::new(),
    };
    stranger.send(b"GET / HTTP/1.1\r\n\r\n").await;
    let mut theirs = Vec::new();
    // A reset instead of an end is as good.
    drop(stranger.socket.read_to_end(&mut theirs).await);
    assert!(theirs.len() <= PREFACE.len());

    good.send(&status(1)).await;
    assert!(matches!(good.answer().await, Some((1, Ok(_)))));
    store.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_does_not_read_is_not_read_from() {
    let store = Store::new().await;
    let client = connect_dir(store.dir.path()).await;
    for index in 0..100 {
        let dir = path(&format!("/{index:0>200}"));
        client
            .make_dir(&dir, 0o755, Parents::Required)
            .await
            .expect("made");
    }
    let mut peer = Peer::new(&store).await;
    let target = Some(v1::Target {
        target: Some(v1::target::Target::Path("/".into())),
    });
    let read = v1::ReadDirRequest {
        target,
        limit: 100,
        ..v1::ReadDirRequest::default()
    };
    let method = Some(v1::request::Method::ReadDir(read));
    let mut frame = BytesMut::new();
    encode_frame(
        5,
        &v1::Request {
            deadline_ms: 0,
            method,
        },
        &mut frame,
    )
    .expect("small");
    // Answers are a thousand times larger than questions: the server stops to read long before this
    // much is sent.
    let mut sent = 0;
    while sent < 64 << 20 {
        let pause = std::time::Duration::from_millis(300);
        match tokio::time::timeout(pause, peer.socket.write(&frame.repeat(100))).await {
            Ok(count) => sent += count.expect("sent"),
            Err(_) => break,
        }
    }
    assert!(sent < 64 << 20, "the server reads on without end");
    let status = client.status().await.expect("others are served");
    assert!(status.request_count < 200_000, "{}", status.request_count);
    drop(peer);
    store.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_share_a_connection() {
    let store = Store::new().await;
    let client = connect_dir(store.dir.path()).await;
    let mut calls = tokio::task::JoinSet::new();
    for index in 0..1000 {
        let client = client.clone();
        calls.spawn(async move {
            let dir = path(&format!("/{index}"));
            let made = client
                .make_dir(&dir, 0o755, Parents::Required)
                .await
                .expect("made");
            let found = client.lookup(&dir, Follow::No).await.expect("found");
            assert_eq!(made.node.id, found.id);
        });
    }
    while let Some(done) = calls.join_next().await {
        done.expect("answered rightly");
    }
    store.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_has_one_owner() {
    let dir = TempDir::new().expect("a directory");
    let first = connect_dir(dir.path()).await;
    let second = Client::connect(
        Env::real(),
        dir_endpoint(dir.path()),
        ClientOptions::default(),
    );
    let busy = second.await.expect_err("taken");
    assert_eq!(busy.reason(), Reason::Busy);
    assert!(
        busy.message()
            .contains(&format!("process {}", std::process::id())),
        "{busy}"
    );

    // Once it is free, who waits gets it.
    let waiting = tokio::spawn(Client::connect(
        Env::real(),
        dir_endpoint(dir.path()),
        ClientOptions::default(),
    ));
    first.close().await.expect("closed");
    let second = waiting.await.expect("no panic").expect("opened");
    second.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_socket_is_private_replaced_when_stale_and_reached_at_any_depth() {
    let dir = TempDir::new().expect("a directory");
    let deep = dir.path().join("d".repeat(100)).join("e".repeat(100));
    std::fs::create_dir_all(&deep).expect("made");
    drop(connect_dir(&deep).await.close().await);
    let (_, server) = serve(&deep).await;
    let mode = std::fs::metadata(server.socket())
        .expect("is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let client = connect_dir(&deep).await;
    assert!(matches!(client.access(), nokv_client::Access::Socket(_)));
    server.stop().await.expect("stops");
    assert!(!deep.join(SOCKET_NAME).exists(), "the socket is gone");

    let stale = dir.path().join("stale");
    std::fs::create_dir(&stale).expect("made");
    drop(std::os::unix::net::UnixListener::bind(stale.join(SOCKET_NAME)).expect("bound"));
    let client = connect_dir(&stale).await;
    assert_eq!(*client.access(), nokv_client::Access::Embedded);
    client.close().await.expect("closed");
    let (_, server) = serve(&stale).await;
    assert!(matches!(
        connect_dir(&stale).await.access(),
        nokv_client::Access::Socket(_)
    ));
    server.stop().await.expect("stops");
}

/// Passes bytes between clients and a server, and cuts on demand.
struct Proxy {
    address: String,
    upstream: Arc<std::sync::Mutex<std::net::SocketAddr>>,
    /// While set, answers are swallowed and the connection is cut instead.
    is_cutting: Arc<AtomicBool>,
    cut_count: Arc<AtomicU64>,
    /// While set, new connections are dropped.
    is_down: Arc<AtomicBool>,
}

impl Proxy {
    async fn new(upstream: std::net::SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let proxy = Self {
            address: listener.local_addr().expect("bound").to_string(),
            upstream: Arc::new(std::sync::Mutex::new(upstream)),
            is_cutting: Arc::default(),
            cut_count: Arc::default(),
            is_down: Arc::default(),
        };
        let (upstream, is_cutting) = (Arc::clone(&proxy.upstream), Arc::clone(&proxy.is_cutting));
        let cut_count = Arc::clone(&proxy.cut_count);
        let is_down = Arc::clone(&proxy.is_down);
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("accepts");
                let upstream = *upstream.lock().expect("no panic");
                if is_down.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(server) = TcpStream::connect(upstream).await else {
                    continue;
                };
                let (is_cutting, cut_count) = (Arc::clone(&is_cutting), Arc::clone(&cut_count));
                tokio::spawn(pass(client, server, is_cutting, cut_count));
            }
        });
        proxy
    }
}

async fn pass(
    mut client: TcpStream,
    mut server: TcpStream,
    is_cutting: Arc<AtomicBool>,
    cut_count: Arc<AtomicU64>,
) {
    let (mut from_client, mut from_server) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            count = client.read(&mut from_client) => match count {
                Ok(count) if count > 0 => server.write_all(&from_client[..count]).await.expect("passed"),
                _ => return,
            },
            count = server.read(&mut from_server) => match count {
                Ok(count) if count > 8 && is_cutting.swap(false, Ordering::SeqCst) => {
                    cut_count.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                Ok(count) if count > 0 => client.write_all(&from_server[..count]).await.expect("passed"),
                _ => return,
            },
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_whose_answer_is_lost_happens_once() {
    let store = Store::new().await;
    let proxy = Proxy::new(store.server.addresses()[0]).await;
    let client = connect_tcp(proxy.address.clone(), ClientOptions::default()).await;
    for index in 0..20 {
        let dir = path(&format!("/{index}"));
        proxy.is_cutting.store(true, Ordering::SeqCst);
        // Made twice it would be `AlreadyExists`: the second request must be known as the first.
        client
            .make_dir(&dir, 0o755, Parents::Required)
            .await
            .expect("made once");
    }
    assert_eq!(
        proxy.cut_count.load(Ordering::SeqCst),
        20,
        "every first answer was lost"
    );
    store.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_whose_answer_is_lost_happens_once_though_the_server_restarts() {
    let dir = TempDir::new().expect("a directory");
    let (_, mut server) = serve(dir.path()).await;
    let proxy = Proxy::new(server.addresses()[0]).await;
    let client = connect_tcp(proxy.address.clone(), ClientOptions::default()).await;
    for index in 0..3 {
        proxy.is_cutting.store(true, Ordering::SeqCst);
        let making = tokio::spawn({
            let client = client.clone();
            async move {
                let dir = path(&format!("/{index}"));
                client.make_dir(&dir, 0o755, Parents::Required).await
            }
        });
        while proxy.cut_count.load(Ordering::SeqCst) == index {
            proxy.is_down.store(true, Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
        server.stop().await.expect("stops");
        let (_, next) = serve(dir.path()).await;
        *proxy.upstream.lock().expect("no panic") = next.addresses()[0];
        proxy.is_down.store(false, Ordering::SeqCst);
        server = next;
        making.await.expect("no panic").expect("made once");
    }
    server.stop().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_restarts_is_waited_for() {
    let dir = TempDir::new().expect("a directory");
    let (_, server) = serve(dir.path()).await;
    let proxy = Proxy::new(server.addresses()[0]).await;
    let client = connect_tcp(proxy.address.clone(), ClientOptions::default()).await;
    let worker = {
        let client = client.clone();
        tokio::spawn(async move {
            for index in 0..300 {
                let dir = path(&format!("/{index}"));
                client.make_dir(&dir, 0o755, Parents::Required).await?;
            }
            Ok::<_, Failure>(())
        })
    };
    let mut server = Some(server);
    for _ in 0..2 {
        let entry_count = || async {
            client
                .read_dir_all(&path("/"))
                .await
                .map_or(0, |page| page.entries.len())
        };
        let before = entry_count().await;
        while !worker.is_finished() && entry_count().await < before + 30 {}
        server.take().expect("running").stop().await.expect("stops");
        let (_, next) = serve(dir.path()).await;
        *proxy.upstream.lock().expect("no panic") = next.addresses()[0];
        server = Some(next);
    }
    worker
        .await
        .expect("no panic")
        .expect("every directory was made, once");
    assert_eq!(
        client
            .read_dir_all(&path("/"))
            .await
            .expect("listed")
            .entries
            .len(),
        300
    );
    server.take().expect("running").stop().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_never_answers_is_not_waited_for_forever() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let address = listener.local_addr().expect("bound").to_string();
    tokio::spawn(async move {
        let mut silent = Vec::new();
        loop {
            let (mut socket, _) = listener.accept().await.expect("accepts");
            socket.write_all(&PREFACE).await.expect("greets");
            // The first question of a connection, which asks for the status, is answered; no other.
            let mut input = BytesMut::new();
            while input.len() < PREFACE.len() + HEADER_BYTES {
                if socket.read_buf(&mut input).await.expect("reads") == 0 {
                    break;
                }
            }
            let mut answer = BytesMut::new();
            let status = v1::response::Result::Status(v1::StatusResponse::default());
            let response = v1::Response {
                result: Some(status),
            };
            encode_frame(1, &response, &mut answer).expect("small");
            socket.write_all(&answer).await.expect("answers");
            silent.push(socket);
        }
    });
    let options = ClientOptions {
        deadline_ms: 200,
        ..ClientOptions::default()
    };
    let client = connect_tcp(address, options).await;
    let read = client
        .lookup(&path("/"), Follow::No)
        .await
        .expect_err("late");
    assert_eq!(read.reason(), Reason::DeadlineExceeded);
    let change = client
        .make_dir(&path("/d"), 0o755, Parents::Required)
        .await
        .expect_err("late");
    assert_eq!(change.reason(), Reason::OutcomeUnknown);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_address_fails_at_once_and_says_so() {
    let connect = async |address: String| {
        let endpoint = Endpoint::Server {
            address,
            objects: ObjectsConfig::default(),
        };
        let connected = Client::connect(Env::real(), endpoint, ClientOptions::default()).await;
        connected.expect_err("nobody is there")
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let address = listener.local_addr().expect("bound").to_string();
    drop(listener);
    let failure = connect(address.clone()).await;
    assert_eq!(failure.reason(), Reason::Unavailable);
    assert!(failure.message().contains(&address), "{failure}");

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let address = listener.local_addr().expect("bound").to_string();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.expect("accepts");
            socket
                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await
                .expect("sent");
        }
    });
    let failure = connect(address).await;
    assert_eq!(failure.reason(), Reason::Unsupported);
    assert!(failure.message().contains("no NoKV server"), "{failure}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_answers_what_is_in_flight_and_frees_the_store() {
    let store = Store::new().await;
    let client = connect_dir(store.dir.path()).await;
    let mut calls = tokio::task::JoinSet::new();
    for index in 0..200 {
        let client = client.clone();
        calls.spawn(async move {
            let dir = path(&format!("/{index}"));
            (index, client.make_dir(&dir, 0o755, Parents::Required).await)
        });
    }
    let first = calls.join_next().await.expect("a call").expect("no panic");
    first.1.expect("made");
    let Store { dir, server, .. } = store;
    server.stop().await.expect("stops");
    calls.abort_all();
    let mut made = vec![first.0];
    while let Some(done) = calls.join_next().await {
        if let Ok((index, Ok(_))) = done {
            made.push(index);
        }
    }
    let service = Service::open(Env::real(), config(dir.path()))
        .await
        .expect("free at once");
    let client = Client::embedded(service.clone(), ClientOptions::default());
    for index in made {
        let dir = path(&format!("/{index}"));
        client
            .lookup(&dir, Follow::No)
            .await
            .expect("what was acknowledged is there");
    }
    service.close().await.expect("closes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_loopback_is_served() {
    let dir = TempDir::new().expect("a directory");
    let service = Service::open(Env::real(), config(dir.path()))
        .await
        .expect("opens");
    let listen = vec!["0.0.0.0:0".parse().expect("an address")];
    let options = ServerOptions {
        listen,
        ..ServerOptions::default()
    };
    let refused = Server::start(service.clone(), options)
        .await
        .err()
        .expect("refused");
    assert_eq!(refused.reason(), Reason::InvalidArgument);
    assert!(refused.message().contains("TLS and tokens"), "{refused}");
    assert!(
        !dir.path().join(SOCKET_NAME).exists(),
        "and nothing else listens"
    );
    service.close().await.expect("closes");
}
