//! A served store and a channel to it.

use nokv_env::Env;
use nokv_grpc::v1::namespace_client::NamespaceClient;
use nokv_grpc::{GrpcOptions, GrpcServer};
use nokv_proto::v1;
use nokv_server::{Create, ObjectsConfig, Service, StoreConfig};
use tonic::transport::Channel;

pub(crate) struct Served {
    pub(crate) service: Service,
    pub(crate) server: GrpcServer,
    pub(crate) channel: Channel,
}

impl Served {
    pub(crate) async fn start() -> Self {
        Self::with(GrpcOptions::default()).await
    }

    pub(crate) async fn with(options: GrpcOptions) -> Self {
        let config = StoreConfig {
            create: Create::New,
            objects: ObjectsConfig {
                url: Some("memory:".to_owned()),
                ..ObjectsConfig::default()
            },
            maintenance_ms: None,
            ..StoreConfig::new("/store".into())
        };
        let service = Service::open(Env::memory(1), config).await.expect("opens");
        let options = GrpcOptions {
            listen: vec!["127.0.0.1:0".parse().expect("an address")],
            ..options
        };
        let server = GrpcServer::start(service.clone(), options)
            .await
            .expect("listens");
        let address = format!("http://{}", server.addresses()[0]);
        let channel = Channel::from_shared(address)
            .expect("an address")
            .connect()
            .await
            .expect("connects");
        Self {
            service,
            server,
            channel,
        }
    }

    pub(crate) fn namespace(&self) -> NamespaceClient<Channel> {
        NamespaceClient::new(self.channel.clone())
    }

    pub(crate) async fn make_dir(&self, path: &str) -> v1::Node {
        let answer = self.namespace().make_dir(make_dir(path)).await;
        let changed = answer.expect("made").into_inner();
        changed.node.expect("a node")
    }
}

pub(crate) fn target(path: &str) -> Option<v1::Target> {
    let target = v1::target::Target::Path(path.to_owned().into());
    Some(v1::Target {
        target: Some(target),
    })
}

pub(crate) fn make_dir(path: &str) -> v1::MakeDirRequest {
    let place = v1::place::Place::Path(path.to_owned().into());
    v1::MakeDirRequest {
        place: Some(v1::Place { place: Some(place) }),
        mode: 0o755,
        ..v1::MakeDirRequest::default()
    }
}
