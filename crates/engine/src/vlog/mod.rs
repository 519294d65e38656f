//! The value log: large values, written once, beside the tree.
//!
//! How it fits: the leader of a commit group appends the values over a threshold to the file of
//! their keys' bucket ([`log`], [`head`]) and writes pointers to the log instead ([`separate`]);
//! memtables and tables have the pointers only, so neither flush nor compaction copies a value.
//! Readers follow a pointer with [`files`]. What of a file is still pointed at is the sum of what
//! tables and memtables say ([`refs`]); [`choose`] picks files that are mostly garbage, and
//! compactions move what is live out of them ([`relocate`]). docs/format/vlog.md is the format.
//!
//! Invariants:
//! - a record of the log is promised only after the values that it points at are durable
//!   ([`unsynced`]); a record that is not promised and whose value is torn ends the log;
//! - an entry is found only with the checksum that its pointer has: a file number, an offset and a
//!   length are not believed alone;
//! - a file is removed when no table of the durable manifest, no memtable and no view points at it.
//!
//! Reading order: [`layout`], [`pointer`], [`entry`], [`file`], [`open_files`], [`files`],
//! [`refs`], [`head`], [`separate`], [`log`], [`unsynced`], [`choose`], [`relocate`], [`list`].

#[cfg(any(test, fuzzing))]
mod any_bytes;
mod choose;
mod entry;
mod file;
mod files;
mod head;
mod layout;
mod list;
mod log;
mod open_files;
mod pointer;
mod refs;
mod relocate;
mod separate;
mod unsynced;

#[cfg(test)]
mod format_test;

#[cfg(any(test, fuzzing))]
pub(crate) use any_bytes::any_bytes;
pub(crate) use choose::{CollectOptions, FileUse, choose_files};
pub(crate) use file::{ValueFile, value_number, value_path};
pub(crate) use files::ValueFiles;
pub(crate) use layout::FILE_HEAD_BYTES;
pub use list::{ValueFileListing, list};
pub(crate) use list::{has_sound_head, rewrite_head};
pub(crate) use log::{Observer, ValueLog};
pub(crate) use open_files::OpenFiles;
pub(crate) use pointer::Pointer;
pub(crate) use refs::ValueRefs;
pub(crate) use relocate::{Moves, Relocate, Relocation, StayPut};
pub(crate) use unsynced::Unsynced;
