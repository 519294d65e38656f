//! The bytes of files: what was written and not flushed, over what the store has.
//!
//! Every inode that is open, or has edits, has one [`File`], which all its handles share. A write
//! goes to its staging and is answered at once; a flush (close, fsync, the interval) stores what
//! was edited and gives the node its new body in one change, so that a reader elsewhere sees the
//! file before or after it, never a mixture.
//!
//! Reading order: [`runs`], [`overlay`] (what differs, without bytes), [`staging`] (the bytes),
//! [`plan`] (what a flush stores), [`state`], [`read`], [`flush`].

mod flush;
mod overlay;
#[cfg(test)]
mod overlay_test;
mod plan;
mod read;
mod runs;
mod staging;
mod state;
mod table;
mod upload;

pub(crate) use read::Seek;
pub(crate) use staging::Stagings;
pub(crate) use state::{Edit, File, Moment};
pub(crate) use table::Files;
pub(crate) use upload::Uploads;
