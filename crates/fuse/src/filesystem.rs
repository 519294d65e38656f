//! The door of the kernel: each request becomes one operation of [`Core`] and its answer.
//!
//! An operation is polled where the request was read. If it is done then, as what is answered from
//! memory is, that is all; else the rest of it runs on the runtime, with its answer, and the thread
//! reads the next request. So no request waits behind another.

use crate::answer::{GENERATION, nothing, tell_attribute, tell_found, tell_made};
use crate::attributes;
use crate::core::Caller;
use crate::directory::{Detail, DirHandle};
use crate::door::{self, Door, serve};
use crate::file::Seek;
use crate::inode::Inode;
use crate::locks;
use crate::names::{New, made_kind, name};
use crate::nodes::Ask;
use crate::notices::Notice;
use crate::stats::Operation;
use bytes::Bytes;
use fuser::{
    CopyFileRangeFlags, Errno, FileHandle, Filesystem, FopenFlags, INodeNo, KernelConfig,
    LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyLock, ReplyLseek, ReplyOpen, ReplyStatfs,
    ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use nokv_client::Remove;
use nokv_types::{NAME_BYTES_MAX, NodeKind};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

impl Filesystem for Door {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        door::configure(config)
    }

    fn lookup(&self, _request: &Request, parent: INodeNo, text: &OsStr, reply: ReplyEntry) {
        let text = name(text);
        let since = self.core.changed.since();
        serve!(self, Lookup, parent, |core| async {
            core.lookup(parent, &text?).await
        }, reply => |found| tell_found(&core, reply, found, parent, since));
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let since = self.core.changed.since();
        serve!(self, GetAttributes, number, |core| core.get_attributes(number), reply => |found| {
            reply.attr(&core.cache_for(), &found);
            if let Some(Inode::Node { node, .. }) = core.inodes.inode(number)
                && core.changed.is_after(node, since)
            {
                core.notices.tell(Notice::Attributes(number));
            }
        });
    }

    fn setattr(
        &self,
        request: &Request,
        number: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let ask = Ask {
            mode,
            uid,
            gid,
            size,
            atime,
            mtime,
            handle: handle.map(|handle| handle.0),
        };
        let caller = Caller::of(request);
        serve!(self, SetAttributes, number, |core| {
            core.set_attributes(number, ask, caller)
        }, reply => |changed| reply.attr(&core.cache_for(), &changed));
    }

    fn readlink(&self, _: &Request, number: INodeNo, reply: ReplyData) {
        serve!(self, ReadLink, number, |core| core.read_link(number), reply => |target| {
            reply.data(&target);
        });
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        text: &OsStr,
        mode: u32,
        umask: u32,
        device: u32,
        reply: ReplyEntry,
    ) {
        let (text, caller) = (name(text), Caller::of(request));
        serve!(self, MakeNode, parent, |core| async {
            let kind = made_kind(mode, device)?;
            core.make_node(parent, &text?, New { kind, mode, umask }, caller).await
        }, reply => |made| tell_made(&core, reply, &made));
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        text: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let (text, caller) = (name(text), Caller::of(request));
        let kind = NodeKind::Directory;
        serve!(self, MakeDir, parent, |core| async {
            core.make_node(parent, &text?, New { kind, mode, umask }, caller).await
        }, reply => |made| tell_made(&core, reply, &made));
    }

    fn unlink(&self, request: &Request, parent: INodeNo, text: &OsStr, reply: ReplyEmpty) {
        let (text, caller) = (name(text), Caller::of(request));
        serve!(self, Unlink, parent, |core| async {
            core.remove(parent, &text?, Remove::File, caller).await
        }, reply => |_done| reply.ok());
    }

    fn rmdir(&self, request: &Request, parent: INodeNo, text: &OsStr, reply: ReplyEmpty) {
        let (text, caller) = (name(text), Caller::of(request));
        serve!(self, RemoveDir, parent, |core| async {
            core.remove(parent, &text?, Remove::EmptyDirectory, caller).await
        }, reply => |_done| reply.ok());
    }

    fn symlink(
        &self,
        request: &Request,
        parent: INodeNo,
        text: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let (text, caller) = (name(text), Caller::of(request));
        let target = Bytes::copy_from_slice(target.as_os_str().as_bytes());
        serve!(self, Symlink, parent, |core| async {
            core.symlink(parent, &text?, target, caller).await
        }, reply => |made| tell_made(&core, reply, &made));
    }

    fn rename(
        &self,
        request: &Request,
        parent: INodeNo,
        text: &OsStr,
        into: INodeNo,
        as_text: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let (text, as_text, caller) = (name(text), name(as_text), Caller::of(request));
        serve!(self, Rename, parent, |core| async {
            core.rename((parent, &text?), (into, &as_text?), flags, caller).await
        }, reply => |_done| reply.ok());
    }

    fn link(
        &self,
        request: &Request,
        number: INodeNo,
        parent: INodeNo,
        text: &OsStr,
        reply: ReplyEntry,
    ) {
        let (text, caller) = (name(text), Caller::of(request));
        serve!(self, Link, number, |core| async {
            core.link(number, parent, &text?, caller).await
        }, reply => |made| tell_made(&core, reply, &made));
    }

    fn open(&self, _: &Request, number: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        serve!(self, Open, number, |core| core.open(number, flags.0), reply => |opened| {
            if opened.is_news {
                core.notices.tell(Notice::Attributes(number));
            }
            let mut answer = FopenFlags::empty();
            if opened.keeps_cache {
                answer |= FopenFlags::FOPEN_KEEP_CACHE;
            }
            if opened.is_text {
                answer |= FopenFlags::FOPEN_DIRECT_IO;
            }
            reply.opened(FileHandle(opened.handle), answer);
        });
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        text: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let (text, caller) = (name(text), Caller::of(request));
        let kind = NodeKind::File;
        serve!(self, Create, parent, |core| async {
            core.create(parent, &text?, New { kind, mode, umask }, flags, caller).await
        }, reply => |(attributes, handle)| {
            let handle = FileHandle(handle);
            let flags = FopenFlags::FOPEN_KEEP_CACHE;
            reply.created(&core.cache_for(), &attributes, GENERATION, handle, flags);
        });
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        serve!(self, Read, number, |core| core.read(handle.0, offset, size), reply => |bytes| {
            reply.data(&bytes);
        });
    }

    fn write(
        &self,
        request: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let caller = Caller::of(request);
        let open = self.core.open_handle(handle.0);
        // The bytes are taken while the request is here; what may wait comes after.
        let written = open.and_then(|open| {
            self.core.write(&open, offset, data)?;
            Ok(open)
        });
        let drops_set_ids = write_flags.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID);
        let count = u32::try_from(data.len()).unwrap_or(u32::MAX);
        serve!(self, Write, number, |core| async {
            core.finish_write(&*written?, drops_set_ids, caller).await
        }, reply => |_done| reply.written(count));
    }

    fn flush(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        serve!(self, Flush, number, |core| async {
            let flushed = core.close_descriptor(handle.0).await;
            core.unlock_all(number, owner.0).await;
            flushed
        }, reply => |_done| reply.ok());
    }

    fn release(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        serve!(self, Release, number, |core| async {
            core.release(handle.0).await;
            if let Some(owner) = owner {
                core.unlock_all(number, owner.0).await;
            }
            Ok(())
        }, reply => |_done| reply.ok());
    }

    fn getlk(
        &self,
        _: &Request,
        number: INodeNo,
        _handle: FileHandle,
        owner: LockOwner,
        start: u64,
        end: u64,
        kind: i32,
        process: u32,
        reply: ReplyLock,
    ) {
        let owner = owner.0;
        let ask = locks::Ask {
            number,
            owner,
            start,
            end,
            kind,
            process,
        };
        serve!(self, TestLock, number, |core| core.find_lock(&ask), reply => |held| match held {
            Some(held) => {
                let (start, end) = (held.range.start(), held.range.end().min(i64::MAX as u64));
                reply.locked(start, end, locks::kind_number(&held), held.process);
            }
            None => reply.locked(start, end, locks::UNLOCKED, 0),
        });
    }

    fn setlk(
        &self,
        request: &Request,
        number: INodeNo,
        _handle: FileHandle,
        owner: LockOwner,
        start: u64,
        end: u64,
        kind: i32,
        process: u32,
        sleep: bool,
        reply: ReplyEmpty,
    ) {
        let (owner, thread) = (owner.0, request.pid());
        let ask = locks::Ask {
            number,
            owner,
            start,
            end,
            kind,
            process,
        };
        let wait = match sleep {
            true => locks::Wait::UntilSignal { thread },
            false => locks::Wait::Never,
        };
        serve!(self, Lock, number, |core| core.set_lock(ask, wait), reply => |_done| reply.ok());
    }

    fn fsync(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        _data_only: bool,
        reply: ReplyEmpty,
    ) {
        serve!(self, Sync, number, |core| core.fsync(handle.0), reply => |_done| reply.ok());
    }

    fn opendir(&self, _: &Request, number: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        serve!(self, OpenDir, number, |core| async {
            Ok(core.open_dirs.insert(DirHandle::new(core.inode(number)?)))
        }, reply => |handle| reply.opened(FileHandle(handle), FopenFlags::empty()));
    }

    fn readdir(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let core = Arc::clone(&self.core);
        let start = core.env.clock.monotonic();
        self.run(async move {
            let listed = match core.open_dirs.get(handle.0) {
                Some(dir) => {
                    let take = |entry: &crate::directory::Listed<'_>| {
                        reply.add(entry.number, entry.next, entry.kind, entry.name)
                    };
                    dir.list(&core, offset, Detail::Names, take).await
                }
                None => Err(Errno::EBADF),
            };
            match listed {
                Ok(()) => reply.ok(),
                Err(error) => reply.error(error),
            }
            let took = core.env.clock.monotonic().saturating_sub(start);
            core.stats
                .count(Operation::ReadDir, number, took, listed.err());
        });
    }

    fn readdirplus(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let core = Arc::clone(&self.core);
        let start = core.env.clock.monotonic();
        self.run(async move {
            let ttl = core.cache_for();
            let listed = match core.open_dirs.get(handle.0) {
                Some(dir) => {
                    let take = |entry: &crate::directory::Listed<'_>| {
                        let attributes = entry.attributes.unwrap_or_else(nothing);
                        let (number, next, name) = (entry.number, entry.next, entry.name);
                        reply.add(number, next, name, &ttl, &attributes, GENERATION)
                    };
                    dir.list(&core, offset, Detail::Attributes, take).await
                }
                None => Err(Errno::EBADF),
            };
            match listed {
                Ok(()) => reply.ok(),
                Err(error) => reply.error(error),
            }
            let took = core.env.clock.monotonic().saturating_sub(start);
            core.stats
                .count(Operation::ReadDirPlus, number, took, listed.err());
        });
    }

    fn releasedir(
        &self,
        _: &Request,
        _number: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        drop(self.core.open_dirs.remove(handle.0));
        reply.ok();
    }

    fn fsyncdir(
        &self,
        _: &Request,
        number: INodeNo,
        _handle: FileHandle,
        _data_only: bool,
        reply: ReplyEmpty,
    ) {
        serve!(self, SyncDir, number, |core| core.sync(), reply => |_done| reply.ok());
    }

    fn statfs(&self, _: &Request, number: INodeNo, reply: ReplyStatfs) {
        serve!(self, Room, number, |core| core.room(number), reply => |room| {
            reply.statfs(
                room.blocks,
                room.blocks_free,
                room.blocks_free,
                room.inodes,
                room.inodes_free,
                attributes::ACCESS_BYTES,
                NAME_BYTES_MAX as u32,
                attributes::ACCESS_BYTES,
            );
        });
    }

    fn setxattr(
        &self,
        request: &Request,
        number: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        let (name, value) = (name.as_bytes().to_vec(), value.to_vec());
        let caller = Caller::of(request);
        serve!(self, SetXattr, number, |core| {
            core.set_xattr(number, &name, &value, flags, caller)
        }, reply => |_done| reply.ok());
    }

    fn getxattr(&self, _: &Request, number: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let name = name.as_bytes().to_vec();
        serve!(self, GetXattr, number, |core| core.get_xattr(number, &name), reply => |value| {
            tell_attribute(reply, size, &value);
        });
    }

    fn listxattr(&self, _: &Request, number: INodeNo, size: u32, reply: ReplyXattr) {
        serve!(self, ListXattr, number, |core| core.list_xattrs(number), reply => |names| {
            tell_attribute(reply, size, &names);
        });
    }

    fn removexattr(&self, request: &Request, number: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let (name, caller) = (name.as_bytes().to_vec(), Caller::of(request));
        serve!(self, RemoveXattr, number, |core| {
            core.remove_xattr(number, &name, caller)
        }, reply => |_done| reply.ok());
    }

    fn fallocate(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        serve!(self, Allocate, number, |core| async {
            core.fallocate(handle.0, offset, length, mode)
        }, reply => |_done| reply.ok());
    }

    fn lseek(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        /// As lseek(2) numbers them.
        const SEEK_DATA: i32 = 3;
        const SEEK_HOLE: i32 = 4;
        serve!(self, Seek, number, |core| async {
            let what = match whence {
                SEEK_DATA => Seek::Data,
                SEEK_HOLE => Seek::Hole,
                _ => return Err(Errno::EINVAL),
            };
            let offset = u64::try_from(offset).map_err(|_| Errno::ENXIO)?;
            core.seek(handle.0, offset, what).await
        }, reply => |found| reply.offset(i64::try_from(found).unwrap_or(i64::MAX)));
    }

    fn copy_file_range(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        _into: INodeNo,
        into_handle: FileHandle,
        into_offset: u64,
        length: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        serve!(self, Copy, number, |core| {
            core.copy((handle.0, offset), (into_handle.0, into_offset), length)
        }, reply => |copied| reply.written(copied));
    }
}
