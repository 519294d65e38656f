//! Drafts against a plain vector of bytes, edit by edit.

use crate::{
    BLOCK_BYTES_MAX, BlockId, Body, Draft, DraftError, Extent, INLINE_BYTES_MAX, Layout, Run,
    SessionId, Slice, Unit,
};
use proptest::prelude::*;
use std::collections::HashMap;

/// Bytes of the bodies of the model: enough for several units and for the inline limit.
const SIZE_MAX: u64 = 3 * INLINE_BYTES_MAX as u64;

/// Where the bytes of units are, and the body as plain bytes.
#[derive(Default)]
struct Model {
    units: HashMap<BlockId, Vec<u8>>,
    plain: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Edit {
    Write { at: u64, pieces: Vec<(u16, u16)> },
    Inline { at: u64, length: u16 },
    Punch(u64, u64),
    Resize(u64),
    Collapse(u64, u64),
    Insert(u64, u64),
    Copy { from: u64, length: u64, to: u64 },
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let offset = || prop_oneof![3 => 0..SIZE_MAX, 1 => 0..300_u64];
    let length = || prop_oneof![1 => 1..SIZE_MAX / 2, 3 => 1..300_u64];
    let pieces = prop::collection::vec((0..300_u16, 1..2_000_u16), 1..5);
    let edit = prop_oneof![
        4 => (offset(), pieces).prop_map(|(at, pieces)| Edit::Write { at, pieces }),
        2 => (0..300_u64, 1..300_u16).prop_map(|(at, length)| Edit::Inline { at, length }),
        2 => (offset(), length()).prop_map(|(at, length)| Edit::Punch(at, at + length)),
        2 => offset().prop_map(Edit::Resize),
        1 => Just(Edit::Resize(0)),
        1 => (offset(), length()).prop_map(|(at, length)| Edit::Collapse(at, at + length)),
        1 => (offset(), length()).prop_map(|(at, length)| Edit::Insert(at, at + length)),
        2 => (offset(), length(), offset())
            .prop_map(|(from, length, to)| Edit::Copy { from, length, to }),
    ];
    prop::collection::vec(edit, 1..60)
}

impl Model {
    /// A new unit with bytes that are found nowhere else.
    fn unit(&mut self, bytes: usize) -> Unit {
        let sequence = u32::try_from(self.units.len()).expect("few");
        let block = BlockId {
            session: SessionId::new(1),
            sequence,
        };
        let seed = self.units.len() * 31 + 1;
        let fill = (0..bytes).map(|index| u8::try_from((seed + index * 7) % 255 + 1).expect("u8"));
        self.units.insert(block, fill.collect());
        Unit::plain(block, 0..u32::try_from(bytes).expect("small"), 0)
    }

    fn set(&mut self, at: u64, bytes: &[u8]) {
        let at = usize::try_from(at).expect("small");
        if self.plain.len() < at + bytes.len() {
            self.plain.resize(at + bytes.len(), 0);
        }
        self.plain[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn read(&self, body: &Body) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(body.size()).expect("small")];
        match body.layout() {
            Layout::Inline(inline) => bytes.copy_from_slice(inline),
            Layout::Extents(extents) => {
                for extent in extents {
                    let unit = &self.units[&extent.block()];
                    let from = extent.skip as usize..(extent.skip + extent.length) as usize;
                    let at = usize::try_from(extent.body_offset).expect("small");
                    bytes[at..at + from.len()].copy_from_slice(&unit[from]);
                }
            }
        }
        bytes
    }

    /// Writes uploaded pieces with gaps between them in one edit.
    fn write(&mut self, draft: &mut Draft, at: u64, pieces: &[(u16, u16)]) {
        let mut runs = Vec::new();
        let mut position = at;
        let mut written = Vec::new();
        for (gap, length) in pieces {
            let start = position + u64::from(*gap);
            let extent = Extent::whole(start, self.unit(usize::from(*length)));
            // Every other run is longer than its extent: a hole behind it.
            let end = extent.end() + u64::from(length % 2);
            position = end;
            written.push((start, end, extent));
            let extents = vec![extent];
            runs.push(Run {
                range: start..end,
                extents,
            });
        }
        if let Err(error) = draft.write(&runs) {
            assert_eq!(error, DraftError::NeedsBytes);
            assert!(self.plain.len() <= INLINE_BYTES_MAX);
            return;
        }
        for (start, end, extent) in written {
            let zeros = vec![0; usize::try_from(end - start).expect("small")];
            self.set(start, &zeros);
            let bytes = self.units[&extent.block()].clone();
            self.set(start, &bytes);
        }
    }

    fn copy(&mut self, draft: &mut Draft, range: std::ops::Range<u64>, to: u64) {
        let slice = match draft.slice(range.clone()) {
            Ok(slice) => slice,
            Err(error) => {
                assert_eq!(error, DraftError::OutOfRange);
                assert!(range.end > self.plain.len() as u64);
                return;
            }
        };
        let at = |offset| usize::try_from(offset).expect("small");
        let bytes = self.plain[at(range.start)..at(range.end)].to_vec();
        let done = match slice {
            Slice::Inline(inline) => {
                assert_eq!(inline, bytes);
                draft.write_inline(to, &inline)
            }
            Slice::Extents(mut extents) => {
                extents
                    .iter_mut()
                    .for_each(|extent| extent.body_offset += to);
                let range = to..to + bytes.len() as u64;
                draft.write(&[Run { range, extents }])
            }
        };
        match done {
            Ok(()) => self.set(to, &bytes),
            Err(error) => assert_eq!(error, DraftError::NeedsBytes),
        }
    }

    fn apply(&mut self, draft: &mut Draft, edit: &Edit) {
        let at = |offset: u64| usize::try_from(offset).expect("small");
        let size = self.plain.len() as u64;
        match edit {
            Edit::Write { at, pieces } => self.write(draft, *at, pieces),
            Edit::Inline { at, length } => {
                let bytes = vec![0xA5; usize::from(*length)];
                match draft.write_inline(*at, &bytes) {
                    Ok(()) => self.set(*at, &bytes),
                    Err(error) => assert_eq!(error, DraftError::NeedsBytes),
                }
            }
            Edit::Punch(start, end) => {
                draft.punch(*start..*end);
                let (start, end) = (at(*start.min(&size)), at(*end.min(&size)));
                self.plain[start..end].fill(0);
            }
            Edit::Resize(size) => match draft.resize(*size) {
                Ok(()) => self.plain.resize(at(*size), 0),
                Err(error) => assert_eq!(error, DraftError::NeedsBytes),
            },
            Edit::Collapse(start, end) => match draft.collapse(*start..*end) {
                Ok(()) => drop(self.plain.drain(at(*start)..at(*end))),
                Err(error) => assert_eq!((error, *end > size), (DraftError::OutOfRange, true)),
            },
            Edit::Insert(start, end) => match draft.insert(*start..*end) {
                Ok(()) => {
                    let zeros = vec![0; at(*end - *start)];
                    self.plain.splice(at(*start)..at(*start), zeros);
                }
                Err(DraftError::OutOfRange) => assert!(*start > size),
                Err(error) => assert_eq!(error, DraftError::NeedsBytes),
            },
            Edit::Copy { from, length, to } => self.copy(draft, *from..*from + *length, *to),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// 600 histories of 30 edits on average: 18,000 edits.
    #[test]
    fn a_draft_reads_as_the_bytes_do(edits in edits()) {
        let mut model = Model::default();
        let mut body = Body::empty();
        for edit in &edits {
            let mut draft = Draft::of(&body);
            let before = draft.clone();
            model.apply(&mut draft, edit);
            prop_assert!(draft != before || model.read(&body) == model.plain, "{edit:?}");
            body = draft.finish(None);
            prop_assert_eq!(body.size(), model.plain.len() as u64);
            prop_assert!(model.read(&body) == model.plain, "{:?}", edit);
            let Layout::Extents(extents) = body.layout() else { continue };
            for pair in extents.windows(2) {
                prop_assert!(!pair[0].continues_in(&pair[1]), "neighbours of one unit are one");
            }
        }
    }
}

#[test]
fn what_is_out_of_bounds_is_refused() {
    let mut model = Model::default();
    let mut draft = Draft::of(&Body::empty());
    let unit = model.unit(10);
    let run = |range, extents| Run { range, extents };
    let extent = Extent::whole(5, unit);
    let refused = |draft: &mut Draft, runs: &[Run]| draft.write(runs).expect_err("refused");
    let out = DraftError::OutOfRange;
    assert_eq!(refused(&mut draft, &[run(0..9, vec![extent])]), out);
    assert_eq!(refused(&mut draft, &[run(6..20, vec![extent])]), out);
    assert_eq!(refused(&mut draft, &[run(3..3, vec![])]), out);
    let overlapping = [run(0..20, vec![extent]), run(19..30, vec![])];
    assert_eq!(refused(&mut draft, &overlapping), out);
    let mut longer = extent;
    longer.unit.plain_bytes = BLOCK_BYTES_MAX + 1;
    assert_eq!(refused(&mut draft, &[run(0..20, vec![longer])]), out);
    let far = run(0..u64::MAX, vec![]);
    assert_eq!(refused(&mut draft, &[far]), DraftError::TooLarge);
    assert_eq!(draft.resize(u64::MAX), Err(DraftError::TooLarge));
    assert_eq!(
        draft.write_inline(u64::MAX, b"x"),
        Err(DraftError::TooLarge)
    );
    assert_eq!(draft, Draft::of(&Body::empty()));
}
