//! Branches, differences and merges survive the wire; lists that are too long for a frame are cut
//! where they can be continued, or are counted.

use super::*;
use nokv_namespace::{
    Branch, Conflict, ConflictKind, DiffPage, Difference, DifferenceKind, MergeOutcome, Merged,
    OnConflict,
};
use nokv_proto::{FRAME_BYTES_MAX, v1};
use nokv_types::{BranchId, NodeId, NodeKind, NsPath, Reason, Version};
use prost::Message;

/// A path as long as most may be.
fn long_path(number: usize) -> NsPath {
    let text = format!("/{number:08}{}", "/abcdefghi".repeat(400));
    NsPath::parse(text).expect("valid")
}

fn page(differences: Vec<Difference>, next: Option<u64>) -> DiffPage {
    DiffPage {
        from_version: Version::from_u64(4),
        to_version: Version::from_u64(5),
        differences,
        next,
    }
}

fn difference(kind: DifferenceKind, from: Option<NsPath>, to: Option<NsPath>) -> Difference {
    Difference {
        kind,
        node: NodeId::from_u64(7),
        node_kind: NodeKind::BlockDevice(3),
        from,
        to,
    }
}

#[test]
fn branches_and_differences_survive() {
    for place in [None, Some(long_path(1))] {
        let original = Branch {
            id: BranchId::new(2),
            path: place,
            parent: BranchId::new(1),
            base: Version::from_u64(9),
            root: NodeId::from_u64(65),
            created_millis: 11,
            version: Version::from_u64(12),
        };
        assert_eq!(branch(branch_to_wire(&original)), Ok(original));
    }
    let (one, two) = (Some(long_path(1)), Some(NsPath::root()));
    let differences = [
        (DifferenceKind::Added, None, one.clone()),
        (DifferenceKind::Removed, one.clone(), None),
        (DifferenceKind::Renamed, one.clone(), two.clone()),
        (DifferenceKind::Modified, one.clone(), one.clone()),
        (DifferenceKind::Attributes, two.clone(), two),
        (DifferenceKind::Xattr, one.clone(), one),
    ];
    let differences = differences.map(|(kind, from, to)| difference(kind, from, to));
    let original = page(differences.to_vec(), Some(6));
    assert_eq!(diff_page(diff_page_to_wire(&original, 0)), Ok(original));
    let newer = v1::DiffResponse {
        differences: vec![v1::Difference {
            kind: 99,
            ..Default::default()
        }],
        ..Default::default()
    };
    let refused = diff_page(newer).map_err(|failure| failure.reason());
    assert_eq!(refused, Err(Reason::Unsupported));
}

#[test]
fn differences_too_long_for_a_frame_are_continued() {
    let whole: Vec<_> = (0..3_000)
        .map(|number| difference(DifferenceKind::Added, None, Some(long_path(number))))
        .collect();
    let mut read = Vec::new();
    let mut after = 0;
    loop {
        let rest = whole.get(read.len()..).expect("not past the end").to_vec();
        let message = diff_page_to_wire(&page(rest, None), after);
        assert!(message.encoded_len() < FRAME_BYTES_MAX);
        let heard = diff_page(message).expect("valid");
        read.extend(heard.differences);
        match heard.next {
            Some(next) => after = next,
            None => break,
        }
        assert_eq!(after, read.len() as u64);
    }
    assert!(after > 0, "it was cut");
    assert_eq!(read, whole);
}

#[test]
fn merges_survive_and_conflicts_beyond_a_frame_are_counted() {
    let kinds = [
        ConflictKind::Name,
        ConflictKind::Content,
        ConflictKind::RemovedInTarget,
        ConflictKind::RemovedInBranch,
        ConflictKind::Moved,
    ];
    let conflicts = |count: usize| {
        let kinds = kinds.into_iter().cycle().take(count).enumerate();
        let conflict = |(number, kind)| Conflict {
            path: long_path(number),
            kind,
            node: NodeId::from_u64(5),
        };
        kinds.map(conflict).collect()
    };
    for outcome in [
        MergeOutcome::Merged,
        MergeOutcome::Tried,
        MergeOutcome::Conflicts,
    ] {
        let original = Merged {
            version: Version::from_u64(3),
            outcome,
            changes: 8,
            conflicts: conflicts(5),
        };
        assert_eq!(merged(merged_to_wire(&original)), Ok((original, 5)));
    }
    let many = Merged {
        version: Version::from_u64(3),
        outcome: MergeOutcome::Conflicts,
        changes: 8,
        conflicts: conflicts(5_000),
    };
    let message = merged_to_wire(&many);
    assert!(message.encoded_len() < FRAME_BYTES_MAX);
    let (heard, count) = merged(message).expect("valid");
    assert_eq!(count, 5_000);
    assert!(!heard.conflicts.is_empty() && many.conflicts.starts_with(&heard.conflicts));
    for choice in [OnConflict::Fail, OnConflict::Ours, OnConflict::Theirs] {
        assert_eq!(on_conflict(on_conflict_to_wire(choice).into()), Ok(choice));
    }
    assert_eq!(on_conflict(0), Ok(OnConflict::Fail));
    assert!(on_conflict(9).is_err());
}
