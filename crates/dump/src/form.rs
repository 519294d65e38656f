//! Either form, chosen when writing and recognized when reading.

use crate::binary::{BinaryReader, BinaryWriter};
use crate::codec::Items;
use crate::flaw::Flaw;
use crate::item::{Head, Item, NodeItem};
use crate::lines::{LinesReader, LinesWriter};
use bytes::Bytes;
use std::io::{self, BufRead, Write};

/// A form of a dump.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Compact, quick, every frame with its checksum.
    Binary,
    /// Text, one JSON value a line.
    JsonLines,
}

/// Writes a dump.
#[expect(
    clippy::large_enum_variant,
    reason = "one of them exists in a process, for as long as the dump takes"
)]
pub enum DumpWriter<W> {
    /// In the binary form.
    Binary(BinaryWriter<W>),
    /// As JSON Lines.
    Lines(LinesWriter<W>),
}

impl<W: Write> DumpWriter<W> {
    /// Begins a dump. `out` should be buffered.
    pub fn new(form: Form, out: W, head: &Head) -> io::Result<Self> {
        Ok(match form {
            Form::Binary => Self::Binary(BinaryWriter::new(out, head)?),
            Form::JsonLines => Self::Lines(LinesWriter::new(out, head)?),
        })
    }

    /// Writes a node.
    pub fn node(&mut self, item: &NodeItem) -> io::Result<()> {
        match self {
            Self::Binary(writer) => writer.node(item),
            Self::Lines(writer) => writer.node(item),
        }
    }

    /// Writes bytes of the body of the node before.
    pub fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Binary(writer) => writer.data(offset, bytes),
            Self::Lines(writer) => writer.data(offset, bytes),
        }
    }

    /// Writes `count` nodes as [`crate::encode_node`] has encoded them.
    pub fn encoded_nodes(&mut self, nodes: &Bytes, count: u64) -> io::Result<()> {
        match self {
            Self::Binary(writer) => writer.encoded_nodes(nodes, count),
            Self::Lines(writer) => {
                for item in Items::new(nodes.clone()) {
                    let item = item.map_err(io::Error::other)?;
                    if let Item::Node(node) = item {
                        writer.node(&node)?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Ends the dump; what was written to.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::Binary(writer) => writer.finish(),
            Self::Lines(writer) => writer.finish(),
        }
    }
}

/// Reads a dump of either form.
#[expect(
    clippy::large_enum_variant,
    reason = "one of them exists in a process, for as long as the load takes"
)]
pub enum DumpReader<R> {
    /// In the binary form.
    Binary(BinaryReader<R>),
    /// As JSON Lines.
    Lines(LinesReader<R>),
}

impl<R: BufRead> DumpReader<R> {
    /// Begins to read; the first byte tells the form. **Errors**: it is no dump; it is newer; it is
    /// cut off; reading fails.
    pub fn new(mut input: R) -> Result<(Self, Head), Flaw> {
        match input.fill_buf()?.first() {
            Some(b'{') => {
                let (reader, head) = LinesReader::new(input)?;
                Ok((Self::Lines(reader), head))
            }
            _ => {
                let (reader, head) = BinaryReader::new(input)?;
                Ok((Self::Binary(reader), head))
            }
        }
    }

    /// The next item; `None` at the end of a whole dump. **Errors**: as [`Self::new`]; afterwards
    /// nothing may be asked.
    pub fn next_item(&mut self) -> Result<Option<Item>, Flaw> {
        match self {
            Self::Binary(reader) => reader.next_item(),
            Self::Lines(reader) => reader.next_item(),
        }
    }

    /// Bytes of the file that were read so far.
    #[must_use]
    pub const fn read_bytes(&self) -> u64 {
        match self {
            Self::Binary(reader) => reader.read_bytes(),
            Self::Lines(reader) => reader.read_bytes(),
        }
    }
}
