//! A subtree into a file, and back.
//!
//! [`save`] reads it at a version that it pins, [`bodies`] puts the bytes of files in between;
//! [`load`] makes it again in a directory of its own and puts it in place with the last command,
//! [`embedded`] uploads the bytes that came along.

mod bodies;
mod embedded;
mod load;
mod pin;
mod save;

pub use load::{LoadEvent, LoadReport, OnLoad};
pub use save::{DumpEvent, DumpOptions, DumpReport, OnDump};
