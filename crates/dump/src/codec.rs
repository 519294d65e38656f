//! Items as bytes: what the frames of the binary form hold, and what travels between client and
//! server.
//!
//! Invariants: an item has its length in front, and bytes after the known fields are legal and
//! ignored, so that a later writer may append fields; every count is checked against what is left
//! before anything is allocated for it.

use crate::item::{Content, Identity, Item, NodeItem, Quota};
use bytes::Bytes;
use nokv_types::{
    BlockId, Body, BranchId, Digest, Encoding, Extent, Generation, Layout, Name, NodeId, NodeKind,
    SessionId, TimeNanos, Unit, Version,
};

const NODE: u8 = 1;
const DATA: u8 = 2;
/// Fewest bytes of an extent: five varints and a checksum.
const EXTENT_BYTES_MIN: usize = 9;
/// Fewest bytes of an extended attribute: two lengths.
const XATTR_BYTES_MIN: usize = 2;

/// Why items can't be decoded: where in the bytes, what should be there, what is there.
#[derive(Debug)]
pub(crate) struct Malformed {
    pub(crate) offset: usize,
    pub(crate) expected: &'static str,
    pub(crate) got: String,
}

/// Appends a node.
pub fn encode_node(out: &mut Vec<u8>, item: &NodeItem) {
    with_length(out, |out| {
        out.push(NODE);
        put_varint(out, u64::from(item.depth));
        put_bytes(out, item.name.as_ref().map_or(&[][..], Name::as_bytes));
        let Identity { id, branch, at } = item.node;
        put_varint(out, id.as_u64());
        put_varint(out, u64::from(branch.get()));
        put_varint(out, at.map_or(0, Version::as_u64));
        let (kind, device) = kind_number(item.kind);
        out.push(kind);
        put_varint(out, device);
        for number in [item.mode, item.uid, item.gid, item.links] {
            put_varint(out, u64::from(number));
        }
        let birth = item.btime.get();
        put_signed(out, birth);
        for time in [item.atime, item.mtime, item.ctime] {
            put_signed(out, time.get().wrapping_sub(birth));
        }
        put_varint(out, item.generation.get());
        put_varint(out, item.xattrs.len() as u64);
        for (name, value) in &item.xattrs {
            put_bytes(out, name);
            put_bytes(out, value);
        }
        match item.quota {
            None => out.push(0),
            Some(quota) => {
                out.push(1);
                for limit in [quota.bytes, quota.inodes] {
                    put_varint(out, limit.map_or(0, |limit| limit.saturating_add(1)));
                }
            }
        }
        put_content(out, &item.content);
    });
}

/// Appends bytes of a body.
pub fn encode_data(out: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    with_length(out, |out| {
        out.push(DATA);
        put_varint(out, offset);
        put_bytes(out, bytes);
    });
}

fn put_content(out: &mut Vec<u8>, content: &Content) {
    match content {
        Content::None => out.push(0),
        Content::Target(target) => {
            out.push(3);
            put_bytes(out, target);
        }
        Content::Body(body) => {
            let (layout, digest) = (body.layout(), body.digest());
            out.push(match layout {
                Layout::Inline(_) => 1,
                Layout::Extents(_) => 2,
            });
            put_varint(out, body.size());
            out.push(u8::from(digest.is_some()));
            if let Some(digest) = digest {
                out.extend_from_slice(digest.as_bytes());
            }
            match layout {
                Layout::Inline(bytes) => put_bytes(out, bytes),
                Layout::Extents(extents) => put_extents(out, extents),
            }
        }
    }
}

fn put_extents(out: &mut Vec<u8>, extents: &[Extent]) {
    put_varint(out, extents.len() as u64);
    let mut end = 0;
    for extent in extents {
        let unit = &extent.unit;
        put_varint(out, extent.body_offset.saturating_sub(end));
        if extent.is_whole() && unit.encoding == Encoding::Plain {
            put_varint(out, u64::from(extent.length));
        } else {
            out.push(0);
            let fields = [
                extent.length,
                extent.skip,
                unit.plain_bytes,
                unit.stored_bytes,
            ];
            for field in fields {
                put_varint(out, u64::from(field));
            }
            out.push(unit.encoding.as_u8());
        }
        put_varint(out, unit.block.session.get());
        put_varint(out, u64::from(unit.block.sequence));
        put_varint(out, u64::from(unit.object_offset));
        out.extend_from_slice(&unit.crc32c.to_le_bytes());
        end = extent.end();
    }
}

/// Appends what `write` appends, with its length in front.
fn with_length(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    // Almost all items are shorter than 2^14: two bytes are kept free, and what is longer moves.
    let start = out.len();
    out.extend_from_slice(&[0; 2]);
    write(out);
    let length = out.len() - start - 2;
    let mut head = Vec::with_capacity(10);
    put_varint(&mut head, length as u64);
    out.splice(start..start + 2, head);
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// The items in some bytes, one after another. After an error it ends.
#[derive(Debug)]
pub struct Items {
    fields: Fields,
    is_broken: bool,
}

impl Items {
    /// The items of these bytes.
    #[must_use]
    pub const fn new(bytes: Bytes) -> Self {
        Self {
            fields: Fields::new(bytes),
            is_broken: false,
        }
    }

    /// The next item; `None` at the end. **Errors**: where, what should be there, what is there.
    pub(crate) fn take_item(&mut self) -> Result<Option<Item>, Malformed> {
        if self.is_broken || self.fields.is_empty() {
            return Ok(None);
        }
        self.is_broken = true;
        let base = self.fields.offset;
        let item = self.fields.bytes("an item")?;
        let base = base + (self.fields.offset - base - item.len());
        let decoded = decode(item).map_err(|malformed| Malformed {
            offset: base + malformed.offset,
            ..malformed
        })?;
        self.is_broken = false;
        Ok(Some(decoded))
    }
}

impl Iterator for Items {
    type Item = Result<Item, nokv_types::Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        let taken = self.take_item().map_err(|malformed| {
            let Malformed {
                offset,
                expected,
                got,
            } = malformed;
            nokv_types::Failure::new(
                nokv_types::Reason::InvalidArgument,
                format!("items of a dump, offset {offset}: expected {expected}, got {got}"),
            )
        });
        taken.transpose()
    }
}

fn decode(bytes: Bytes) -> Result<Item, Malformed> {
    let mut fields = Fields::new(bytes);
    match fields.byte("a kind of item")? {
        NODE => decode_node(&mut fields).map(|node| Item::Node(Box::new(node))),
        DATA => {
            let offset = fields.varint("an offset")?;
            let bytes = fields.bytes("data")?;
            if bytes.is_empty() || offset.checked_add(bytes.len() as u64).is_none() {
                return Err(fields.malformed("data within a body", bytes.len()));
            }
            Ok(Item::Data { offset, bytes })
        }
        other => Err(fields.malformed("item of kind 1 or 2", other)),
    }
}

fn decode_node(fields: &mut Fields) -> Result<NodeItem, Malformed> {
    let depth = fields.number("depth")?;
    let name = fields.bytes("name")?;
    let name = match name.is_empty() {
        true => None,
        false => Some(Name::new(name).map_err(|_| fields.malformed("a name", "another"))?),
    };
    let node = Identity {
        id: NodeId::from_u64(fields.varint("node")?),
        branch: BranchId::new(fields.number("branch")?),
        at: Some(fields.varint("version")?)
            .filter(|at| *at != 0)
            .map(Version::from_u64),
    };
    let kind = fields.byte("kind")?;
    let device = fields.varint("device")?;
    let kind = kind_of(kind, device).ok_or_else(|| fields.malformed("a kind of node", kind))?;
    let mode = fields.number("mode")?;
    let uid = fields.number("uid")?;
    let gid = fields.number("gid")?;
    let links = fields.number("links")?;
    let birth = fields.signed("btime")?;
    let mut time = |what| Ok(TimeNanos::new(birth.wrapping_add(fields.signed(what)?)));
    let (atime, mtime, ctime) = (time("atime")?, time("mtime")?, time("ctime")?);
    let generation = Generation::new(fields.varint("generation")?);
    let mut xattrs = Vec::with_capacity(fields.count("xattrs", XATTR_BYTES_MIN)?);
    for _ in 0..xattrs.capacity() {
        xattrs.push((fields.bytes("xattr name")?, fields.bytes("xattr value")?));
    }
    let quota = match fields.byte("quota flag")? {
        0 => None,
        1 => {
            let bytes = fields.varint("quota bytes")?.checked_sub(1);
            let inodes = fields.varint("quota inodes")?.checked_sub(1);
            Some(Quota { bytes, inodes })
        }
        other => return Err(fields.malformed("quota flag 0 or 1", other)),
    };
    let content = decode_content(fields)?;
    let item = NodeItem {
        depth,
        name,
        node,
        kind,
        mode,
        uid,
        gid,
        links,
        atime,
        mtime,
        ctime,
        btime: TimeNanos::new(birth),
        generation,
        xattrs,
        quota,
        content,
    };
    match item.flaw() {
        None => Ok(item),
        Some(expected) => Err(fields.malformed(expected, "another")),
    }
}

fn decode_content(fields: &mut Fields) -> Result<Content, Malformed> {
    let layout = fields.byte("content")?;
    match layout {
        0 => return Ok(Content::None),
        3 => return Ok(Content::Target(fields.bytes("target")?)),
        1 | 2 => {}
        other => return Err(fields.malformed("content 0 to 3", other)),
    }
    let size = fields.varint("size")?;
    let digest = match fields.byte("digest flag")? {
        0 => None,
        1 => Some(Digest::from_bytes(fields.array("digest")?)),
        other => return Err(fields.malformed("digest flag 0 or 1", other)),
    };
    let layout = match layout {
        1 => Layout::Inline(fields.bytes("inline bytes")?),
        _ => Layout::Extents(decode_extents(fields)?),
    };
    let body = Body::new(size, digest, layout);
    body.map(Content::Body)
        .map_err(|failure| fields.malformed("a body", failure))
}

fn decode_extents(fields: &mut Fields) -> Result<Vec<Extent>, Malformed> {
    let count = fields.count("extents", EXTENT_BYTES_MIN)?;
    let mut extents = Vec::with_capacity(count);
    let mut end = 0_u64;
    for _ in 0..count {
        let gap = fields.varint("gap")?;
        let body_offset = end.checked_add(gap);
        let body_offset = body_offset.ok_or_else(|| fields.malformed("a gap", gap))?;
        let extent = decode_extent(fields, body_offset)?;
        if !extent.is_sound() {
            return Err(fields.malformed("an extent within its unit", extent.length));
        }
        end = extent.end();
        extents.push(extent);
    }
    Ok(extents)
}

/// What follows the gap of an extent. Not checked.
fn decode_extent(fields: &mut Fields, body_offset: u64) -> Result<Extent, Malformed> {
    let whole = fields.number("length")?;
    let no_block = BlockId {
        session: SessionId::new(0),
        sequence: 0,
    };
    let mut extent = Extent {
        body_offset,
        length: whole,
        skip: 0,
        unit: Unit::plain(no_block, 0..whole, 0),
    };
    if whole == 0 {
        extent.length = fields.number("length of a part")?;
        extent.skip = fields.number("skip")?;
        extent.unit.plain_bytes = fields.number("plain bytes")?;
        extent.unit.stored_bytes = fields.number("stored bytes")?;
        let number = fields.byte("encoding")?;
        let encoding = Encoding::from_u8(number);
        extent.unit.encoding = encoding.ok_or_else(|| fields.malformed("encoding", number))?;
    }
    extent.unit.block = BlockId {
        session: SessionId::new(fields.varint("session")?),
        sequence: fields.number("sequence")?,
    };
    extent.unit.object_offset = fields.number("object offset")?;
    extent.unit.crc32c = u32::from_le_bytes(fields.array("checksum")?);
    Ok(extent)
}

pub(crate) const fn kind_number(kind: NodeKind) -> (u8, u64) {
    match kind {
        NodeKind::File => (1, 0),
        NodeKind::Directory => (2, 0),
        NodeKind::Symlink => (3, 0),
        NodeKind::Fifo => (4, 0),
        NodeKind::Socket => (5, 0),
        NodeKind::CharDevice(device) => (6, device),
        NodeKind::BlockDevice(device) => (7, device),
    }
}

pub(crate) const fn kind_of(number: u8, device: u64) -> Option<NodeKind> {
    Some(match number {
        1 => NodeKind::File,
        2 => NodeKind::Directory,
        3 => NodeKind::Symlink,
        4 => NodeKind::Fifo,
        5 => NodeKind::Socket,
        6 => NodeKind::CharDevice(device),
        7 => NodeKind::BlockDevice(device),
        _ => return None,
    })
}

/// Reads fields of bytes, sharing them.
#[derive(Debug)]
pub(crate) struct Fields {
    bytes: Bytes,
    pub(crate) offset: usize,
}

impl Fields {
    pub(crate) const fn new(bytes: Bytes) -> Self {
        Self { bytes, offset: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn malformed(&self, expected: &'static str, got: impl ToString) -> Malformed {
        Malformed {
            offset: self.offset,
            expected,
            got: got.to_string(),
        }
    }

    fn split(&mut self, count: usize, expected: &'static str) -> Result<Bytes, Malformed> {
        if count > self.bytes.len() {
            return Err(self.malformed(expected, format!("{} bytes", self.bytes.len())));
        }
        self.offset += count;
        Ok(self.bytes.split_to(count))
    }

    pub(crate) fn byte(&mut self, expected: &'static str) -> Result<u8, Malformed> {
        let [byte] = self.array(expected)?;
        Ok(byte)
    }

    pub(crate) fn array<const N: usize>(
        &mut self,
        expected: &'static str,
    ) -> Result<[u8; N], Malformed> {
        let bytes = self.split(N, expected)?;
        let mut array = [0; N];
        array.copy_from_slice(&bytes);
        Ok(array)
    }

    pub(crate) fn varint(&mut self, expected: &'static str) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(expected)?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                break;
            }
            value |= part << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.malformed(expected, "a number over 64 bits"))
    }

    fn signed(&mut self, expected: &'static str) -> Result<i64, Malformed> {
        let value = self.varint(expected)?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    pub(crate) fn number(&mut self, expected: &'static str) -> Result<u32, Malformed> {
        let value = self.varint(expected)?;
        u32::try_from(value).map_err(|_| self.malformed(expected, value))
    }

    pub(crate) fn bytes(&mut self, expected: &'static str) -> Result<Bytes, Malformed> {
        let length = self.varint(expected)?;
        let length = usize::try_from(length).map_err(|_| self.malformed(expected, length))?;
        self.split(length, expected)
    }

    /// How many things follow that take at least `bytes_min` each.
    fn count(&mut self, expected: &'static str, bytes_min: usize) -> Result<usize, Malformed> {
        let count = self.varint(expected)?;
        let fits = usize::try_from(count)
            .ok()
            .filter(|count| *count <= self.bytes.len() / bytes_min);
        fits.ok_or_else(|| self.malformed(expected, count))
    }
}
