//! Operations on nodes: what they are, and changing that.

use crate::acl::{ACCESS, Acl, DEFAULT, Inherited};
use crate::attributes;
use crate::changed::Since;
use crate::core::{Caller, Core, Reading};
use crate::errno;
use crate::file::Edit;
use crate::inode::{Age, Inode};
use fuser::{Errno, FileAttr, INodeNo, TimeOrNow};
use nokv_client::{Follow, Left, Node, SetAttributes, SetTime, Target};
use nokv_types::NodeKind;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

const SET_USER_ID: u32 = 0o4000;
const SET_GROUP_ID: u32 = 0o2000;
const GROUP_EXECUTE: u32 = 0o010;
/// Directories whose facts are remembered.
const FACTS_MAX: usize = 4096;
/// What statfs(2) shows where no quota limits: 1 PiB, and as many names as anybody has made.
const ROOM_BYTES: u64 = 1 << 50;
const ROOM_INODES: u64 = 1 << 40;

/// What setattr asks for.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Ask {
    pub(crate) mode: Option<u32>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) size: Option<u64>,
    pub(crate) atime: Option<TimeOrNow>,
    pub(crate) mtime: Option<TimeOrNow>,
    pub(crate) handle: Option<u64>,
}

/// What a directory hands down to what is made in it.
pub(crate) struct Facts {
    pub(crate) mode: u32,
    pub(crate) gid: u32,
    pub(crate) default_acl: Option<Acl>,
    since: Since,
    known_at: u64,
}

/// Facts of directories, by inode number.
pub(crate) struct FactTable(Mutex<HashMap<u64, Arc<Facts>>>);

impl FactTable {
    pub(crate) fn new() -> Self {
        Self(Mutex::default())
    }
}

/// What statfs(2) shows, in units of [`attributes::ACCESS_BYTES`].
pub(crate) struct Room {
    pub(crate) blocks: u64,
    pub(crate) blocks_free: u64,
    pub(crate) inodes: u64,
    pub(crate) inodes_free: u64,
}

impl Core {
    /// What an inode is now.
    pub(crate) async fn get_attributes(&self, number: INodeNo) -> Result<FileAttr, Errno> {
        let inode = self.inode(number)?;
        let Inode::Node { age, .. } = inode else {
            return self.control_node(inode).await;
        };
        if let Some(file) = self.files.get(number.0)
            && file.is_orphan()
        {
            return Ok(attributes::of_node(number, &file.shown()));
        }
        let node = self.node(inode).await?;
        Ok(self.attributes(age, &node))
    }

    /// Changes attributes.
    pub(crate) async fn set_attributes(
        &self,
        number: INodeNo,
        ask: Ask,
        caller: Caller,
    ) -> Result<FileAttr, Errno> {
        let place = self.changing(number, caller)?;
        if let Some(node) = self.set_orphan(number, &ask) {
            return Ok(attributes::of_node(number, &node));
        }
        if let Some(size) = ask.size {
            self.set_size(number, size, ask.handle).await?;
        }
        let mut changes = SetAttributes {
            mode: ask.mode.map(|mode| mode & 0o7777),
            uid: ask.uid,
            gid: ask.gid,
            atime: ask.atime.map(attributes::set_time),
            // The size has set it already, to when it was set.
            mtime: ask
                .mtime
                .filter(|_| ask.size.is_none())
                .map(attributes::set_time),
            ..SetAttributes::default()
        };
        self.drop_set_ids(number, &ask, caller, &mut changes)
            .await?;
        let is_chmod = changes.mode.is_some();
        if ask.size.is_some() && changes == SetAttributes::default() {
            return self.get_attributes(number).await;
        }
        let node = self.amend_by_id(&place, changes).await?;
        if is_chmod {
            self.chmod_acl(&place, &node).await?;
        }
        if let Some(file) = self.files.get(number.0) {
            let mtime = changes.mtime.map(|_| node.attributes.mtime);
            file.attributes_set(&node, mtime);
        }
        Ok(self.attributes(Age::Live, &node))
    }

    async fn amend_by_id(&self, place: &Reading, changes: SetAttributes) -> Result<Node, Errno> {
        let target = Target::Node(place.node);
        let changed = place
            .client
            .set_attributes(target, Follow::No, changes)
            .await;
        self.changed_node(changed)
    }

    /// Takes set-id bits away where POSIX says so: when an owner is given to anything but a
    /// directory, when somebody who is not the super-user cuts or extends, and when the kernel asks
    /// for nothing else (chown(2) that changes nothing, a write without the right to keep them).
    async fn drop_set_ids(
        &self,
        number: INodeNo,
        ask: &Ask,
        caller: Caller,
        changes: &mut SetAttributes,
    ) -> Result<(), Errno> {
        let is_bare = *changes == SetAttributes::default() && ask.size.is_none();
        let is_given = ask.uid.is_some() || ask.gid.is_some();
        let is_sized = ask.size.is_some() && caller.uid != 0;
        if ask.mode.is_some() || !(is_bare || is_given || is_sized) {
            return Ok(());
        }
        let node = self.node(self.inode(number)?).await?;
        let mode = node.attributes.mode;
        let kept = without_set_ids(mode);
        // A write of somebody else comes with the kernel's own word to take the bits away.
        let is_owner = caller.uid == 0 || caller.uid == node.attributes.uid;
        if node.attributes.kind != NodeKind::Directory && kept != mode && (is_owner || !is_bare) {
            changes.mode = Some(kept);
        }
        Ok(())
    }

    /// The same for a file that has no name any more and that only this mount knows.
    fn set_orphan(&self, number: INodeNo, ask: &Ask) -> Option<Node> {
        let file = self.files.get(number.0).filter(|file| file.is_orphan())?;
        if let Some(size) = ask.size {
            file.edit(&Edit::Size(size), self.moment()).ok()?;
        }
        let now = self.now();
        let time = |time| match attributes::set_time(time) {
            SetTime::Now => now,
            SetTime::To(time) => time,
        };
        file.change_orphan(|node| {
            let attributes = &mut node.attributes;
            attributes.mode = ask.mode.map_or(attributes.mode, |mode| mode & 0o7777);
            attributes.uid = ask.uid.unwrap_or(attributes.uid);
            attributes.gid = ask.gid.unwrap_or(attributes.gid);
            attributes.atime = ask.atime.map_or(attributes.atime, time);
            attributes.mtime = ask.mtime.map_or(attributes.mtime, time);
            attributes.ctime = now;
        })
    }

    /// What a directory hands down; read again when it may have changed.
    pub(crate) async fn directory_facts(
        &self,
        number: INodeNo,
        place: &Reading,
    ) -> Result<Arc<Facts>, Errno> {
        let now = self.monotonic_millis();
        if let Some(facts) = self.facts.0.lock().get(&number.0)
            && !self.changed.is_after(place.node, facts.since)
            && u128::from(now - facts.known_at) < self.options.cache_for.as_millis()
        {
            return Ok(Arc::clone(facts));
        }
        let since = self.changed.since();
        let node = place
            .client
            .lookup(Target::Node(place.node), Follow::No)
            .await
            .map_err(|failure| errno::of_failure(&failure))?;
        let facts = Arc::new(Facts {
            mode: node.attributes.mode,
            gid: node.attributes.gid,
            default_acl: self.read_acl(place, DEFAULT).await?,
            since,
            known_at: now,
        });
        let mut table = self.facts.0.lock();
        if table.len() >= FACTS_MAX {
            table.clear();
        }
        table.insert(number.0, Arc::clone(&facts));
        Ok(facts)
    }

    /// Gives a new node the lists that it inherits.
    pub(crate) async fn put_inherited(
        &self,
        place: &Reading,
        made: &Node,
        acl: Option<Inherited>,
    ) -> Result<(), Errno> {
        let Some(acl) = acl else { return Ok(()) };
        let made = Reading {
            age: place.age,
            client: place.client.clone(),
            node: made.id,
        };
        for (name, value) in [(ACCESS, acl.access), (DEFAULT, acl.default)] {
            if let Some(value) = value {
                self.put_attribute(&made, name, value).await?;
            }
        }
        Ok(())
    }

    /// Brings the access list of a node in line with its mode.
    async fn chmod_acl(&self, place: &Reading, node: &Node) -> Result<(), Errno> {
        let Some(acl) = self.read_acl(place, ACCESS).await? else {
            return Ok(());
        };
        let acl = acl.with_mode(node.attributes.mode);
        self.put_attribute(place, ACCESS, acl.encode()).await
    }

    async fn read_acl(&self, place: &Reading, name: &[u8]) -> Result<Option<Acl>, Errno> {
        let value = self.attribute(place, name).await?;
        Ok(value.and_then(|value| Acl::parse(&value)))
    }

    /// What room there is.
    pub(crate) async fn room(&self, number: INodeNo) -> Result<Room, Errno> {
        let inode = match self.inode(number)? {
            Inode::Control(_) => self.inodes.root(),
            inode => inode,
        };
        let Reading { client, node, .. } = self.reading(inode)?;
        let room = client
            .room(Target::Node(node))
            .await
            .map_err(|failure| errno::of_failure(&failure))?;
        let (bytes, bytes_free) = limits(room.bytes, ROOM_BYTES);
        let (inodes, inodes_free) = limits(room.inodes, ROOM_INODES);
        let unit = u64::from(attributes::ACCESS_BYTES);
        Ok(Room {
            blocks: bytes / unit,
            blocks_free: bytes_free / unit,
            inodes,
            inodes_free,
        })
    }

    /// Now, for an edit.
    pub(crate) fn moment(&self) -> crate::file::Moment {
        crate::file::Moment {
            now: self.now(),
            millis: self.monotonic_millis(),
        }
    }
}

/// A mode as a write or a new owner leaves it.
pub(crate) const fn without_set_ids(mode: u32) -> u32 {
    let kept = mode & !SET_USER_ID;
    if mode & GROUP_EXECUTE != 0 {
        kept & !SET_GROUP_ID
    } else {
        kept
    }
}

fn limits(left: Option<Left>, unlimited: u64) -> (u64, u64) {
    left.map_or((unlimited, unlimited), |left| (left.limit, left.free))
}
