//! Answers of mutations of branches ([`super::answer`]).

use super::FORMAT;
use super::answer::Answer;
use crate::{Branch, Conflict, ConflictKind, MergeOutcome, Merged, Restored, Undone};
use bytes::Bytes;
use nokv_shard::codec::{Decoder, Encoder, Malformed};
use nokv_types::{BranchId, NodeId, NsPath, Version};

impl Answer for Branch {
    fn encode(&self) -> Bytes {
        let mut encoder = Encoder::new(FORMAT);
        encoder
            .varint(u64::from(self.id.get()))
            .varint(u64::from(self.parent.get()))
            .u64(self.base.as_u64())
            .u64(self.root.as_u64())
            .varint(self.created_millis);
        match &self.path {
            None => encoder.u8(0),
            Some(path) => encoder.u8(1).bytes(&path.to_bytes()),
        };
        encoder.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut decoder = Decoder::new(bytes, FORMAT)?;
        let id = BranchId::new(decoder.varint32("branch")?);
        let parent = BranchId::new(decoder.varint32("parent")?);
        let base = Version::from_u64(decoder.u64("base")?);
        let root = NodeId::from_u64(decoder.u64("root")?);
        let created_millis = decoder.varint("created")?;
        let path = match decoder.u8("path flag")? {
            0 => None,
            _ => {
                let path = NsPath::parse(decoder.bytes("path")?);
                Some(path.map_err(|flaw| decoder.malformed("a path", flaw))?)
            }
        };
        Ok(Self {
            id,
            path,
            parent,
            base,
            root,
            created_millis,
            version: Version::ZERO,
        })
    }

    fn stamp(&mut self, version: Version) {
        self.version = version;
    }
}

impl Answer for Merged {
    fn encode(&self) -> Bytes {
        let mut encoder = Encoder::new(FORMAT);
        encoder
            .u8(match self.outcome {
                MergeOutcome::Merged => 1,
                MergeOutcome::Tried => 2,
                MergeOutcome::Conflicts => 3,
            })
            .varint(self.changes)
            .varint(self.conflicts.len() as u64);
        for conflict in &self.conflicts {
            encoder
                .u8(match conflict.kind {
                    ConflictKind::Name => 1,
                    ConflictKind::Content => 2,
                    ConflictKind::RemovedInTarget => 3,
                    ConflictKind::RemovedInBranch => 4,
                    ConflictKind::Moved => 5,
                })
                .u64(conflict.node.as_u64())
                .bytes(&conflict.path.to_bytes());
        }
        encoder.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut decoder = Decoder::new(bytes, FORMAT)?;
        let outcome = match decoder.u8("outcome")? {
            1 => MergeOutcome::Merged,
            2 => MergeOutcome::Tried,
            3 => MergeOutcome::Conflicts,
            other => return Err(decoder.malformed("outcome 1 to 3", other)),
        };
        let changes = decoder.varint("changes")?;
        let count = decoder.varint("conflict count")?;
        let mut conflicts = Vec::new();
        for _ in 0..count {
            let kind = match decoder.u8("kind of conflict")? {
                1 => ConflictKind::Name,
                2 => ConflictKind::Content,
                3 => ConflictKind::RemovedInTarget,
                4 => ConflictKind::RemovedInBranch,
                5 => ConflictKind::Moved,
                other => return Err(decoder.malformed("kind of conflict 1 to 5", other)),
            };
            let node = NodeId::from_u64(decoder.u64("node")?);
            let path = NsPath::parse(decoder.bytes("path")?);
            let path = path.map_err(|flaw| decoder.malformed("a path", flaw))?;
            conflicts.push(Conflict { path, kind, node });
        }
        Ok(Self {
            version: Version::ZERO,
            outcome,
            changes,
            conflicts,
        })
    }

    fn stamp(&mut self, version: Version) {
        self.version = version;
    }
}

impl Answer for Restored {
    fn encode(&self) -> Bytes {
        let mut encoder = Encoder::new(FORMAT);
        encoder.u64(self.node.as_u64());
        match self.branch {
            None => encoder.u8(0),
            Some(branch) => encoder.u8(1).varint(u64::from(branch.get())),
        };
        match self.displaced {
            None => encoder.u8(0),
            Some(node) => encoder.u8(1).u64(node.as_u64()),
        };
        encoder.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut decoder = Decoder::new(bytes, FORMAT)?;
        let node = NodeId::from_u64(decoder.u64("node")?);
        let branch = match decoder.u8("branch flag")? {
            0 => None,
            _ => Some(BranchId::new(decoder.varint32("branch")?)),
        };
        let displaced = match decoder.u8("displaced flag")? {
            0 => None,
            _ => Some(NodeId::from_u64(decoder.u64("displaced")?)),
        };
        Ok(Self {
            version: Version::ZERO,
            node,
            branch,
            displaced,
        })
    }

    fn stamp(&mut self, version: Version) {
        self.version = version;
    }
}

impl Answer for Undone {
    fn encode(&self) -> Bytes {
        Encoder::new(FORMAT).varint(self.changes).finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        Ok(Self {
            version: Version::ZERO,
            changes: Decoder::new(bytes, FORMAT)?.varint("changes")?,
        })
    }

    fn stamp(&mut self, version: Version) {
        self.version = version;
    }
}
