//! Dumps: a subtree at one version as a file, in a compact binary form or as JSON Lines.
//!
//! Purpose: the nouns of a dump and its two forms, as streams. Who reads the namespace and who
//! writes it again is not here; docs/format/dump.md is the format.
//!
//! Invariants:
//! - what was written comes out again, whatever the names are; both forms hold the same;
//! - a dump that was cut off or damaged anywhere is told by place, never taken for a shorter one;
//! - no input makes a reader panic, or allocate much more than it is long.
//!
//! Reading order: [`item`] (what a dump holds), [`codec`] (items as bytes), [`binary`] and
//! [`lines`] (the two forms), [`form`] (either of them).

mod binary;
mod codec;
mod flaw;
mod form;
mod item;
mod lines;

pub use binary::{BinaryReader, BinaryWriter, FORMAT_VERSION, FRAME_BYTES_FULL, FRAME_BYTES_MAX};
pub use codec::{Items, encode_data, encode_node};
pub use flaw::Flaw;
pub use form::{DumpReader, DumpWriter, Form};
pub use item::{Bodies, Content, Head, Identity, Item, NodeItem, Quota, Tail};
pub use lines::{LINE_BYTES_MAX, LinesReader, LinesWriter};
