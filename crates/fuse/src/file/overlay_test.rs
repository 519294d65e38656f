//! The overlay against a file that is a vector.

use super::overlay::{Overlay, Source};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Write(u64, u64, u8),
    Punch(u64, u64),
    Size(u64),
    Take,
    Flushed,
    Failed,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u64..60, 1u64..20, 1u8..255)
            .prop_map(|(at, length, byte)| Step::Write(at, length, byte)),
        2 => (0u64..60, 1u64..20).prop_map(|(at, length)| Step::Punch(at, length)),
        2 => (0u64..80).prop_map(Step::Size),
        1 => Just(Step::Take),
        1 => Just(Step::Flushed),
        1 => Just(Step::Failed),
    ]
}

/// What a flush would store: the bytes that reads get at that moment.
fn read(overlay: &Overlay, staging: &[u8], base: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for segment in overlay.segments(0..overlay.size()) {
        assert_eq!(segment.range.start, bytes.len() as u64, "no gap");
        for place in segment.range {
            bytes.push(match segment.source {
                Source::Staged => staging[place as usize],
                Source::Zero => 0,
                Source::Base => base[place as usize],
            });
        }
    }
    bytes
}

proptest! {
    #[test]
    fn reads_see_the_newest(steps in prop::collection::vec(step(), 1..60)) {
        let mut base = vec![7; 30];
        let mut model = base.clone();
        let mut staging = vec![255; 200];
        let mut overlay = Overlay::new(30);
        let mut flushing: Option<Vec<u8>> = None;
        for step in steps {
            match step {
                Step::Write(at, length, byte) => {
                    let (from, to) = (at as usize, (at + length) as usize);
                    model.resize(model.len().max(to), 0);
                    model[from..to].fill(byte);
                    staging[from..to].fill(byte);
                    overlay.write(at..at + length);
                }
                Step::Punch(at, length) => {
                    let to = model.len().min((at + length) as usize);
                    if let Some(range) = model.get_mut(at as usize..to) {
                        range.fill(0);
                    }
                    overlay.punch(at..at + length);
                }
                Step::Size(size) => {
                    model.resize(size as usize, 0);
                    overlay.set_size(size);
                }
                Step::Take if flushing.is_none() => {
                    flushing = Some(model.clone());
                    overlay.take();
                    prop_assert!(!overlay.is_edited() && overlay.is_dirty());
                }
                Step::Flushed => {
                    if let Some(flushed) = flushing.take() {
                        base = flushed;
                        overlay.flushed();
                    }
                }
                Step::Failed => {
                    if flushing.take().is_some() {
                        overlay.give_back();
                        prop_assert!(overlay.is_edited());
                    }
                }
                Step::Take => {}
            }
            prop_assert_eq!(overlay.size(), model.len() as u64);
            prop_assert_eq!(&read(&overlay, &staging, &base), &model);
        }
        if flushing.is_none() && !overlay.is_dirty() {
            prop_assert_eq!(&base, &model);
        }
    }
}
