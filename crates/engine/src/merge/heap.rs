//! A binary heap of source numbers whose order lies outside, in the sources.
//!
//! `std::collections::BinaryHeap` can't be used: its order must be in its elements, and the order
//! here is by keys that the sources lend.
//!
//! Invariant: `is_before` is a strict order over the numbers in the heap, and only the top's place
//! changes between two calls.

/// Numbers, the first of them on top.
#[derive(Default)]
pub(super) struct Heap {
    numbers: Vec<usize>,
}

impl Heap {
    /// A heap of these numbers.
    pub(super) fn new(numbers: Vec<usize>, is_before: impl Fn(usize, usize) -> bool) -> Self {
        let mut heap = Self { numbers };
        for place in (0..heap.numbers.len() / 2).rev() {
            heap.sift_down(place, &is_before);
        }
        heap
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    #[inline]
    pub(super) fn top(&self) -> Option<usize> {
        self.numbers.first().copied()
    }

    /// The top's source moved on: finds its new place.
    #[inline]
    pub(super) fn settle_top(&mut self, is_before: impl Fn(usize, usize) -> bool) {
        self.sift_down(0, &is_before);
    }

    /// The top's source is exhausted.
    pub(super) fn remove_top(&mut self, is_before: impl Fn(usize, usize) -> bool) {
        if !self.numbers.is_empty() {
            self.numbers.swap_remove(0);
            self.sift_down(0, &is_before);
        }
    }

    #[inline]
    fn sift_down(&mut self, place: usize, is_before: &impl Fn(usize, usize) -> bool) {
        let mut place = place;
        loop {
            let left = 2 * place + 1;
            let Some(&first) = self.numbers.get(left) else {
                return;
            };
            let (child, number) = match self.numbers.get(left + 1) {
                Some(&second) if is_before(second, first) => (left + 1, second),
                _ => (left, first),
            };
            match self.numbers.get(place) {
                Some(&moved) if is_before(number, moved) => self.numbers.swap(place, child),
                _ => return,
            }
            place = child;
        }
    }
}
