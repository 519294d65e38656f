//! The binary form: frames with checksums.
//!
//! Invariants: the checksum of a frame covers its number too, so a frame that is missing, twice or
//! in another place is damage; the last frame says how much there was.

use crate::codec::{Fields, Items, Malformed, encode_data, encode_node, put_bytes, put_varint};
use crate::flaw::Flaw;
use crate::item::{Bodies, Head, Item, NodeItem, Tail};
use bytes::Bytes;
use nokv_types::Version;
use std::io::{self, Read, Write};

/// The version of the binary format that is written; docs/format/dump.md has the ladder.
pub const FORMAT_VERSION: u32 = 1;
/// A frame is written when it has so many bytes: heads and checksums weigh nothing then.
pub const FRAME_BYTES_FULL: usize = 256 << 10;
/// Longest frame: a body of a million extents is about 20 MiB, and data comes in far smaller
/// pieces.
pub const FRAME_BYTES_MAX: usize = 48 << 20;

const MAGIC: [u8; 8] = *b"NoKVdump";
const FILE_HEAD_BYTES: usize = 16;
const FRAME_HEAD_BYTES: usize = 12;
const HEAD: u8 = 1;
const ITEMS: u8 = 2;
const TAIL: u8 = 3;
/// What is allocated for a frame before its bytes are there.
const READ_BYTES: usize = 1 << 20;

/// Writes a dump in the binary form.
pub struct BinaryWriter<W> {
    out: W,
    frame: Vec<u8>,
    number: u64,
    tail: Tail,
}

impl<W: Write> BinaryWriter<W> {
    /// Begins a dump.
    pub fn new(mut out: W, head: &Head) -> io::Result<Self> {
        let mut bytes = [0; FILE_HEAD_BYTES];
        let (covered, checksum) = bytes.split_at_mut(FILE_HEAD_BYTES - 4);
        let (magic, version) = covered.split_at_mut(MAGIC.len());
        magic.copy_from_slice(&MAGIC);
        version.copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        checksum.copy_from_slice(&crc32c(&[covered]).to_le_bytes());
        out.write_all(&bytes)?;
        let mut writer = Self {
            out,
            frame: Vec::new(),
            number: 0,
            tail: Tail::default(),
        };
        writer.write_frame(HEAD, &encode_head(head))?;
        Ok(writer)
    }

    /// Writes a node.
    pub fn node(&mut self, item: &NodeItem) -> io::Result<()> {
        self.tail.node_count += 1;
        encode_node(&mut self.frame, item);
        self.flush_full()
    }

    /// Writes bytes of the body of the node before.
    pub fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.tail.data_bytes += bytes.len() as u64;
        encode_data(&mut self.frame, offset, bytes);
        self.flush_full()
    }

    /// Writes `count` nodes that are encoded already.
    pub fn encoded_nodes(&mut self, nodes: &[u8], count: u64) -> io::Result<()> {
        self.flush()?;
        self.tail.node_count += count;
        self.write_frame(ITEMS, nodes)
    }

    /// Ends the dump; what was written to.
    pub fn finish(mut self) -> io::Result<W> {
        self.flush()?;
        let mut tail = Vec::new();
        put_varint(&mut tail, self.tail.node_count);
        put_varint(&mut tail, self.tail.data_bytes);
        self.write_frame(TAIL, &tail)?;
        Ok(self.out)
    }

    fn flush_full(&mut self) -> io::Result<()> {
        if self.frame.len() < FRAME_BYTES_FULL {
            return Ok(());
        }
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.frame.is_empty() {
            return Ok(());
        }
        let mut frame = std::mem::take(&mut self.frame);
        self.write_frame(ITEMS, &frame)?;
        frame.clear();
        frame.shrink_to(FRAME_BYTES_FULL * 2);
        self.frame = frame;
        Ok(())
    }

    fn write_frame(&mut self, kind: u8, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).ok();
        let length = length.filter(|_| payload.len() <= FRAME_BYTES_MAX);
        let length = length.ok_or_else(|| {
            let flaw = format!("{} bytes are too many for a frame of a dump", payload.len());
            io::Error::new(io::ErrorKind::InvalidInput, flaw)
        })?;
        let mut head = [0; FRAME_HEAD_BYTES];
        let (covered, checksum) = head.split_at_mut(FRAME_HEAD_BYTES - 4);
        let (kinds, lengths) = covered.split_at_mut(4);
        kinds.copy_from_slice(&[kind, 0, 0, 0]);
        lengths.copy_from_slice(&length.to_le_bytes());
        let number = self.number.to_le_bytes();
        checksum.copy_from_slice(&crc32c(&[&number, covered, payload]).to_le_bytes());
        self.number += 1;
        self.out.write_all(&head)?;
        self.out.write_all(payload)
    }
}

/// Reads a dump in the binary form.
pub struct BinaryReader<R> {
    input: R,
    offset: u64,
    number: u64,
    frame_offset: u64,
    items: Items,
    tail: Option<Tail>,
    seen: Tail,
}

impl<R: Read> BinaryReader<R> {
    /// Begins to read a dump. **Errors**: it is none; it is newer; it is cut off; reading fails.
    pub fn new(input: R) -> Result<(Self, Head), Flaw> {
        let mut reader = Self {
            input,
            offset: 0,
            number: 0,
            frame_offset: 0,
            items: Items::new(Bytes::new()),
            tail: None,
            seen: Tail::default(),
        };
        let bytes: [u8; FILE_HEAD_BYTES] = reader.array()?;
        let (covered, checksum) = bytes.split_at(FILE_HEAD_BYTES - 4);
        let (magic, version) = covered.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(Flaw::damaged(0, "the beginning of a dump", "other bytes"));
        }
        check(0, crc32c(&[covered]), checksum)?;
        let version = le_u32(version);
        if version > FORMAT_VERSION {
            return Err(Flaw::Newer { version });
        }
        let (kind, payload) = reader.read_frame()?;
        if kind != HEAD {
            return Err(Flaw::damaged(reader.frame_offset, "the head", kind));
        }
        let head = decode_head(payload).map_err(|flaw| reader.malformed(flaw))?;
        Ok((reader, head))
    }

    /// The next item; `None` at the end of a whole dump. **Errors**: as [`Self::new`].
    pub fn next_item(&mut self) -> Result<Option<Item>, Flaw> {
        loop {
            let taken = self.items.take_item();
            if let Some(item) = taken.map_err(|flaw| self.malformed(flaw))? {
                self.seen.count(&item);
                return Ok(Some(item));
            }
            if self.tail.is_some() {
                return Ok(None);
            }
            let (kind, payload) = self.read_frame()?;
            match kind {
                ITEMS => self.items = Items::new(payload),
                TAIL => self.end(payload)?,
                other => {
                    return Err(Flaw::damaged(self.frame_offset, "a frame of items", other));
                }
            }
        }
    }

    /// Bytes read so far.
    #[must_use]
    pub const fn read_bytes(&self) -> u64 {
        self.offset
    }

    fn end(&mut self, payload: Bytes) -> Result<(), Flaw> {
        let mut fields = Fields::new(payload);
        let tail = fields.varint("nodes").and_then(|node_count| {
            let data_bytes = fields.varint("bytes of data")?;
            Ok(Tail {
                node_count,
                data_bytes,
            })
        });
        let tail = tail.map_err(|flaw| self.malformed(flaw))?;
        if tail != self.seen {
            let expected = format!("the end of {:?}", self.seen);
            return Err(Flaw::damaged(
                self.frame_offset,
                expected,
                format!("{tail:?}"),
            ));
        }
        if self.input.read(&mut [0])? > 0 {
            return Err(Flaw::damaged(self.offset, "the end of the file", "more"));
        }
        self.tail = Some(tail);
        Ok(())
    }

    fn read_frame(&mut self) -> Result<(u8, Bytes), Flaw> {
        self.frame_offset = self.offset;
        let head: [u8; FRAME_HEAD_BYTES] = self.array()?;
        let (covered, checksum) = head.split_at(FRAME_HEAD_BYTES - 4);
        let (kind, length) = covered.split_at(4);
        let length = le_u32(length) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(Flaw::damaged(
                self.frame_offset,
                format!("a frame of at most {FRAME_BYTES_MAX} bytes"),
                length,
            ));
        }
        let mut payload = Vec::with_capacity(length.min(READ_BYTES));
        let count = (&mut self.input)
            .take(length as u64)
            .read_to_end(&mut payload)?;
        self.offset += count as u64;
        if count < length {
            return Err(Flaw::Truncated {
                offset: self.offset,
            });
        }
        let number = self.number.to_le_bytes();
        check(
            self.frame_offset,
            crc32c(&[&number, covered, &payload]),
            checksum,
        )?;
        self.number += 1;
        let kind = kind.first().copied().unwrap_or_default();
        Ok((kind, Bytes::from(payload)))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        let mut bytes = [0; N];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.input.read(rest) {
                Ok(0) => {
                    return Err(Flaw::Truncated {
                        offset: self.offset,
                    });
                }
                Ok(count) => {
                    filled += count;
                    self.offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(bytes)
    }

    fn malformed(&self, malformed: Malformed) -> Flaw {
        let offset = self.frame_offset + (FRAME_HEAD_BYTES + malformed.offset) as u64;
        Flaw::damaged(offset, malformed.expected, malformed.got)
    }
}

impl Tail {
    pub(crate) fn count(&mut self, item: &Item) {
        match item {
            Item::Node(_) => self.node_count += 1,
            Item::Data { bytes, .. } => self.data_bytes += bytes.len() as u64,
        }
    }
}

fn encode_head(head: &Head) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&head.store_id);
    put_varint(&mut out, head.version.as_u64());
    put_varint(&mut out, head.made_millis);
    put_bytes(&mut out, head.mount.as_bytes());
    put_bytes(&mut out, &head.path);
    out.push(match head.bodies {
        Bodies::Referenced => 0,
        Bodies::Embedded => 1,
    });
    out
}

fn decode_head(payload: Bytes) -> Result<Head, Malformed> {
    let mut fields = Fields::new(payload);
    let store_id = fields.array("store id")?;
    let version = Version::from_u64(fields.varint("version")?);
    let made_millis = fields.varint("time")?;
    let mount = fields.bytes("mount")?;
    let mount = String::from_utf8(mount.to_vec());
    let mount = mount.map_err(|_| fields.malformed("a name of a mount", "no UTF-8"))?;
    let path = fields.bytes("path")?;
    let bodies = match fields.byte("bodies")? {
        0 => Bodies::Referenced,
        1 => Bodies::Embedded,
        other => return Err(fields.malformed("bodies 0 or 1", other)),
    };
    Ok(Head {
        store_id,
        mount,
        path,
        version,
        made_millis,
        bodies,
    })
}

fn le_u32(bytes: &[u8]) -> u32 {
    let mut array = [0; 4];
    array.copy_from_slice(bytes.get(..4).unwrap_or(&[0; 4]));
    u32::from_le_bytes(array)
}

fn check(offset: u64, got: u32, stored: &[u8]) -> Result<(), Flaw> {
    let expected = le_u32(stored);
    if got == expected {
        return Ok(());
    }
    Err(Flaw::damaged(
        offset,
        format!("checksum {expected:08x}"),
        format_args!("{got:08x}"),
    ))
}

pub(crate) fn crc32c(parts: &[&[u8]]) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    for part in parts {
        digest.update(part);
    }
    digest.finalize() as u32
}
