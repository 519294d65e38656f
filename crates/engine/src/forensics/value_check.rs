//! Values of the value log: whether what a pointer leads to is what was written.

use super::damage::Damage;
use crate::{
    batch::Operation,
    entry::EntryKind,
    vlog::{Pointer, ValueFiles},
};

/// A value that something points at and that can't be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct LostValue {
    /// In the value log.
    pub(super) damage: Damage,
    /// Whose value it is, the byte of the keyspace first.
    pub(super) key: Vec<u8>,
    /// Of the entry in the value log.
    pub(super) bytes: u64,
}

/// Follows a pointer, if the entry is one; the bytes that were read, or what is lost.
pub(super) fn check_value(
    files: &ValueFiles,
    (key, version): (&[u8], u64),
    (kind, stored): (EntryKind, &[u8]),
) -> Result<u64, LostValue> {
    let Some(pointer) = Pointer::of(kind, stored) else {
        return Ok(0);
    };
    let bytes = pointer.entry_bytes(key.len());
    let path = crate::vlog::value_path(files.dir(), pointer.file);
    let read = files
        .file_of(&pointer)
        .and_then(|file| file.read(key, version, &pointer));
    match read {
        Ok(_) => Ok(bytes),
        Err(error) => Err(LostValue {
            damage: Damage::of(&error, &path),
            key: key.to_vec(),
            bytes,
        }),
    }
}

/// [`check_value`] for an operation of the log.
pub(super) fn check_operation(
    files: &ValueFiles,
    operation: &Operation<'_>,
) -> Result<u64, LostValue> {
    match operation {
        Operation::Entry {
            key,
            version,
            kind,
            value,
        } => check_value(files, (key, *version), (*kind, value)),
        Operation::DeleteRange { .. } => Ok(0),
    }
}
