//! A server elsewhere: dials, and repeats until there is an answer or no time.
//!
//! Invariants:
//! - a change that may have arrived is repeated with the request id it had, so it happens at most
//!   once;
//! - `OutcomeUnknown` is the end only when a change may have arrived and no answer came in time;
//! - blocks travel over a connection of their own, so that no name waits behind megabytes.

use crate::link::{Link, LinkError};
use nokv_env::{Env, Random};
use nokv_proto::{failure_from_wire, v1, v1::request::Method};
use nokv_server::connect_unix;
use nokv_types::{Class, Failure, Reason};
use parking_lot::Mutex;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// First wait before a repetition; it doubles.
const BACKOFF_MS_MIN: u64 = 10;
/// Longest wait before a repetition: a server that came back is found within it.
const BACKOFF_MS_MAX: u64 = 500;

/// Where a server listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Address {
    /// The socket in a store's directory.
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(dir) => write!(f, "the server of {}", dir.display()),
            Self::Tcp(address) => f.write_str(address),
        }
    }
}

/// Connections to one server, dialled when needed.
pub(crate) struct Remote {
    env: Env,
    address: Address,
    deadline: Duration,
    metadata: Slot,
    blocks: Slot,
}

/// A place for one connection.
#[derive(Default)]
struct Slot {
    link: Mutex<Option<Arc<Link>>>,
    dialling: tokio::sync::Mutex<()>,
}

/// How a dial failed.
#[derive(Debug)]
pub(crate) enum DialError {
    /// Nobody could be reached.
    Socket(io::Error),
    /// Somebody was reached, who does not speak as they should.
    Spoke(Failure),
}

/// How a method may be repeated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Changes nothing, or the same by being done twice.
    Repeatable,
    /// A change; with a request id it is done once however often it arrives.
    Change,
}

impl Remote {
    pub(crate) fn new(env: Env, address: Address, deadline: Duration) -> Self {
        Self {
            env,
            address,
            deadline,
            metadata: Slot::default(),
            blocks: Slot::default(),
        }
    }

    /// Dials once, without patience: whether somebody is there.
    pub(crate) async fn dial_now(&self) -> Result<(), DialError> {
        let link = self.dial().await?;
        *self.metadata.link.lock() = Some(Arc::new(link));
        Ok(())
    }

    /// Calls until there is an answer, or the deadline has passed.
    pub(crate) async fn call(&self, mut request: v1::Request) -> Result<v1::Response, Failure> {
        let (kind, slot, patience) = self.plan(&request);
        let start = self.env.clock.monotonic();
        let mut may_have_arrived = false;
        let mut backoff_ms = BACKOFF_MS_MIN;
        loop {
            let left = self
                .deadline
                .saturating_sub(self.env.clock.monotonic() - start);
            request.deadline_ms = match patience {
                Patience::Deadline => u32::try_from(left.as_millis()).unwrap_or(u32::MAX).max(1),
                Patience::Unlimited => 0,
            };
            let failure = match self.attempt(slot, &request, left, patience).await {
                Ok(response) => match retryable(&response) {
                    None => return Ok(response),
                    Some(failure) => failure,
                },
                Err(LinkError::NotSent(failure)) if !failure.is_retryable() => return Err(failure),
                Err(LinkError::NotSent(failure)) => failure,
                Err(LinkError::Lost(failure)) => {
                    may_have_arrived = true;
                    if kind == Kind::Change && !has_request_id(&request) {
                        return Err(unknown(&failure));
                    }
                    failure
                }
            };
            let spent = self.env.clock.monotonic() - start;
            let pause = Duration::from_millis(jittered(&*self.env.random, backoff_ms));
            if spent + pause >= self.deadline {
                return Err(match kind {
                    Kind::Change if may_have_arrived => unknown(&failure),
                    _ => failure,
                });
            }
            tracing::debug!(%failure, "repeating a call");
            tokio::time::sleep(pause).await;
            backoff_ms = (backoff_ms * 2).min(BACKOFF_MS_MAX);
        }
    }

    async fn attempt(
        &self,
        slot: &Slot,
        request: &v1::Request,
        left: Duration,
        patience: Patience,
    ) -> Result<v1::Response, LinkError> {
        let late = |_| Failure::new(Reason::DeadlineExceeded, self.late());
        let link = tokio::time::timeout(left, self.link(slot)).await;
        let link = link
            .map_err(late)
            .and_then(|link| link)
            .map_err(LinkError::NotSent)?;
        match patience {
            Patience::Unlimited => link.call(request).await,
            Patience::Deadline => match tokio::time::timeout(left, link.call(request)).await {
                Ok(answer) => answer,
                Err(elapsed) => Err(LinkError::Lost(late(elapsed))),
            },
        }
    }

    fn late(&self) -> String {
        format!(
            "{} did not answer within {:?}; is it overloaded?",
            self.address, self.deadline
        )
    }

    /// A live connection.
    async fn link(&self, slot: &Slot) -> Result<Arc<Link>, Failure> {
        let live = || {
            slot.link
                .lock()
                .as_ref()
                .filter(|link| link.is_alive())
                .cloned()
        };
        if let Some(link) = live() {
            return Ok(link);
        }
        let _one_at_a_time = slot.dialling.lock().await;
        if let Some(link) = live() {
            return Ok(link);
        }
        let link = self.dial().await.map_err(|error| self.explain(error))?;
        let link = Arc::new(link);
        *slot.link.lock() = Some(Arc::clone(&link));
        Ok(link)
    }

    async fn dial(&self) -> Result<Link, DialError> {
        let peer = self.address.to_string();
        let dial = async {
            match &self.address {
                Address::Unix(dir) => {
                    let socket = connect_unix(dir).await.map_err(DialError::Socket)?;
                    Link::start(socket, &peer).await.map_err(DialError::Spoke)
                }
                Address::Tcp(address) => {
                    let socket = TcpStream::connect(address)
                        .await
                        .map_err(DialError::Socket)?;
                    socket.set_nodelay(true).map_err(DialError::Socket)?;
                    Link::start(socket, &peer).await.map_err(DialError::Spoke)
                }
            }
        };
        let late = |_| DialError::Spoke(Failure::new(Reason::DeadlineExceeded, self.late()));
        tokio::time::timeout(self.deadline, dial)
            .await
            .map_err(late)?
    }

    /// What a failed dial means to the caller.
    pub(crate) fn explain(&self, error: DialError) -> Failure {
        match error {
            DialError::Socket(error) => self.unreachable(&error),
            DialError::Spoke(failure) => failure,
        }
    }

    fn unreachable(&self, error: &io::Error) -> Failure {
        let reason = match error.kind() {
            io::ErrorKind::InvalidInput => Reason::InvalidArgument,
            io::ErrorKind::PermissionDenied => Reason::PermissionDenied,
            _ => Reason::Unavailable,
        };
        let advice = match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
                "; start it with `nokv serve`, or check the address"
            }
            _ => "",
        };
        Failure::new(
            reason,
            format!("can't reach {}: {error}{advice}", self.address),
        )
    }

    fn plan(&self, request: &v1::Request) -> (Kind, &Slot, Patience) {
        let kind = request.method.as_ref().map_or(Kind::Repeatable, kind);
        let slot = match &request.method {
            Some(Method::PutBlock(_) | Method::GetBlock(_)) => &self.blocks,
            _ => &self.metadata,
        };
        let patience = match &request.method {
            Some(
                Method::SetQuota(_)
                | Method::RemoveQuota(_)
                | Method::Merge(_)
                | Method::Undo(_)
                | Method::Collect(_)
                | Method::Usage(_)
                | Method::CheckQuota(_)
                | Method::Check(_)
                | Method::CheckStep(_)
                | Method::Repair(_)
                | Method::Explain(_)
                | Method::Outlook(_)
                | Method::CheckBodies(_)
                | Method::Scrub(_)
                | Method::RetireMount(_)
                | Method::Diff(_)
                | Method::Dump(_)
                | Method::MakeBackup(_)
                | Method::RemoveBackup(_)
                | Method::VerifyBackup(_),
            ) => Patience::Unlimited,
            _ => Patience::Deadline,
        };
        (kind, slot, patience)
    }
}

/// How a method may be repeated. One that is not named here changes nothing, or the same by being
/// done twice.
const fn kind(method: &Method) -> Kind {
    match method {
        Method::MakeDir(_)
        | Method::Symlink(_)
        | Method::Link(_)
        | Method::Rename(_)
        | Method::Remove(_)
        | Method::SetAttributes(_)
        | Method::Publish(_)
        | Method::MakeNode(_)
        | Method::MakeUnnamed(_)
        | Method::ReplaceBody(_)
        | Method::EditBody(_)
        | Method::SetXattr(_)
        | Method::CreateMount(_)
        | Method::RetireMount(_)
        | Method::CreateSnapshot(_)
        | Method::RenewSnapshot(_)
        | Method::RemoveSnapshot(_)
        | Method::CreateBranch(_)
        | Method::RemoveBranch(_)
        | Method::Restore(_)
        | Method::SetQuota(_)
        | Method::RemoveQuota(_)
        | Method::SetPlacement(_)
        | Method::Merge(_)
        | Method::Undo(_)
        | Method::Load(_)
        | Method::FinishLoad(_) => Kind::Change,
        _ => Kind::Repeatable,
    }
}

/// How long an answer is waited for while the connection lives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// Until the deadline.
    Deadline,
    /// As long as it takes: the work grows with the store.
    Unlimited,
}

/// The failure of an answer that says to come back later.
fn retryable(response: &v1::Response) -> Option<Failure> {
    let Some(v1::response::Result::Failure(failure)) = &response.result else {
        return None;
    };
    let failure = failure_from_wire(failure);
    (failure.class() == Class::Retry).then_some(failure)
}

fn has_request_id(request: &v1::Request) -> bool {
    let context = match &request.method {
        Some(Method::MakeDir(ask)) => &ask.context,
        Some(Method::Symlink(ask)) => &ask.context,
        Some(Method::Link(ask)) => &ask.context,
        Some(Method::Rename(ask)) => &ask.context,
        Some(Method::Remove(ask)) => &ask.context,
        Some(Method::SetAttributes(ask)) => &ask.context,
        Some(Method::Publish(ask)) => &ask.context,
        Some(Method::MakeNode(ask)) => &ask.context,
        Some(Method::MakeUnnamed(ask)) => &ask.context,
        Some(Method::ReplaceBody(ask)) => &ask.context,
        Some(Method::EditBody(ask)) => &ask.context,
        Some(Method::SetXattr(ask)) => &ask.context,
        Some(Method::SetPlacement(ask)) => &ask.context,
        Some(Method::CreateMount(ask)) => &ask.context,
        Some(Method::RetireMount(ask)) => &ask.context,
        Some(Method::CreateSnapshot(ask)) => &ask.context,
        Some(Method::RenewSnapshot(ask)) => &ask.context,
        Some(Method::RemoveSnapshot(ask)) => &ask.context,
        Some(Method::SetQuota(ask)) => &ask.context,
        Some(Method::RemoveQuota(ask)) => &ask.context,
        Some(Method::CreateBranch(ask)) => &ask.context,
        Some(Method::RemoveBranch(ask)) => &ask.context,
        Some(Method::Merge(ask)) => &ask.context,
        Some(Method::Restore(ask)) => &ask.context,
        Some(Method::Undo(ask)) => &ask.context,
        Some(Method::Load(ask)) => &ask.context,
        Some(Method::FinishLoad(ask)) => &ask.context,
        _ => return true,
    };
    context
        .as_ref()
        .is_some_and(|context| !context.request_id.is_empty())
}

fn unknown(cause: &Failure) -> Failure {
    Failure::new(
        Reason::OutcomeUnknown,
        format!("the change may have happened or not; look before repeating it: {cause}"),
    )
}

/// Between half of `milliseconds` and all of it.
fn jittered(random: &dyn Random, milliseconds: u64) -> u64 {
    let half = milliseconds / 2;
    half + random.next_u64() % (half + 1)
}
