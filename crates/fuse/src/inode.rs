//! Inode numbers: a stable 64-bit image of what a node is and how it is seen.
//!
//! | what | number |
//! |---|---|
//! | the root of the mount | 1, as the kernel wants it |
//! | a node of the trunk | the 64 bits of its id |
//! | a node seen through a branch or a snapshot, and what the mount itself makes up | bit 63 set, the rest a hash |
//!
//! Invariants:
//! - a number means the same node as long as the mount lives, and after every remount but for
//!   hashes that collide (then the later one of the two differs);
//! - a node id is never reused, so neither is its number: generation 0 is right for all.
//!
//! What breaks otherwise: NFS handles, `find -samefile`, tar's hard links, backups by inode.

use fuser::INodeNo;
use nokv_types::{BranchId, NodeId};
use parking_lot::RwLock;
use std::collections::HashMap;

/// Numbers from here on are hashes.
const HASHED: u64 = 1 << 63;
/// The seed of the hashes; part of what numbers mean, so it never changes.
const SEED: u64 = 0x6e6f_6b76_2d69_6e6f;
/// An odd number with its bits well spread: the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// As of when a node is seen: the live tree, or one of the frozen ones that the mount has opened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Age {
    /// The newest state, or the one state of a frozen mount.
    Live,
    /// A snapshot, by its place in the table of opened snapshots.
    Snapshot(u32),
}

/// What an inode number means.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Inode {
    /// A node of the store.
    Node {
        /// As of when.
        age: Age,
        /// Through which branch.
        branch: BranchId,
        /// Which.
        node: NodeId,
    },
    /// Something that the mount makes up, by its place in the control directory.
    Control(u32),
}

/// The numbers in use.
pub(crate) struct Inodes {
    root: Inode,
    hashed: RwLock<Hashed>,
}

#[derive(Default)]
struct Hashed {
    numbers: HashMap<Inode, u64>,
    inodes: HashMap<u64, Inode>,
}

impl Inodes {
    pub(crate) fn new(root: Inode) -> Self {
        Self {
            root,
            hashed: RwLock::default(),
        }
    }

    /// The root of the mount.
    pub(crate) const fn root(&self) -> Inode {
        self.root
    }

    /// The number of an inode.
    pub(crate) fn number(&self, inode: Inode) -> INodeNo {
        if inode == self.root {
            return INodeNo::ROOT;
        }
        match trunk_bits(inode) {
            Some(bits) => INodeNo(bits),
            None => INodeNo(self.hashed_number(inode)),
        }
    }

    /// What a number means; `None` when it was never given out.
    pub(crate) fn inode(&self, number: INodeNo) -> Option<Inode> {
        if number == INodeNo::ROOT {
            return Some(self.root);
        }
        if number.0 & HASHED == 0 {
            return Some(Inode::Node {
                age: Age::Live,
                branch: BranchId::TRUNK,
                node: NodeId::from_u64(number.0),
            });
        }
        self.hashed.read().inodes.get(&number.0).copied()
    }

    fn hashed_number(&self, inode: Inode) -> u64 {
        if let Some(number) = self.hashed.read().numbers.get(&inode) {
            return *number;
        }
        let mut number = hash(inode) | HASHED;
        let mut hashed = self.hashed.write();
        if let Some(number) = hashed.numbers.get(&inode) {
            return *number;
        }
        while hashed.inodes.contains_key(&number) {
            number = number.wrapping_add(1) | HASHED;
        }
        hashed.numbers.insert(inode, number);
        hashed.inodes.insert(number, inode);
        number
    }
}

/// The same for the same inode in every run of every version.
fn hash(inode: Inode) -> u64 {
    let words = match inode {
        Inode::Node { age, branch, node } => {
            let age = match age {
                Age::Live => 0,
                Age::Snapshot(place) => 1 + u64::from(place),
            };
            [age, u64::from(branch.get()), node.as_u64()]
        }
        Inode::Control(place) => [u64::MAX, 0, u64::from(place)],
    };
    words.iter().fold(SEED, |hash, word| {
        let mixed = (hash ^ word).wrapping_add(SPREAD);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

/// The number of a live node of the trunk, unless the root's or a hash could be meant.
const fn trunk_bits(inode: Inode) -> Option<u64> {
    match inode {
        Inode::Node {
            age: Age::Live,
            branch: BranchId::TRUNK,
            node,
        } if node.as_u64() & HASHED == 0 && node.as_u64() > 1 => Some(node.as_u64()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Age, Inode, Inodes};
    use fuser::INodeNo;
    use nokv_types::{BranchId, NodeId};

    fn node(branch: u32, bits: u64) -> Inode {
        Inode::Node {
            age: Age::Live,
            branch: BranchId::new(branch),
            node: NodeId::from_u64(bits),
        }
    }

    #[test]
    fn numbers_lead_back_and_survive_a_remount() {
        let inodes = Inodes::new(node(0, 7));
        let again = Inodes::new(node(0, 7));
        let all = [0, 1, 2, 7, 8, 1 << 48, 1 << 63, u64::MAX];
        let mut numbers = std::collections::HashSet::new();
        for branch in [0, 1, u32::MAX] {
            for bits in all {
                let inode = node(branch, bits);
                let number = inodes.number(inode);
                assert_eq!(inodes.inode(number), Some(inode));
                assert_eq!(again.number(inode), number);
                assert!(numbers.insert(number.0), "{inode:?}");
            }
        }
        assert_eq!(inodes.number(node(0, 7)), INodeNo::ROOT);
        assert_eq!(inodes.number(node(0, 8)), INodeNo(8));
        assert_eq!(inodes.inode(INodeNo(1 << 63)), None);
    }
}
