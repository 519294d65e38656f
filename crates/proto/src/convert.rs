//! Messages to nouns and back.
//!
//! Invariants: a noun that comes out is valid; what is not valid becomes a failure that names the
//! field; nothing here panics, whatever the message holds.

use crate::v1;
use bytes::Bytes;
use nokv_types::{
    Attributes, BlockId, Body, Digest, Encoding, Extent, Failure, Layout, Name, NodeKind, NsPath,
    Reason, RequestId, SessionId, TimeNanos, Unit, Version,
};

/// Largest permission bits.
const MODE_MAX: u32 = 0o7777;

/// A noun that a message can be turned into.
pub trait FromWire<Message>: Sized {
    /// Turns `message`, the field `field` of a request or response, into the noun. **Errors**:
    /// mostly [`Reason::InvalidArgument`], naming the field; for names and paths their own
    /// reasons.
    fn from_wire(field: &str, message: Message) -> Result<Self, Failure>;
}

/// A failure that names the field which is wrong.
#[must_use]
pub fn invalid(field: &str, flaw: impl std::fmt::Display) -> Failure {
    Failure::new(Reason::InvalidArgument, format!("{field} {flaw}"))
}

/// The field, which must be set. **Errors**: [`Reason::InvalidArgument`].
pub fn present<T>(field: &str, value: Option<T>) -> Result<T, Failure> {
    value.ok_or_else(|| invalid(field, "is missing"))
}

/// An absolute path. **Errors**: those of [`NsPath::parse`].
pub fn path_from_wire(path: &[u8]) -> Result<NsPath, Failure> {
    NsPath::parse(path)
}

/// A name. **Errors**: those of [`Name::new`].
pub fn name_from_wire(name: Bytes) -> Result<Name, Failure> {
    Name::new(name)
}

/// Permission bits. **Errors**: [`Reason::InvalidArgument`] over `0o7777`.
pub fn mode_from_wire(field: &str, mode: u32) -> Result<u32, Failure> {
    if mode > MODE_MAX {
        return Err(invalid(field, format!("is 0o{mode:o}, over 0o7777")));
    }
    Ok(mode)
}

/// A version; 0 on the wire is the newest.
#[must_use]
pub const fn version_from_wire(at: u64) -> Option<Version> {
    match at {
        0 => None,
        bits => Some(Version::from_u64(bits)),
    }
}

/// A digest of 32 bytes, or none. **Errors**: [`Reason::InvalidArgument`] for another length.
pub fn digest_from_wire(field: &str, bytes: &[u8]) -> Result<Option<Digest>, Failure> {
    match (bytes.len(), <[u8; 32]>::try_from(bytes)) {
        (0, _) => Ok(None),
        (_, Ok(bytes)) => Ok(Some(Digest::from_bytes(bytes))),
        (length, Err(_)) => Err(invalid(field, format!("has {length} bytes, not 0 or 32"))),
    }
}

/// A request id of 16 bytes, or none. **Errors**: [`Reason::InvalidArgument`] for another length.
pub fn optional_request_id(field: &str, bytes: &[u8]) -> Result<Option<RequestId>, Failure> {
    match (bytes.len(), <[u8; 16]>::try_from(bytes)) {
        (0, _) => Ok(None),
        (_, Ok(bytes)) => Ok(Some(RequestId::from_bytes(bytes))),
        (length, Err(_)) => Err(invalid(field, format!("has {length} bytes, not 0 or 16"))),
    }
}

/// A kind with its device number. **Errors**: [`Reason::InvalidArgument`] for a number that is no
/// kind.
pub fn kind_from_wire(field: &str, kind: i32, device: u64) -> Result<NodeKind, Failure> {
    Ok(match v1::NodeKind::try_from(kind) {
        Ok(v1::NodeKind::File) => NodeKind::File,
        Ok(v1::NodeKind::Directory) => NodeKind::Directory,
        Ok(v1::NodeKind::Symlink) => NodeKind::Symlink,
        Ok(v1::NodeKind::Fifo) => NodeKind::Fifo,
        Ok(v1::NodeKind::Socket) => NodeKind::Socket,
        Ok(v1::NodeKind::CharDevice) => NodeKind::CharDevice(device),
        Ok(v1::NodeKind::BlockDevice) => NodeKind::BlockDevice(device),
        Ok(v1::NodeKind::Unspecified) | Err(_) => {
            return Err(invalid(field, format!("is {kind}, which is no kind")));
        }
    })
}

/// A kind and its device number.
#[must_use]
pub const fn kind_to_wire(kind: NodeKind) -> (v1::NodeKind, u64) {
    match kind {
        NodeKind::File => (v1::NodeKind::File, 0),
        NodeKind::Directory => (v1::NodeKind::Directory, 0),
        NodeKind::Symlink => (v1::NodeKind::Symlink, 0),
        NodeKind::Fifo => (v1::NodeKind::Fifo, 0),
        NodeKind::Socket => (v1::NodeKind::Socket, 0),
        NodeKind::CharDevice(device) => (v1::NodeKind::CharDevice, device),
        NodeKind::BlockDevice(device) => (v1::NodeKind::BlockDevice, device),
    }
}

/// The failure that a peer sent. A reason of a newer version becomes [`Reason::Io`], which promises
/// nothing.
#[must_use]
pub fn failure_from_wire(failure: &v1::Failure) -> Failure {
    match Reason::from_number(failure.reason) {
        Some(reason) => Failure::new(reason, failure.message.clone()),
        None => Failure::new(
            Reason::Io,
            format!("{} (reason {})", failure.message, failure.reason),
        ),
    }
}

impl From<Failure> for v1::Failure {
    fn from(failure: Failure) -> Self {
        Self {
            reason: failure.reason().number(),
            message: failure.message().to_owned(),
        }
    }
}

impl From<Failure> for v1::Response {
    fn from(failure: Failure) -> Self {
        Self {
            result: Some(v1::response::Result::Failure(failure.into())),
        }
    }
}

impl From<Attributes> for v1::Attributes {
    fn from(attributes: Attributes) -> Self {
        let (kind, device) = kind_to_wire(attributes.kind);
        Self {
            kind: kind.into(),
            device,
            mode: attributes.mode,
            uid: attributes.uid,
            gid: attributes.gid,
            links: attributes.links,
            size: attributes.size,
            atime: attributes.atime.get(),
            mtime: attributes.mtime.get(),
            ctime: attributes.ctime.get(),
            btime: attributes.btime.get(),
        }
    }
}

impl FromWire<v1::Attributes> for Attributes {
    fn from_wire(field: &str, message: v1::Attributes) -> Result<Self, Failure> {
        Ok(Self {
            kind: kind_from_wire(field, message.kind, message.device)?,
            mode: mode_from_wire(field, message.mode)?,
            uid: message.uid,
            gid: message.gid,
            links: message.links,
            size: message.size,
            atime: TimeNanos::new(message.atime),
            mtime: TimeNanos::new(message.mtime),
            ctime: TimeNanos::new(message.ctime),
            btime: TimeNanos::new(message.btime),
        })
    }
}

impl From<BlockId> for v1::BlockId {
    fn from(block: BlockId) -> Self {
        Self {
            session: block.session.get(),
            sequence: block.sequence,
        }
    }
}

impl From<v1::BlockId> for BlockId {
    fn from(block: v1::BlockId) -> Self {
        Self {
            session: SessionId::new(block.session),
            sequence: block.sequence,
        }
    }
}

impl From<Extent> for v1::Extent {
    fn from(extent: Extent) -> Self {
        let unit = extent.unit;
        let is_simple = extent.is_whole() && unit.encoding == Encoding::Plain;
        let unless_simple = |bytes| if is_simple { 0 } else { bytes };
        Self {
            body_offset: extent.body_offset,
            length: extent.length,
            session: unit.block.session.get(),
            sequence: unit.block.sequence,
            object_offset: unit.object_offset,
            crc32c: unit.crc32c,
            skip: extent.skip,
            plain_bytes: unless_simple(unit.plain_bytes),
            stored_bytes: unless_simple(unit.stored_bytes),
            encoding: i32::from(unit.encoding.as_u8()),
        }
    }
}

impl FromWire<v1::Extent> for Extent {
    fn from_wire(field: &str, message: v1::Extent) -> Result<Self, Failure> {
        let number = u8::try_from(message.encoding).ok();
        let encoding = number.and_then(Encoding::from_u8).ok_or_else(|| {
            let number = message.encoding;
            invalid(
                field,
                format!("has the encoding {number}; use a newer version"),
            )
        })?;
        let is_simple = message.plain_bytes == 0;
        let or_length = |bytes| if is_simple { message.length } else { bytes };
        Ok(Self {
            body_offset: message.body_offset,
            length: message.length,
            skip: message.skip,
            unit: Unit {
                block: BlockId {
                    session: SessionId::new(message.session),
                    sequence: message.sequence,
                },
                object_offset: message.object_offset,
                stored_bytes: or_length(message.stored_bytes),
                plain_bytes: or_length(message.plain_bytes),
                encoding,
                crc32c: message.crc32c,
            },
        })
    }
}

/// Extents from the wire; whether they fit a body is for the body to say.
pub fn extents_from_wire(field: &str, extents: Vec<v1::Extent>) -> Result<Vec<Extent>, Failure> {
    extents
        .into_iter()
        .map(|extent| Extent::from_wire(field, extent))
        .collect()
}

impl From<&Body> for v1::Body {
    fn from(body: &Body) -> Self {
        let (inline, extents) = match body.layout() {
            Layout::Inline(bytes) => (bytes.clone(), Vec::new()),
            Layout::Extents(extents) => (
                Bytes::new(),
                extents.iter().copied().map(Into::into).collect(),
            ),
        };
        Self {
            size: body.size(),
            digest: body.digest().map_or_else(Bytes::new, |digest| {
                Bytes::copy_from_slice(digest.as_bytes())
            }),
            inline,
            extents,
        }
    }
}

impl FromWire<v1::Body> for Body {
    fn from_wire(field: &str, message: v1::Body) -> Result<Self, Failure> {
        let digest = digest_from_wire("body.digest", &message.digest)?;
        let inline = message.inline.len() as u64 == message.size;
        let layout = match (inline, message.extents.is_empty()) {
            (true, true) => Layout::Inline(message.inline),
            (_, _) if message.inline.is_empty() => {
                Layout::Extents(extents_from_wire("body.extents", message.extents)?)
            }
            (_, _) => {
                return Err(invalid(
                    field,
                    format!(
                        "of {} bytes has {} inline and {} extents; send all bytes inline, or none",
                        message.size,
                        message.inline.len(),
                        message.extents.len()
                    ),
                ));
            }
        };
        Self::new(message.size, digest, layout).map_err(|failure| failure.context(field))
    }
}
