//! Calls: answers, failures with their reasons, deadlines, limits, health.

use crate::support::{Served, make_dir, target};
use nokv_grpc::v1::admin_client::AdminClient;
use nokv_grpc::v1::bodies_client::BodiesClient;
use nokv_grpc::v1::watch_client::WatchClient;
use nokv_grpc::{GrpcOptions, MESSAGE_BYTES_MAX};
use nokv_proto::v1;
use std::time::Duration;
use tonic::{Code, Request};
use tonic_types::StatusExt;

#[tokio::test]
async fn a_call_answers_what_the_framed_protocol_answers() {
    let served = Served::start().await;
    let made = served.make_dir("/runs").await;
    let ask = v1::ReadDirRequest {
        target: target("/"),
        ..v1::ReadDirRequest::default()
    };
    let page = served.namespace().read_dir_plus(ask).await.expect("reads");
    let page = page.into_inner();
    assert_eq!(page.entries.len(), 1);
    assert_eq!(page.entries[0].name.as_ref(), b"runs");
    let node = page.entries[0].node.as_ref().expect("with attributes");
    assert_eq!(node.id, made.id);
    let mut admin = AdminClient::new(served.channel.clone());
    let status = admin
        .status(v1::StatusRequest::default())
        .await
        .expect("answers");
    assert_eq!(
        status.into_inner().store_id,
        served.service.store_id().to_vec()
    );
}

#[tokio::test]
async fn a_failure_has_its_reason_and_what_to_do() {
    let served = Served::start().await;
    served.make_dir("/runs").await;
    let again = served.namespace().make_dir(make_dir("/runs")).await;
    let status = again.expect_err("taken");
    assert_eq!(status.code(), Code::AlreadyExists);
    let info = status.get_details_error_info().expect("details");
    assert_eq!(
        (info.reason.as_str(), info.domain.as_str()),
        ("AlreadyExists", "nokv")
    );
    assert_eq!(info.metadata["class"], "Conflict");
    let relative = served.namespace().make_dir(make_dir("relative")).await;
    assert_eq!(relative.expect_err("refused").code(), Code::InvalidArgument);
    let empty = v1::LookupRequest::default();
    let status = served
        .namespace()
        .lookup(empty)
        .await
        .expect_err("no target");
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_call_ends_at_its_deadline() {
    let served = Served::start().await;
    let mut watch = WatchClient::new(served.channel.clone());
    let ask = v1::WatchRequest {
        scope: Some(v1::watch_request::Scope::Everything(v1::Empty {})),
        ..v1::WatchRequest::default()
    };
    let now = watch.poll(ask).await.expect("answers").into_inner();
    let mut request = Request::new(v1::WatchRequest {
        after: now.through,
        wait_ms: 30_000,
        ..ask
    });
    request.set_timeout(Duration::from_millis(50));
    let code = watch.poll(request).await.expect_err("too late").code();
    assert!(
        matches!(code, Code::DeadlineExceeded | Code::Cancelled),
        "{code:?}"
    );
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_and_the_connection_goes_on() {
    let served = Served::start().await;
    let mut bodies = BodiesClient::new(served.channel.clone());
    let block = v1::PutBlockRequest {
        data: vec![0; MESSAGE_BYTES_MAX + 1].into(),
        ..v1::PutBlockRequest::default()
    };
    let status = bodies.put_block(block).await.expect_err("too large");
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    served.make_dir("/after").await;
}

#[tokio::test]
async fn health_is_served_and_a_stop_ends_calls() {
    let served = Served::with(GrpcOptions {
        drain_max: Duration::from_secs(5),
        ..GrpcOptions::default()
    })
    .await;
    let mut health = tonic_health::pb::health_client::HealthClient::new(served.channel.clone());
    for service in ["", "nokv.v1.Namespace", "nokv.v1.Admin"] {
        let ask = tonic_health::pb::HealthCheckRequest {
            service: service.to_owned(),
        };
        let answer = health.check(ask).await.expect("answers").into_inner();
        assert_eq!(answer.status, 1, "{service} is serving");
    }
    let waiting = {
        let mut watch = WatchClient::new(served.channel.clone());
        tokio::spawn(async move {
            let ask = v1::WatchRequest {
                scope: Some(v1::watch_request::Scope::Everything(v1::Empty {})),
                ..v1::WatchRequest::default()
            };
            let now = watch.poll(ask).await?.into_inner();
            let ask = v1::WatchRequest {
                after: now.through,
                wait_ms: 30_000,
                ..ask
            };
            watch.poll(ask).await
        })
    };
    served.make_dir("/seen").await;
    drop(health);
    let service = served.service.clone();
    served.server.stop().await;
    // Told about the change, or that the server stops: not left waiting.
    drop(waiting.await.expect("no panic"));
    service.close().await.expect("closes");
}
