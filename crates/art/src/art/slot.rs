//! A place in the tree that holds a child: an atomic pointer whose low bits say what it points to.
//!
//! Purpose: the only place of the tree where raw pointers turn into references.
//!
//! Invariants:
//! - A slot is empty or holds the address of a complete leaf or node in the arena of the tree that
//!   the slot belongs to, plus its tag. So a reference to a slot, which borrows the tree, makes
//!   references to children as long as itself.
//! - The tag is in the pointer, not in the node, so that a reader knows how to search a node before
//!   its first cache line has arrived.

use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering;

use super::narrow::{Node4, Node16};
use super::node::Node;
use super::wide::{Node48, Node256};
use crate::arena::{ALIGNMENT, Arena};
use crate::leaf::{Leaf, LeafRef};
use crate::sync::AtomicPtr;

const TAG_MASK: usize = ALIGNMENT - 1;
const TAG_LEAF: usize = 0;
const TAG_NODE4: usize = 1;
const TAG_NODE16: usize = 2;
const TAG_NODE48: usize = 3;
const TAG_NODE256: usize = 4;

const _: () = assert!(TAG_NODE256 <= TAG_MASK);

/// A node size: how slots tag it.
///
/// # Safety
/// `TAG` is the one that [`Child::target`] takes for this type.
pub(super) unsafe trait NodeSize {
    /// The tag of the size.
    const TAG: usize;
}

// SAFETY: `Child::target` makes a `Node4` of this tag.
unsafe impl NodeSize for Node4 {
    const TAG: usize = TAG_NODE4;
}
// SAFETY: `Child::target` makes a `Node16` of this tag.
unsafe impl NodeSize for Node16 {
    const TAG: usize = TAG_NODE16;
}
// SAFETY: `Child::target` makes a `Node48` of this tag.
unsafe impl NodeSize for Node48 {
    const TAG: usize = TAG_NODE48;
}
// SAFETY: `Child::target` makes a `Node256` of this tag.
unsafe impl NodeSize for Node256 {
    const TAG: usize = TAG_NODE256;
}

/// What a slot holds; `'a` borrows the tree.
#[derive(Clone, Copy)]
pub(super) struct Child<'a> {
    tagged: NonNull<u8>,
    tree: PhantomData<&'a u8>,
}

/// A [`Child`], looked at.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    /// The end of a path.
    Leaf(LeafRef<'a>),
    /// A branch.
    Node(Node<'a>),
}

impl<'a> Child<'a> {
    /// The child that is a leaf.
    pub(super) fn leaf(leaf: LeafRef<'a>) -> Self {
        Self {
            tagged: leaf.as_ptr().cast(),
            tree: PhantomData,
        }
    }

    /// The child that is a new node, which nobody else knows yet.
    ///
    /// # Safety
    /// `arena` lives at least as long as `'a`.
    pub(super) unsafe fn create<T: NodeSize>(arena: &mut Arena, node: T) -> Self {
        const { assert!(align_of::<T>() == ALIGNMENT) };
        let place = arena.allocate(size_of::<T>());
        // SAFETY: the memory is fresh, aligned, and has the size of the node.
        unsafe { place.cast::<T>().write(node) };
        Self {
            tagged: place.map_addr(|address| address | T::TAG),
            tree: PhantomData,
        }
    }

    /// What it is.
    #[inline]
    pub(super) fn target(self) -> Target<'a> {
        let tag = self.tagged.as_ptr().addr() & TAG_MASK;
        let pointer = self.tagged.as_ptr().map_addr(|address| address & !TAG_MASK);
        // SAFETY: by the invariant of slots the pointer without its tag is the address of a
        // complete leaf or node of the kind the tag says, alive for `'a`; no exclusive reference to
        // it exists since it was written.
        unsafe {
            match tag {
                TAG_LEAF => Target::Leaf(LeafRef::from_ptr(NonNull::new_unchecked(
                    pointer.cast::<Leaf>(),
                ))),
                TAG_NODE4 => Target::Node(Node::N4(&*pointer.cast())),
                TAG_NODE16 => Target::Node(Node::N16(&*pointer.cast())),
                TAG_NODE48 => Target::Node(Node::N48(&*pointer.cast())),
                _ => Target::Node(Node::N256(&*pointer.cast())),
            }
        }
    }

    /// The leaf with the lowest key below.
    pub(super) fn lowest_leaf(mut self) -> LeafRef<'a> {
        loop {
            match self.target() {
                Target::Leaf(leaf) => return leaf,
                Target::Node(node) => self = node.lowest(),
            }
        }
    }

    /// The leaf with the highest key below.
    pub(super) fn highest_leaf(mut self) -> LeafRef<'a> {
        loop {
            match self.target() {
                Target::Leaf(leaf) => return leaf,
                Target::Node(node) => self = node.highest(),
            }
        }
    }
}

/// See the file head.
#[repr(transparent)]
pub(super) struct Slot(AtomicPtr<u8>);

impl Slot {
    /// An empty slot.
    pub(super) const fn empty() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// The child.
    #[inline]
    pub(super) fn load(&self) -> Option<Child<'_>> {
        // Acquire: pairs with the Release of `store`, so that the child is seen complete.
        let tagged = NonNull::new(self.0.load(Ordering::Acquire))?;
        Some(Child {
            tagged,
            tree: PhantomData,
        })
    }

    /// Publishes `child` here. One writer at a time.
    ///
    /// # Safety
    /// `child` is in the arena of the tree that this slot belongs to.
    pub(super) unsafe fn store(&self, child: Child<'_>) {
        self.0.store(child.tagged.as_ptr(), Ordering::Release);
    }
}
