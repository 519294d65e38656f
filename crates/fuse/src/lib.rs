//! The mount: a namespace as a POSIX file system.
//!
//! How it works: the kernel's requests arrive on a few threads ([`filesystem`]); each becomes one
//! operation of [`core`], which asks the store through the SDK, in this process or over a
//! connection, and is answered at once where nothing has to be waited for. What is written stays
//! with its file ([`file`]) until it is closed, synced, or a second old; then the file gets its new
//! body in one change. Names and attributes are the kernel's to remember: a watch ([`notices`])
//! tells it what others have changed.
//!
//! What it promises (docs/semantics/mount.md has it sentence by sentence, each with its test):
//! - changes of names and attributes happen in order, and are recovered as a prefix of that order;
//! - after fsync(2) of a file its bytes, its name, and every change before are durable; what was
//!   not synced is lost by at most [`MountOptions::sync_interval`];
//! - who opens a file sees what was closed before, in this mount or in another.
//!
//! Reading order: [`options`], [`session`], [`door`], [`filesystem`], [`core`], [`inode`],
//! [`names`], [`nodes`], [`xattrs`], [`directory`], [`data`], [`file`], [`locks`], [`changed`],
//! [`notices`], [`control`].

mod acl;
mod answer;
mod attributes;
mod changed;
mod control;
mod core;
mod data;
mod directory;
mod door;
mod errno;
mod file;
mod filesystem;
mod handles;
mod inode;
mod locks;
mod names;
mod nodes;
mod notices;
mod options;
mod session;
mod stats;
mod xattrs;

pub use options::{MountAccess, MountOptions, Sharing};
pub use session::Mounted;
