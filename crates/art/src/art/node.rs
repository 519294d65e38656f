//! A node of any size: what the four have in common, and the choice between them.
//!
//! Invariants (of every node from its publication on):
//! - `level` never changes. All keys below share their first `level` bytes and are at least that
//!   long.
//! - It has at least one child for a byte, and two children with the terminator.
//! - A byte, once present, stays present until the whole node is replaced.

use std::ops::{ControlFlow, Range};

use super::narrow::{Node4, Node16};
use super::slot::{Child, NodeSize, Slot};
use super::wide::{Node48, Node256};
use crate::arena::Arena;
use crate::index::Direction;
use crate::leaf::{CACHE_LINE_BYTES, LeafRef, prefetch};
use crate::sync::AtomicU32;

/// What every node starts with.
#[repr(C)]
pub(super) struct Header {
    /// Which byte of the key the node distinguishes.
    pub(super) level: u32,
    /// The bytes of a [`Node4`]; they fit here, where the other sizes have no use for the space.
    pub(super) bytes: AtomicU32,
    /// The leaf whose key ends at `level`.
    pub(super) terminator: Slot,
}

const _: () = assert!(size_of::<Header>() == 16);

impl Header {
    pub(super) fn new(level: u32) -> Self {
        Self {
            level,
            bytes: AtomicU32::new(0),
            terminator: Slot::empty(),
        }
    }
}

/// Lines of a node loaded ahead of a scan: a [`Node16`], not aligned to lines, lies in three or
/// four.
const FETCH_LINES: usize = 3;

/// One past the highest byte, as a bound.
pub(super) const BYTE_END: u16 = 256;

/// A node; `'a` borrows the tree.
#[derive(Clone, Copy)]
pub(super) enum Node<'a> {
    N4(&'a Node4),
    N16(&'a Node16),
    N48(&'a Node48),
    N256(&'a Node256),
}

macro_rules! each {
    ($self:expr, $node:ident => $value:expr) => {
        match $self {
            Node::N4($node) => $value,
            Node::N16($node) => $value,
            Node::N48($node) => $value,
            Node::N256($node) => $value,
        }
    };
}

impl<'a> Node<'a> {
    /// Which byte of the key the node distinguishes.
    #[inline]
    pub(super) fn level(self) -> usize {
        each!(self, node => node.header.level) as usize
    }

    /// The slot of the key that ends here.
    #[inline]
    pub(super) fn terminator(self) -> &'a Slot {
        each!(self, node => &node.header.terminator)
    }

    /// The slot of `byte`; of an absent byte none or an empty one.
    #[inline]
    pub(super) fn slot(self, byte: u8) -> Option<&'a Slot> {
        each!(self, node => node.slot(byte))
    }

    /// The child on the path of `key`.
    #[inline]
    pub(super) fn child(self, key: &[u8]) -> Option<Child<'a>> {
        match key.get(self.level()) {
            Some(byte) => self.slot(*byte)?.load(),
            None => self.terminator().load(),
        }
    }

    /// The child of the lowest byte at or above `from`.
    pub(super) fn at_or_above(self, from: u16) -> Option<Child<'a>> {
        each!(self, node => node.at_or_above(from))?.load()
    }

    /// The child of the highest byte below `end`.
    pub(super) fn below(self, end: u16) -> Option<Child<'a>> {
        each!(self, node => node.below(end))?.load()
    }

    /// Shows `visit` the children for the bytes in `range`, nearest first, until it breaks.
    pub(super) fn visit(
        self,
        range: Range<u16>,
        direction: Direction,
        visit: &mut dyn FnMut(Child<'a>) -> ControlFlow<()>,
    ) {
        // Who called knows whether it broke.
        let (ControlFlow::Continue(()) | ControlFlow::Break(())) =
            each!(self, node => node.visit(range, direction, visit));
    }

    /// Starts loading the header and the first places of a narrow node.
    pub(super) fn prefetch(self) {
        let address = each!(self, node => std::ptr::from_ref(node).cast::<u8>());
        (0..FETCH_LINES).for_each(|line| prefetch(address.wrapping_add(line * CACHE_LINE_BYTES)));
    }

    /// The child with the lowest keys.
    pub(super) fn lowest(self) -> Child<'a> {
        let first = self.terminator().load().or_else(|| self.at_or_above(0));
        first.expect("a node has at least one child from its publication on")
    }

    /// The child with the highest keys.
    pub(super) fn highest(self) -> Child<'a> {
        self.below(BYTE_END)
            .expect("a node has a child for a byte from its publication on")
    }

    /// A leaf next to where `key` belongs among the children: the lowest of those for a higher byte
    /// if there is one, else the highest of those for a lower byte. A child for the key's own byte
    /// is passed over (a key that ends here may be found, though); the caller knows none that was
    /// there when it looked first.
    pub(super) fn neighbour(self, key: &[u8]) -> Neighbour<'a> {
        let Some(byte) = key.get(self.level()) else {
            return Neighbour::Above(self.lowest().lowest_leaf());
        };
        let byte = u16::from(*byte);
        match self.at_or_above(byte + 1) {
            Some(above) => Neighbour::Above(above.lowest_leaf()),
            None => {
                let below = self.below(byte).or_else(|| self.terminator().load());
                let below = below.expect(
                    "a node has two children, one of them of another byte, and none is above",
                );
                Neighbour::Below(below.highest_leaf())
            }
        }
    }

    /// Adds `child` for `byte`, which is absent, to the node, which `place` holds; grows it if it
    /// is full.
    ///
    /// # Safety
    /// `child` is in `arena`, which is that of the tree; `place` is the slot that leads to this
    /// node.
    pub(super) unsafe fn add(self, place: &Slot, arena: &mut Arena, byte: u8, child: Child<'_>) {
        // SAFETY: `child` and the copy are in the arena of the tree, as the caller says; the copy
        // gets the children of this node, which are too.
        unsafe {
            if each!(self, node => node.add(byte, child)) {
                return;
            }
            match self {
                Node::N4(node) => replace(place, arena, node, node.grown(byte, child)),
                Node::N16(node) => replace(place, arena, node, node.grown(byte, child)),
                Node::N48(node) => replace(place, arena, node, node.grown(byte, child)),
                Node::N256(_) => unreachable!("the widest node has a place for every byte"),
            }
        }
    }
}

/// # Safety
/// As [`Node::add`]; `grown` leads to all that `_node` leads to.
unsafe fn replace<S, T: NodeSize>(place: &Slot, arena: &mut Arena, _node: &S, grown: T) {
    // SAFETY: the arena is that of the tree.
    unsafe { place.store(Child::create(arena, grown)) };
    arena.retire(size_of::<S>());
}

/// A leaf next to a key that is not in the tree.
pub(super) enum Neighbour<'a> {
    /// Its key is the next higher one.
    Above(LeafRef<'a>),
    /// Its key is the next lower one.
    Below(LeafRef<'a>),
}

impl<'a> Neighbour<'a> {
    /// The leaf, whichever side.
    pub(super) fn leaf(self) -> LeafRef<'a> {
        match self {
            Self::Above(leaf) | Self::Below(leaf) => leaf,
        }
    }

    /// The leaf of the next lower key. Exact for the writer.
    pub(super) fn previous(self) -> Option<LeafRef<'a>> {
        match self {
            Self::Above(leaf) => leaf.previous(),
            Self::Below(leaf) => Some(leaf),
        }
    }
}
