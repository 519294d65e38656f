//! Answers that need more than one call of the kernel's library.

use crate::changed::Since;
use crate::core::Core;
use crate::inode::{Age, Inode};
use crate::names::Found;
use crate::notices::Notice;
use bytes::Bytes;
use fuser::{Errno, FileAttr, FileType, Generation, INodeNo, ReplyEntry, ReplyXattr};
use nokv_client::Node;
use std::time::SystemTime;

/// Node ids are never reused, so one generation is enough.
pub(crate) const GENERATION: Generation = Generation(0);

/// Answers a lookup, and tells the kernel again if it changed meanwhile.
pub(crate) fn tell_found(
    core: &Core,
    reply: ReplyEntry,
    found: Found,
    parent: INodeNo,
    since: Since,
) {
    let ttl = core.cache_for();
    let (number, node) = match found {
        Found::Node(attributes, node) => {
            reply.entry(&ttl, &attributes, GENERATION);
            (Some(attributes.ino), node)
        }
        Found::Nothing => {
            reply.entry(&ttl, &nothing(), GENERATION);
            (None, None)
        }
    };
    if let (Some(number), Some(node)) = (number, node)
        && core.changed.is_after(node, since)
    {
        core.notices.tell(Notice::Attributes(number));
    }
    if let Some(Inode::Node { node, .. }) = core.inodes.inode(parent)
        && core.changed.is_after(node, since)
        && number.is_none()
    {
        core.notices.tell(Notice::Attributes(parent));
    }
}

/// The entry of a name that is not there: the kernel may remember that.
pub(crate) fn nothing() -> FileAttr {
    FileAttr {
        ino: INodeNo(0),
        size: 0,
        blocks: 0,
        atime: SystemTime::UNIX_EPOCH,
        mtime: SystemTime::UNIX_EPOCH,
        ctime: SystemTime::UNIX_EPOCH,
        crtime: SystemTime::UNIX_EPOCH,
        kind: FileType::RegularFile,
        perm: 0,
        nlink: 0,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 0,
        flags: 0,
    }
}

pub(crate) fn tell_made(core: &Core, reply: ReplyEntry, node: &Node) {
    let attributes = core.attributes(Age::Live, node);
    reply.entry(&core.cache_for(), &attributes, GENERATION);
}

pub(crate) fn tell_attribute(reply: ReplyXattr, size: u32, value: &Bytes) {
    let bytes = u32::try_from(value.len()).unwrap_or(u32::MAX);
    if size == 0 {
        reply.size(bytes);
    } else if bytes <= size {
        reply.data(value);
    } else {
        reply.error(Errno::ERANGE);
    }
}
