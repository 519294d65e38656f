//! Listening.

use crate::routes::router;
use nokv_server::{Service, bind_tcp};
use nokv_types::Failure;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long answers under way may take when the server stops.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// What an operator chooses.
#[derive(Clone, Debug, Default)]
pub struct HttpOptions {
    /// Where to listen: loopback only.
    pub listen: Vec<SocketAddr>,
}

/// A store that is looked at over HTTP.
pub struct HttpServer {
    addresses: Vec<SocketAddr>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl HttpServer {
    /// Starts to listen.
    ///
    /// **Errors**: `InvalidArgument` for an address that is not loopback; `Busy` for one in use;
    /// `Io`, `PermissionDenied`.
    pub async fn start(service: Service, options: HttpOptions) -> Result<Self, Failure> {
        let mut listeners = Vec::new();
        for address in &options.listen {
            listeners.push(bind_tcp(*address).await?);
        }
        let addresses = listeners.iter().filter_map(|one| one.local_addr().ok());
        let addresses = addresses.collect();
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for listener in listeners {
            tasks.spawn(serve(listener, service.clone(), stopped.clone()));
        }
        Ok(Self {
            addresses,
            stop,
            tasks,
        })
    }

    /// The addresses that it listens on, with the ports that were chosen for 0.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Stops. The service stays open.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_MAX, ended).await.is_err() {
            tracing::debug!("cutting off HTTP connections");
        }
    }
}

async fn serve(listener: TcpListener, service: Service, mut stopped: watch::Receiver<bool>) {
    let stop = async move {
        // An error is the end of the sender, which is a stop too.
        drop(stopped.wait_for(|stopped| *stopped).await);
    };
    let serving = axum::serve(listener, router(service)).with_graceful_shutdown(stop);
    if let Err(error) = serving.await {
        tracing::error!(%error, "HTTP is no longer served");
    }
}
