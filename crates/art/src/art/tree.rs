//! The tree: find, ceiling, insert. The argument is in the folder's essay.

use super::fetch::fetch_ahead;
use super::narrow::Node4;
use super::node::{Neighbour, Node};
use super::slot::{Child, Slot, Target};
use crate::arena::Arena;
use crate::chain;
use crate::entry::EntryRef;
use crate::index::{Added, Direction, Fetched, Index};
use crate::leaf::{LeafRef, List};

/// See the folder's essay.
pub(crate) struct Art {
    root: Slot,
}

impl Art {
    pub(crate) fn new() -> Self {
        Self {
            root: Slot::empty(),
        }
    }

    /// The slot on the path of `key` that holds the first child whose level is not below `shared`,
    /// that child, and what it is. Only for a key of which a leaf in the tree has the first
    /// `shared` bytes.
    fn place<'a>(&'a self, key: &[u8], shared: usize) -> (&'a Slot, Child<'a>, Target<'a>) {
        let mut slot = &self.root;
        loop {
            let child = slot
                .load()
                .expect("a leaf shares this path, and what a slot leads to it keeps");
            match child.target() {
                Target::Node(node) if node.level() < shared => {
                    slot = node
                        .slot(key[node.level()])
                        .expect("the leaf shares this byte");
                }
                target => return (slot, child, target),
            }
        }
    }
}

/// A leaf below `child` that shares with `key` the longest prefix that any leaf there does.
fn nearest<'a>(mut child: Child<'a>, key: &[u8]) -> LeafRef<'a> {
    loop {
        match child.target() {
            Target::Leaf(leaf) => return leaf,
            Target::Node(node) => match node.child(key) {
                Some(next) => child = next,
                // Any leaf would do; this one is likely the neighbour that the caller needs next.
                None => return node.neighbour(key).leaf(),
            },
        }
    }
}

/// Length of the longest common prefix.
fn shared_bytes(left: &[u8], right: &[u8]) -> usize {
    const WORD: usize = 8;
    let length = left.len().min(right.len());
    let words = left.chunks_exact(WORD).zip(right.chunks_exact(WORD));
    let equal = words.take_while(|(left, right)| left == right).count() * WORD;
    let rest = left[equal..length].iter().zip(&right[equal..length]);
    equal + rest.take_while(|(left, right)| left == right).count()
}

impl Index for Art {
    fn find<'a>(&'a self, _list: &'a List, key: &[u8]) -> Option<LeafRef<'a>> {
        let mut child = self.root.load()?;
        loop {
            match child.target() {
                Target::Leaf(leaf) => return (leaf.key() == key).then_some(leaf),
                Target::Node(node) => child = node.child(key)?,
            }
        }
    }

    fn ceiling<'a>(&'a self, list: &'a List, key: &[u8]) -> Option<LeafRef<'a>> {
        let nearest = nearest(self.root.load()?, key);
        let shared = shared_bytes(key, nearest.key());
        let (ours, theirs) = (key.get(shared), nearest.key().get(shared));
        if ours.is_none() && theirs.is_none() {
            return Some(nearest);
        }
        let neighbour = match self.place(key, shared) {
            // Inserts since `nearest` was found may have added a child for the key's own byte here.
            // It holds only those new keys, which need not be seen: the neighbours on either side
            // of it still enclose all others.
            (_, _, Target::Node(node)) if node.level() == shared => node.neighbour(key),
            // All leaves of this child, `nearest` among them, are on the same side of the key.
            (_, child, _) if ours < theirs => Neighbour::Above(child.lowest_leaf()),
            (_, child, _) => Neighbour::Below(child.highest_leaf()),
        };
        match neighbour {
            Neighbour::Above(leaf) => Some(leaf),
            Neighbour::Below(leaf) => list.ceiling_above(leaf, key),
        }
    }

    fn fetch_ahead<'a>(&'a self, key: &[u8], direction: Direction) -> Option<Fetched<'a>> {
        fetch_ahead(self.root.load()?, key, direction)
    }

    unsafe fn insert(
        &self,
        list: &List,
        arena: &mut Arena,
        key: &[u8],
        version: u64,
        entry: EntryRef<'_>,
    ) -> Added {
        let Some(root) = self.root.load() else {
            // SAFETY: the caller keeps the arena as long as the tree.
            let leaf = unsafe { LeafRef::create(arena, 0, key, version, entry) };
            list.link_after(None, leaf);
            // SAFETY: the leaf is in the arena of the tree.
            unsafe { self.root.store(Child::leaf(leaf)) };
            return Added::Key;
        };
        let nearest = nearest(root, key);
        let shared = shared_bytes(key, nearest.key());
        let (ours, theirs) = (key.get(shared).copied(), nearest.key().get(shared).copied());
        if ours.is_none() && theirs.is_none() {
            // SAFETY: the caller passes the arena of the tree.
            return unsafe { chain::insert(nearest.head(), arena, version, entry) };
        }
        // SAFETY: the caller keeps the arena as long as the tree.
        let leaf = unsafe { LeafRef::create(arena, 0, key, version, entry) };
        let (slot, child, target) = self.place(key, shared);
        match target {
            Target::Node(node) if node.level() == shared => {
                list.link_after(node.neighbour(key).previous(), leaf);
                // SAFETY: the leaf is in the arena of the tree; `slot` led to the node.
                unsafe { add_leaf(node, slot, arena, ours, leaf) };
            }
            _ => {
                let neighbour = if ours < theirs {
                    Neighbour::Above(child.lowest_leaf())
                } else {
                    Neighbour::Below(child.highest_leaf())
                };
                list.link_after(neighbour.previous(), leaf);
                let branches = [(ours, Child::leaf(leaf)), (theirs, child)];
                // SAFETY: leaf and child are in the arena of the tree.
                unsafe { slot.store(branch(arena, shared, branches)) };
            }
        }
        Added::Key
    }
}

/// Adds a leaf to a node at the byte of its key, or as terminator where the key ends.
///
/// # Safety
/// The leaf is in `arena`, which is that of the tree; `slot` leads to `node`.
unsafe fn add_leaf(
    node: Node<'_>,
    slot: &Slot,
    arena: &mut Arena,
    byte: Option<u8>,
    leaf: LeafRef<'_>,
) {
    // SAFETY: passed on to the caller.
    unsafe {
        match byte {
            Some(byte) => node.add(slot, arena, byte, Child::leaf(leaf)),
            None => node.terminator().store(Child::leaf(leaf)),
        }
    }
}

/// A new node at `level` over two children, of which at most one has no byte and becomes the
/// terminator.
///
/// # Safety
/// Both children are in `arena`, which is that of the tree.
unsafe fn branch<'a>(
    arena: &mut Arena,
    level: usize,
    branches: [(Option<u8>, Child<'a>); 2],
) -> Child<'a> {
    let level = u32::try_from(level).expect("a level is below KEY_BYTES_MAX");
    // SAFETY: passed on to the caller.
    unsafe {
        let node = match branches {
            [(Some(first), child), (Some(second), other)] => {
                let node = Node4::new(level, first, child);
                node.add(second, other);
                node
            }
            [(Some(byte), child), (None, ended)] | [(None, ended), (Some(byte), child)] => {
                let node = Node4::new(level, byte, child);
                node.header.terminator.store(ended);
                node
            }
            [(None, _), (None, _)] => unreachable!("two keys that end at one place are one key"),
        };
        Child::create(arena, node)
    }
}

#[cfg(test)]
mod tests {
    use super::shared_bytes;

    #[test]
    fn shared_bytes_counts_to_the_first_difference() {
        let left: Vec<u8> = (0..40).collect();
        for length in 0..40 {
            assert_eq!(shared_bytes(&left, &left[..length]), length);
            let mut right = left.clone();
            right[length] ^= 1;
            assert_eq!(shared_bytes(&left, &right), length);
        }
    }
}
