//! Upload sessions, and blocks that go through the server.

use super::marker;
use super::store::{Inner, on_blocking_thread};
use nokv_proto::v1::{self, response::Result as Answer};
use nokv_proto::{BLOCK_BYTES_RPC_MAX, invalid, present};
use nokv_types::{BlockId, Failure, Reason, SessionId};
use std::time::Duration;

/// Life of a session when the caller leaves it to the server: five minutes outlast any pause of a
/// client that lives.
const TTL_MS_DEFAULT: u32 = 300_000;
/// Shortest life: a client must have time to renew.
const TTL_MS_MIN: u32 = 1_000;
/// Longest life: a day of blocks that nobody names.
const TTL_MS_MAX: u32 = 86_400_000;
/// How long a session that was found open need not be looked at again for a block. A block that
/// lands in a session that expired meanwhile is swept with it: the grace of the sweep is longer.
const SESSION_CHECK_MS: u64 = 60_000;
/// Sessions remembered as open; beyond it they are forgotten and looked at again.
const SESSIONS_REMEMBERED_MAX: usize = 4_096;

pub(super) fn open_session(inner: &Inner, ask: v1::OpenSessionRequest) -> Result<Answer, Failure> {
    let ttl_ms = ttl_ms(ask.ttl_ms)?;
    let session = inner.namespace.open_session(ttl_ms.into())?;
    Ok(Answer::OpenSession(v1::OpenSessionResponse {
        session: session.id.get(),
        ttl_ms,
        expires_ms: session.expires_millis,
    }))
}

pub(super) fn renew_session(
    inner: &Inner,
    ask: v1::RenewSessionRequest,
) -> Result<Answer, Failure> {
    let ttl_ms = ttl_ms(ask.ttl_ms)?;
    let session = SessionId::new(ask.session);
    let session = inner.namespace.renew_session(session, ttl_ms.into())?;
    let expires_ms = session.expires_millis;
    Ok(Answer::RenewSession(v1::RenewSessionResponse {
        expires_ms,
    }))
}

pub(super) fn close_session(
    inner: &Inner,
    ask: v1::CloseSessionRequest,
) -> Result<Answer, Failure> {
    let session = SessionId::new(ask.session);
    inner.sessions_seen.lock().remove(&session);
    inner.namespace.close_session(session)?;
    Ok(Answer::CloseSession(v1::CloseSessionResponse {}))
}

pub(super) async fn put_block(inner: &Inner, ask: v1::PutBlockRequest) -> Result<Answer, Failure> {
    let block = block("block", ask.block)?;
    if ask.data.is_empty() || ask.data.len() > BLOCK_BYTES_RPC_MAX {
        return Err(Failure::new(
            Reason::TooLarge,
            format!(
                "block of {} bytes; put 1..={BLOCK_BYTES_RPC_MAX}",
                ask.data.len()
            ),
        ));
    }
    check_session(inner, block.session).await?;
    inner.blocks.put(block, ask.data).await?;
    Ok(Answer::PutBlock(v1::PutBlockResponse {}))
}

pub(super) async fn get_block(inner: &Inner, ask: v1::GetBlockRequest) -> Result<Answer, Failure> {
    let block = block("block", ask.block)?;
    let end = ask.offset.checked_add(ask.length);
    let Some(end) = end.filter(|_| (1..=BLOCK_BYTES_RPC_MAX).contains(&(ask.length as usize)))
    else {
        return Err(invalid(
            "length",
            format!(
                "is {} at {}; get 1..={BLOCK_BYTES_RPC_MAX}",
                ask.length, ask.offset
            ),
        ));
    };
    let data = inner.blocks.get_range(block, ask.offset..end).await?;
    Ok(Answer::GetBlock(v1::GetBlockResponse { data }))
}

/// That a session is open, as of at most [`SESSION_CHECK_MS`] ago.
async fn check_session(inner: &Inner, session: SessionId) -> Result<(), Failure> {
    let now = inner.env.clock.monotonic();
    let seen = inner.sessions_seen.lock().get(&session).copied();
    if seen.is_some_and(|seen| now - seen < Duration::from_millis(SESSION_CHECK_MS)) {
        return Ok(());
    }
    let namespace = inner.namespace.clone();
    // The shortest renewal: it never shortens, and fails when the session has expired.
    on_blocking_thread(move || namespace.renew_session(session, 1)).await?;
    let mut sessions = inner.sessions_seen.lock();
    if sessions.len() >= SESSIONS_REMEMBERED_MAX {
        sessions.clear();
    }
    sessions.insert(session, now);
    Ok(())
}

fn block(field: &str, message: Option<v1::BlockId>) -> Result<BlockId, Failure> {
    let block = BlockId::from(present(field, message)?);
    if block.session == marker::SESSION {
        return Err(invalid(field, "is in a session that is not for bodies"));
    }
    Ok(block)
}

fn ttl_ms(ttl_ms: u32) -> Result<u32, Failure> {
    match ttl_ms {
        0 => Ok(TTL_MS_DEFAULT),
        TTL_MS_MIN..=TTL_MS_MAX => Ok(ttl_ms),
        _ => Err(invalid(
            "ttl_ms",
            format!("is {ttl_ms}, not 0 or {TTL_MS_MIN}..={TTL_MS_MAX}"),
        )),
    }
}
