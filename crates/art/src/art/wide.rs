//! Nodes of up to 48 and up to 256 children: a table by byte.
//!
//! Invariants:
//! - [`Node48`]: the entry of a byte is 0 (absent) or one more than the place of its child. Places
//!   are filled from 0 on; the child is stored before the entry that leads to it, and neither
//!   changes after.
//! - [`Node256`]: a byte is present if its slot is set.

use std::ops::{ControlFlow, Range};
use std::sync::atomic::Ordering;

use super::narrow::copy_terminator;
use super::node::Header;
use super::slot::{Child, Slot};
use crate::index::Direction;
use crate::sync::AtomicU8;

/// Places of the middle size.
const PLACES: usize = 48;

/// Up to 48 children; 656 bytes.
#[repr(C)]
pub(super) struct Node48 {
    pub(super) header: Header,
    entries: [AtomicU8; 256],
    children: [Slot; PLACES],
}

/// A child for every byte; 2,064 bytes.
#[repr(C)]
pub(super) struct Node256 {
    pub(super) header: Header,
    children: [Slot; 256],
}

const _: () = assert!(size_of::<Node48>() == 656 && size_of::<Node256>() == 2_064);

impl Node48 {
    pub(super) fn new(level: u32) -> Self {
        Self {
            header: Header::new(level),
            entries: [const { AtomicU8::new(0) }; 256],
            children: [const { Slot::empty() }; PLACES],
        }
    }

    #[inline]
    pub(super) fn slot(&self, byte: u8) -> Option<&Slot> {
        // Acquire: pairs with the Release of `add`; who sees the entry sees the child.
        match self.entries[usize::from(byte)].load(Ordering::Acquire) {
            0 => None,
            entry => self.children.get(usize::from(entry) - 1),
        }
    }

    pub(super) fn at_or_above(&self, from: u16) -> Option<&Slot> {
        (from..256).find_map(|byte| self.slot(byte as u8))
    }

    pub(super) fn below(&self, end: u16) -> Option<&Slot> {
        (0..end).rev().find_map(|byte| self.slot(byte as u8))
    }

    pub(super) fn visit<'a>(
        &'a self,
        range: Range<u16>,
        direction: Direction,
        visit: &mut dyn FnMut(Child<'a>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        visit_in_order(range, direction, |byte| self.slot(byte), visit)
    }

    /// Adds a child if there is a free place.
    ///
    /// # Safety
    /// `child` is in the arena of the node.
    pub(super) unsafe fn add(&self, byte: u8, child: Child<'_>) -> bool {
        let Some(place) = self.children.iter().position(|slot| slot.load().is_none()) else {
            return false;
        };
        // SAFETY: passed on to the caller.
        unsafe { self.children[place].store(child) };
        self.entries[usize::from(byte)].store(place as u8 + 1, Ordering::Release);
        true
    }

    /// The full node with one more child, in the next size.
    ///
    /// # Safety
    /// `child` is in the arena of the node, where the result will be.
    pub(super) unsafe fn grown(&self, byte: u8, child: Child<'_>) -> Node256 {
        let node = Node256 {
            header: Header::new(self.header.level),
            children: [const { Slot::empty() }; 256],
        };
        // SAFETY: all children are in the arena of the node.
        unsafe {
            for byte in 0..=255 {
                if let Some(child) = self.slot(byte).and_then(Slot::load) {
                    node.add(byte, child);
                }
            }
            node.add(byte, child);
            copy_terminator(&self.header, &node.header);
        }
        node
    }
}

impl Node256 {
    #[inline]
    pub(super) fn slot(&self, byte: u8) -> Option<&Slot> {
        Some(&self.children[usize::from(byte)])
    }

    pub(super) fn at_or_above(&self, from: u16) -> Option<&Slot> {
        self.children[usize::from(from)..]
            .iter()
            .find(|slot| slot.load().is_some())
    }

    pub(super) fn below(&self, end: u16) -> Option<&Slot> {
        self.children[..usize::from(end)]
            .iter()
            .rfind(|slot| slot.load().is_some())
    }

    pub(super) fn visit<'a>(
        &'a self,
        range: Range<u16>,
        direction: Direction,
        visit: &mut dyn FnMut(Child<'a>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        visit_in_order(range, direction, |byte| self.slot(byte), visit)
    }

    /// Adds a child; there is always a place.
    ///
    /// # Safety
    /// `child` is in the arena of the node.
    pub(super) unsafe fn add(&self, byte: u8, child: Child<'_>) -> bool {
        // SAFETY: passed on to the caller.
        unsafe { self.children[usize::from(byte)].store(child) };
        true
    }
}

/// Shows `visit` the children whose bytes are in `range`, nearest first.
fn visit_in_order<'a>(
    mut range: Range<u16>,
    direction: Direction,
    slot: impl Fn(u8) -> Option<&'a Slot>,
    visit: &mut dyn FnMut(Child<'a>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    while let Some(byte) = match direction {
        Direction::Up => range.next(),
        Direction::Down => range.next_back(),
    } {
        if let Some(child) = slot(byte as u8).and_then(Slot::load) {
            visit(child)?;
        }
    }
    ControlFlow::Continue(())
}
