//! POSIX access control lists, as the kernel stores them in extended attributes.
//!
//! The kernel checks them; what is ours is what a file system does itself: a new node inherits its
//! directory's default list, chmod(2) changes the list, and setting a list changes the mode.
//!
//! **Shape** of an attribute: version (`u32`, 2), then entries of tag (`u16`), permissions (`u16`),
//! id (`u32`), all little-endian, in the order user, named users, group, named groups, mask,
//! others.
//!
//! **Source**: POSIX 1003.1e draft 17, section 23; linux/posix_acl_xattr.h.

use bytes::{BufMut, Bytes, BytesMut};
use nokv_types::NodeKind;

/// The list that decides who may do what.
pub(crate) const ACCESS: &[u8] = b"system.posix_acl_access";
/// The list that what is made in a directory inherits.
pub(crate) const DEFAULT: &[u8] = b"system.posix_acl_default";

const VERSION: u32 = 2;
const HEAD_BYTES: usize = 4;
const ENTRY_BYTES: usize = 8;
const USER: u16 = 1;
const GROUP: u16 = 4;
const MASK: u16 = 16;
const OTHER: u16 = 32;

/// A list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Acl(Vec<Entry>);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Entry {
    tag: u16,
    permissions: u16,
    id: u32,
}

/// What a new node gets from the default list of its directory.
#[derive(Clone, Debug)]
pub(crate) struct Inherited {
    /// Its mode.
    pub(crate) mode: u32,
    /// Its access list, where the mode does not say all.
    pub(crate) access: Option<Bytes>,
    /// Its default list, if it is a directory.
    pub(crate) default: Option<Bytes>,
}

impl Acl {
    /// A list from its attribute; `None` when it is none.
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let (head, entries) = value.split_at_checked(HEAD_BYTES)?;
        let version = u32::from_le_bytes(head.try_into().ok()?);
        let entries = entries.chunks(ENTRY_BYTES).map(parse_entry);
        let acl = Self(entries.collect::<Option<_>>()?);
        let has = |tag| acl.0.iter().any(|entry| entry.tag == tag);
        (version == VERSION && has(USER) && has(GROUP) && has(OTHER)).then_some(acl)
    }

    /// The attribute of a list.
    pub(crate) fn encode(&self) -> Bytes {
        let mut value = BytesMut::with_capacity(HEAD_BYTES + self.0.len() * ENTRY_BYTES);
        value.put_u32_le(VERSION);
        for entry in &self.0 {
            value.put_u16_le(entry.tag);
            value.put_u16_le(entry.permissions);
            value.put_u32_le(entry.id);
        }
        value.freeze()
    }

    /// Whether permission bits say as much.
    pub(crate) fn is_minimal(&self) -> bool {
        self.0
            .iter()
            .all(|entry| matches!(entry.tag, USER | GROUP | OTHER))
    }

    /// The permission bits that stand for the list; others of `mode` stay.
    pub(crate) fn mode(&self, mode: u32) -> u32 {
        let find = |tag| self.0.iter().find(|entry| entry.tag == tag);
        let bits = |tag| find(tag).map_or(0, |entry| u32::from(entry.permissions & 7));
        let group = if find(MASK).is_some() { MASK } else { GROUP };
        (mode & !0o777) | (bits(USER) << 6) | (bits(group) << 3) | bits(OTHER)
    }

    /// The list after chmod(2).
    pub(crate) fn with_mode(&self, mode: u32) -> Self {
        let has_mask = self.0.iter().any(|entry| entry.tag == MASK);
        let entries = self.0.iter().map(|entry| {
            let bits = match entry.tag {
                USER => mode >> 6,
                MASK => mode >> 3,
                GROUP if !has_mask => mode >> 3,
                OTHER => mode,
                _ => return *entry,
            };
            Entry {
                permissions: (bits & 7) as u16,
                ..*entry
            }
        });
        Self(entries.collect())
    }

    /// What a node that is made with `mode` gets from this default list.
    pub(crate) fn inherit(&self, mode: u32, kind: NodeKind) -> Inherited {
        let granted = mode & self.mode(0o777) & 0o777;
        let access = self.with_mode(granted);
        Inherited {
            mode: (mode & !0o777) | granted,
            access: (!access.is_minimal()).then(|| access.encode()),
            default: (kind == NodeKind::Directory).then(|| self.encode()),
        }
    }
}

fn parse_entry(bytes: &[u8]) -> Option<Entry> {
    let (tag, rest) = bytes.split_first_chunk()?;
    let (permissions, rest) = rest.split_first_chunk()?;
    let (id, rest) = rest.split_first_chunk()?;
    rest.is_empty().then(|| Entry {
        tag: u16::from_le_bytes(*tag),
        permissions: u16::from_le_bytes(*permissions),
        id: u32::from_le_bytes(*id),
    })
}

#[cfg(test)]
mod tests {
    use super::{Acl, Entry, GROUP, MASK, OTHER, USER};
    use bytes::Bytes;
    use nokv_types::NodeKind;
    use proptest::prelude::*;

    fn acl(entries: &[(u16, u16, u32)]) -> Acl {
        let entry = |&(tag, permissions, id)| Entry {
            tag,
            permissions,
            id,
        };
        Acl(entries.iter().map(entry).collect())
    }

    #[test]
    fn what_is_made_gets_no_more_than_asked_for() {
        let none = u32::MAX;
        let list = acl(&[
            (USER, 7, none),
            (2, 6, 1000),
            (GROUP, 5, none),
            (MASK, 7, none),
            (OTHER, 4, none),
        ]);
        let file = list.inherit(0o4640, NodeKind::File);
        assert_eq!(file.mode, 0o4640);
        assert!(file.default.is_none());
        let access = Acl::parse(&file.access.expect("names a user")).expect("valid");
        assert_eq!(access.mode(0), 0o640);
        let directory = list.inherit(0o777, NodeKind::Directory);
        assert_eq!(directory.mode, 0o774);
        assert_eq!(Acl::parse(&directory.default.expect("goes on")), Some(list));
        let minimal = acl(&[(USER, 7, none), (GROUP, 5, none), (OTHER, 0, none)]);
        let made = minimal.inherit(0o666, NodeKind::File);
        assert_eq!((made.mode, made.access), (0o640, None));
    }

    proptest! {
        #[test]
        fn bytes_that_are_no_list_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(acl) = Acl::parse(&bytes) {
                prop_assert_eq!(acl.encode(), Bytes::from(bytes));
            }
        }

        #[test]
        fn chmod_shows_in_the_list(mode in 0u32..0o1000, has_mask: bool) {
            let mut entries = vec![(USER, 7, 0), (2, 7, 5), (GROUP, 7, 0)];
            entries.extend(has_mask.then_some((MASK, 7, 0)));
            entries.push((OTHER, 7, 0));
            prop_assert_eq!(acl(&entries).with_mode(mode).mode(0), mode);
        }
    }
}
