//! The answer of a load, as kept for a repeated request: the number of nodes (varint), then the
//! nodes (8 bytes each).

use super::FORMAT;
use super::answer::Answer;
use crate::Loaded;
use bytes::Bytes;
use nokv_shard::codec::{Decoder, Encoder, Malformed};
use nokv_types::{NodeId, Version};

impl Answer for Loaded {
    fn encode(&self) -> Bytes {
        let mut encoder = Encoder::new(FORMAT);
        encoder.varint(self.nodes.len() as u64);
        for node in &self.nodes {
            encoder.u64(node.as_u64());
        }
        encoder.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut decoder = Decoder::new(bytes, FORMAT)?;
        let mut nodes = Vec::new();
        for _ in 0..decoder.varint("nodes")? {
            nodes.push(NodeId::from_u64(decoder.u64("node")?));
        }
        Ok(Self {
            version: Version::ZERO,
            nodes,
        })
    }

    fn stamp(&mut self, version: Version) {
        self.version = version;
    }
}
