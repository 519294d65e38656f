//! JSON Lines: a dump as text, one item a line.
//!
//! Invariants: the last line holds a checksum of all bytes before it, and the counts; a line is
//! never longer than [`LINE_BYTES_MAX`], so memory is bounded. Bytes that are no UTF-8 stand in
//! base64 under the same key with `_bytes` behind it, as everywhere in the output of `nokv`.

use crate::codec::{kind_number, kind_of};
use crate::flaw::Flaw;
use crate::item::{Bodies, Content, Head, Identity, Item, NodeItem, Quota, Tail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use nokv_types::{
    BlockId, Body, BranchId, Digest, Encoding, Extent, Generation, Layout, Name, NodeId, NodeKind,
    SessionId, TimeNanos, Unit, Version,
};
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Write};

/// Longest line: a body of a million extents is about 50 MB of text.
pub const LINE_BYTES_MAX: usize = 96 << 20;
const FORMAT: u32 = 1;
/// The kinds of nodes, by their number in the binary form less one.
const KINDS: [&str; 7] = [
    "file",
    "directory",
    "symlink",
    "fifo",
    "socket",
    "char_device",
    "block_device",
];

/// `at` is in the body, `from` in the object; the last four keys stand where an extent shows a part
/// of what was stored with its checksum, or where that is encoded.
#[derive(Serialize, Deserialize)]
struct ExtentFields {
    at: u64,
    length: u32,
    session: u64,
    sequence: u32,
    from: u32,
    crc32c: u32,
    #[serde(flatten)]
    part: Option<PartFields>,
}

#[derive(Serialize, Deserialize)]
struct PartFields {
    skip: u32,
    plain: u32,
    stored: u32,
    encoding: u8,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct HeadLine {
    dump: HeadFields,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct HeadFields {
    format: u32,
    store: String,
    mount: String,
    #[serde(flatten)]
    path: Text,
    version: u64,
    made_ms: u64,
    bodies: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TailFields {
    nodes: u64,
    data_bytes: u64,
    crc32c: String,
}

/// Bytes under one of two keys.
#[derive(Serialize, Deserialize, Default)]
struct Text {
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<String>,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Line {
    depth: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name_bytes: Option<String>,
    node: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    branch: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<u64>,
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<u64>,
    mode: String,
    uid: u32,
    gid: u32,
    links: u32,
    atime: i64,
    mtime: i64,
    ctime: i64,
    btime: i64,
    generation: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    xattrs: Vec<XattrFields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quota: Option<QuotaFields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blake3: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inline: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inline_bytes: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extents: Option<Vec<ExtentFields>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_bytes: Option<String>,
    #[serde(skip_serializing)]
    offset: Option<u64>,
    #[serde(skip_serializing)]
    data: Option<String>,
    #[serde(skip_serializing)]
    end: Option<TailFields>,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct XattrFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name_bytes: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_bytes: Option<String>,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct QuotaFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inodes: Option<u64>,
}

#[derive(Serialize)]
struct DataLine<'a> {
    offset: u64,
    data: &'a str,
}

#[derive(Serialize)]
struct TailLine {
    end: TailFields,
}

/// Writes a dump as JSON Lines.
pub struct LinesWriter<W> {
    out: W,
    line: Vec<u8>,
    checksum: crc_fast::Digest,
    tail: Tail,
}

impl<W: Write> LinesWriter<W> {
    /// Begins a dump.
    pub fn new(out: W, head: &Head) -> io::Result<Self> {
        let mut writer = Self {
            out,
            line: Vec::new(),
            checksum: crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi),
            tail: Tail::default(),
        };
        let (path, path_bytes) = to_text(&head.path);
        writer.write(&HeadLine {
            dump: HeadFields {
                format: FORMAT,
                store: to_hex(&head.store_id),
                mount: head.mount.clone(),
                path: Text { path, path_bytes },
                version: head.version.as_u64(),
                made_ms: head.made_millis,
                bodies: match head.bodies {
                    Bodies::Referenced => "referenced".to_owned(),
                    Bodies::Embedded => "embedded".to_owned(),
                },
            },
        })?;
        Ok(writer)
    }

    /// Writes a node.
    pub fn node(&mut self, item: &NodeItem) -> io::Result<()> {
        self.tail.node_count += 1;
        self.write(&Line::of(item))
    }

    /// Writes bytes of the body of the node before.
    pub fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.tail.data_bytes += bytes.len() as u64;
        let data = &STANDARD.encode(bytes);
        self.write(&DataLine { offset, data })
    }

    /// Ends the dump; what was written to.
    pub fn finish(mut self) -> io::Result<W> {
        let checksum = self.checksum.finalize() as u32;
        self.write(&TailLine {
            end: TailFields {
                nodes: self.tail.node_count,
                data_bytes: self.tail.data_bytes,
                crc32c: format!("{checksum:08x}"),
            },
        })?;
        Ok(self.out)
    }

    fn write(&mut self, line: &impl Serialize) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line)?;
        self.line.push(b'\n');
        self.checksum.update(&self.line);
        self.out.write_all(&self.line)
    }
}

/// Reads a dump of JSON Lines.
pub struct LinesReader<R> {
    input: R,
    line: Vec<u8>,
    /// Where the line begins.
    offset: u64,
    read_bytes: u64,
    checksum: crc_fast::Digest,
    seen: Tail,
    is_over: bool,
}

impl<R: BufRead> LinesReader<R> {
    /// Begins to read a dump. **Errors**: it is none; it is newer; it is cut off; reading fails.
    pub fn new(input: R) -> Result<(Self, Head), Flaw> {
        let mut reader = Self {
            input,
            line: Vec::new(),
            offset: 0,
            read_bytes: 0,
            checksum: crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi),
            seen: Tail::default(),
            is_over: false,
        };
        reader.read_line()?;
        let head: HeadLine = reader.parse("the head of a dump")?;
        reader.checksum.update(&reader.line);
        let head = head.dump;
        if head.format > FORMAT {
            let version = head.format;
            return Err(Flaw::Newer { version });
        }
        let bodies = match head.bodies.as_str() {
            "referenced" => Bodies::Referenced,
            "embedded" => Bodies::Embedded,
            other => return Err(reader.damaged("bodies referenced or embedded", other)),
        };
        let store_id = from_hex(&head.store);
        let path = from_text(head.path.path, head.path.path_bytes);
        let (Some(store_id), Some(path)) = (store_id, path) else {
            return Err(reader.damaged("a store id and a path", "others"));
        };
        let head = Head {
            store_id,
            mount: head.mount,
            path,
            version: Version::from_u64(head.version),
            made_millis: head.made_ms,
            bodies,
        };
        Ok((reader, head))
    }

    /// The next item; `None` at the end of a whole dump. **Errors**: as [`Self::new`].
    pub fn next_item(&mut self) -> Result<Option<Item>, Flaw> {
        if self.is_over {
            return Ok(None);
        }
        self.read_line()?;
        let mut line: Line = self.parse("a line of a dump")?;
        if let Some(tail) = line.end {
            self.end(&tail)?;
            return Ok(None);
        }
        self.checksum.update(&self.line);
        let item = match (line.depth, line.offset, line.data.take()) {
            (Some(depth), ..) => line.node(depth).map(|node| Item::Node(Box::new(node))),
            (None, Some(offset), Some(data)) => data_of(offset, &data),
            _ => Err("a node, data, or the end"),
        };
        let item = item.map_err(|expected| self.damaged(expected, "another line"))?;
        self.seen.count(&item);
        Ok(Some(item))
    }

    /// Bytes read so far.
    #[must_use]
    pub const fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    fn end(&mut self, tail: &TailFields) -> Result<(), Flaw> {
        let checksum = format!("{:08x}", self.checksum.finalize() as u32);
        if tail.crc32c != checksum {
            let expected = format!("checksum {} of all lines before", tail.crc32c);
            return Err(self.damaged(&expected, &checksum));
        }
        if (tail.nodes, tail.data_bytes) != (self.seen.node_count, self.seen.data_bytes) {
            return Err(self.damaged(&format!("the end of {:?}", self.seen), "another"));
        }
        if !self.input.fill_buf()?.is_empty() {
            return Err(Flaw::damaged(
                self.read_bytes,
                "the end of the file",
                "more",
            ));
        }
        self.is_over = true;
        Ok(())
    }

    fn read_line(&mut self) -> Result<(), Flaw> {
        self.offset = self.read_bytes;
        self.line.clear();
        let limit = LINE_BYTES_MAX as u64 + 1;
        let count = io::Read::take(&mut self.input, limit).read_until(b'\n', &mut self.line)?;
        self.read_bytes += count as u64;
        if count > LINE_BYTES_MAX {
            return Err(self.damaged(&format!("lines of at most {LINE_BYTES_MAX} bytes"), "more"));
        }
        if self.line.last() != Some(&b'\n') {
            return Err(Flaw::Truncated {
                offset: self.read_bytes,
            });
        }
        Ok(())
    }

    fn parse<'a, T: Deserialize<'a>>(&'a self, expected: &str) -> Result<T, Flaw> {
        serde_json::from_slice(&self.line).map_err(|error| {
            let column = error.column().saturating_sub(1) as u64;
            Flaw::damaged(self.offset + column, expected, error)
        })
    }

    fn damaged(&self, expected: &str, got: &str) -> Flaw {
        Flaw::damaged(self.offset, expected, got)
    }
}

impl Line {
    fn of(item: &NodeItem) -> Self {
        let (kind, device) = kind_number(item.kind);
        let is_device = matches!(
            item.kind,
            NodeKind::CharDevice(_) | NodeKind::BlockDevice(_)
        );
        let (name, name_bytes) = to_texts(item.name.as_ref().map(Name::as_bytes));
        let mut line = Self {
            depth: Some(item.depth),
            name,
            name_bytes,
            node: item.node.id.as_u64(),
            branch: Some(item.node.branch.get()).filter(|branch| *branch != 0),
            as_of: item.node.at.map(Version::as_u64),
            kind: KINDS
                .get(usize::from(kind).saturating_sub(1))
                .map_or_else(String::new, |kind| (*kind).to_owned()),
            device: is_device.then_some(device),
            mode: format!("{:04o}", item.mode),
            uid: item.uid,
            gid: item.gid,
            links: item.links,
            atime: item.atime.get(),
            mtime: item.mtime.get(),
            ctime: item.ctime.get(),
            btime: item.btime.get(),
            generation: item.generation.get(),
            xattrs: item.xattrs.iter().map(XattrFields::of).collect(),
            quota: item
                .quota
                .map(|Quota { bytes, inodes }| QuotaFields { bytes, inodes }),
            ..Self::default()
        };
        match &item.content {
            Content::None => {}
            Content::Target(target) => {
                (line.target, line.target_bytes) = to_text(target);
            }
            Content::Body(body) => {
                line.size = Some(body.size());
                line.blake3 = body.digest().map(|digest| to_hex(digest.as_bytes()));
                match body.layout() {
                    Layout::Inline(bytes) => (line.inline, line.inline_bytes) = to_text(bytes),
                    Layout::Extents(extents) => {
                        line.extents = Some(extents.iter().map(extent_fields).collect());
                    }
                }
            }
        }
        line
    }

    fn node(self, depth: u32) -> Result<NodeItem, &'static str> {
        let number = KINDS.iter().position(|kind| *kind == self.kind);
        let number = number.and_then(|index| u8::try_from(index + 1).ok());
        let kind = number.and_then(|number| kind_of(number, self.device.unwrap_or(0)));
        let kind = kind.ok_or("a kind of node")?;
        let name = match from_text(self.name, self.name_bytes) {
            None => None,
            Some(name) => Some(Name::new(name).map_err(|_| "a name")?),
        };
        let mut xattrs = Vec::new();
        for xattr in self.xattrs {
            let name = from_text(xattr.name, xattr.name_bytes);
            let value = from_text(xattr.value, xattr.value_bytes);
            xattrs.push((
                name.ok_or("the name of an attribute")?,
                value.ok_or("the value of an attribute")?,
            ));
        }
        let digest = match self.blake3 {
            None => None,
            Some(hex) => Some(Digest::from_bytes(from_hex(&hex).ok_or("a digest")?)),
        };
        let target = from_text(self.target, self.target_bytes);
        let inline = from_text(self.inline, self.inline_bytes);
        let body = |layout| {
            let size = self.size.ok_or("a size")?;
            let body = Body::new(size, digest, layout).map_err(|_| "a body")?;
            Ok::<_, &'static str>(Content::Body(body))
        };
        let content = match (target, inline, self.extents) {
            (None, None, None) => Content::None,
            (Some(target), None, None) => Content::Target(target),
            (None, Some(bytes), None) => body(Layout::Inline(bytes))?,
            (None, None, Some(extents)) => {
                let extents = extents.iter().map(extent_of).collect::<Result<_, _>>()?;
                body(Layout::Extents(extents))?
            }
            _ => return Err("one content"),
        };
        let time = TimeNanos::new;
        let item = NodeItem {
            depth,
            name,
            node: Identity {
                id: NodeId::from_u64(self.node),
                branch: BranchId::new(self.branch.unwrap_or(0)),
                at: self.as_of.map(Version::from_u64),
            },
            kind,
            mode: u32::from_str_radix(&self.mode, 8).map_err(|_| "an octal mode")?,
            uid: self.uid,
            gid: self.gid,
            links: self.links,
            atime: time(self.atime),
            mtime: time(self.mtime),
            ctime: time(self.ctime),
            btime: time(self.btime),
            generation: Generation::new(self.generation),
            xattrs,
            quota: self
                .quota
                .map(|QuotaFields { bytes, inodes }| Quota { bytes, inodes }),
            content,
        };
        match item.flaw() {
            None => Ok(item),
            Some(expected) => Err(expected),
        }
    }
}

impl XattrFields {
    fn of((name, value): &(Bytes, Bytes)) -> Self {
        let ((name, name_bytes), (value, value_bytes)) = (to_text(name), to_text(value));
        Self {
            name,
            name_bytes,
            value,
            value_bytes,
        }
    }
}

fn data_of(offset: u64, data: &str) -> Result<Item, &'static str> {
    let bytes = STANDARD.decode(data).map_err(|_| "data in base64")?;
    let end = offset.checked_add(bytes.len() as u64);
    if bytes.is_empty() || end.is_none() {
        return Err("data within a body");
    }
    let bytes = Bytes::from(bytes);
    Ok(Item::Data { offset, bytes })
}

fn extent_fields(extent: &Extent) -> ExtentFields {
    let unit = &extent.unit;
    let is_plain = extent.is_whole() && unit.encoding == Encoding::Plain;
    ExtentFields {
        at: extent.body_offset,
        length: extent.length,
        session: unit.block.session.get(),
        sequence: unit.block.sequence,
        from: unit.object_offset,
        crc32c: unit.crc32c,
        part: (!is_plain).then_some(PartFields {
            skip: extent.skip,
            plain: unit.plain_bytes,
            stored: unit.stored_bytes,
            encoding: unit.encoding.as_u8(),
        }),
    }
}

fn extent_of(fields: &ExtentFields) -> Result<Extent, &'static str> {
    let block = BlockId {
        session: SessionId::new(fields.session),
        sequence: fields.sequence,
    };
    let mut unit = Unit::plain(block, 0..fields.length, fields.crc32c);
    unit.object_offset = fields.from;
    let mut skip = 0;
    if let Some(part) = &fields.part {
        skip = part.skip;
        unit.plain_bytes = part.plain;
        unit.stored_bytes = part.stored;
        unit.encoding = Encoding::from_u8(part.encoding).ok_or("an encoding")?;
    }
    Ok(Extent {
        body_offset: fields.at,
        length: fields.length,
        skip,
        unit,
    })
}

fn to_texts(bytes: Option<&[u8]>) -> (Option<String>, Option<String>) {
    bytes.map_or((None, None), to_text)
}

fn to_text(bytes: &[u8]) -> (Option<String>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(STANDARD.encode(bytes))),
    }
}

fn from_text(text: Option<String>, base64: Option<String>) -> Option<Bytes> {
    match (text, base64) {
        (Some(text), None) => Some(Bytes::from(text)),
        (None, Some(base64)) => STANDARD.decode(base64).ok().map(Bytes::from),
        _ => None,
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        let digits = text.get(2 * index..2 * index + 2)?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(bytes)
}
