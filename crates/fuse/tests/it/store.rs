//! A store with mounts, for one test.

use nokv_client::{Client, ClientOptions};
use nokv_env::Env;
use nokv_fuse::{MountOptions, Mounted};
use nokv_server::{Create, ObjectsConfig, Server, ServerOptions, Service, StoreConfig};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A served store.
pub(crate) struct Store {
    pub(crate) runtime: Runtime,
    pub(crate) client: Client,
    server: Option<Server>,
    dir: TempDir,
    mounts: Vec<Mounted>,
}

/// How a mount reaches its store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    InProcess,
    Socket,
}

impl Store {
    /// A fresh store; `None`, with a word why, where nothing can be mounted.
    pub(crate) fn new() -> Option<Self> {
        if !Path::new("/dev/fuse").exists() || !rustix::process::geteuid().is_root() {
            println!("skipped: mounting takes /dev/fuse and the super-user");
            return None;
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("threads");
        let dir = TempDir::new().expect("a directory");
        let (client, server) = runtime.block_on(serve(dir.path()));
        Some(Self {
            runtime,
            client,
            server: Some(server),
            dir,
            mounts: Vec::new(),
        })
    }

    /// Mounts the store once more.
    pub(crate) fn mount(&mut self, way: Way) -> PathBuf {
        self.mount_with(way, |_| {})
    }

    pub(crate) fn mount_with(
        &mut self,
        way: Way,
        choose: impl FnOnce(&mut MountOptions),
    ) -> PathBuf {
        let mountpoint = self.dir.path().join(format!("mount-{}", self.mounts.len()));
        std::fs::create_dir_all(&mountpoint).expect("a mountpoint");
        let mut options = MountOptions::new(mountpoint.clone());
        options.staging_dir = self.dir.path().to_owned();
        choose(&mut options);
        let client = match way {
            Way::InProcess => self.client.clone(),
            Way::Socket => self.runtime.block_on(connect(&self.store_dir())),
        };
        let mounted = self
            .runtime
            .block_on(Mounted::mount(&client, Env::real(), options));
        self.mounts.push(mounted.expect("mounts"));
        mountpoint
    }

    /// Ends all mounts; what was written through them is stored.
    pub(crate) fn unmount(&mut self) {
        for mounted in self.mounts.drain(..) {
            self.runtime.block_on(mounted.unmount()).expect("unmounts");
        }
    }

    pub(crate) fn store_dir(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// Everything fits together.
    pub(crate) fn check(&self) {
        let checked = self.runtime.block_on(self.client.check()).expect("checks");
        assert_eq!(checked.problems, Vec::new());
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.unmount();
        }
        self.mounts.clear();
        if let Some(server) = self.server.take() {
            drop(self.runtime.block_on(server.stop()));
        }
    }
}

async fn serve(dir: &Path) -> (Client, Server) {
    let objects = format!("file://{}/objects", dir.display());
    let config = StoreConfig {
        create: Create::IfMissing,
        objects: ObjectsConfig {
            url: Some(objects),
            ..ObjectsConfig::default()
        },
        ..StoreConfig::new(dir.join("store"))
    };
    let service = Service::open(Env::real(), config).await.expect("opens");
    let server = Server::start(service.clone(), ServerOptions::default()).await;
    let client = Client::embedded(service, ClientOptions::default());
    (client, server.expect("serves"))
}

async fn connect(dir: &Path) -> Client {
    let endpoint = nokv_client::Endpoint::Dir {
        dir: dir.to_owned(),
        create: Create::Never,
        objects: ObjectsConfig::default(),
    };
    let options = ClientOptions::default();
    Client::connect(Env::real(), endpoint, options)
        .await
        .expect("connects")
}

/// Runs `work` as another user: only the calling thread of the system changes, so a thread of its
/// own.
pub(crate) fn as_user<T: Send>(uid: u32, gids: &[u32], work: impl FnOnce() -> T + Send) -> T {
    use rustix::process::{Gid, Uid};
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let groups: Vec<Gid> = gids.iter().map(|gid| Gid::from_raw(*gid)).collect();
            rustix::thread::set_thread_groups(&groups).expect("groups");
            let gid = groups.first().copied().unwrap_or(Gid::from_raw(uid));
            rustix::thread::set_thread_res_gid(gid, gid, gid).expect("gid");
            let uid = Uid::from_raw(uid);
            rustix::thread::set_thread_res_uid(uid, uid, uid).expect("uid");
            work()
        });
        match worker.join() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
