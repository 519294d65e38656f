//! Listing directories.
//!
//! A handle reads pages of names in order, each as the directory is then, and goes on after the
//! last name: an entry that stays is listed once, whatever comes and goes beside it.
//!
//! **Shape** of a position: 0 and 1 are `.` and `..`, then the entries are counted as the handle
//! met them. A position that the handle has left is found again by reading its page anew, as of the
//! version that it had, so it means the same entry.
//!
//! Invariant: attributes that go to the kernel with a name are not older than the request: a node
//! that changed since its page was read is looked at again.

use crate::changed::Since;
use crate::core::{Core, Reading};
use crate::errno;
use crate::inode::{Age, Inode};
use fuser::{Errno, FileAttr, FileType, INodeNo};
use nokv_client::{DirEntry, Follow, Target};
use nokv_types::{Class, Name, Version};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Entries of a page: as many as a server in this process answers at once, without a thread.
const PAGE_ENTRIES: usize = 512;
/// `.` and `..`.
const DOTS: u64 = 2;

/// An open directory.
pub(crate) struct DirHandle {
    inode: Inode,
    listing: tokio::sync::Mutex<Listing>,
}

/// Where a listing is.
#[derive(Default)]
struct Listing {
    page: Option<Page>,
    /// Where pages began that were read, by position.
    starts: Vec<Start>,
}

#[derive(Clone)]
struct Start {
    position: u64,
    after: Option<Name>,
    version: Version,
}

struct Page {
    position: u64,
    entries: Vec<DirEntry>,
    next: Option<Name>,
    since: Since,
}

/// An entry on its way to the kernel.
pub(crate) struct Listed<'a> {
    pub(crate) number: INodeNo,
    pub(crate) name: &'a OsStr,
    pub(crate) kind: FileType,
    /// The position after it.
    pub(crate) next: u64,
    /// Its attributes, where they were asked for.
    pub(crate) attributes: Option<FileAttr>,
}

/// Whether attributes are listed with the names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    Names,
    Attributes,
}

impl DirHandle {
    pub(crate) fn new(inode: Inode) -> Self {
        Self {
            inode,
            listing: tokio::sync::Mutex::default(),
        }
    }

    /// Gives the entries from a position on to `take`, until it has enough or the directory ends.
    pub(crate) async fn list(
        &self,
        core: &Core,
        position: u64,
        detail: Detail,
        mut take: impl FnMut(&Listed<'_>) -> bool,
    ) -> Result<(), Errno> {
        let Inode::Node { .. } = self.inode else {
            return core.list_control(self.inode, position, take).await;
        };
        let mut listing = self.listing.lock().await;
        if position == 0 {
            *listing = Listing::default();
        }
        let number = core.inodes.number(self.inode);
        for (dot, name) in [".", ".."].into_iter().enumerate() {
            let dot = dot as u64;
            if dot >= position {
                let entry = dot_entry(core, number, name, dot, detail).await?;
                if take(&entry) {
                    return Ok(());
                }
            }
        }
        let place = core.reading(self.inode)?;
        let mut position = position.max(DOTS);
        loop {
            listing.turn_to(core, &place, position).await?;
            let Some(page) = &listing.page else {
                return Ok(());
            };
            let first = (position - page.position) as usize;
            for entry in page.entries.get(first..).unwrap_or_default() {
                position += 1;
                let listed = page.show(core, &place, entry, position, detail).await?;
                if let Some(listed) = listed
                    && take(&listed)
                {
                    return Ok(());
                }
            }
            if page.next.is_none() {
                return Ok(());
            }
        }
    }
}

/// `.` or `..`; the kernel takes neither's attributes.
async fn dot_entry<'a>(
    core: &Core,
    number: INodeNo,
    name: &'a str,
    position: u64,
    detail: Detail,
) -> Result<Listed<'a>, Errno> {
    let attributes = match detail {
        Detail::Names => None,
        Detail::Attributes => Some(core.get_attributes(number).await?),
    };
    Ok(Listed {
        number,
        name: OsStr::new(name),
        kind: FileType::Directory,
        next: position + 1,
        attributes,
    })
}

impl Listing {
    /// Makes `page` the one that a position is in, or the empty one at the end.
    async fn turn_to(&mut self, core: &Core, place: &Reading, position: u64) -> Result<(), Errno> {
        let from = match &self.page {
            Some(page) if page.contains(position) => return Ok(()),
            Some(page) if position == page.end() => Start {
                position,
                after: page.next.clone(),
                version: Version::ZERO,
            },
            _ => self.start_of(position),
        };
        let again = from.version != Version::ZERO;
        let client = match again {
            true => place.client.at(from.version),
            false => place.client.clone(),
        };
        let since = match again {
            true => Since::NEVER,
            false => core.changed.since(),
        };
        let target = Target::Node(place.node);
        let page = match client
            .read_dir(target, from.after.as_ref(), PAGE_ENTRIES)
            .await
        {
            Ok(page) => page,
            // A directory that was removed while it was open is empty.
            Err(failure) if failure.class() == Class::NotFound => {
                self.page = None;
                return Ok(());
            }
            Err(failure) => return Err(errno::of_failure(&failure)),
        };
        if !again {
            self.starts.push(Start {
                version: page.version,
                ..from.clone()
            });
        }
        self.page = Some(Page {
            position: from.position,
            entries: page.entries,
            next: page.next,
            since,
        });
        Ok(())
    }

    /// The last page that began at or before a position; at first, the first.
    fn start_of(&self, position: u64) -> Start {
        let after = self
            .starts
            .partition_point(|start| start.position <= position);
        let found = after
            .checked_sub(1)
            .and_then(|index| self.starts.get(index));
        found.cloned().unwrap_or(Start {
            position: DOTS,
            after: None,
            version: Version::ZERO,
        })
    }
}

impl Page {
    fn end(&self) -> u64 {
        self.position + self.entries.len() as u64
    }

    fn contains(&self, position: u64) -> bool {
        let is_last = self.next.is_none() && position >= self.end();
        position >= self.position && (position < self.end() || is_last)
    }

    /// An entry as it is now; `None` when its node is gone.
    async fn show<'a>(
        &self,
        core: &Core,
        place: &Reading,
        entry: &'a DirEntry,
        next: u64,
        detail: Detail,
    ) -> Result<Option<Listed<'a>>, Errno> {
        let (node, age) = (&entry.node, place.age);
        let is_stale = self.since == Since::NEVER || core.changed.is_after(node.id, self.since);
        let attributes = match detail {
            Detail::Names => None,
            Detail::Attributes if age == Age::Live && is_stale => {
                let client = place.client.in_branch(node.branch);
                match client.lookup(Target::Node(node.id), Follow::No).await {
                    Ok(node) => Some(core.attributes(age, &node)),
                    Err(failure) if failure.class() == Class::NotFound => return Ok(None),
                    Err(failure) => return Err(errno::of_failure(&failure)),
                }
            }
            Detail::Attributes => Some(core.attributes(age, node)),
        };
        Ok(Some(Listed {
            number: core.number_of(age, node),
            name: OsStr::from_bytes(entry.name.as_bytes()),
            kind: crate::attributes::file_type(node.attributes.kind),
            next,
            attributes,
        }))
    }
}
