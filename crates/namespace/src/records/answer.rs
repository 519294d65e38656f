//! Answers of mutations, as kept for repeated requests.
//!
//! Invariant: what a repeated request is answered equals the first answer, byte for byte where it
//! goes through a codec. The version of the command is not known when the answer is encoded:
//! [`Answer::stamp`] puts it in, the first time and every time.

use super::node::{decode_kind, encode_kind};
use super::{FORMAT, snapshot};
use crate::Mount;
use crate::operations::Begun;
use crate::{
    BodyStorage, BodySummary, Changed, Edited, Node, Published, Quota, QuotaLimits, QuotaState,
    QuotaUsage, Removed, Renamed, Snapshot,
};
use bytes::Bytes;
use nokv_shard::codec::{Decoder, Encoder, Malformed};
use nokv_types::{
    Attributes, BranchId, Digest, Generation, MountId, NodeId, NsPath, SnapshotName, TimeNanos,
    Version,
};

/// An answer that can be kept.
pub(crate) trait Answer: Sized {
    fn encode(&self) -> Bytes;
    fn decode(bytes: &[u8]) -> Result<Self, Malformed>;
    /// Puts in the version of the command.
    fn stamp(&mut self, version: Version);
}

impl Answer for Changed {
    fn encode(&self) -> Bytes {
        let mut encoder = Encoder::new(FORMAT);
        encode_node(&mut encoder, &self.node);
        encoder.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let node = decode_node(&mut Decoder::new(bytes, FORMAT)?)?;
        Ok(Self {
            version: Version::ZERO,
            node,
        })
    }

    fn stamp(&mut self, version: Version) {
        self.version = version;
        if self.node.version == Version::ZERO {
            self.node.version = version;
        }
    }
}

impl Answer for Edited {
    fn encode(&self) -> Bytes {
        let mut encoder = Encoder::new(FORMAT);
        encode_node(&mut encoder, &self.node);
        encoder.varint(self.based_on.get()).finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut decoder = Decoder::new(bytes, FORMAT)?;
        Ok(Self {
            version: Version::ZERO,
            node: decode_node(&mut decoder)?,
            based_on: Generation::new(decoder.varint("generation before")?),
        })
    }

    fn stamp(&mut self, version: Version) {
        self.version = version;
        if self.node.version == Version::ZERO {
            self.node.version = version;
        }
    }
}

impl Answer for Renamed {
    fn encode(&self) -> Bytes {
        let displaced = self.displaced.map_or(0, NodeId::as_u64);
        let flag = u8::from(self.displaced.is_some());
        Encoder::new(FORMAT)
            .u64(self.node.as_u64())
            .u8(flag)
            .u64(displaced)
            .finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut decoder = Decoder::new(bytes, FORMAT)?;
        let node = NodeId::from_u64(decoder.u64("node")?);
        let present = decoder.u8("displaced flag")? != 0;
        let displaced = NodeId::from_u64(decoder.u64("displaced")?);
        Ok(Self {
            version: Version::ZERO,
            node,
            displaced: present.then_some(displaced),
        })
    }

    fn stamp(&mut self, version: Version) {
        self.version = version;
    }
}

impl Answer for Removed {
    fn encode(&self) -> Bytes {
        Encoder::new(FORMAT).u64(self.node.as_u64()).finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let node = NodeId::from_u64(Decoder::new(bytes, FORMAT)?.u64("node")?);
        Ok(Self {
            version: Version::ZERO,
            node,
        })
    }

    fn stamp(&mut self, version: Version) {
        self.version = version;
    }
}

impl Answer for Snapshot {
    fn encode(&self) -> Bytes {
        let mut encoder = Encoder::new(FORMAT);
        encoder.bytes(self.name.as_str().as_bytes());
        snapshot::encode_fields(&mut encoder, self);
        encoder.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut decoder = Decoder::new(bytes, FORMAT)?;
        let name = std::str::from_utf8(decoder.bytes("name")?).ok();
        let name = name.and_then(|name| SnapshotName::parse(name).ok());
        let name = name.ok_or_else(|| decoder.malformed("the name of a snapshot", "another"))?;
        snapshot::decode_fields(name, &mut decoder)
    }

    /// A snapshot is of the version that it shows, not of its command.
    fn stamp(&mut self, _version: Version) {}
}

impl Answer for Quota {
    fn encode(&self) -> Bytes {
        let mut encoder = Encoder::new(FORMAT);
        encoder.u64(self.directory.as_u64());
        match &self.path {
            None => encoder.u8(0),
            Some(path) => encoder.u8(1).bytes(&path.to_bytes()),
        };
        for limit in [self.limits.bytes, self.limits.inodes] {
            encoder.varint(limit.map_or(0, |limit| limit.saturating_add(1)));
        }
        encoder.varint(self.usage.bytes).varint(self.usage.inodes);
        let active = self.state == QuotaState::Active;
        encoder.u8(u8::from(active)).finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut decoder = Decoder::new(bytes, FORMAT)?;
        let directory = NodeId::from_u64(decoder.u64("directory")?);
        let path = match decoder.u8("path flag")? {
            0 => None,
            _ => {
                let path = NsPath::parse(decoder.bytes("path")?);
                Some(path.map_err(|flaw| decoder.malformed("a path", flaw))?)
            }
        };
        let mut limit = |what| Ok(decoder.varint(what)?.checked_sub(1));
        let limits = QuotaLimits {
            bytes: limit("bytes")?,
            inodes: limit("inodes")?,
        };
        let usage = QuotaUsage {
            bytes: decoder.varint("bytes used")?,
            inodes: decoder.varint("inodes used")?,
        };
        let state = match decoder.u8("state")? {
            0 => QuotaState::Counting,
            _ => QuotaState::Active,
        };
        Ok(Self {
            directory,
            path,
            limits,
            usage,
            state,
        })
    }

    fn stamp(&mut self, _version: Version) {}
}

impl Answer for Mount {
    fn encode(&self) -> Bytes {
        let mut encoder = Encoder::new(FORMAT);
        encoder.u32(self.id.get()).u64(self.root.as_u64());
        encoder.bytes(self.name.as_bytes()).finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut decoder = Decoder::new(bytes, FORMAT)?;
        let id = MountId::new(u32::from_be_bytes(decoder.fixed("mount")?));
        let root = NodeId::from_u64(decoder.u64("root")?);
        let name = String::from_utf8(decoder.bytes("name")?.to_vec());
        let name = name.map_err(|flaw| decoder.malformed("UTF-8", flaw))?;
        Ok(Self { id, name, root })
    }

    fn stamp(&mut self, _version: Version) {}
}

/// Never kept: these commands have no request.
impl Answer for Begun {
    fn encode(&self) -> Bytes {
        Bytes::new()
    }

    fn decode(_bytes: &[u8]) -> Result<Self, Malformed> {
        Err(never_kept())
    }

    fn stamp(&mut self, version: Version) {
        self.version = version;
    }
}

/// The same.
impl Answer for () {
    fn encode(&self) -> Bytes {
        Bytes::new()
    }

    fn decode(_bytes: &[u8]) -> Result<Self, Malformed> {
        Err(never_kept())
    }

    fn stamp(&mut self, _version: Version) {}
}

fn never_kept() -> Malformed {
    Malformed {
        offset: 0,
        expected: "an answer that is kept",
        got: "one that is not".to_string(),
    }
}

impl Answer for Vec<Published> {
    fn encode(&self) -> Bytes {
        let mut encoder = Encoder::new(FORMAT);
        encoder.varint(self.len() as u64);
        for item in self {
            encoder
                .bytes(&item.path.to_bytes())
                .u64(item.node.as_u64())
                .varint(item.generation.get());
        }
        encoder.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut decoder = Decoder::new(bytes, FORMAT)?;
        let count = decoder.varint("item count")?;
        let mut items = Self::new();
        for _ in 0..count {
            let path = NsPath::parse(decoder.bytes("path")?);
            let path = path.map_err(|flaw| decoder.malformed("a path", flaw))?;
            let node = NodeId::from_u64(decoder.u64("node")?);
            let generation = Generation::new(decoder.varint("generation")?);
            items.push(Published {
                path,
                node,
                generation,
                version: Version::ZERO,
            });
        }
        Ok(items)
    }

    fn stamp(&mut self, version: Version) {
        for item in self {
            item.version = version;
        }
    }
}

fn encode_node(encoder: &mut Encoder, node: &Node) {
    let attributes = &node.attributes;
    encoder
        .u64(node.id.as_u64())
        .varint(u64::from(node.branch.get()));
    encoder.u64(node.version.as_u64());
    encode_kind(encoder, attributes.kind);
    for number in [
        attributes.mode,
        attributes.uid,
        attributes.gid,
        attributes.links,
    ] {
        encoder.varint(u64::from(number));
    }
    encoder.varint(attributes.size);
    for time in [
        attributes.atime,
        attributes.mtime,
        attributes.ctime,
        attributes.btime,
    ] {
        encoder.signed(time.get());
    }
    encoder.varint(node.generation.get());
    match node.body.digest {
        None => encoder.u8(0),
        Some(digest) => encoder.u8(1).raw(digest.as_bytes()),
    };
    match node.body.storage {
        BodyStorage::Inline => encoder.u8(0),
        BodyStorage::Extents(count) => encoder.u8(1).varint(u64::from(count)),
    };
}

fn decode_node(decoder: &mut Decoder<'_>) -> Result<Node, Malformed> {
    let id = NodeId::from_u64(decoder.u64("node")?);
    let branch = BranchId::new(decoder.varint32("branch")?);
    let version = Version::from_u64(decoder.u64("version")?);
    let kind = decode_kind(decoder)?;
    let mut number = |what| decoder.varint32(what);
    let (mode, uid, gid, links) = (
        number("mode")?,
        number("uid")?,
        number("gid")?,
        number("links")?,
    );
    let size = decoder.varint("size")?;
    let mut time = |what| Ok::<_, Malformed>(TimeNanos::new(decoder.signed(what)?));
    let (atime, mtime, ctime, btime) = (
        time("atime")?,
        time("mtime")?,
        time("ctime")?,
        time("btime")?,
    );
    let attributes = Attributes {
        kind,
        mode,
        uid,
        gid,
        links,
        size,
        atime,
        mtime,
        ctime,
        btime,
    };
    let generation = Generation::new(decoder.varint("generation")?);
    let digest = match decoder.u8("digest flag")? {
        0 => None,
        _ => Some(Digest::from_bytes(decoder.fixed("digest")?)),
    };
    let storage = match decoder.u8("storage")? {
        0 => BodyStorage::Inline,
        _ => BodyStorage::Extents(decoder.varint32("extent count")?),
    };
    Ok(Node {
        id,
        branch,
        version,
        attributes,
        generation,
        body: BodySummary { digest, storage },
    })
}
