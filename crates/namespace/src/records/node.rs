//! Family `node`: what a node is.
//!
//! Invariants:
//! - attributes are here and nowhere else, except what a directory's counter holds (entries,
//!   subdirectories, times);
//! - the record of a directory other than a root names the one entry that leads to it.
//!
//! **Shape**: format, kind, device (devices only), mode, uid, gid, btime, then atime, mtime, ctime
//! as differences to it; number of extended attributes; then by kind: directory: place flag, parent
//! (8), name, placement (0 none, 1 parent, 2 spread, 3 least loaded); others: links, home (0:
//! none); file and symlink: generation, version of the body (0: of this record), branch that the
//! body belongs to plus one (0: that of the record), body, then 0, or 1 and the version at which
//! its bytes were moved (0: of this record).

use super::placement::{decode_placement, encode_placement};
use super::{FORMAT, NODE, StoredBody, node_and_branch};
use crate::Placement;
use bytes::Bytes;
use nokv_shard::Key;
use nokv_shard::codec::{Decoder, Encoder, Malformed};
use nokv_types::{BranchId, Generation, Name, NodeId, NodeKind, TimeNanos, Version};

/// Where a directory is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct DirectoryPlace {
    pub(crate) parent: NodeId,
    pub(crate) name: Name,
}

/// When something happened: the version of a command is not known while its records are encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Moment {
    /// With this record, at its version.
    ThisRecord,
    /// At this version; the record was rewritten since.
    At(Version),
}

impl Moment {
    pub(super) const fn stored(self) -> u64 {
        match self {
            Self::ThisRecord => 0,
            Self::At(version) => version.as_u64(),
        }
    }

    pub(super) const fn from_stored(number: u64) -> Self {
        match number {
            0 => Self::ThisRecord,
            version => Self::At(Version::from_u64(version)),
        }
    }

    /// The version, in a record of this version.
    pub(crate) const fn in_record(self, version: Version) -> Version {
        match self {
            Self::ThisRecord => version,
            Self::At(version) => version,
        }
    }
}

/// A node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NodeRecord {
    pub(crate) kind: NodeKind,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) atime: TimeNanos,
    pub(crate) mtime: TimeNanos,
    pub(crate) ctime: TimeNanos,
    pub(crate) btime: TimeNanos,
    /// Extended attributes, each in a record of its own.
    pub(crate) xattrs: u32,
    /// Entries that lead here; not used by directories.
    pub(crate) links: u32,
    /// Of a node that is no directory and has one name: the directory that holds it.
    pub(crate) home: Option<NodeId>,
    /// Of a directory that is not a root.
    pub(crate) place: Option<DirectoryPlace>,
    /// Of a directory: where directories are made in it, if that is set.
    pub(crate) placement: Option<Placement>,
    pub(crate) generation: Generation,
    pub(crate) birth: Moment,
    /// When its bytes were moved to other objects, if they were: what reads an earlier version
    /// reads them where they were before.
    pub(crate) laid_out: Option<Moment>,
    pub(crate) body: StoredBody,
    /// The branch that the body belongs to: it holds the references of its blocks, has its chunks,
    /// and puts it to death. `None`: the branch of the record.
    pub(crate) owner: Option<BranchId>,
}

pub(crate) fn key(node: NodeId, branch: BranchId) -> Key {
    Key::new(NODE, &node_and_branch(node, branch))
}

impl NodeRecord {
    pub(crate) fn key(node: NodeId, branch: BranchId) -> Key {
        key(node, branch)
    }

    /// A node of this kind without a name yet, made at `now`.
    pub(crate) const fn new(kind: NodeKind, mode: u32, uid: u32, gid: u32, now: TimeNanos) -> Self {
        Self {
            kind,
            mode,
            uid,
            gid,
            atime: now,
            mtime: now,
            ctime: now,
            btime: now,
            xattrs: 0,
            links: 1,
            home: None,
            place: None,
            placement: None,
            generation: Generation::NONE,
            birth: Moment::ThisRecord,
            laid_out: None,
            body: StoredBody::empty(),
            owner: None,
        }
    }

    pub(crate) const fn is_directory(&self) -> bool {
        matches!(self.kind, NodeKind::Directory)
    }

    /// Names the moments of a record by its version, so that it can be written again.
    pub(crate) fn resolve_moments(&mut self, version: Version) {
        self.birth = Moment::At(self.birth.in_record(version));
        let resolved = |moment: Moment| Moment::At(moment.in_record(version));
        self.laid_out = self.laid_out.map(resolved);
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut encoder = Encoder::new(FORMAT);
        encode_kind(&mut encoder, self.kind);
        encoder
            .varint(u64::from(self.mode))
            .varint(u64::from(self.uid))
            .varint(u64::from(self.gid));
        encoder.signed(self.btime.get());
        for time in [self.atime, self.mtime, self.ctime] {
            encoder.signed(time.get().wrapping_sub(self.btime.get()));
        }
        encoder.varint(u64::from(self.xattrs));
        match self.kind {
            NodeKind::Directory => {
                match &self.place {
                    None => encoder.u8(0),
                    Some(place) => encoder
                        .u8(1)
                        .u64(place.parent.as_u64())
                        .bytes(place.name.as_bytes()),
                };
                encoder.u8(encode_placement(self.placement));
            }
            NodeKind::File | NodeKind::Symlink => {
                encoder
                    .varint(u64::from(self.links))
                    .varint(self.home.map_or(0, NodeId::as_u64))
                    .varint(self.generation.get())
                    .varint(self.birth.stored());
                let owner = self.owner.map_or(0, |owner| u64::from(owner.get()) + 1);
                encoder.varint(owner);
                self.body.encode(&mut encoder);
                match self.laid_out {
                    None => encoder.u8(0),
                    Some(moment) => encoder.u8(1).varint(moment.stored()),
                };
            }
            _ => {
                encoder
                    .varint(u64::from(self.links))
                    .varint(self.home.map_or(0, NodeId::as_u64));
            }
        }
        encoder.finish()
    }

    /// Reads a record.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        Self::decode_shared(&Bytes::copy_from_slice(bytes))
    }

    /// Reads a record without copying its inline body, which then holds the memory of the whole
    /// record.
    pub(crate) fn decode_shared(bytes: &Bytes) -> Result<Self, Malformed> {
        let mut decoder = Decoder::new(bytes, FORMAT)?;
        let kind = decode_kind(&mut decoder)?;
        let mode = decoder.varint32("mode")?;
        let uid = decoder.varint32("uid")?;
        let gid = decoder.varint32("gid")?;
        let btime = decoder.signed("btime")?;
        let mut time = |what| Ok(TimeNanos::new(decoder.signed(what)?.wrapping_add(btime)));
        let (atime, mtime, ctime) = (time("atime")?, time("mtime")?, time("ctime")?);
        let xattrs = decoder.varint32("extended attributes")?;
        let mut node = Self {
            xattrs,
            atime,
            mtime,
            ctime,
            ..Self::new(kind, mode, uid, gid, TimeNanos::new(btime))
        };
        match kind {
            NodeKind::Directory => {
                node.place = decode_place(&mut decoder)?;
                node.placement = decode_placement(&mut decoder)?;
            }
            NodeKind::File | NodeKind::Symlink => {
                node.links = decoder.varint32("links")?;
                node.home = decode_home(&mut decoder)?;
                node.generation = Generation::new(decoder.varint("generation")?);
                node.birth = Moment::from_stored(decoder.varint("version of the body")?);
                node.owner = decode_owner(&mut decoder)?;
                node.body = StoredBody::decode(&mut decoder, bytes)?;
                node.laid_out = decode_laid_out(&mut decoder)?;
            }
            _ => {
                node.links = decoder.varint32("links")?;
                node.home = decode_home(&mut decoder)?;
            }
        }
        Ok(node)
    }
}

fn decode_owner(decoder: &mut Decoder<'_>) -> Result<Option<BranchId>, Malformed> {
    let stored = decoder.varint("owner of the body")?;
    let Some(branch) = stored.checked_sub(1) else {
        return Ok(None);
    };
    let branch = u32::try_from(branch).map_err(|_| decoder.malformed("a branch", branch))?;
    Ok(Some(BranchId::new(branch)))
}

fn decode_laid_out(decoder: &mut Decoder<'_>) -> Result<Option<Moment>, Malformed> {
    match decoder.u8("flag of moved bytes")? {
        0 => Ok(None),
        1 => Ok(Some(Moment::from_stored(
            decoder.varint("version of a move")?,
        ))),
        flag => Err(decoder.malformed("flag of moved bytes 0 or 1", flag)),
    }
}

fn decode_home(decoder: &mut Decoder<'_>) -> Result<Option<NodeId>, Malformed> {
    let home = decoder.varint("home")?;
    Ok((home != 0).then(|| NodeId::from_u64(home)))
}

fn decode_place(decoder: &mut Decoder<'_>) -> Result<Option<DirectoryPlace>, Malformed> {
    match decoder.u8("place flag")? {
        0 => Ok(None),
        1 => {
            let parent = NodeId::from_u64(decoder.u64("parent")?);
            let name = Name::new(decoder.bytes("name")?.to_vec());
            let name = name.map_err(|flaw| decoder.malformed("a name", flaw))?;
            Ok(Some(DirectoryPlace { parent, name }))
        }
        flag => Err(decoder.malformed("place flag 0 or 1", flag)),
    }
}

pub(crate) fn encode_kind(encoder: &mut Encoder, kind: NodeKind) {
    match kind {
        NodeKind::File => encoder.u8(1),
        NodeKind::Directory => encoder.u8(2),
        NodeKind::Symlink => encoder.u8(3),
        NodeKind::Fifo => encoder.u8(4),
        NodeKind::Socket => encoder.u8(5),
        NodeKind::CharDevice(device) => encoder.u8(6).varint(device),
        NodeKind::BlockDevice(device) => encoder.u8(7).varint(device),
    };
}

pub(crate) fn decode_kind(decoder: &mut Decoder<'_>) -> Result<NodeKind, Malformed> {
    Ok(match decoder.u8("kind")? {
        1 => NodeKind::File,
        2 => NodeKind::Directory,
        3 => NodeKind::Symlink,
        4 => NodeKind::Fifo,
        5 => NodeKind::Socket,
        6 => NodeKind::CharDevice(decoder.varint("device")?),
        7 => NodeKind::BlockDevice(decoder.varint("device")?),
        kind => return Err(decoder.malformed("kind 1 to 7", kind)),
    })
}
