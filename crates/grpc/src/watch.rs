//! Watching as a stream: subscribe, ready, events, acknowledgements.
//!
//! Under it lies the same request that waits which every other door uses, so a stream has no state
//! on the server but its cursor and what it has sent: one that broke goes on from the last cursor.
//!
//! Invariants:
//! - `Ready` comes first, and from its cursor on nothing is missed and nothing told twice;
//! - what was sent and not acknowledged stays below the window, but for the last command, which is
//!   never cut. A client that has closed its side acknowledges no more: then the flow control of
//!   the connection alone holds the stream back.

use crate::services::{Grpc, answer, caller, unexpected};
use crate::status::status;
use crate::v1::watch_server::Watch;
use nokv_proto::v1::request::Method;
use nokv_proto::v1::response::Result as Answer;
use nokv_proto::v1::watch_request::Scope;
use nokv_proto::v1::watch_subtree_request::Request as Said;
use nokv_proto::v1::watch_subtree_response::Response as Told;
use nokv_proto::{invalid, v1};
use nokv_server::{Caller, Service};
use nokv_types::Failure;
use std::collections::VecDeque;
use std::pin::pin;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// Changes in flight unless the client says otherwise.
const WINDOW_DEFAULT: usize = 1024;
/// Most changes in flight: some MiB.
const WINDOW_MAX: usize = 65_536;
/// Most commands of one message.
const COMMANDS_MAX: usize = 1024;
/// How long one request to the hub waits.
const WAIT_MS: u32 = 30_000;
/// Messages between the task and the connection: the next one is made while one is sent.
const MESSAGES_MAX: usize = 2;

type Answers = mpsc::Sender<Result<v1::WatchSubtreeResponse, Status>>;

#[tonic::async_trait]
impl Watch for Grpc {
    async fn poll(
        &self,
        request: Request<v1::WatchRequest>,
    ) -> Result<Response<v1::WatchResponse>, Status> {
        let caller = caller(&request);
        let events = poll(&self.service, &caller, request.into_inner()).await?;
        Ok(Response::new(events))
    }

    type WatchSubtreeStream = ReceiverStream<Result<v1::WatchSubtreeResponse, Status>>;

    async fn watch_subtree(
        &self,
        request: Request<Streaming<v1::WatchSubtreeRequest>>,
    ) -> Result<Response<Self::WatchSubtreeStream>, Status> {
        let caller = caller(&request);
        let service = self.service.clone();
        let mut said = request.into_inner();
        let (answers, stream) = mpsc::channel(MESSAGES_MAX);
        tokio::spawn(async move {
            let ended = async {
                let mut watcher = subscribe(service, caller, &mut said).await?;
                watcher.tell(&answers, &mut said).await
            };
            if let Err(status) = ended.await {
                // Nobody there to be told: nothing to tell.
                drop(answers.send(Err(status)).await);
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// A watch that has begun.
struct Watcher {
    service: Service,
    caller: Caller,
    /// The next request.
    ask: v1::WatchRequest,
    window: usize,
    /// What was sent and not acknowledged: cursor and number of changes.
    sent: VecDeque<(u64, usize)>,
    sent_count: usize,
    /// Whether acknowledgements may still come.
    is_heard: bool,
}

async fn poll(
    service: &Service,
    caller: &Caller,
    ask: v1::WatchRequest,
) -> Result<v1::WatchResponse, Status> {
    let request = v1::Request {
        deadline_ms: 0,
        method: Some(Method::Watch(ask)),
    };
    match answer(service.call(request, caller).await)? {
        Answer::Watch(events) => Ok(events),
        _ => Err(unexpected()),
    }
}

/// Waits for the subscription, and finds out what it is about.
async fn subscribe(
    service: Service,
    caller: Caller,
    said: &mut Streaming<v1::WatchSubtreeRequest>,
) -> Result<Watcher, Status> {
    let first = said.message().await?.and_then(|message| message.request);
    let Some(Said::Subscribe(subscribe)) = first else {
        return Err(refuse("request", "must begin with `subscribe`"));
    };
    let window = match subscribe.window as usize {
        0 => WINDOW_DEFAULT,
        window if window <= WINDOW_MAX => window,
        _ => return Err(refuse("window", "is at most 65,536")),
    };
    let scope = match subscribe.target {
        None => Scope::Everything(v1::Empty {}),
        Some(target) => {
            let node = look_up(&service, &caller, subscribe.mount, target).await?;
            let is_directory = node
                .attributes
                .is_some_and(|attributes| attributes.kind() == v1::NodeKind::Directory);
            match is_directory && !subscribe.shallow {
                true => Scope::Tree(node.id),
                false => Scope::Node(node.id),
            }
        }
    };
    let limit = u32::try_from(window.min(COMMANDS_MAX)).unwrap_or(u32::MAX);
    let ask = v1::WatchRequest {
        mount: subscribe.mount,
        scope: Some(scope),
        after: subscribe.after,
        limit,
        wait_ms: WAIT_MS,
    };
    Ok(Watcher {
        service,
        caller,
        ask,
        window,
        sent: VecDeque::new(),
        sent_count: 0,
        is_heard: true,
    })
}

async fn look_up(
    service: &Service,
    caller: &Caller,
    mount: u32,
    target: v1::Target,
) -> Result<v1::Node, Status> {
    let ask = v1::LookupRequest {
        view: Some(v1::View {
            mount,
            ..v1::View::default()
        }),
        target: Some(target),
        follow: v1::Follow::Always.into(),
    };
    let request = v1::Request {
        deadline_ms: 0,
        method: Some(Method::Lookup(ask)),
    };
    match answer(service.call(request, caller).await)? {
        Answer::Lookup(v1::LookupResponse { node: Some(node) }) => Ok(node),
        _ => Err(unexpected()),
    }
}

fn refuse(field: &str, what: &str) -> Status {
    let failure: Failure = invalid(field, what);
    status(&failure)
}

impl Watcher {
    /// Tells until one side has enough.
    async fn tell(
        &mut self,
        answers: &Answers,
        said: &mut Streaming<v1::WatchSubtreeRequest>,
    ) -> Result<(), Status> {
        if self.ask.after == 0 {
            self.ask.after = self.poll_now().await?.through;
        }
        let ready = Told::Ready(v1::Ready {
            through: self.ask.after,
        });
        if !send(answers, ready).await {
            return Ok(());
        }
        loop {
            while self.sent_count >= self.window && self.is_heard {
                tokio::select! {
                    message = said.message() => self.hear(message?)?,
                    () = answers.closed() => return Ok(()),
                }
            }
            let Some(events) = self.next(answers, said).await? else {
                return Ok(());
            };
            self.ask.after = events.through;
            if events.changes.is_empty() {
                continue;
            }
            if self.is_heard {
                self.sent.push_back((events.through, events.changes.len()));
                self.sent_count += events.changes.len();
            }
            if !send(answers, Told::Events(events)).await {
                return Ok(());
            }
        }
    }

    /// The cursor of now, at once.
    async fn poll_now(&self) -> Result<v1::WatchResponse, Status> {
        let ask = v1::WatchRequest {
            wait_ms: 0,
            ..self.ask
        };
        poll(&self.service, &self.caller, ask).await
    }

    /// The next changes, hearing acknowledgements meanwhile; `None` when the client has gone.
    async fn next(
        &mut self,
        answers: &Answers,
        said: &mut Streaming<v1::WatchSubtreeRequest>,
    ) -> Result<Option<v1::WatchResponse>, Status> {
        let (service, caller, ask) = (self.service.clone(), self.caller.clone(), self.ask);
        let mut events = pin!(poll(&service, &caller, ask));
        loop {
            tokio::select! {
                events = &mut events => return events.map(Some),
                message = said.message(), if self.is_heard => self.hear(message?)?,
                () = answers.closed() => return Ok(None),
            }
        }
    }

    /// Takes an acknowledgement; `None` is the end of what the client says.
    fn hear(&mut self, message: Option<v1::WatchSubtreeRequest>) -> Result<(), Status> {
        match message.map(|message| message.request) {
            None => {
                self.is_heard = false;
                self.sent.clear();
                self.sent_count = 0;
                Ok(())
            }
            Some(Some(Said::Acknowledge(taken))) if taken.through <= self.ask.after => {
                while let Some((through, count)) = self.sent.front().copied()
                    && through <= taken.through
                {
                    self.sent.pop_front();
                    self.sent_count -= count;
                }
                Ok(())
            }
            Some(Some(Said::Acknowledge(_))) => Err(refuse("through", "was not sent yet")),
            Some(_) => Err(refuse("request", "must be `acknowledge` after the first")),
        }
    }
}

/// Whether the client is still there.
async fn send(answers: &Answers, told: Told) -> bool {
    let message = v1::WatchSubtreeResponse {
        response: Some(told),
    };
    answers.send(Ok(message)).await.is_ok()
}
