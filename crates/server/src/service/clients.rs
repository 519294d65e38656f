//! Client sessions, what they have open, and what they lock.

use super::changes::{changed, context};
use super::reads::view;
use super::store::Inner;
use crate::wire;
use nokv_namespace::{LockOrWait, LockOutcome, LockWait, NewClientSession};
use nokv_proto::mode_from_wire;
use nokv_proto::v1::{self, response::Result as Answer};
use nokv_types::{ClientId, Failure, Reason};
use std::time::Duration;
use tokio::sync::oneshot;

/// Longest wait of one request: what is between a client and a server must see traffic now and
/// then.
const WAIT_MS_MAX: u32 = 30_000;

pub(super) fn open(inner: &Inner, ask: v1::OpenClientRequest) -> Result<Answer, Failure> {
    let new = NewClientSession {
        label: ask.label,
        ttl_ms: ask.ttl_ms,
    };
    let session = inner.namespace.open_client(&new)?;
    Ok(client(&session))
}

pub(super) fn renew(inner: &Inner, ask: v1::RenewClientRequest) -> Result<Answer, Failure> {
    let session = inner.namespace.renew_client(ClientId::new(ask.client))?;
    Ok(client(&session))
}

pub(super) fn close(inner: &Inner, ask: v1::CloseClientRequest) -> Result<Answer, Failure> {
    inner.namespace.close_client(ClientId::new(ask.client))?;
    Ok(Answer::CloseClient(v1::CloseClientResponse {}))
}

pub(super) fn list(inner: &Inner) -> Answer {
    let sessions = inner.namespace.clients();
    Answer::ListClients(v1::ListClientsResponse {
        sessions: sessions.iter().map(wire::client_to_wire).collect(),
    })
}

pub(super) fn announce(inner: &Inner, ask: v1::AnnounceClientRequest) -> Result<Answer, Failure> {
    let (session, claims, end) = wire::announcement(ask)?;
    let lost = inner.namespace.announce_client(session, &claims, end)?;
    Ok(Answer::AnnounceClient(wire::lost_claims_to_wire(&lost)))
}

pub(super) fn open_node(inner: &Inner, ask: v1::OpenNodeRequest) -> Result<Answer, Failure> {
    let target = wire::target("target", ask.target)?;
    let follow = wire::follow(ask.follow)?;
    let asker = wire::asker(ask.asker)?;
    let view = view(inner, ask.view)?;
    let node = inner.namespace.open_node(&view, &target, follow, asker)?;
    Ok(Answer::Lookup(v1::LookupResponse {
        node: Some(wire::node_to_wire(&node)),
    }))
}

pub(super) fn close_node(inner: &Inner, ask: v1::CloseNodeRequest) -> Result<Answer, Failure> {
    let asker = wire::asker(ask.asker)?;
    let (branch, node) = wire::open_node(nokv_proto::present("node", ask.node)?);
    inner.namespace.close_node(asker, branch, node)?;
    Ok(Answer::CloseNode(v1::CloseNodeResponse {}))
}

pub(super) fn make_unnamed(inner: &Inner, ask: v1::MakeUnnamedRequest) -> Result<Answer, Failure> {
    let context = context(inner, ask.context)?;
    let directory = wire::target("directory", ask.directory)?;
    let mode = mode_from_wire("mode", ask.mode)?;
    let client = ClientId::new(ask.client);
    inner
        .namespace
        .make_unnamed(&context, &directory, mode, client)
        .map(changed)
}

/// Takes a lock, or waits for it.
pub(super) async fn lock(inner: &Inner, ask: v1::LockRequest) -> Result<Answer, Failure> {
    let asker = wire::asker(ask.asker)?;
    let wanted = wire::lock(ask.lock)?;
    let outcome = match ask.wait_ms.min(WAIT_MS_MAX) {
        0 => inner.namespace.try_lock(asker, &wanted)?,
        wait_ms => {
            let (sender, receiver) = oneshot::channel();
            let wake = move |woken| {
                // Who has gone away keeps his place, and is told when he comes back.
                drop(sender.send(woken));
            };
            match inner.namespace.wait_for_lock(asker, &wanted, wake)? {
                LockOrWait::Granted => LockOutcome::Granted,
                LockOrWait::Waiting(waiting) => {
                    let wait = Duration::from_millis(wait_ms.into());
                    wait_until(inner, &waiting, receiver, wait).await?
                }
            }
        }
    };
    let outcome = wire::lock_outcome_to_wire(wanted.place, &outcome);
    Ok(Answer::Lock(outcome))
}

async fn wait_until(
    inner: &Inner,
    waiting: &LockWait,
    mut receiver: oneshot::Receiver<Result<(), Failure>>,
    wait: Duration,
) -> Result<LockOutcome, Failure> {
    let woken = tokio::select! {
        woken = tokio::time::timeout(wait, &mut receiver) => woken.ok(),
        () = inner.leases.stopped() => {
            return Err(Failure::new(
                Reason::Unavailable,
                "the server stopped; ask for the lock again",
            ));
        }
    };
    let woken = match woken {
        Some(woken) => woken,
        None if waiting.leave() => return Ok(LockOutcome::Waiting),
        // At the last moment.
        None => receiver.await,
    };
    match woken {
        Ok(woken) => woken.map(|()| LockOutcome::Granted),
        // He came again by another request, or his place is gone.
        Err(_) => Ok(LockOutcome::Waiting),
    }
}

pub(super) fn give_up_lock(inner: &Inner, ask: v1::GiveUpLockRequest) -> Result<Answer, Failure> {
    let outcome = inner.namespace.give_up_lock(wire::asker(ask.asker)?)?;
    let outcome = match outcome {
        LockOutcome::Granted => v1::LockOutcome::Granted,
        LockOutcome::Held(_) | LockOutcome::Waiting => v1::LockOutcome::Waiting,
    };
    Ok(Answer::Lock(v1::LockResponse {
        outcome: outcome.into(),
        held: None,
    }))
}

pub(super) fn unlock(inner: &Inner, ask: v1::UnlockRequest) -> Result<Answer, Failure> {
    let asker = wire::asker(ask.asker)?;
    let lock = nokv_proto::present("lock", ask.lock)?;
    let (place, range) = wire::lock_place(&lock)?;
    inner.namespace.unlock(asker, &place, range)?;
    Ok(Answer::Unlock(v1::UnlockResponse {}))
}

pub(super) fn test_lock(inner: &Inner, ask: v1::TestLockRequest) -> Result<Answer, Failure> {
    let wanted = wire::lock(ask.lock)?;
    let client = ClientId::new(ask.client);
    let held = inner.namespace.test_lock(client, &wanted)?;
    let held = held.map(|held| wire::held_lock_to_wire(wanted.place, &held));
    Ok(Answer::TestLock(v1::TestLockResponse { held }))
}

fn client(session: &nokv_namespace::ClientSession) -> Answer {
    Answer::Client(v1::ClientResponse {
        session: Some(wire::client_to_wire(session)),
    })
}
