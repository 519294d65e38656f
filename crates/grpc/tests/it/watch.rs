//! The watch stream: ready first, everything once and in order, the window, resumption.

use crate::support::{Served, target};
use nokv_grpc::v1::watch_client::WatchClient;
use nokv_proto::v1;
use nokv_proto::v1::watch_subtree_request::Request as Said;
use nokv_proto::v1::watch_subtree_response::Response as Told;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

struct Watching {
    said: mpsc::Sender<v1::WatchSubtreeRequest>,
    told: Streaming<v1::WatchSubtreeResponse>,
}

impl Watching {
    async fn start(served: &Served, subscribe: v1::Subscribe) -> Result<Self, Status> {
        let (said, stream) = mpsc::channel(4);
        say(&said, Said::Subscribe(subscribe)).await;
        let mut client = WatchClient::new(served.channel.clone());
        let told = client.watch_subtree(ReceiverStream::new(stream)).await?;
        Ok(Self {
            said,
            told: told.into_inner(),
        })
    }

    async fn next(&mut self) -> Result<Told, Status> {
        let message = self.told.message().await?.expect("not ended");
        Ok(message.response.expect("one of them"))
    }

    async fn ready(&mut self) -> u64 {
        match self.next().await.expect("begins") {
            Told::Ready(ready) => ready.through,
            Told::Events(_) => panic!("events before ready"),
        }
    }

    /// Names that were made, and the cursor after them.
    async fn events(&mut self) -> (Vec<String>, u64) {
        match self.next().await.expect("goes on") {
            Told::Ready(_) => panic!("ready twice"),
            Told::Events(events) => {
                let names = events.changes.into_iter().filter_map(|change| change.to);
                let names = names.map(|to| String::from_utf8_lossy(&to.path).into_owned());
                (names.collect(), events.through)
            }
        }
    }
}

async fn say(said: &mpsc::Sender<v1::WatchSubtreeRequest>, what: Said) {
    let message = v1::WatchSubtreeRequest {
        request: Some(what),
    };
    said.send(message).await.expect("heard");
}

fn subscribe(path: &str) -> v1::Subscribe {
    v1::Subscribe {
        target: target(path),
        ..v1::Subscribe::default()
    }
}

#[tokio::test]
async fn everything_after_ready_comes_once_and_in_order() {
    let served = Served::start().await;
    served.make_dir("/runs").await;
    served.make_dir("/other").await;
    let mut watching = Watching::start(&served, subscribe("/runs"))
        .await
        .expect("begins");
    let ready = watching.ready().await;
    for name in ["/runs/1", "/other/x", "/runs/1/2", "/runs/3"] {
        served.make_dir(name).await;
    }
    let mut seen = Vec::new();
    let mut first_through = 0;
    while seen.len() < 3 {
        let (names, through) = watching.events().await;
        first_through = if seen.is_empty() {
            through
        } else {
            first_through
        };
        seen.extend(names);
    }
    assert_eq!(seen, ["/runs/1", "/runs/1/2", "/runs/3"]);
    // From the cursor of ready all of it comes again, in a new stream.
    let again = v1::Subscribe {
        after: ready,
        ..subscribe("/runs")
    };
    let mut resumed = Watching::start(&served, again).await.expect("begins");
    assert_eq!(resumed.ready().await, ready);
    let mut seen_again = Vec::new();
    while seen_again.len() < 3 {
        seen_again.extend(resumed.events().await.0);
    }
    assert_eq!(seen_again, seen);
}

#[tokio::test]
async fn what_is_not_acknowledged_stays_below_the_window() {
    let served = Served::start().await;
    let small = v1::Subscribe {
        window: 3,
        ..subscribe("/")
    };
    let mut watching = Watching::start(&served, small).await.expect("begins");
    let ready = watching.ready().await;
    assert_ne!(ready, 0);
    for at in 0..10 {
        served.make_dir(&format!("/{at}")).await;
    }
    let mut seen = Vec::new();
    let mut through = 0;
    while seen.len() < 10 {
        let waited = tokio::time::timeout(Duration::from_millis(300), watching.events()).await;
        match waited {
            Ok((names, to)) => {
                seen.extend(names);
                through = to;
            }
            Err(_) => {
                let taken = v1::Acknowledge { through };
                say(&watching.said, Said::Acknowledge(taken)).await;
                assert!(
                    seen.len() % 3 == 0 && !seen.is_empty(),
                    "stopped at {}",
                    seen.len()
                );
            }
        }
    }
    let expected: Vec<_> = (0..10).map(|at| format!("/{at}")).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn nonsense_ends_the_stream_with_a_reason() {
    let served = Served::start().await;
    let wide = v1::Subscribe {
        window: 1 << 20,
        ..subscribe("/")
    };
    let mut watching = Watching::start(&served, wide).await.expect("begins");
    let status = watching.next().await.expect_err("refused");
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let mut watching = Watching::start(&served, subscribe("/none"))
        .await
        .expect("begins");
    assert_eq!(
        watching.next().await.expect_err("refused").code(),
        Code::NotFound
    );
    let mut watching = Watching::start(&served, subscribe("/"))
        .await
        .expect("begins");
    let ready = watching.ready().await;
    let future = v1::Acknowledge {
        through: ready + (1 << 40),
    };
    say(&watching.said, Said::Acknowledge(future)).await;
    let status = watching.next().await.expect_err("refused");
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let retained = v1::Subscribe {
        after: 1,
        ..subscribe("/")
    };
    let mut watching = Watching::start(&served, retained).await.expect("begins");
    let first = watching.next().await;
    // From the very beginning: still retained in a young store, or told that it is not.
    assert!(first.is_ok() || first.is_err_and(|status| status.code() == Code::OutOfRange));
}
