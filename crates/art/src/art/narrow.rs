//! Nodes of up to 4 and up to 16 children: the bytes lie side by side, in order of arrival.
//!
//! Invariants:
//! - The byte in place `i` belongs to the child in place `i`. Places are filled from 0 on and never
//!   change after.
//! - A place that is not filled repeats the byte of place 0. A search takes the first place that
//!   matches, so it never ends in an unfilled one, and needs no count.
//! - The child is stored before the word that contains its byte; a reader that finds the byte finds
//!   the child.
//! - The bytes are read as whole words (of which only the writer stores), never as single bytes
//!   beside a store: one load sees a consistent state and the compiler has no torn access to reason
//!   about.

use std::ops::{ControlFlow, Range};
use std::sync::atomic::Ordering;

use super::byte_set::ByteSet;
use super::node::Header;
use super::slot::{Child, Slot};
use super::wide::Node48;
use crate::index::Direction;
use crate::sync::AtomicU64;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Up to 4 children; 48 bytes.
#[repr(C)]
pub(super) struct Node4 {
    pub(super) header: Header,
    children: [Slot; 4],
}

/// Up to 16 children; 160 bytes.
#[repr(C)]
pub(super) struct Node16 {
    pub(super) header: Header,
    bytes: [AtomicU64; 2],
    children: [Slot; 16],
}

const _: () = assert!(size_of::<Node4>() == 48 && size_of::<Node16>() == 160);

/// The lowest place of `word` that holds `byte`.
#[inline]
fn position(word: u64, byte: u8) -> Option<usize> {
    let differences = word ^ (ONES * u64::from(byte));
    // Sets the high bit of the lowest zero byte; higher ones may be wrong, but only the lowest
    // counts.
    let zeros = differences.wrapping_sub(ONES) & !differences & HIGHS;
    (zeros != 0).then(|| zeros.trailing_zeros() as usize / 8)
}

/// `word` with `byte` in `place`.
fn with_byte(word: u64, place: usize, byte: u8) -> u64 {
    (word & !(0xff << (8 * place))) | (u64::from(byte) << (8 * place))
}

/// The place of the lowest byte that is at least `from`.
fn lowest_from(bytes: &[u8], from: u16) -> Option<usize> {
    let places = (0..bytes.len()).filter(|place| u16::from(bytes[*place]) >= from);
    places.min_by_key(|place| bytes[*place])
}

/// The place of the highest byte below `end`; the first of equal ones, which is a filled one.
fn highest_below(bytes: &[u8], end: u16) -> Option<usize> {
    let places = (0..bytes.len())
        .rev()
        .filter(|place| u16::from(bytes[*place]) < end);
    places.max_by_key(|place| bytes[*place])
}

impl Node4 {
    /// A node with one child.
    ///
    /// # Safety
    /// `child` is in the arena where the node will be.
    pub(super) unsafe fn new(level: u32, byte: u8, child: Child<'_>) -> Self {
        let node = Self {
            header: Header::new(level),
            children: [const { Slot::empty() }; 4],
        };
        node.header
            .bytes
            .store(u32::from(byte) * (ONES as u32), Ordering::Relaxed);
        // SAFETY: passed on to the caller.
        unsafe { node.children[0].store(child) };
        node
    }

    #[inline]
    fn word(&self) -> u64 {
        // Acquire: pairs with the Release of `add`; the child of each byte seen is seen too. The
        // upper half must not match: it repeats the lower one.
        let word = u64::from(self.header.bytes.load(Ordering::Acquire));
        word | word << 32
    }

    #[inline]
    pub(super) fn slot(&self, byte: u8) -> Option<&Slot> {
        position(self.word(), byte).map(|place| &self.children[place & 3])
    }

    pub(super) fn at_or_above(&self, from: u16) -> Option<&Slot> {
        lowest_from(&self.word().to_le_bytes()[..4], from).map(|place| &self.children[place])
    }

    pub(super) fn below(&self, end: u16) -> Option<&Slot> {
        highest_below(&self.word().to_le_bytes()[..4], end).map(|place| &self.children[place])
    }

    pub(super) fn visit<'a>(
        &'a self,
        range: Range<u16>,
        direction: Direction,
        visit: &mut dyn FnMut(Child<'a>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        ByteSet::new(&self.word().to_le_bytes()[..4]).visit(
            &range,
            direction,
            |byte| self.slot(byte),
            visit,
        )
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
        let word = with_byte(self.word(), place, byte) as u32;
        self.header.bytes.store(word, Ordering::Release);
        true
    }

    /// The full node with one more child, in the next size.
    ///
    /// # Safety
    /// `child` is in the arena of the node, where the result will be.
    pub(super) unsafe fn grown(&self, byte: u8, child: Child<'_>) -> Node16 {
        let bytes = self.word().to_le_bytes();
        // SAFETY: all children are in the arena of the node.
        unsafe {
            let node = Node16 {
                header: Header::new(self.header.level),
                bytes: [const { AtomicU64::new(0) }; 2],
                children: [const { Slot::empty() }; 16],
            };
            node.bytes
                .iter()
                .for_each(|word| word.store(ONES * u64::from(bytes[0]), Ordering::Relaxed));
            for (byte, slot) in bytes.iter().zip(&self.children) {
                let added = slot.load().is_some_and(|child| node.add(*byte, child));
                debug_assert!(added, "a full node of 4 fits one of 16");
            }
            node.add(byte, child);
            copy_terminator(&self.header, &node.header);
            node
        }
    }
}

impl Node16 {
    #[inline]
    fn words(&self) -> [u64; 2] {
        // Acquire: pairs with the Release of `add`. The two loads need not be of one moment: each
        // byte is published on its own.
        [
            self.bytes[0].load(Ordering::Acquire),
            self.bytes[1].load(Ordering::Acquire),
        ]
    }

    fn all(&self) -> [u8; 16] {
        let [low, high] = self.words();
        (u128::from(low) | u128::from(high) << 64).to_le_bytes()
    }

    #[inline]
    pub(super) fn slot(&self, byte: u8) -> Option<&Slot> {
        let [low, high] = self.words();
        let place = position(low, byte).or_else(|| Some(8 + position(high, byte)?))?;
        Some(&self.children[place & 15])
    }

    pub(super) fn at_or_above(&self, from: u16) -> Option<&Slot> {
        lowest_from(&self.all(), from).map(|place| &self.children[place])
    }

    pub(super) fn below(&self, end: u16) -> Option<&Slot> {
        highest_below(&self.all(), end).map(|place| &self.children[place])
    }

    pub(super) fn visit<'a>(
        &'a self,
        range: Range<u16>,
        direction: Direction,
        visit: &mut dyn FnMut(Child<'a>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        ByteSet::new(&self.all()).visit(&range, direction, |byte| self.slot(byte), visit)
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
        let word = &self.bytes[place / 8];
        word.store(
            with_byte(word.load(Ordering::Relaxed), place % 8, byte),
            Ordering::Release,
        );
        true
    }

    /// The full node with one more child, in the next size.
    ///
    /// # Safety
    /// `child` is in the arena of the node, where the result will be.
    pub(super) unsafe fn grown(&self, byte: u8, child: Child<'_>) -> Node48 {
        // SAFETY: all children are in the arena of the node.
        unsafe {
            let node = Node48::new(self.header.level);
            for (byte, slot) in self.all().iter().zip(&self.children) {
                let added = slot.load().is_some_and(|child| node.add(*byte, child));
                debug_assert!(added, "a full node of 16 fits one of 48");
            }
            node.add(byte, child);
            copy_terminator(&self.header, &node.header);
            node
        }
    }
}

/// # Safety
/// Both headers are of nodes of one arena.
pub(super) unsafe fn copy_terminator(from: &Header, to: &Header) {
    if let Some(leaf) = from.terminator.load() {
        // SAFETY: passed on to the caller.
        unsafe { to.terminator.store(leaf) };
    }
}

#[cfg(test)]
mod tests {
    use super::{highest_below, lowest_from, position, with_byte};

    #[test]
    fn position_is_the_first_equal_byte_whatever_the_others_are() {
        let step = if cfg!(miri) { 51 } else { 1 };
        for wanted in (0..=255_u8).step_by(step) {
            for other in (0..=255_u8).step_by(step) {
                let bytes = [
                    other,
                    wanted.wrapping_add(1),
                    wanted,
                    other,
                    wanted,
                    other,
                    0,
                    255,
                ];
                let word = u64::from_le_bytes(bytes);
                assert_eq!(
                    position(word, wanted),
                    bytes.iter().position(|byte| *byte == wanted)
                );
                assert_eq!(with_byte(word, 3, wanted).to_le_bytes()[3], wanted);
            }
        }
    }

    #[test]
    fn bounds_choose_filled_places() {
        // Places 2 and 3 are not filled: they repeat place 0.
        let bytes = [7, 3, 7, 7];
        assert_eq!(lowest_from(&bytes, 0), Some(1));
        assert_eq!(lowest_from(&bytes, 4), Some(0));
        assert_eq!(lowest_from(&bytes, 8), None);
        assert_eq!(highest_below(&bytes, 256), Some(0));
        assert_eq!(highest_below(&bytes, 7), Some(1));
        assert_eq!(highest_below(&bytes, 3), None);
    }
}
