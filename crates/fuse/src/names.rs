//! Operations on names: finding, making, removing, moving.

use crate::attributes;
use crate::control;
use crate::core::{Caller, Core, Reading};
use crate::errno;
use crate::handles::OpenFile;
use crate::inode::{Age, Inode};
use bytes::Bytes;
use fuser::{Errno, FileAttr, INodeNo, RenameFlags};
use nokv_client::{
    Changed, Client, Follow, Node, Parents, Place, Remove, RenameMode, SetAttributes, Target,
};
use nokv_types::{Failure, Name, NodeId, NodeKind, Reason};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

const SET_GROUP_ID: u32 = 0o2000;
const TYPE_BITS: u32 = 0o170_000;

/// What a lookup found.
pub(crate) enum Found {
    /// A node, and whom to tell should it change meanwhile.
    Node(FileAttr, Option<NodeId>),
    /// Nothing; the kernel may remember that.
    Nothing,
}

/// What somebody makes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct New {
    pub(crate) kind: NodeKind,
    pub(crate) mode: u32,
    pub(crate) umask: u32,
}

/// A name as the kernel gave it. **Errors**: `ENAMETOOLONG`, `EINVAL`.
pub(crate) fn name(name: &OsStr) -> Result<Name, Errno> {
    Name::new(Bytes::copy_from_slice(name.as_bytes()))
        .map_err(|failure| errno::of_failure(&failure))
}

/// The kind that mknod(2) asks for. **Errors**: `EINVAL`.
pub(crate) fn made_kind(mode: u32, device: u32) -> Result<NodeKind, Errno> {
    let device = u64::from(device);
    match rustix::fs::FileType::from_raw_mode(mode & TYPE_BITS) {
        rustix::fs::FileType::RegularFile => Ok(NodeKind::File),
        rustix::fs::FileType::Fifo => Ok(NodeKind::Fifo),
        rustix::fs::FileType::Socket => Ok(NodeKind::Socket),
        rustix::fs::FileType::CharacterDevice => Ok(NodeKind::CharDevice(device)),
        rustix::fs::FileType::BlockDevice => Ok(NodeKind::BlockDevice(device)),
        _ if mode & TYPE_BITS == 0 => Ok(NodeKind::File),
        _ => Err(Errno::EINVAL),
    }
}

impl Core {
    /// Finds a name.
    pub(crate) async fn lookup(&self, parent: INodeNo, name: &Name) -> Result<Found, Errno> {
        let inode = self.inode(parent)?;
        if let Some(found) = self.lookup_control(parent, inode, name).await? {
            return Ok(found);
        }
        let Reading { age, client, node } = self.reading(inode)?;
        match client.lookup(child(node, name), Follow::No).await {
            Ok(found) => Ok(Found::Node(self.attributes(age, &found), Some(found.id))),
            Err(failure) if failure.reason() == Reason::NotFound => Ok(Found::Nothing),
            Err(failure) => Err(errno::of_failure(&failure)),
        }
    }

    /// What the mount itself shows under a name.
    async fn lookup_control(
        &self,
        parent: INodeNo,
        inode: Inode,
        name: &Name,
    ) -> Result<Option<Found>, Errno> {
        let is_door = parent == INodeNo::ROOT && name.as_bytes() == control::DIRECTORY;
        match inode {
            Inode::Node { .. } if is_door => Ok(Some(Found::Node(
                self.control_attributes(control::ROOT),
                None,
            ))),
            Inode::Node { .. } => Ok(None),
            Inode::Control(place) => Ok(Some(match self.find_control(place, name).await? {
                Some(attributes) => Found::Node(attributes, None),
                None => Found::Nothing,
            })),
        }
    }

    /// Makes a file, pipe, socket or device.
    pub(crate) async fn make_node(
        &self,
        parent: INodeNo,
        name: &Name,
        new: New,
        caller: Caller,
    ) -> Result<Node, Errno> {
        let (place, new, acl) = self.inherit(parent, new, caller).await?;
        let made = match new.kind {
            NodeKind::Directory => {
                let parents = Parents::Required;
                place
                    .client
                    .make_dir(at(place.node, name), new.mode, parents)
                    .await
            }
            kind => {
                place
                    .client
                    .make_node(at(place.node, name), kind, new.mode)
                    .await
            }
        };
        let made = self.changed_node(made)?;
        self.put_inherited(&place, &made, acl).await?;
        Ok(made)
    }

    /// What a directory gives to what is made in it: its group, if it says so, and its default
    /// access control list, which then stands in for the umask.
    async fn inherit(
        &self,
        parent: INodeNo,
        new: New,
        caller: Caller,
    ) -> Result<(Reading, New, Option<crate::acl::Inherited>), Errno> {
        let mut place = self.changing(parent, caller)?;
        let facts = self.directory_facts(parent, &place).await?;
        let mut new = new;
        new.mode &= 0o7777;
        if facts.mode & SET_GROUP_ID != 0 {
            place.client = place.client.on_behalf_of(caller.uid, facts.gid);
            if new.kind == NodeKind::Directory {
                new.mode |= SET_GROUP_ID;
            }
        }
        let acl = facts
            .default_acl
            .as_ref()
            .map(|acl| acl.inherit(new.mode, new.kind));
        new.mode = match &acl {
            Some(inherited) => inherited.mode,
            None => new.mode & !(new.umask & 0o777),
        };
        Ok((place, new, acl))
    }

    /// Makes a symbolic link.
    pub(crate) async fn symlink(
        &self,
        parent: INodeNo,
        name: &Name,
        target: Bytes,
        caller: Caller,
    ) -> Result<Node, Errno> {
        let mut place = self.changing(parent, caller)?;
        let facts = self.directory_facts(parent, &place).await?;
        if facts.mode & SET_GROUP_ID != 0 {
            place.client = place.client.on_behalf_of(caller.uid, facts.gid);
        }
        self.changed_node(place.client.symlink(at(place.node, name), target).await)
    }

    /// Gives a file another name.
    pub(crate) async fn link(
        &self,
        number: INodeNo,
        parent: INodeNo,
        name: &Name,
        caller: Caller,
    ) -> Result<Node, Errno> {
        let file = self.changing(number, caller)?;
        let place = self.changing(parent, caller)?;
        let (Inode::Node { branch, .. }, Inode::Node { branch: into, .. }) =
            (self.inode(number)?, self.inode(parent)?)
        else {
            return Err(Errno::EPERM);
        };
        if branch != into {
            return Err(Errno::EXDEV);
        }
        let linked = place
            .client
            .link(Target::Node(file.node), at(place.node, name))
            .await;
        self.changed_node(linked)
    }

    /// Removes a name.
    pub(crate) async fn remove(
        &self,
        parent: INodeNo,
        name: &Name,
        remove: Remove,
        caller: Caller,
    ) -> Result<(), Errno> {
        let place = self.changing(parent, caller)?;
        let removed = place
            .client
            .remove(at(place.node, name), remove)
            .await
            .map_err(|failure| errno::of_failure(&failure))?;
        self.made_at(removed.version, removed.node);
        self.lost_a_name(&place, parent, removed.node).await;
        Ok(())
    }

    /// Moves a name.
    pub(crate) async fn rename(
        &self,
        from: (INodeNo, &Name),
        to: (INodeNo, &Name),
        flags: RenameFlags,
        caller: Caller,
    ) -> Result<(), Errno> {
        let mode = rename_mode(flags)?;
        let source = self.changing(from.0, caller)?;
        let place = self.changing(to.0, caller)?;
        if branch_of(self.inode(from.0)?) != branch_of(self.inode(to.0)?) {
            return Err(Errno::EXDEV);
        }
        let renamed = source
            .client
            .rename(at(source.node, from.1), at(place.node, to.1), mode)
            .await
            .map_err(|failure| errno::of_failure(&failure))?;
        self.made_at(renamed.version, renamed.node);
        if let Some(displaced) = renamed.displaced {
            self.changed.stamp(displaced);
            if mode == RenameMode::Plain {
                self.lost_a_name(&place, to.0, displaced).await;
            }
        }
        Ok(())
    }

    /// A node has a name less. If that was its last and it is open here, it lives on here.
    async fn lost_a_name(&self, place: &Reading, parent: INodeNo, node: NodeId) {
        let Ok(Some(branch)) = self.inode(parent).map(branch_of) else {
            return;
        };
        let number = self.inodes.number(Inode::Node {
            age: Age::Live,
            branch,
            node,
        });
        let Some(file) = self.files.get(number.0) else {
            return;
        };
        match place.client.lookup(Target::Node(node), Follow::No).await {
            Ok(found) => file.learn(&found),
            Err(failure) if failure.reason() == Reason::NotFound => file.orphan(self.now()),
            Err(failure) => tracing::debug!(%failure, "could not look at an open file"),
        }
    }

    /// Makes a file and opens it; without `O_EXCL` somebody may have made it meanwhile.
    pub(crate) async fn create(
        &self,
        parent: INodeNo,
        name: &Name,
        new: New,
        flags: i32,
        caller: Caller,
    ) -> Result<(FileAttr, u64), Errno> {
        let node = match self.make_node(parent, name, new, caller).await {
            Err(error) if error.code() == Errno::EEXIST.code() && !is_exclusive(flags) => {
                match self.lookup(parent, name).await? {
                    Found::Node(attributes, _) => {
                        let opened = self.open(attributes.ino, flags).await?;
                        return Ok((attributes, opened.handle));
                    }
                    Found::Nothing => return Err(Errno::ENOENT),
                }
            }
            made => made?,
        };
        let number = self.number_of(Age::Live, &node);
        let file = self.open_file(number, &node);
        let handle = self.open_files.insert(OpenFile {
            file,
            number: number.0,
            is_synchronous: is_synchronous(flags),
        });
        Ok((attributes::of_node(number, &node), handle))
    }

    /// The target of a symbolic link.
    pub(crate) async fn read_link(&self, number: INodeNo) -> Result<Bytes, Errno> {
        let Reading { client, node, .. } = self.reading(self.inode(number)?)?;
        client
            .read_link(Target::Node(node))
            .await
            .map_err(|failure| errno::of_failure(&failure))
    }

    /// Notes a change and takes its node.
    pub(crate) fn changed_node(&self, changed: Result<Changed, Failure>) -> Result<Node, Errno> {
        let changed = changed.map_err(|failure| errno::of_failure(&failure))?;
        self.made(&changed);
        Ok(changed.node)
    }

    /// Changes attributes of a node that this mount has just made.
    pub(crate) async fn amend(
        &self,
        client: &Client,
        node: &Node,
        changes: SetAttributes,
    ) -> Result<Node, Errno> {
        let target = Target::Node(node.id);
        self.changed_node(client.set_attributes(target, Follow::No, changes).await)
    }
}

/// Whether open(2) must make the file itself.
const fn is_exclusive(flags: i32) -> bool {
    flags & rustix::fs::OFlags::EXCL.bits() as i32 != 0
}

/// Whether writes through a handle are durable when they return.
pub(crate) const fn is_synchronous(flags: i32) -> bool {
    flags & rustix::fs::OFlags::DSYNC.bits() as i32 != 0
}

const fn branch_of(inode: Inode) -> Option<nokv_types::BranchId> {
    match inode {
        Inode::Node { branch, .. } => Some(branch),
        Inode::Control(_) => None,
    }
}

const fn child(directory: NodeId, name: &Name) -> Target<'_> {
    Target::Child { directory, name }
}

const fn at(directory: NodeId, name: &Name) -> Place<'_> {
    Place::Child { directory, name }
}

fn rename_mode(flags: RenameFlags) -> Result<RenameMode, Errno> {
    if flags.is_empty() {
        Ok(RenameMode::Plain)
    } else if flags == RenameFlags::RENAME_NOREPLACE {
        Ok(RenameMode::NoReplace)
    } else if flags == RenameFlags::RENAME_EXCHANGE {
        Ok(RenameMode::Exchange)
    } else {
        // A whiteout is a device that overlay file systems read; they need one that does it in one
        // step, and this one can't.
        Err(Errno::EINVAL)
    }
}
