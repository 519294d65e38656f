//! Operations on the bytes of files.

use crate::core::{Caller, Core};
use crate::errno;
use crate::file::{Edit, File, Seek};
use crate::handles::OpenFile;
use crate::inode::{Age, Inode};
use crate::names::is_synchronous;
use crate::nodes::without_set_ids;
use crate::options::MountAccess;
use bytes::Bytes;
use fuser::{Errno, INodeNo};
use nokv_client::{Client, Follow, Node, SetAttributes, Target};
use nokv_types::{BranchId, NodeId, NodeKind, Reason};
use std::sync::Arc;

/// Largest file: what offsets of the kernel can tell.
const SIZE_MAX: u64 = i64::MAX as u64;
/// Bytes that copy_file_range(2) moves at a time.
const COPY_BYTES: u64 = 1 << 20;
/// Flags of fallocate(2).
const KEEP_SIZE: i32 = 1;
const PUNCH_HOLE: i32 = 2;
const ZERO_RANGE: i32 = 16;

/// The branch and node of an inode of the live tree.
pub(crate) const fn own_node(inode: Inode) -> Option<(BranchId, NodeId)> {
    match inode {
        Inode::Node {
            age: Age::Live,
            branch,
            node,
        } => Some((branch, node)),
        Inode::Node { .. } | Inode::Control(_) => None,
    }
}

/// An opened file.
pub(crate) struct Opened {
    pub(crate) handle: u64,
    /// Whether what the kernel has of its bytes is still right.
    pub(crate) keeps_cache: bool,
    /// Whether what the kernel has of its attributes may be wrong.
    pub(crate) is_news: bool,
    /// Whether it is made up and must be read past the kernel's cache.
    pub(crate) is_text: bool,
}

impl Core {
    /// The shared state of a file, with a handle more.
    pub(crate) fn open_file(&self, number: INodeNo, node: &Node) -> Arc<File> {
        let inode = self.inodes.inode(number);
        self.files.open(number.0, || {
            let inode = inode.unwrap_or(self.inodes.root());
            File::new(inode, node.clone(), Arc::clone(&self.stagings))
        })
    }

    /// Opens a file as it is now: whatever was closed elsewhere before is seen.
    ///
    /// **Errors**: `ESTALE` for a node that is gone, upon which the kernel looks its name up again.
    pub(crate) async fn open(&self, number: INodeNo, flags: i32) -> Result<Opened, Errno> {
        let inode = self.inode(number)?;
        if matches!(inode, Inode::Control(_)) {
            return self.open_control(inode).await;
        }
        let orphan = self.files.get(number.0).filter(|file| file.is_orphan());
        let node = match orphan {
            Some(file) => file.shown(),
            None => match self.node(inode).await {
                Err(error) if error.code() == Errno::ENOENT.code() => return Err(Errno::ESTALE),
                node => node?,
            },
        };
        let is_known = match inode {
            Inode::Node { age: Age::Live, .. } if self.options.access != MountAccess::Frozen => {
                self.changed.is_known(node.version)
            }
            _ => true,
        };
        let file = self.open_file(number, &node);
        file.learn(&node);
        let handle = self.open_files.insert(OpenFile {
            file,
            number: number.0,
            is_synchronous: is_synchronous(flags),
        });
        Ok(Opened {
            handle,
            keeps_cache: is_known,
            is_news: !is_known,
            is_text: false,
        })
    }

    /// An open file. **Errors**: `EBADF`.
    pub(crate) fn open_handle(&self, handle: u64) -> Result<Arc<OpenFile>, Errno> {
        self.open_files.get(handle).ok_or(Errno::EBADF)
    }

    /// Reads.
    pub(crate) async fn read(&self, handle: u64, offset: u64, size: u32) -> Result<Bytes, Errno> {
        if let Some(read) = self.read_control(handle, offset, size).await {
            return read;
        }
        let open = self.open_handle(handle)?;
        open.file
            .read(self, offset..offset.saturating_add(size.into()))
            .await
    }

    /// Writes, without waiting.
    pub(crate) fn write(&self, open: &OpenFile, offset: u64, data: &[u8]) -> Result<(), Errno> {
        if offset
            .checked_add(data.len() as u64)
            .is_none_or(|end| end > SIZE_MAX)
        {
            return Err(Errno::EFBIG);
        }
        self.edit(&open.file, &Edit::Write(offset, data))
    }

    fn edit(&self, file: &File, edit: &Edit<'_>) -> Result<(), Errno> {
        if let Inode::Node { node, .. } = file.inode {
            self.changed.stamp(node);
        }
        self.unsynced();
        let edited = file.edit(edit, self.moment());
        edited.map_err(|error| Errno::from_i32(error.raw_os_error().unwrap_or(5)))
    }

    /// What is left to do after a write: taking set-id bits away, and syncing where it was asked
    /// for.
    pub(crate) async fn finish_write(
        &self,
        open: &OpenFile,
        drops_set_ids: bool,
        caller: Caller,
    ) -> Result<(), Errno> {
        if drops_set_ids {
            self.strip_set_ids(open, caller).await?;
        }
        if open.is_synchronous {
            self.flush(&open.file, open.number).await?;
            self.sync().await?;
        }
        Ok(())
    }

    async fn strip_set_ids(&self, open: &OpenFile, caller: Caller) -> Result<(), Errno> {
        let mode = open.file.shown().attributes.mode;
        let kept = without_set_ids(mode);
        if kept == mode {
            return Ok(());
        }
        let strip = |node: &mut Node| node.attributes.mode = kept;
        if open.file.change_orphan(strip).is_some() {
            return Ok(());
        }
        let place = self.changing(INodeNo(open.number), caller)?;
        let changes = SetAttributes {
            mode: Some(kept),
            ..SetAttributes::default()
        };
        let changed = place
            .client
            .set_attributes(Target::Node(place.node), Follow::No, changes);
        let node = self.changed_node(changed.await)?;
        open.file.attributes_set(&node, None);
        Ok(())
    }

    /// Cuts or extends a file, open or not.
    pub(crate) async fn set_size(
        &self,
        number: INodeNo,
        size: u64,
        handle: Option<u64>,
    ) -> Result<(), Errno> {
        if size > SIZE_MAX {
            return Err(Errno::EFBIG);
        }
        if let Some(open) = handle.and_then(|handle| self.open_files.get(handle)) {
            return self.edit(&open.file, &Edit::Size(size));
        }
        let node = self.node(self.inode(number)?).await?;
        match node.attributes.kind {
            NodeKind::File => {}
            NodeKind::Directory => return Err(Errno::EISDIR),
            _ => return Err(Errno::EINVAL),
        }
        let file = self.open_file(number, &node);
        file.learn(&node);
        let edited = self.edit(&file, &Edit::Size(size));
        let flushed = match edited {
            Ok(()) => self.flush(&file, number.0).await,
            Err(error) => Err(error),
        };
        self.files.close(number.0);
        flushed
    }

    /// Makes what was written visible to everybody.
    pub(crate) async fn flush(&self, file: &File, number: u64) -> Result<(), Errno> {
        let flushed = file.flush(self).await;
        self.files.settle(number);
        flushed
    }

    /// close(2) of one descriptor: what it wrote is visible when it returns.
    pub(crate) async fn close_descriptor(&self, handle: u64) -> Result<(), Errno> {
        let open = self.open_handle(handle)?;
        self.flush(&open.file, open.number).await?;
        open.file.take_failure().map_or(Ok(()), Err)
    }

    /// fsync(2): what was written is durable, and every name that was made before.
    pub(crate) async fn fsync(&self, handle: u64) -> Result<(), Errno> {
        self.close_descriptor(handle).await?;
        self.sync().await
    }

    /// The last descriptor and mapping of a handle is gone.
    pub(crate) async fn release(&self, handle: u64) {
        if self.release_control(handle) {
            return;
        }
        let Some(open) = self.open_files.remove(handle) else {
            return;
        };
        if self.flush(&open.file, open.number).await.is_err() {
            tracing::warn!(
                inode = open.number,
                "a closed file could not be flushed yet"
            );
        }
        self.files.close(open.number);
    }

    /// fallocate(2).
    pub(crate) fn fallocate(
        &self,
        handle: u64,
        offset: u64,
        length: u64,
        mode: i32,
    ) -> Result<(), Errno> {
        let open = self.open_handle(handle)?;
        let end = offset.checked_add(length).filter(|end| *end <= SIZE_MAX);
        let end = end.ok_or(Errno::EFBIG)?;
        let size = open.file.size();
        let grows = mode & KEEP_SIZE == 0 && end > size;
        match mode & !KEEP_SIZE {
            0 => {}
            PUNCH_HOLE | ZERO_RANGE => {
                if grows {
                    self.edit(&open.file, &Edit::Size(end))?;
                }
                return self.edit(&open.file, &Edit::Punch(offset..end));
            }
            _ => return Err(Errno::EOPNOTSUPP),
        }
        if grows {
            return self.edit(&open.file, &Edit::Size(end));
        }
        Ok(())
    }

    /// lseek(2) for data and holes. **Errors**: `ENXIO`.
    pub(crate) async fn seek(&self, handle: u64, offset: u64, what: Seek) -> Result<u64, Errno> {
        let open = self.open_handle(handle)?;
        open.file
            .seek(self, offset, what)
            .await?
            .ok_or(Errno::ENXIO)
    }

    /// copy_file_range(2): how many bytes were copied.
    pub(crate) async fn copy(
        &self,
        from: (u64, u64),
        to: (u64, u64),
        length: u64,
    ) -> Result<u32, Errno> {
        let (source, target) = (self.open_handle(from.0)?, self.open_handle(to.0)?);
        // The answer has 32 bits; callers ask again for the rest.
        let length = length.min(1 << 30);
        let mut copied = 0;
        while copied < length {
            let at = from.1 + copied;
            let want = (length - copied).min(COPY_BYTES);
            let bytes = source.file.read(self, at..at + want).await?;
            if bytes.is_empty() {
                break;
            }
            self.write(&target, to.1 + copied, &bytes)?;
            copied += bytes.len() as u64;
        }
        Ok(copied as u32)
    }

    /// Looks at a file again that somebody else has changed, if it is open here.
    pub(crate) async fn refresh(&self, client: &Client, number: INodeNo, node: NodeId) {
        let Some(file) = self.files.get(number.0) else {
            return;
        };
        match client.lookup(Target::Node(node), Follow::No).await {
            Ok(found) => file.learn(&found),
            Err(failure) if failure.reason() == Reason::NotFound => file.orphan(self.now()),
            Err(failure) => drop(errno::of_failure(&failure)),
        }
    }
}
