//! The bytes of a narrow node as a set, which has an order where the places of the node have none.

use std::ops::{ControlFlow, Range};

use super::slot::{Child, Slot};
use crate::index::Direction;

/// See the file head.
pub(super) struct ByteSet([u64; 4]);

impl ByteSet {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut words = [0; 4];
        for byte in bytes {
            words[usize::from(byte >> 6)] |= 1 << (byte & 63);
        }
        Self(words)
    }

    /// Removes and returns the lowest byte (`Up`) or the highest.
    pub(super) fn take(&mut self, direction: Direction) -> Option<u8> {
        let (index, bit) = match direction {
            Direction::Up => {
                let index = self.0.iter().position(|word| *word != 0)?;
                (index, self.0[index].trailing_zeros())
            }
            Direction::Down => {
                let index = self.0.iter().rposition(|word| *word != 0)?;
                (index, self.0[index].ilog2())
            }
        };
        self.0[index] ^= 1 << bit;
        Some((index as u32 * u64::BITS + bit) as u8)
    }

    /// Shows `visit` the children of the bytes in `range`, nearest first.
    pub(super) fn visit<'a>(
        mut self,
        range: &Range<u16>,
        direction: Direction,
        slot: impl Fn(u8) -> Option<&'a Slot>,
        visit: &mut dyn FnMut(Child<'a>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        while let Some(byte) = self.take(direction) {
            if !range.contains(&u16::from(byte)) {
                continue;
            }
            if let Some(child) = slot(byte).and_then(Slot::load) {
                visit(child)?;
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use std::iter::from_fn;

    use super::ByteSet;
    use crate::index::Direction;

    #[test]
    fn bytes_come_in_order_once_each() {
        let bytes = [64, 3, 255, 0, 63, 128, 3, 0, 127];
        let mut up = ByteSet::new(&bytes);
        assert!(from_fn(|| up.take(Direction::Up)).eq([0, 3, 63, 64, 127, 128, 255]));
        let mut down = ByteSet::new(&bytes);
        assert!(from_fn(|| down.take(Direction::Down)).eq([255, 128, 127, 64, 63, 3, 0]));
    }
}
