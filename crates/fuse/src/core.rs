//! What every operation of a mount works with.
//!
//! Invariants:
//! - a change is acknowledged as buffered and in order; [`Core::sync`] makes all before it durable;
//! - nothing here waits for the kernel: notices to it go through a thread of their own, so an
//!   operation can never wait for another one's lock through it.

use crate::attributes;
use crate::changed::Changed;
use crate::control::{Control, Text};
use crate::directory::DirHandle;
use crate::errno;
use crate::file::{Files, Stagings, Uploads};
use crate::handles::{Handles, OpenFile};
use crate::inode::{Age, Inode, Inodes};
use crate::locks::Locks;
use crate::nodes::FactTable;
use crate::notices::Notices;
use crate::options::{MountAccess, MountOptions};
use crate::stats::Stats;
use fuser::{Errno, FileAttr, INodeNo};
use nokv_client::{Changed as Done, Client, Follow, Node, Target};
use nokv_env::Env;
use nokv_types::{NodeId, TimeNanos};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// For ever, as the kernel counts.
const FOREVER: Duration = Duration::from_secs(1 << 30);

/// A mount at work.
pub(crate) struct Core {
    pub(crate) client: Client,
    pub(crate) env: Env,
    pub(crate) options: MountOptions,
    pub(crate) inodes: Inodes,
    pub(crate) files: Files,
    pub(crate) stagings: Arc<Stagings>,
    pub(crate) uploads: Uploads,
    pub(crate) open_files: Handles<OpenFile>,
    pub(crate) open_dirs: Handles<DirHandle>,
    pub(crate) texts: Handles<Text>,
    pub(crate) changed: Changed,
    pub(crate) notices: Notices,
    pub(crate) control: Control,
    pub(crate) facts: FactTable,
    pub(crate) locks: Locks,
    pub(crate) stats: Stats,
    /// Whether something was acknowledged since the last sync.
    unsynced: AtomicBool,
}

/// On whose behalf an operation runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// A node, and the client that sees it.
pub(crate) struct Reading {
    pub(crate) age: Age,
    pub(crate) client: Client,
    pub(crate) node: NodeId,
}

impl Caller {
    pub(crate) fn of(request: &fuser::Request) -> Self {
        Self {
            uid: request.uid(),
            gid: request.gid(),
        }
    }
}

impl Core {
    pub(crate) fn new(client: Client, env: Env, root: &Node, options: MountOptions) -> Self {
        let root = Inode::Node {
            age: Age::Live,
            branch: root.branch,
            node: root.id,
        };
        let staging_dir = options.staging_dir.clone();
        Self {
            client,
            stagings: Arc::new(Stagings::new(env.clone(), staging_dir)),
            env,
            options,
            inodes: Inodes::new(root),
            files: Files::new(),
            uploads: Uploads::new(),
            open_files: Handles::new(),
            open_dirs: Handles::new(),
            texts: Handles::new(),
            changed: Changed::new(),
            notices: Notices::new(),
            control: Control::new(),
            facts: FactTable::new(),
            locks: Locks::new(),
            stats: Stats::new(),
            unsynced: AtomicBool::new(false),
        }
    }

    /// What a number of the kernel means. **Errors**: `ESTALE`.
    pub(crate) fn inode(&self, number: INodeNo) -> Result<Inode, Errno> {
        self.inodes.inode(number).ok_or(Errno::ESTALE)
    }

    /// How to read an inode. **Errors**: `EPERM` for what the mount makes up.
    pub(crate) fn reading(&self, inode: Inode) -> Result<Reading, Errno> {
        let Inode::Node { age, branch, node } = inode else {
            return Err(Errno::EPERM);
        };
        let client = match age {
            Age::Live => self.client.in_branch(branch),
            Age::Snapshot(place) => {
                let name = self.control.snapshot(place).ok_or(Errno::ESTALE)?;
                self.client.at_snapshot(name).in_branch(branch)
            }
        };
        Ok(Reading { age, client, node })
    }

    /// How to change an inode on somebody's behalf. **Errors**: `EROFS`; `EPERM` for what the
    /// mount makes up.
    pub(crate) fn changing(&self, number: INodeNo, caller: Caller) -> Result<Reading, Errno> {
        let reading = self.reading(self.inode(number)?)?;
        if self.options.access != MountAccess::ReadWrite || reading.age != Age::Live {
            return Err(Errno::EROFS);
        }
        Ok(Reading {
            client: reading.client.on_behalf_of(caller.uid, caller.gid),
            ..reading
        })
    }

    /// How long the kernel may believe what it is told.
    pub(crate) fn cache_for(&self) -> Duration {
        match self.options.access {
            MountAccess::Frozen => FOREVER,
            MountAccess::ReadWrite | MountAccess::ReadOnly => self.options.cache_for,
        }
    }

    /// The number of a node that was met in a tree of an age.
    pub(crate) fn number_of(&self, age: Age, node: &Node) -> INodeNo {
        self.inodes.number(Inode::Node {
            age,
            branch: node.branch,
            node: node.id,
        })
    }

    /// The attributes of a node, with the edits of its file.
    pub(crate) fn attributes(&self, age: Age, node: &Node) -> FileAttr {
        let number = self.number_of(age, node);
        match self.files.get(number.0) {
            Some(file) => attributes::of_node(number, &file.overlaid(node)),
            None => attributes::of_node(number, node),
        }
    }

    /// The node of an inode, as the store has it now.
    pub(crate) async fn node(&self, inode: Inode) -> Result<Node, Errno> {
        let Reading { client, node, .. } = self.reading(inode)?;
        client
            .lookup(Target::Node(node), Follow::No)
            .await
            .map_err(|failure| errno::of_failure(&failure))
    }

    /// Notes a change that this mount made.
    pub(crate) fn made(&self, done: &Done) {
        self.made_at(done.version, done.node.id);
    }

    /// The same, of a change that answers no node.
    pub(crate) fn made_at(&self, version: nokv_types::Version, node: NodeId) {
        self.changed.own(version);
        self.changed.stamp(node);
        self.unsynced();
    }

    /// Notes that something was acknowledged that is not durable yet.
    pub(crate) fn unsynced(&self) {
        self.unsynced.store(true, Ordering::Release);
    }

    /// Makes everything that was acknowledged durable.
    pub(crate) async fn sync(&self) -> Result<(), Errno> {
        let is_needed = self.unsynced.swap(false, Ordering::AcqRel);
        let synced = self.client.sync().await;
        synced.map_err(|failure| {
            if is_needed {
                self.unsynced();
            }
            errno::of_failure(&failure)
        })
    }

    /// The same if there is anything.
    pub(crate) async fn sync_if_needed(&self) {
        if self.unsynced.load(Ordering::Acquire) && self.sync().await.is_err() {
            tracing::warn!("what was written could not be synced; it is tried again");
        }
    }

    /// Wall clock.
    pub(crate) fn now(&self) -> TimeNanos {
        TimeNanos::new(self.env.clock.now_nanos())
    }

    /// Monotonic clock.
    pub(crate) fn monotonic_millis(&self) -> u64 {
        u64::try_from(self.env.clock.monotonic().as_millis()).unwrap_or(u64::MAX)
    }
}
