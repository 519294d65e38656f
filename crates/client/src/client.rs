//! The handle: which store, which mount, as of when, and where its bodies are.

use crate::blocks::ServerBlocks;
use crate::cache::CacheSlot;
use crate::handle::OpenFiles;
use crate::transport::Transport;
use crate::{Access, ClientOptions};
use nokv_env::Env;
use nokv_namespace::{Context, Durability, View};
use nokv_object::BlockStore;
use nokv_proto::v1;
use nokv_server::ObjectsConfig;
use nokv_types::{
    BranchId, Failure, Generation, MountId, RequestId, SnapshotName, TimeNanos, Version,
};
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;

/// How long closing waits for sessions of uploads that were given up: as long as a person waits
/// after Ctrl-C. What is not closed by then expires.
const ENDINGS_MAX: Duration = Duration::from_secs(2);

/// A handle on one mount of a store, at its newest state or at one version.
///
/// **Concurrency**: cheap to clone, clones share the connection or the open store. Needs a
/// multi-threaded tokio runtime. Every future may be dropped: a change under way then happens or
/// does not. **Guarantees**: the same answers and the same failures, whichever way the store is
/// reached.
#[derive(Clone)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
    pub(crate) view: View,
    /// The snapshot that is read.
    pub(crate) snapshot: Option<SnapshotName>,
    /// On whose behalf changes are made, and how surely.
    pub(crate) caller: Caller,
    pub(crate) cache: Arc<CacheSlot>,
}

/// Who changes, and when that is acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Caller {
    uid: u32,
    gid: u32,
    pub(crate) durability: Durability,
    expect: Option<Generation>,
}

/// What clones share.
pub(crate) struct Shared {
    pub(crate) env: Env,
    pub(crate) transport: Transport,
    pub(crate) options: ClientOptions,
    access: Access,
    objects: ObjectsConfig,
    greeting: Mutex<Option<v1::StatusResponse>>,
    blocks: OnceCell<Arc<dyn BlockStore>>,
    /// Sessions that are being closed because their upload was given up.
    pub(crate) endings: Mutex<JoinSet<()>>,
    /// Files that are open for reading and writing.
    pub(crate) open_files: OpenFiles,
}

impl Client {
    pub(crate) fn new(shared: Shared) -> Self {
        let options = &shared.options;
        let caller = Caller {
            uid: options.uid,
            gid: options.gid,
            durability: options.durability,
            expect: None,
        };
        // Mount 0 is the default one, whatever its number.
        Self {
            caller,
            shared: Arc::new(shared),
            view: View::latest(MountId::new(0)),
            snapshot: None,
            cache: Arc::default(),
        }
    }

    /// Ends the uploads that were given up, and closes the store if it is open in this process, for
    /// all clones.
    ///
    /// **Errors**: those of the last flush; what was acknowledged as synced is safe all the same.
    pub async fn close(self) -> Result<(), Failure> {
        self.shared.open_files.close().await;
        let mut endings = std::mem::take(&mut *self.shared.endings.lock());
        let ended = async { while endings.join_next().await.is_some() {} };
        if tokio::time::timeout(ENDINGS_MAX, ended).await.is_err() {
            tracing::debug!("some upload sessions are left to expire");
        }
        let flushed = tokio::time::timeout(ENDINGS_MAX, self.flush_cache()).await;
        if flushed.is_err() {
            tracing::debug!("some blocks are not kept in the cache");
        }
        match &self.shared.transport {
            Transport::Embedded(service) => service.close().await,
            Transport::Remote(_) => Ok(()),
        }
    }

    /// How the store is reached.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.shared.access
    }

    /// The same client on another mount.
    #[must_use]
    pub fn with_mount(&self, mount: MountId) -> Self {
        Self {
            view: View { mount, ..self.view },
            ..self.clone()
        }
    }

    /// The same client reading as of `version`; a client of a snapshot can only read that. Changes
    /// still apply to the newest state.
    #[must_use]
    pub fn at(&self, version: Version) -> Self {
        Self {
            view: self.view.at(version),
            ..self.clone()
        }
    }

    /// The same client in another branch of the mount: paths begin at the branch's root.
    #[must_use]
    pub fn in_branch(&self, branch: BranchId) -> Self {
        Self {
            view: View {
                branch,
                ..self.view
            },
            ..self.clone()
        }
    }

    /// The same client making changes on behalf of somebody else: what it makes is theirs.
    #[must_use]
    pub fn on_behalf_of(&self, uid: u32, gid: u32) -> Self {
        let caller = Caller {
            uid,
            gid,
            ..self.caller
        };
        Self {
            caller,
            ..self.clone()
        }
    }

    /// The same client, whose changes fail with `StaleGeneration` unless what they remove, move,
    /// link or change has a body of this generation. A change that acts on no single node fails
    /// with `InvalidArgument`.
    #[must_use]
    pub fn expecting(&self, generation: Generation) -> Self {
        let caller = Caller {
            expect: Some(generation),
            ..self.caller
        };
        Self {
            caller,
            ..self.clone()
        }
    }

    /// The same client with changes acknowledged as told.
    #[must_use]
    pub fn with_durability(&self, durability: Durability) -> Self {
        let caller = Caller {
            durability,
            ..self.caller
        };
        Self {
            caller,
            ..self.clone()
        }
    }

    /// The newest state, whatever this client reads.
    pub(crate) fn at_newest_to_wire(&self) -> v1::View {
        let view = View {
            at: None,
            ..self.view
        };
        nokv_server::wire::view_to_wire(&view)
    }

    pub(crate) fn view_to_wire(&self) -> v1::View {
        let mut view = nokv_server::wire::view_to_wire(&self.view);
        if let Some(snapshot) = &self.snapshot {
            view.snapshot = snapshot.as_str().to_owned();
        }
        view
    }

    /// The blocks of the store, by the shortest way.
    pub(crate) async fn blocks(&self) -> Result<Arc<dyn BlockStore>, Failure> {
        self.shared
            .blocks
            .get_or_try_init(|| self.shared.find_blocks())
            .await
            .cloned()
    }

    /// The context of a new change, with an id of its own.
    pub(crate) fn context(&self) -> v1::Context {
        let request = match &self.shared.transport {
            // A call in this process is not repeated: there is nothing to recognise.
            Transport::Embedded(_) => None,
            Transport::Remote(_) => {
                let mut id = [0; 16];
                self.shared.env.random.fill(&mut id);
                Some(RequestId::from_bytes(id))
            }
        };
        let context = Context {
            branch: self.view.branch,
            request,
            expect: self.caller.expect,
            uid: self.caller.uid,
            gid: self.caller.gid,
            durability: self.caller.durability,
            ..Context::new(self.view.mount, TimeNanos::new(0))
        };
        nokv_server::wire::context_to_wire(&context)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("access", &self.shared.access)
            .field("view", &self.view)
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(
        env: Env,
        transport: Transport,
        access: Access,
        objects: ObjectsConfig,
        options: ClientOptions,
    ) -> Self {
        let (greeting, blocks) = (Mutex::new(None), OnceCell::new());
        let endings = Mutex::default();
        Self {
            env,
            transport,
            options,
            access,
            objects,
            greeting,
            blocks,
            endings,
            open_files: OpenFiles::default(),
        }
    }

    /// What the server said of itself, if it was asked.
    pub(crate) fn known(&self) -> Option<v1::StatusResponse> {
        self.greeting.lock().clone()
    }

    /// Remembers what the server said of itself.
    pub(crate) fn know(&self, status: v1::StatusResponse) {
        *self.greeting.lock() = Some(status);
    }

    async fn find_blocks(&self) -> Result<Arc<dyn BlockStore>, Failure> {
        let remote = match &self.transport {
            Transport::Embedded(service) => return Ok(service.blocks()),
            Transport::Remote(remote) => remote,
        };
        let greeting = self.greeting.lock().clone().unwrap_or_default();
        match nokv_server::reach_objects(&self.env, &self.objects, &greeting).await {
            Some(blocks) => Ok(blocks),
            None => Ok(Arc::new(ServerBlocks::new(Arc::clone(remote)))),
        }
    }
}
