//! Listening: all services, health and reflection on one port.
//!
//! Invariants: only where the service itself would listen ([`nokv_server::bind_tcp`]); at most
//! `connections_max` connections, beyond it they wait in the kernel's queue; stopping lets calls in
//! flight end within a bound.

use crate::connections::incoming;
use crate::services::Grpc;
use crate::v1::admin_server::AdminServer;
use crate::v1::bodies_server::BodiesServer;
use crate::v1::branches_server::BranchesServer;
use crate::v1::clients_server::ClientsServer;
use crate::v1::namespace_server::NamespaceServer;
use crate::v1::quotas_server::QuotasServer;
use crate::v1::snapshots_server::SnapshotsServer;
use crate::v1::watch_server::WatchServer;
use nokv_server::{CONNECTIONS_MAX, IN_FLIGHT_MAX, Service, bind_tcp};
use nokv_types::{Failure, Reason};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::transport::server::Router;
use tonic_health::server::HealthReporter;

/// Bytes of a message, either way: what the framed protocol takes.
pub const MESSAGE_BYTES_MAX: usize = nokv_proto::FRAME_BYTES_MAX;
/// A connection that is silent for so long is asked whether it lives.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// And given up when it does not answer for so long.
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(20);

/// What an operator chooses.
#[derive(Clone, Debug)]
pub struct GrpcOptions {
    /// Where to listen: loopback only.
    pub listen: Vec<SocketAddr>,
    /// Connections at once, for each address.
    pub connections_max: usize,
    /// How long calls in flight may take to end when the server stops.
    pub drain_max: Duration,
}

impl Default for GrpcOptions {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            connections_max: CONNECTIONS_MAX,
            drain_max: Duration::from_secs(10),
        }
    }
}

/// A store that is served over gRPC.
pub struct GrpcServer {
    service: Service,
    addresses: Vec<SocketAddr>,
    health: HealthReporter,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    drain_max: Duration,
}

impl GrpcServer {
    /// Starts to listen.
    ///
    /// **Errors**: `InvalidArgument` for an address that is not loopback; `Busy` for one in use;
    /// `Io`, `PermissionDenied`.
    pub async fn start(service: Service, options: GrpcOptions) -> Result<Self, Failure> {
        let (health, health_service) = tonic_health::server::health_reporter();
        set_serving(&health).await;
        let mut listeners = Vec::new();
        for address in &options.listen {
            listeners.push(bind_tcp(*address).await?);
        }
        let (stop, stopped) = watch::channel(false);
        let addresses = listeners.iter().filter_map(|one| one.local_addr().ok());
        let addresses = addresses.collect();
        let mut tasks = JoinSet::new();
        for listener in listeners {
            let router = router(&service)?.add_service(health_service.clone());
            let serving = serve(router, listener, options.connections_max, stopped.clone());
            tasks.spawn(serving);
        }
        Ok(Self {
            service,
            addresses,
            health,
            stop,
            tasks,
            drain_max: options.drain_max,
        })
    }

    /// The addresses that it listens on, with the ports that were chosen for 0.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Stops: watches end, calls in flight end or are cut off. The service stays open.
    pub async fn stop(mut self) {
        self.health
            .set_service_status("", tonic_health::ServingStatus::NotServing)
            .await;
        self.stop.send_replace(true);
        self.service.stop_watches();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.drain_max, ended).await.is_err() {
            tracing::warn!("cutting off gRPC calls that did not end");
        }
    }
}

async fn set_serving(health: &HealthReporter) {
    health.set_serving::<NamespaceServer<Grpc>>().await;
    health.set_serving::<WatchServer<Grpc>>().await;
    health.set_serving::<SnapshotsServer<Grpc>>().await;
    health.set_serving::<BranchesServer<Grpc>>().await;
    health.set_serving::<QuotasServer<Grpc>>().await;
    health.set_serving::<ClientsServer<Grpc>>().await;
    health.set_serving::<BodiesServer<Grpc>>().await;
    health.set_serving::<AdminServer<Grpc>>().await;
}

macro_rules! sized {
    ($server:ident, $grpc:expr) => {
        $server::new($grpc.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    };
}

fn router(service: &Service) -> Result<Router, Failure> {
    let grpc = Grpc {
        service: service.clone(),
    };
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(nokv_proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .map_err(|error| Failure::new(Reason::Io, format!("no reflection: {error}")))?;
    let streams_max = u32::try_from(IN_FLIGHT_MAX).unwrap_or(u32::MAX);
    let router = tonic::transport::Server::builder()
        .max_concurrent_streams(streams_max)
        .http2_adaptive_window(Some(true))
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_ANSWER))
        .add_service(reflection)
        .add_service(sized!(NamespaceServer, grpc))
        .add_service(sized!(WatchServer, grpc))
        .add_service(sized!(SnapshotsServer, grpc))
        .add_service(sized!(BranchesServer, grpc))
        .add_service(sized!(QuotasServer, grpc))
        .add_service(sized!(ClientsServer, grpc))
        .add_service(sized!(BodiesServer, grpc))
        .add_service(sized!(AdminServer, grpc));
    Ok(router)
}

async fn serve(
    router: Router,
    listener: TcpListener,
    connections_max: usize,
    mut stopped: watch::Receiver<bool>,
) {
    let stop = async move {
        // An error is the end of the sender, which is a stop too.
        drop(stopped.wait_for(|stopped| *stopped).await);
    };
    let incoming = incoming(listener, connections_max);
    if let Err(error) = router.serve_with_incoming_shutdown(incoming, stop).await {
        tracing::error!(%error, "gRPC is no longer served");
    }
}
