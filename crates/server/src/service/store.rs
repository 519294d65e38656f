//! A store that is open: create, open, close.
//!
//! Invariants:
//! - one process at a time ([`crate::store_lock`]);
//! - nothing is written to an object store before it is known to be this store's
//!   ([`super::marker`]);
//! - closing waits for background work, syncs, and releases the lock last.

use super::backup::Backups;
use super::leases::Leases;
use super::maintenance::Maintenance;
use super::marker::{self, IsNew};
use super::sync::SyncGroup;
use super::watch::Hub;
use crate::figures::{CountedBlocks, Figure, Recorder, gather};
use crate::identity::{self, Identity, io_failure};
use crate::store_lock::StoreLock;
use crate::{Create, ObjectsCheck, ObjectsConfig, StoreConfig};
use nokv_env::Env;
use nokv_namespace::Namespace;
use nokv_object::{BlockStore, BodyCheck, CollectOptions, Collector};
use nokv_types::{Failure, MountId, Reason, SessionId};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Where the metadata is in a store's directory.
const META: &str = "meta";
/// What may be in a directory in which a store is created: what an interrupted creation leaves.
const OWN_NAMES: [&str; 5] = [
    "LOCK",
    identity::FILE_NAME_NEW,
    META,
    "objects",
    "nokv.sock",
];

/// An open store and the handler of its requests.
///
/// **Concurrency**: cheap to clone, clones share. Needs a tokio runtime.
pub struct Service {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) env: Env,
    pub(super) dir: PathBuf,
    pub(super) identity: Identity,
    pub(super) store_id: [u8; 16],
    pub(super) objects_url: String,
    pub(super) objects_config: ObjectsConfig,
    pub(super) backups: Backups,
    pub(super) namespace: Namespace,
    pub(super) blocks: Arc<dyn BlockStore>,
    pub(super) collector: Collector,
    /// A check of bodies between two of its steps.
    pub(super) body_check: Mutex<Option<BodyCheck>>,
    pub(super) sync: SyncGroup,
    pub(super) hub: Hub,
    pub(super) leases: Leases,
    pub(super) sessions_seen: Mutex<HashMap<SessionId, Duration>>,
    pub(super) request_count: AtomicU64,
    pub(super) recorder: Arc<Recorder>,
    objects_counted: Arc<CountedBlocks>,
    pub(super) started: Duration,
    pub(super) is_closing: AtomicBool,
    maintenance: Mutex<Option<Maintenance>>,
    lock: Mutex<Option<StoreLock>>,
}

impl Service {
    /// Opens the store, or creates it as told.
    ///
    /// **Errors**: `Busy` when another process has it open, naming it; `NotFound`, `AlreadyExists`
    /// by `create`; `Corrupt` with file, offset, expected, got; `Conflict` when the object
    /// store is another store's; `Unavailable`, `Unauthenticated`, `PermissionDenied`,
    /// `NotFound`, `InvalidArgument` for the object store.
    pub async fn open(env: Env, config: StoreConfig) -> Result<Self, Failure> {
        if let Some(url) = &config.objects.url {
            // Before anything is created: a URL with a mistake, or with a password in it, leaves no
            // trace.
            crate::objects::open(&env, url, &config.objects)?;
        }
        let dir = absolute(&config.dir)?;
        let config = StoreConfig {
            dir: dir.clone(),
            ..config
        };
        let (blocking_env, blocking_config) = (env.clone(), config.clone());
        let prepared =
            on_blocking_thread(move || Prepared::new(&blocking_env, &blocking_config)).await?;
        let objects_url = match &config.objects.url {
            Some(url) => url.clone(),
            None => prepared.identity.objects_url(&dir),
        };
        let objects = config.objects.over(&prepared.identity.objects);
        let blocks = crate::objects::open(&env, &objects_url, &objects)?;
        prepared
            .claim_objects(&*blocks, &objects_url, &config)
            .await?;
        let (meta_env, meta_dir) = (env.clone(), dir.join(META));
        let options = config.namespace;
        let namespace =
            on_blocking_thread(move || Namespace::open(meta_env, &meta_dir, options)).await?;
        if prepared.is_new == IsNew::Yes {
            Identity::establish(&env, &dir)?;
        }
        let service = Self::assemble(
            env,
            dir,
            prepared,
            (objects_url, objects),
            namespace,
            blocks,
        );
        service.start_maintenance(config.maintenance_ms);
        Ok(service)
    }

    fn assemble(
        env: Env,
        dir: PathBuf,
        prepared: Prepared,
        (objects_url, objects_config): (String, ObjectsConfig),
        namespace: Namespace,
        blocks: Arc<dyn BlockStore>,
    ) -> Self {
        let counted = Arc::new(CountedBlocks::new(blocks, Arc::clone(&env.clock)));
        let blocks: Arc<dyn BlockStore> = Arc::clone(&counted) as _;
        let recorder = Recorder::new(Arc::clone(&env.clock));
        let synced = namespace.clone();
        let started = env.clock.monotonic();
        let collector = Collector::new(
            namespace.clone(),
            Arc::clone(&blocks),
            Arc::clone(&env.clock),
            CollectOptions::default(),
        );
        let inner = Inner {
            collector,
            body_check: Mutex::default(),
            sync: SyncGroup::new(move || synced.sync()),
            hub: Hub::default(),
            leases: Leases::default(),
            env,
            dir,
            store_id: prepared.store_id,
            identity: prepared.identity,
            objects_url,
            objects_config,
            backups: Backups::default(),
            namespace,
            blocks,
            sessions_seen: Mutex::default(),
            request_count: AtomicU64::new(0),
            recorder,
            objects_counted: counted,
            started,
            is_closing: AtomicBool::new(false),
            maintenance: Mutex::new(None),
            lock: Mutex::new(Some(prepared.lock)),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    fn start_maintenance(&self, interval_ms: Option<u64>) {
        self.inner.leases.start(Arc::downgrade(&self.inner));
        if let Some(interval_ms) = interval_ms {
            let maintenance = Maintenance::start(Arc::downgrade(&self.inner), interval_ms);
            *self.inner.maintenance.lock() = Some(maintenance);
        }
    }

    /// The store's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// The 16 bytes that no other store has.
    #[must_use]
    pub fn store_id(&self) -> [u8; 16] {
        self.inner.store_id
    }

    /// Where the blocks are: for a client in the same process.
    #[must_use]
    pub fn blocks(&self) -> Arc<dyn BlockStore> {
        Arc::clone(&self.inner.blocks)
    }

    /// The environment that the store works in.
    #[must_use]
    pub fn env(&self) -> &Env {
        &self.inner.env
    }

    /// What is counted, now: calls, commits, tables, caches, watchers, requests to the object
    /// store.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        self.inner.figures()
    }

    /// Proves that store and object store work: a sync, and an object written, read, deleted.
    ///
    /// **Errors**: of the one that does not, saying what to do.
    pub async fn prove(&self) -> Result<(), Failure> {
        if self.inner.is_closing.load(Ordering::Acquire) {
            return Err(Failure::new(Reason::Unavailable, "the server is stopping"));
        }
        self.inner.sync.wait().await?;
        Ok(self.inner.blocks.probe().await?)
    }

    /// Ends the waiting of all who watch or want a lock, and has nobody wait any more.
    pub fn stop_watches(&self) {
        self.inner.leases.end_waiting();
        self.inner.hub.stop();
    }

    /// Closes the store: refuses new requests, stops background work, syncs, releases the lock.
    /// Closing twice succeeds.
    ///
    /// **Errors**: those of the last flush; the store is closed all the same, and what was synced
    /// is safe.
    pub async fn close(&self) -> Result<(), Failure> {
        if self.inner.is_closing.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.stop_watches();
        self.inner.leases.stop().await;
        let maintenance = self.inner.maintenance.lock().take();
        if let Some(maintenance) = maintenance {
            maintenance.stop().await;
        }
        let namespace = self.inner.namespace.clone();
        let closed = on_blocking_thread(move || namespace.close()).await;
        drop(self.inner.lock.lock().take());
        closed
    }
}

impl Inner {
    pub(super) fn figures(&self) -> Vec<Figure> {
        let engine = self.namespace.engine().stats();
        let names = self.namespace.figures();
        let mut figures = gather(&self.recorder, &self.objects_counted, &engine, &names);
        figures.extend(self.hub.figures());
        let uptime = self.env.clock.monotonic().saturating_sub(self.started);
        let (is, version) = ("Seconds since the start", "Version of the newest commit");
        figures.push(Figure::gauge("uptime_seconds", is, uptime.as_secs_f64()));
        let newest = self.namespace.read_version().as_u64() as f64;
        figures.push(Figure::gauge("last_version", version, newest));
        figures
    }

    /// The mount that a request means: 0 is the default.
    pub(super) fn mount_or_default(&self, mount: MountId) -> MountId {
        if mount.get() == 0 {
            self.namespace.default_mount()
        } else {
            mount
        }
    }
}

/// A directory that is locked and identified.
struct Prepared {
    lock: StoreLock,
    identity: Identity,
    store_id: [u8; 16],
    is_new: IsNew,
}

impl Prepared {
    fn new(env: &Env, config: &StoreConfig) -> Result<Self, Failure> {
        let dir = &config.dir;
        let is_there = env.files.exists(&dir.join(identity::FILE_NAME));
        let is_there = is_there.map_err(|error| io_failure("read", dir, &error))?;
        match (is_there, config.create) {
            (true, Create::New) => return Err(there_is_a_store(dir)),
            (true, Create::Never | Create::IfMissing)
            | (false, Create::IfMissing | Create::New) => {}
            (false, Create::Never) => {
                let advice = format!(
                    "no store in {}; `nokv init` or `nokv up` makes one there, --dir names another",
                    dir.display()
                );
                return Err(Failure::new(Reason::NotFound, advice));
            }
        }
        if !is_there {
            env.files
                .create_dir_all(dir)
                .map_err(|error| io_failure("create", dir, &error))?;
            refuse_foreign_directory(env, dir)?;
        }
        let lock = StoreLock::take(env, dir)?;
        // Somebody may have created it while we waited for nobody: look again under the lock.
        let (identity, is_new) = match Identity::load(env, dir)? {
            Some(_) if config.create == Create::New => return Err(there_is_a_store(dir)),
            Some(identity) => (identity, IsNew::No),
            None => (Identity::choose(env, dir, &config.objects)?, IsNew::Yes),
        };
        let store_id = identity.id_bytes().ok_or_else(|| {
            Failure::new(
                Reason::Corrupt,
                "store_id in nokv.toml is not 32 hexadecimal digits",
            )
        })?;
        Ok(Self {
            lock,
            identity,
            store_id,
            is_new,
        })
    }

    /// Makes sure that the object store works and is this store's.
    async fn claim_objects(
        &self,
        blocks: &dyn BlockStore,
        url: &str,
        config: &StoreConfig,
    ) -> Result<(), Failure> {
        let is_other = config.objects.url.is_some()
            && config.objects.url != self.identity.objects.url
            && self.is_new == IsNew::No;
        let forgets = nokv_object::forgets(url);
        if self.is_new == IsNew::Yes || config.objects_check == ObjectsCheck::Probe {
            blocks.probe().await?;
        } else if !is_other && !forgets {
            return Ok(());
        }
        let is_new = if forgets { IsNew::Yes } else { self.is_new };
        marker::claim(blocks, self.store_id, is_new).await
    }
}

/// The directory from the root, so that what is remembered of it holds anywhere.
fn absolute(dir: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(dir).map_err(|error| io_failure("find", dir, &error))
}

fn there_is_a_store(dir: &Path) -> Failure {
    let message = format!(
        "there is a store in {} already; use it, or choose another",
        dir.display()
    );
    Failure::new(Reason::AlreadyExists, message)
}

/// A store is not created among other things.
fn refuse_foreign_directory(env: &Env, dir: &Path) -> Result<(), Failure> {
    let entries = env
        .files
        .list(dir)
        .map_err(|error| io_failure("list", dir, &error))?;
    match entries
        .iter()
        .find(|entry| !OWN_NAMES.contains(&entry.name.as_str()))
    {
        None => Ok(()),
        Some(entry) => Err(Failure::new(
            Reason::InvalidArgument,
            format!(
                "{} holds other things, {:?} for one; choose an empty directory for a new store",
                dir.display(),
                entry.name
            ),
        )),
    }
}

/// Runs blocking work on a thread for it.
pub(crate) async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(Failure::new(
            Reason::Unavailable,
            "the runtime is shutting down",
        )),
    }
}

impl ObjectsConfig {
    /// What a new store remembers.
    pub(crate) fn recorded(&self) -> identity::Objects {
        identity::Objects {
            url: self.url.clone(),
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
        }
    }

    /// These choices where they are made, else those of the store.
    fn over(&self, recorded: &identity::Objects) -> Self {
        Self {
            endpoint: self.endpoint.clone().or_else(|| recorded.endpoint.clone()),
            region: self.region.clone().or_else(|| recorded.region.clone()),
            ..self.clone()
        }
    }
}
