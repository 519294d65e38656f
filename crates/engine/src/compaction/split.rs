//! Cutting one large compaction into parts that run beside each other.

use super::run::Part;

/// The parts of a compaction of pieces (the key at which each begins, its bytes): at most
/// `count_max`, each of about as many bytes. They cover all keys and share none.
pub(crate) fn split(mut pieces: Vec<(Vec<u8>, u64)>, count_max: usize) -> Vec<Part> {
    pieces.sort_unstable();
    let total: u64 = pieces.iter().map(|(_, bytes)| *bytes).sum();
    let count = count_max.max(1) as u64;
    let mut parts = Vec::new();
    let mut from: Option<bytes::Bytes> = None;
    let mut passed = 0;
    for (key, bytes) in pieces {
        let part = parts.len() as u64 + 1;
        let is_due = part < count && passed >= total / count * part;
        if is_due && passed > 0 && from.as_deref() < Some(key.as_slice()) {
            let to: bytes::Bytes = key.into();
            parts.push(Part {
                from: from.replace(to.clone()),
                to: Some(to),
            });
        }
        passed += bytes;
    }
    parts.push(Part { from, to: None });
    parts
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::split;

    proptest! {
        #[test]
        fn parts_follow_each_other_and_are_about_equal(
            pieces in vec((vec(0..9_u8, 0..3), 1..9_u64), 0..60),
            count in 0..6_usize,
        ) {
            let parts = split(pieces.clone(), count);
            prop_assert!(parts.len() <= count.max(1));
            prop_assert!(parts.first().is_some_and(|part| part.from.is_none()));
            prop_assert!(parts.last().is_some_and(|part| part.to.is_none()));
            for pair in parts.windows(2) {
                prop_assert!(pair[0].to.is_some() && pair[0].to == pair[1].from);
                prop_assert!(pair[1].to.is_none() || pair[1].from < pair[1].to);
            }
            let total: u64 = pieces.iter().map(|piece| piece.1).sum();
            for part in &parts {
                let inside = pieces.iter().filter(|(key, _)| {
                    part.from.as_ref().is_none_or(|from| key >= from)
                        && part.to.as_ref().is_none_or(|to| key < to)
                });
                // Equal keys are not parted, so a part may be larger by those.
                let bytes: u64 = inside.map(|piece| piece.1).sum();
                let same = pieces.iter().map(|(key, _)| {
                    pieces.iter().filter(|(other, _)| other == key).map(|piece| piece.1).sum()
                });
                let largest: u64 = same.max().unwrap_or(0);
                prop_assert!(bytes <= total / count.max(1) as u64 + 2 * largest + count as u64);
            }
        }
    }
}
