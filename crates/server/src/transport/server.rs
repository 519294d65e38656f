//! All connections of a store.
//!
//! Invariants: at most `connections_max` at once; stopping refuses new ones, lets requests in
//! flight end within a bound, and removes the socket before the store is closed.

use super::budget::Budget;
use super::connection::Connection;
use super::limits::ServerOptions;
use super::tcp::bind_tcp;
use super::unix::{SOCKET_NAME, bind_unix, remove_unix};
use crate::service::{Caller, Service};
use nokv_types::Failure;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

/// Wait after an accept that failed (usually no file descriptors left), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A store that is served: on the Unix socket in its directory, and on loopback addresses as told.
pub struct Server {
    service: Service,
    addresses: Vec<SocketAddr>,
    stop: watch::Sender<bool>,
    listeners: JoinSet<()>,
    connections: Connections,
    drain_max: Duration,
}

/// What every listener needs for a new connection.
#[derive(Clone)]
struct Connections {
    service: Service,
    budget: Budget,
    slots: Arc<Semaphore>,
    slot_count: u32,
    stopped: watch::Receiver<bool>,
}

impl Server {
    /// Starts to listen.
    ///
    /// **Errors**: `InvalidArgument` for an address that is not loopback; `Busy` for one in use;
    /// `Io`, `PermissionDenied`.
    pub async fn start(service: Service, options: ServerOptions) -> Result<Self, Failure> {
        let mut tcp = Vec::new();
        for address in &options.listen {
            tcp.push(bind_tcp(*address).await?);
        }
        let unix = bind_unix(service.dir())?;
        let (stop, stopped) = watch::channel(false);
        let slot_count = u32::try_from(options.connections_max.max(1)).unwrap_or(u32::MAX);
        let connections = Connections {
            service: service.clone(),
            budget: Budget::new(),
            slots: Arc::new(Semaphore::new(slot_count as usize)),
            slot_count,
            stopped,
        };
        let mut listeners = JoinSet::new();
        let addresses = tcp
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect();
        listeners.spawn(listen_unix(unix, connections.clone()));
        for listener in tcp {
            listeners.spawn(listen_tcp(listener, connections.clone()));
        }
        let drain_max = options.drain_max;
        Ok(Self {
            service,
            addresses,
            stop,
            listeners,
            connections,
            drain_max,
        })
    }

    /// The socket in the store's directory.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.service.dir().join(SOCKET_NAME)
    }

    /// The network addresses that it listens on, with the ports that were chosen for 0.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Connections now.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.connections.slot_count as usize - self.connections.slots.available_permits()
    }

    /// Stops: no new connections, what is in flight ends or is cut off after `drain_max`, then the
    /// store closes.
    ///
    /// **Errors**: those of closing the store.
    pub async fn stop(mut self) -> Result<(), Failure> {
        self.stop.send_replace(true);
        self.service.stop_watches();
        while self.listeners.join_next().await.is_some() {}
        remove_unix(self.service.dir());
        let slots = Arc::clone(&self.connections.slots);
        let all_ended = slots.acquire_many_owned(self.connections.slot_count);
        if tokio::time::timeout(self.drain_max, all_ended)
            .await
            .is_err()
        {
            tracing::warn!(count = self.connection_count(), "cutting off connections");
        }
        self.service.close().await
    }
}

impl Connections {
    /// Waits for a free slot; `None` when the server stops.
    async fn slot(&mut self) -> Option<OwnedSemaphorePermit> {
        let slots = Arc::clone(&self.slots);
        tokio::select! {
            biased;
            _ = self.stopped.changed() => None,
            slot = slots.acquire_owned() => slot.ok(),
        }
    }

    fn serve<S>(&self, stream: S, caller: Caller, slot: OwnedSemaphorePermit)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (service, budget) = (self.service.clone(), self.budget.clone());
        let connection = Connection::new(stream, service, caller.clone(), budget);
        let stopped = self.stopped.clone();
        tokio::spawn(async move {
            if let Err(error) = connection.serve(stopped).await {
                tracing::debug!(?caller, %error, "a connection ended");
            }
            drop(slot);
        });
    }
}

async fn listen_unix(listener: UnixListener, mut connections: Connections) {
    while let Some(slot) = connections.slot().await {
        let accepted = tokio::select! {
            biased;
            _ = connections.stopped.changed() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let uid = stream.peer_cred().map_or(u32::MAX, |peer| peer.uid());
                connections.serve(stream, Caller::Local { uid }, slot);
            }
            Err(error) => pause(&error).await,
        }
    }
}

async fn listen_tcp(listener: TcpListener, mut connections: Connections) {
    while let Some(slot) = connections.slot().await {
        let accepted = tokio::select! {
            biased;
            _ = connections.stopped.changed() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "no TCP_NODELAY: answers may be delayed");
                }
                connections.serve(stream, Caller::Network(address), slot);
            }
            Err(error) => pause(&error).await,
        }
    }
}

async fn pause(error: &io::Error) {
    tracing::warn!(%error, "could not accept a connection");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}
