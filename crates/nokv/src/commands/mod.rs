//! The commands, one file each: its arguments, its examples, its code.
//!
//! A command talks to the store through [`crate::session::Session`] and to the user through
//! [`crate::output::Output`]; it knows nothing of transports, exit codes or signals.

pub(crate) mod admin;
pub(crate) mod backup;
pub(crate) mod branch;
pub(crate) mod cache;
pub(crate) mod cat;
pub(crate) mod completions;
pub(crate) mod diff;
pub(crate) mod du;
pub(crate) mod dump;
pub(crate) mod explain;
pub(crate) mod fsck;
pub(crate) mod fsck_bodies;
pub(crate) mod gc;
pub(crate) mod get;
pub(crate) mod init;
pub(crate) mod link;
pub(crate) mod load;
pub(crate) mod ls;
pub(crate) mod merge;
pub(crate) mod mkdir;
pub(crate) mod mount;
pub(crate) mod mounts;
pub(crate) mod mv;
pub(crate) mod placement;
pub(crate) mod publish;
pub(crate) mod put;
pub(crate) mod quota;
pub(crate) mod restore;
pub(crate) mod restore_store;
pub(crate) mod rm;
pub(crate) mod scrub;
pub(crate) mod sessions;
pub(crate) mod shards;
pub(crate) mod snapshot;
pub(crate) mod stat;
pub(crate) mod stats;
pub(crate) mod status;
pub(crate) mod tree;
pub(crate) mod umount;
pub(crate) mod undo;
pub(crate) mod up;
pub(crate) mod warmup;
pub(crate) mod watch;
