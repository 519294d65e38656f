//! The pages of a served store in memory, read with a client of a few lines.

use nokv_env::Env;
use nokv_http::{HttpOptions, HttpServer};
use nokv_proto::v1::{self, request::Method};
use nokv_server::{Caller, Create, ObjectsConfig, Service, StoreConfig};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn served() -> (Service, HttpServer) {
    let config = StoreConfig {
        create: Create::New,
        objects: ObjectsConfig {
            url: Some("memory:".to_owned()),
            ..ObjectsConfig::default()
        },
        maintenance_ms: None,
        ..StoreConfig::new("/store".into())
    };
    let service = Service::open(Env::memory(1), config).await.expect("opens");
    let options = HttpOptions {
        listen: vec!["127.0.0.1:0".parse().expect("an address")],
    };
    let server = HttpServer::start(service.clone(), options).await;
    (service, server.expect("listens"))
}

/// Status and body of a page.
async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.expect("connects");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).expect("a status");
    (status.parse().expect("a number"), body.to_owned())
}

async fn make_dir(service: &Service, path: &str) {
    let place = v1::place::Place::Path(path.to_owned().into());
    let method = Method::MakeDir(v1::MakeDirRequest {
        place: Some(v1::Place { place: Some(place) }),
        mode: 0o755,
        ..v1::MakeDirRequest::default()
    });
    let request = v1::Request {
        deadline_ms: 0,
        method: Some(method),
    };
    service.call(request, &Caller::Embedded).await;
}

#[tokio::test]
async fn calls_are_counted_with_their_outcomes() {
    let (service, server) = served().await;
    let address = server.addresses()[0];
    for path in ["/a", "/b", "/a"] {
        make_dir(&service, path).await;
    }
    let (status, page) = get(address, "/metrics").await;
    assert_eq!(status, 200);
    for line in [
        r#"nokv_rpc_duration_seconds_count{method="MakeDir"} 3"#,
        r#"nokv_rpc_duration_seconds_bucket{le="+Inf",method="MakeDir"} 3"#,
        r#"nokv_rpc_failures_total{method="MakeDir",reason="AlreadyExists"} 1"#,
        "# TYPE nokv_memtable_bytes gauge",
        "# EOF",
    ] {
        assert!(page.contains(line), "no {line} in {page}");
    }
    let types = page.lines().filter(|line| line.starts_with("# TYPE"));
    let mut names: Vec<_> = types.collect();
    let count = names.len();
    names.dedup();
    assert!(names.len() == count && count > 40, "{count} families");
    let (status, page) = get(address, "/stats").await;
    let page: serde_json::Value = serde_json::from_str(&page).expect("JSON");
    assert_eq!(status, 200);
    let calls = &page[r#"rpc_duration_seconds{method="MakeDir"}"#];
    assert_eq!(calls["count"], 3);
    assert!(calls["p99"].as_f64().expect("a time") >= 0.0);
    assert!(page["commit_batches"].as_u64().expect("counted") >= 2);
}

#[tokio::test]
async fn groups_have_the_names_that_dashboards_know() {
    let (_service, server) = served().await;
    let (status, page) = get(server.addresses()[0], "/debug/vars").await;
    let page: serde_json::Value = serde_json::from_str(&page).expect("JSON");
    assert_eq!(status, 200);
    for (group, name) in [
        ("executor", "txn_retries_total"),
        ("watch", "subscribers"),
        ("quota", "checks_total"),
        ("mount", "cache_hits_total"),
    ] {
        assert!(
            page[format!("nokv_fsmeta_{group}")][name].is_u64(),
            "{group} {name}"
        );
    }
}

#[tokio::test]
async fn ready_means_that_store_and_objects_work() {
    let (service, server) = served().await;
    let address = server.addresses()[0];
    assert_eq!(get(address, "/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(get(address, "/readyz").await.0, 200);
    assert_eq!(get(address, "/nothing").await.0, 404);
    service.close().await.expect("closes");
    let (status, page) = get(address, "/readyz").await;
    assert_eq!(status, 503);
    assert!(page.contains("\"Unavailable\""), "{page}");
    assert_eq!(get(address, "/healthz").await.0, 200);
    server.stop().await;
    assert!(TcpStream::connect(address).await.is_err(), "still listens");
}
