//! Mounts: registering and finding them.

use crate::failure::from_shard;
use crate::fingerprint::Fingerprint;
use crate::ids;
use crate::namespace::DEFAULT_MOUNT;
use crate::plan::choose_shard;
use crate::records::answer::Answer;
use crate::records::orphan::{self, OrphanRecord};
use crate::records::{MountRecord, MountState, NodeRecord, quota, shard, snapshot, system};
use crate::{Context, Mount, Namespace, Placement};
use nokv_shard::{Check, Command, Durability, Error, Request, Write};
use nokv_types::{BranchId, Failure, MountId, NodeId, NodeKind, Reason, ShardId, TimeNanos};

/// Most times that retiring begins anew because a snapshot came.
const RETIRE_ATTEMPTS_MAX: usize = 16;
/// Longest name of a mount, bytes.
const MOUNT_NAME_BYTES_MAX: usize = 64;

impl Namespace {
    /// The mounts, in order of their ids.
    #[must_use]
    pub fn mounts(&self) -> Vec<Mount> {
        self.inner.mounts.read().clone()
    }

    /// The mount with this name. **Errors**: `NotFound`.
    pub fn mount(&self, name: &str) -> Result<Mount, Failure> {
        let mounts = self.inner.mounts.read();
        let found = mounts.iter().find(|mount| mount.name == name).cloned();
        found.ok_or_else(|| unknown(name))
    }

    /// Whether there is such a mount, not retired.
    #[must_use]
    pub fn is_mounted(&self, mount: MountId) -> bool {
        self.inner
            .mounts
            .read()
            .iter()
            .any(|found| found.id == mount)
    }

    /// The id of the mount named `default`.
    #[must_use]
    pub fn default_mount(&self) -> MountId {
        self.mount("default")
            .map_or(MountId::default(), |mount| mount.id)
    }

    /// Makes a mount: a name of letters, digits, `-`, `_` and `.`, and an empty root directory
    /// (mode 0755) of `context`'s owner. Durable when it returns.
    ///
    /// **Errors**: `AlreadyExists`, `InvalidName`.
    pub fn register_mount(&self, context: &Context, name: &str) -> Result<Mount, Failure> {
        check_name(name)?;
        context.expects_nothing()?;
        let request = request(context, "register_mount", name);
        let mut mounts = self.inner.mounts.write();
        if let Some(mount) = self.first_answer(request, context)? {
            return Ok(mount);
        }
        if mounts.iter().any(|mount| mount.name == name) {
            return Err(Failure::new(
                Reason::AlreadyExists,
                format!("mount {name:?} exists already"),
            ));
        }
        let mount = self.new_mount(context, name, request)?;
        mounts.push(mount.clone());
        mounts.sort_by_key(|mount| mount.id);
        Ok(mount)
    }

    /// Ends a mount, for good: nothing in it can be read, changed or watched any more, its
    /// snapshots are gone, and what it held is reclaimed in the background. Its number is never
    /// given again; its name is free. Durable when it returns.
    ///
    /// **Errors**: `NotFound`; `NotPermitted` for the mount `default`; `Conflict` when it is in use
    /// so much that its snapshots come faster than they go.
    pub fn retire_mount(&self, context: &Context, name: &str) -> Result<Mount, Failure> {
        context.expects_nothing()?;
        let request = request(context, "retire_mount", name);
        if let Some(mount) = self.first_answer(request, context)? {
            return Ok(mount);
        }
        if name == DEFAULT_MOUNT {
            return Err(Failure::new(
                Reason::NotPermitted,
                "the mount \"default\" can't be retired; retire others, or remove what is in it",
            ));
        }
        let mount = self.mount(name)?;
        for _ in 0..RETIRE_ATTEMPTS_MAX {
            let now = TimeNanos::new(self.inner.clock.now_nanos());
            let context = Context::new(mount.id, now);
            for snapshot in self.snapshots(mount.id)? {
                match self.remove_snapshot(&context, &snapshot.name) {
                    Err(failure) if failure.reason() != Reason::NotFound => return Err(failure),
                    _ => {}
                }
            }
            // Held until the mount is out of sight, so that it is registered and retired once.
            let mut mounts = self.inner.mounts.write();
            if !mounts.contains(&mount) {
                return Err(unknown(name));
            }
            // Paths that are known lead nowhere from now on.
            let _moving = self.inner.paths.moves.begin();
            let retirement = Command {
                request,
                answer: mount.encode(),
                ..retirement(&mount, self.shard().count())
            };
            match self.shard().execute(retirement, Durability::Synced) {
                Ok(_) => {
                    mounts.retain(|other| other.id != mount.id);
                    return Ok(mount);
                }
                // A snapshot came meanwhile.
                Err(Error::CheckFailed { .. }) => {}
                Err(error) => return Err(from_shard(error)),
            }
        }
        Err(Failure::new(
            Reason::Conflict,
            format!("snapshots of mount {name:?} are made all the time; stop that first"),
        ))
    }

    fn new_mount(
        &self,
        context: &Context,
        name: &str,
        request: Option<Request>,
    ) -> Result<Mount, Failure> {
        let key = system::mounts();
        let (number, check) = match ids::read(self.engine(), &key)? {
            None => (1, Check::Absent(key.clone())),
            Some((number, version)) => (number, Check::UnchangedSince(key.clone(), version)),
        };
        let id = u32::try_from(number).map(MountId::new).map_err(|_| {
            Failure::new(Reason::TooLarge, "all mount ids of this store are used up")
        })?;
        let (placement, home) = (self.inner.options.placement, NodeId::default());
        let shard = choose_shard(placement, self.shard(), (home, name.as_bytes()));
        let root = self.inner.ids.node(self.shard(), home, shard)?;
        let record = MountRecord {
            root,
            name: name.to_string(),
            state: MountState::Live,
            placement,
        };
        let directory = NodeRecord::new(
            NodeKind::Directory,
            0o755,
            context.uid,
            context.gid,
            context.now,
        );
        let topology = |number| shard::topology(ShardId::new(number), id);
        let topologies = (0..self.shard().count()).map(topology);
        let mut writes: Vec<_> = topologies
            .map(|key| Write::Put(key, system::encode(0)))
            .collect();
        writes.extend([
            Write::Put(key, system::encode(number + 1)),
            Write::Put(MountRecord::key(id), record.encode()),
            Write::Put(MountRecord::name_key(name), MountRecord::encode_id(id)),
            Write::Put(NodeRecord::key(root, BranchId::TRUNK), directory.encode()),
        ]);
        let mount = Mount {
            id,
            name: name.to_string(),
            root,
        };
        let command = Command {
            request,
            answer: mount.encode(),
            checks: vec![check, Check::Absent(MountRecord::name_key(name))],
            writes,
            ..Command::default()
        };
        match self.shard().execute(command, Durability::Synced) {
            Ok(_) => Ok(mount),
            Err(Error::CheckFailed { .. }) => Err(Failure::new(
                Reason::Conflict,
                "another mount was registered at the same moment; try again",
            )),
            Err(error) => Err(from_shard(error)),
        }
    }
}

/// The command that ends a mount. Whatever was planned in it before fails: every change of a mount
/// checks that its topology is there.
fn retirement(mount: &Mount, shards: u16) -> Command {
    let trunk = BranchId::TRUNK;
    let record = MountRecord {
        root: mount.root,
        name: mount.name.clone(),
        state: MountState::Retired,
        placement: Placement::default(),
    };
    let topology = |number| shard::topology(ShardId::new(number), mount.id);
    let mut writes: Vec<_> = (0..shards).map(topology).map(Write::Delete).collect();
    writes.extend([
        Write::Put(MountRecord::key(mount.id), record.encode()),
        Write::Delete(MountRecord::name_key(&mount.name)),
        Write::Delete(NodeRecord::key(mount.root, trunk)),
        Write::Delete(quota::key(mount.root, trunk)),
        Write::Delete(quota::usage_key(mount.root, trunk)),
        Write::Put(
            orphan::key(mount.root, trunk),
            OrphanRecord::default().encode(),
        ),
    ]);
    Command {
        checks: vec![
            Check::Present(shard::topology(mount.root.shard(), mount.id)),
            Check::PrefixEmpty(snapshot::prefix(mount.id)),
        ],
        writes,
        ..Command::default()
    }
}

/// The request of a context, for an operation on a mount.
fn request(context: &Context, operation: &str, name: &str) -> Option<Request> {
    let fingerprint = Fingerprint::new(operation).bytes(name.as_bytes()).finish();
    context.request.map(|id| Request { id, fingerprint })
}

pub(super) fn unknown(name: &str) -> Failure {
    Failure::new(
        Reason::NotFound,
        format!("mount {name:?} does not exist; register it first"),
    )
}

fn check_name(name: &str) -> Result<(), Failure> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > MOUNT_NAME_BYTES_MAX || !name.bytes().all(legal) {
        return Err(Failure::new(
            Reason::InvalidName,
            format!(
                "mount name {name:?} must be 1 to {MOUNT_NAME_BYTES_MAX} letters, digits, '-', '_' or '.'"
            ),
        ));
    }
    Ok(())
}
