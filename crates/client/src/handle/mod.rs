//! Open files: reads and writes at any offset.
//!
//! A file that is open in this process has one [`open_file`] under all its handles. Writes go to a
//! sparse layer over the newest generation; a block that is full is uploaded at once, beside the
//! writer; what is in memory is bounded over all files. A flush uploads the rest and makes one
//! command of all edits, which the store applies to the newest generation. Small files stay inline
//! and cost no upload.
//!
//! Invariants:
//! - others see all edits of a flush or none;
//! - bytes are in memory, or in a durable object of a session that is open; what can't be stored
//!   stays readable and is tried again;
//! - nothing here knows of file descriptors, pages or FUSE: files are nodes.
//!
//! Reading order: [`options`], [`layer`] (what was written: pure), [`sessions`] and [`staging`]
//! (into objects), [`state`] (layers over a generation), [`open_file`] (reads and writes),
//! [`flush`], [`table`] (opening), [`file_handle`], [`writer`] and [`blocking`] (the doors).

mod blocking;
mod file_handle;
mod flush;
mod layer;
mod open_file;
mod options;
mod sessions;
mod staging;
mod state;
mod table;
mod writer;

pub use blocking::BlockingFile;
pub use file_handle::FileHandle;
pub use options::{Creation, FlushOptions, OpenOptions, Seek, Truncation};
pub(crate) use table::OpenFiles;
pub use writer::FileWriter;
