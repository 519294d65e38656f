//! Mounts: registering and finding them.

use crate::failure::from_shard;
use crate::ids;
use crate::records::{MountRecord, NodeRecord, system};
use crate::{Context, Mount, Namespace};
use nokv_shard::{Check, Command, Durability, Error, Write};
use nokv_types::{BranchId, Failure, MountId, NodeId, NodeKind, Reason};

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
        found.ok_or_else(|| {
            Failure::new(
                Reason::NotFound,
                format!("mount {name:?} does not exist; register it first"),
            )
        })
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
        let mut mounts = self.inner.mounts.write();
        if mounts.iter().any(|mount| mount.name == name) {
            return Err(Failure::new(
                Reason::AlreadyExists,
                format!("mount {name:?} exists already"),
            ));
        }
        let mount = self.new_mount(context, name)?;
        mounts.push(mount.clone());
        mounts.sort_by_key(|mount| mount.id);
        Ok(mount)
    }

    fn new_mount(&self, context: &Context, name: &str) -> Result<Mount, Failure> {
        let key = system::mounts();
        let (number, check) = match ids::read(self.engine(), &key)? {
            None => (1, Check::Absent(key.clone())),
            Some((number, version)) => (number, Check::UnchangedSince(key.clone(), version)),
        };
        let id = u32::try_from(number).map(MountId::new).map_err(|_| {
            Failure::new(Reason::TooLarge, "all mount ids of this store are used up")
        })?;
        let root = self.inner.ids.node(self.shard(), NodeId::default())?;
        let record = MountRecord {
            root,
            name: name.to_string(),
        };
        let directory = NodeRecord::new(
            NodeKind::Directory,
            0o755,
            context.uid,
            context.gid,
            context.now,
        );
        let command = Command {
            checks: vec![check, Check::Absent(MountRecord::name_key(name))],
            writes: vec![
                Write::Put(key, system::encode(number + 1)),
                Write::Put(MountRecord::key(id), record.encode()),
                Write::Put(MountRecord::name_key(name), MountRecord::encode_id(id)),
                Write::Put(NodeRecord::key(root, BranchId::TRUNK), directory.encode()),
                Write::Put(system::topology(id), system::encode(0)),
            ],
            ..Command::default()
        };
        match self.shard().execute(command, Durability::Synced) {
            Ok(_) => Ok(Mount {
                id,
                name: name.to_string(),
                root,
            }),
            Err(Error::CheckFailed { .. }) => Err(Failure::new(
                Reason::Conflict,
                "another mount was registered at the same moment; try again",
            )),
            Err(error) => Err(from_shard(error)),
        }
    }
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
