//! Backups: a checkpoint of the metadata in an object store, the parts that backups have in common
//! there once.
//!
//! Purpose: from a folder of files to objects and back. What is in the folder, who holds objects
//! back meanwhile and who asks is not here. docs/format/backup.md is the format.
//!
//! Invariants:
//! - a backup exists when its manifest does, which is written after all its parts are durable;
//! - a part that a manifest names is never deleted, nor written again: a crash at any step leaves
//!   the backups that were there, and what it left besides is deleted by the next sweep;
//! - what is damaged or missing is named, and never restored.
//!
//! Reading order: [`manifest`], [`place`] (where backups are), [`make`], [`restore`], [`retain`]
//! (which go), [`sweep`], [`verify`].

mod make;
mod manifest;
mod place;
mod restore;
mod retain;
mod sweep;
mod verify;

pub use make::{Head, OnPart, make};
pub use manifest::{FORMAT_VERSION, FileEntry, Manifest, ObjectsPlace, PartEntry};
pub use place::{BackupPlace, Found};
pub use restore::restore;
pub use retain::{Keep, choose_expired};
pub use sweep::{Swept, remove, sweep};
pub use verify::{Flaw, Verified, verify};
