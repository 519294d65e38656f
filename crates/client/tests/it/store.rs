//! A served store for a test, and the three ways to it.

use nokv_client::{Client, ClientOptions, Endpoint, ObjectsConfig};
use nokv_env::Env;
use nokv_server::{Create, Server, ServerOptions, Service, StoreConfig};
use nokv_types::{Name, NsPath};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A store in a directory that goes with it.
pub(crate) struct Store {
    pub(crate) dir: TempDir,
    pub(crate) service: Service,
    pub(crate) server: Server,
}

/// A store in `dir`, created when missing.
pub(crate) fn config(dir: &Path) -> StoreConfig {
    StoreConfig {
        create: Create::IfMissing,
        objects: objects(),
        maintenance_ms: None,
        ..StoreConfig::new(dir.to_owned())
    }
}

pub(crate) fn objects() -> ObjectsConfig {
    ObjectsConfig {
        url: Some("memory:".to_owned()),
        ..ObjectsConfig::default()
    }
}

pub(crate) async fn serve(dir: &Path) -> (Service, Server) {
    let service = Service::open(Env::real(), config(dir))
        .await
        .expect("opens");
    let listen = vec!["127.0.0.1:0".parse().expect("an address")];
    let options = ServerOptions {
        listen,
        ..ServerOptions::default()
    };
    let server = Server::start(service.clone(), options)
        .await
        .expect("listens");
    (service, server)
}

impl Store {
    pub(crate) async fn new() -> Self {
        let dir = TempDir::new().expect("a directory");
        let (service, server) = serve(dir.path()).await;
        Self {
            dir,
            service,
            server,
        }
    }

    /// One client for each way, with the name of the way.
    pub(crate) async fn clients(&self) -> Vec<(&'static str, Client)> {
        let options = ClientOptions::default();
        vec![
            ("embedded", Client::embedded(self.service.clone(), options)),
            ("socket", connect_dir(self.dir.path()).await),
            (
                "tcp",
                connect_tcp(self.server.addresses()[0].to_string(), options).await,
            ),
        ]
    }

    pub(crate) async fn stop(self) {
        self.server.stop().await.expect("stops");
    }
}

pub(crate) fn dir_endpoint(dir: &Path) -> Endpoint {
    Endpoint::Dir {
        dir: dir.to_owned(),
        create: Create::IfMissing,
        objects: objects(),
    }
}

pub(crate) async fn connect_dir(dir: &Path) -> Client {
    let connected = Client::connect(Env::real(), dir_endpoint(dir), ClientOptions::default()).await;
    connected.expect("connects")
}

pub(crate) async fn connect_tcp(address: String, options: ClientOptions) -> Client {
    let endpoint = Endpoint::Server {
        address,
        objects: ObjectsConfig::default(),
    };
    Client::connect(Env::real(), endpoint, options)
        .await
        .expect("connects")
}

pub(crate) fn path(text: &str) -> NsPath {
    NsPath::parse(text).expect("a valid path")
}

pub(crate) fn name(text: &'static str) -> Name {
    Name::new(text).expect("a valid name")
}

/// Everything below a local directory: relative path, kind, mode, modification time, content.
pub(crate) fn snapshot(root: &Path) -> Vec<(PathBuf, char, u32, i128, Vec<u8>)> {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::MetadataExt;
    let mut found = Vec::new();
    let mut stack = vec![root.to_owned()];
    while let Some(path) = stack.pop() {
        let metadata = std::fs::symlink_metadata(&path).expect("is there");
        let time = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        let relative = path.strip_prefix(root).expect("below").to_owned();
        let (kind, content) = if metadata.is_dir() {
            let entries = std::fs::read_dir(&path).expect("readable");
            stack.extend(entries.map(|entry| entry.expect("an entry").path()));
            ('d', Vec::new())
        } else if metadata.is_symlink() {
            let target = std::fs::read_link(&path).expect("a link");
            ('l', target.as_os_str().as_bytes().to_vec())
        } else {
            #[expect(clippy::disallowed_methods, reason = "the test looks at real files")]
            let content = std::fs::read(&path).expect("readable");
            ('f', content)
        };
        let mode = if kind == 'l' {
            0
        } else {
            metadata.mode() & 0o7777
        };
        found.push((relative, kind, mode, time, content));
    }
    found.sort();
    found
}
