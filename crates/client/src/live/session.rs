//! The life of a session: opening, renewing, announcing, closing.

use super::state::State;
use crate::Client;
use nokv_namespace::{
    ANNOUNCEMENT_ITEMS_MAX, Announcement, AnnouncementEnd, ClientPhase, ClientSession, LostClaims,
};
use nokv_proto::v1::{self, request::Method, response::Result as Answer};
use nokv_server::wire;
use nokv_types::{ClientId, Failure, Reason};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Renewals in the time that a session lives: two may fail before it is too late.
const RENEWALS_PER_LIFE: u32 = 3;
/// Nodes share so many locks that keep opens and closes of one in order.
const STRIPES: usize = 64;

/// A client session that is renewed as long as this lives.
///
/// **Guarantees**: a file that it has open stays, whoever removes it, and what it has locked nobody
/// else gets, until it gives that back, closes, or can't renew itself for the time that it lives;
/// lost connections and restarts of the server end nothing.
/// **Concurrency**: may be used from many tasks. Dropping it without [`Self::close`] closes it in
/// the background, which [`Client::close`] waits for.
pub struct LiveSession {
    pub(super) live: Arc<Live>,
    renewal: JoinHandle<()>,
}

/// What the session's tasks share.
pub(super) struct Live {
    pub(super) client: Client,
    pub(super) id: ClientId,
    ttl: Duration,
    pub(super) state: Mutex<State>,
    announcing: tokio::sync::Mutex<()>,
    stripes: Vec<tokio::sync::Mutex<()>>,
}

impl Client {
    /// Opens a client session: for files that are open and for locks. It lives `ttl_ms` (1,000 to
    /// 3,600,000) after its last renewal; `label` says to people who it is.
    ///
    /// **Errors**: `InvalidArgument`; those of every call.
    pub async fn open_live_session(
        &self,
        label: &str,
        ttl_ms: u64,
    ) -> Result<LiveSession, Failure> {
        let asked = self.shared.env.clock.monotonic();
        let method = Method::OpenClient(v1::OpenClientRequest {
            ttl_ms,
            label: label.to_owned(),
        });
        let session = self.client_call(method).await?;
        let ttl = Duration::from_millis(ttl_ms);
        let state = State::new(asked + ttl);
        let stripes = (0..STRIPES).map(|_| tokio::sync::Mutex::default());
        let live = Arc::new(Live {
            client: self.clone(),
            id: session.id,
            ttl,
            state: Mutex::new(state),
            announcing: tokio::sync::Mutex::default(),
            stripes: stripes.collect(),
        });
        let renewal = tokio::spawn(keep_alive(Arc::clone(&live)));
        Ok(LiveSession { live, renewal })
    }

    /// The client sessions of the store.
    pub async fn client_sessions(&self) -> Result<Vec<ClientSession>, Failure> {
        let method = Method::ListClients(v1::ListClientsRequest {});
        let pick = |answer| match answer {
            Answer::ListClients(listed) => Some(listed),
            _ => None,
        };
        let listed = self.shared.transport.call(method, pick).await?;
        Ok(listed.sessions.into_iter().map(wire::client).collect())
    }

    /// Ends a client session with all it has, also another's. Ending one that is over succeeds.
    pub async fn close_client_session(&self, client: ClientId) -> Result<(), Failure> {
        let method = Method::CloseClient(v1::CloseClientRequest {
            client: client.get(),
        });
        let pick = |answer| match answer {
            Answer::CloseClient(closed) => Some(closed),
            _ => None,
        };
        self.shared.transport.call(method, pick).await.map(drop)
    }

    async fn client_call(&self, method: Method) -> Result<ClientSession, Failure> {
        let pick = |answer| match answer {
            Answer::Client(answer) => Some(answer),
            _ => None,
        };
        let answer = self.shared.transport.call(method, pick).await?;
        let session = nokv_proto::present("session", answer.session)?;
        Ok(wire::client(session))
    }
}

impl LiveSession {
    /// Its number.
    #[must_use]
    pub fn id(&self) -> ClientId {
        self.live.id
    }

    /// Whether it was renewed lately enough that nobody else can have what it has. False does not
    /// mean that it is over: the next renewal may find it alive.
    #[must_use]
    pub fn is_assured(&self) -> bool {
        let now = self.live.client.shared.env.clock.monotonic();
        let state = self.live.state.lock();
        !state.is_over && now < state.assured_until
    }

    /// What could not be brought back after a restart of the server, since this was last asked:
    /// nothing, unless the session could not be announced in time.
    #[must_use]
    pub fn take_lost(&self) -> LostClaims {
        std::mem::take(&mut self.live.state.lock().lost)
    }

    /// Ends the session with all it has.
    pub async fn close(self) -> Result<(), Failure> {
        self.renewal.abort();
        let closed = self.live.client.close_client_session(self.live.id).await;
        self.live.state.lock().is_over |= closed.is_ok();
        closed
    }
}

impl Drop for LiveSession {
    fn drop(&mut self) {
        self.renewal.abort();
        if self.live.state.lock().is_over {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (client, id) = (self.live.client.clone(), self.live.id);
            let shared = Arc::clone(&client.shared);
            let ending = async move {
                if let Err(failure) = client.close_client_session(id).await {
                    tracing::debug!(client_id = id.get(), %failure, "could not close a session");
                }
            };
            let mut endings = shared.endings.lock();
            while endings.try_join_next().is_some() {}
            endings.spawn_on(ending, &runtime);
        }
    }
}

impl Live {
    /// Calls with a number of its own until there is an answer of the server that lives now;
    /// `keep` notes what it means, at once with seeing that.
    pub(super) async fn call<T>(
        &self,
        method: impl Fn(v1::Asker) -> Method,
        pick: impl Fn(Answer) -> Option<T> + Copy,
        keep: impl FnOnce(&mut State, &T),
    ) -> Result<T, Failure> {
        let number = self.state.lock().begin();
        let called = self.call_numbered(number, &method, pick, keep).await;
        self.state.lock().finish(number);
        called
    }

    /// The same with a number that was begun, and that stays under way.
    pub(super) async fn call_numbered<T>(
        &self,
        number: u64,
        method: &impl Fn(v1::Asker) -> Method,
        pick: impl Fn(Answer) -> Option<T> + Copy,
        keep: impl FnOnce(&mut State, &T),
    ) -> Result<T, Failure> {
        loop {
            let (asker, epoch) = {
                let state = self.state.lock();
                (state.asker(self.id, number), state.epoch)
            };
            let method = method(wire::asker_to_wire(asker));
            match self.client.shared.transport.call(method, pick).await {
                Ok(answer) => {
                    let mut state = self.state.lock();
                    if state.epoch == epoch {
                        keep(&mut state, &answer);
                        return Ok(answer);
                    }
                }
                Err(failure) if failure.reason() == Reason::Unannounced => self.announce().await?,
                Err(failure) => {
                    self.state.lock().is_over |= failure.reason() == Reason::SessionExpired;
                    return Err(failure);
                }
            }
        }
    }

    /// Keeps opens and closes of a node in order, as long as the answer lives.
    pub(super) async fn in_order(&self, node: nokv_types::NodeId) -> Option<impl Sized + '_> {
        let stripe = usize::try_from(node.as_u64() % STRIPES as u64).unwrap_or(0);
        match self.stripes.get(stripe) {
            Some(stripe) => Some(stripe.lock().await),
            None => None,
        }
    }

    /// Renews, and announces if the server asks for it.
    pub(super) async fn announce(&self) -> Result<(), Failure> {
        let _one_at_a_time = self.announcing.lock().await;
        let asked = self.client.shared.env.clock.monotonic();
        let method = Method::RenewClient(v1::RenewClientRequest {
            client: self.id.get(),
        });
        let renewed = self.client.client_call(method).await;
        let session = renewed.inspect_err(|failure| {
            self.state.lock().is_over |= failure.reason() == Reason::SessionExpired;
        })?;
        if session.phase == ClientPhase::Unannounced {
            let claims = {
                let mut state = self.state.lock();
                state.epoch += 1;
                state.claims()
            };
            let lost = self.send_claims(session.incarnation, claims).await?;
            if lost != LostClaims::default() {
                let (opens, locks) = (lost.opens.len(), lost.locks.len());
                tracing::warn!(opens, locks, "a client session lost some of what it had");
            }
            self.state.lock().lose(self.id, lost);
        }
        let mut state = self.state.lock();
        let left = Duration::from_millis(session.left_ms).min(self.ttl);
        state.assured_until = state.assured_until.max(asked + left);
        Ok(())
    }

    async fn send_claims(
        &self,
        incarnation: u64,
        claims: Announcement,
    ) -> Result<LostClaims, Failure> {
        let mut rest = claims;
        loop {
            let opens = rest.opens.len().min(ANNOUNCEMENT_ITEMS_MAX);
            let locks = rest.locks.len().min(ANNOUNCEMENT_ITEMS_MAX - opens);
            let part = Announcement {
                opens: rest.opens.drain(..opens).collect(),
                locks: rest.locks.drain(..locks).collect(),
            };
            let end = match rest == Announcement::default() {
                true => AnnouncementEnd::Complete,
                false => AnnouncementEnd::MoreFollows,
            };
            let ask = wire::announcement_to_wire((self.id, incarnation), &part, end);
            let pick = |answer| match answer {
                Answer::AnnounceClient(answer) => Some(answer),
                _ => None,
            };
            let method = Method::AnnounceClient(ask);
            let lost = self.client.shared.transport.call(method, pick).await?;
            if end == AnnouncementEnd::Complete {
                return wire::lost_claims(lost);
            }
        }
    }
}

async fn keep_alive(live: Arc<Live>) {
    let pause = live.ttl / RENEWALS_PER_LIFE;
    while !live.state.lock().is_over {
        tokio::time::sleep(pause).await;
        if let Err(failure) = live.announce().await {
            tracing::warn!(client_id = live.id.get(), %failure, "could not renew a client session");
        }
    }
}
