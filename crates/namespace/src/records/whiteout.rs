//! The record that says "nothing here" in a branch.
//!
//! Deleting a key of a branch only makes what its parent has visible again; a deletion that must be
//! seen is a record of its own. Records of nodes and entries begin with [`super::FORMAT`]; values
//! of extended attributes get a byte in front when they are in a branch. The trunk has no whiteouts
//! and needs no such byte.

use bytes::Bytes;
use nokv_types::BranchId;

const WHITEOUT: u8 = 0;
const VALUE: u8 = 1;

/// The record.
pub(crate) const fn whiteout() -> Bytes {
    Bytes::from_static(&[WHITEOUT])
}

/// Whether the value of a key of this branch is one.
pub(crate) fn is_whiteout(branch: BranchId, value: &[u8]) -> bool {
    branch != BranchId::TRUNK && value.first() == Some(&WHITEOUT)
}

/// The value of an extended attribute as it is stored.
pub(crate) fn stored_value(branch: BranchId, value: &Bytes) -> Bytes {
    if branch == BranchId::TRUNK {
        return value.clone();
    }
    let mut stored = Vec::with_capacity(value.len() + 1);
    stored.push(VALUE);
    stored.extend_from_slice(value);
    stored.into()
}

/// The value of an extended attribute that is stored so.
pub(crate) fn shown_value(branch: BranchId, stored: &[u8]) -> &[u8] {
    match stored.split_first() {
        Some((_, value)) if branch != BranchId::TRUNK => value,
        _ => stored,
    }
}
