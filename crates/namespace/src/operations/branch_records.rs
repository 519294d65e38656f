//! The records that a branch has of its own, in all shards.

use crate::Namespace;
use crate::failure::from_engine;
use crate::layers::Layer;
use crate::records::branch_prefix;
use bytes::Bytes;
use nokv_engine::{Direction, KeyRange, Keyspace, Record, Scan};
use nokv_shard::{Write, prefix_end};
use nokv_types::{Failure, ShardId};

impl Namespace {
    /// What a layer has in one family, shard by shard.
    pub(super) fn branch_records(
        &self,
        keyspace: Keyspace,
        layer: Layer,
    ) -> Result<impl Iterator<Item = Result<(Bytes, Record), Failure>>, Failure> {
        let scans = self.shard().ids();
        let scans = scans.map(|shard| self.branch_in_shard(keyspace, layer, shard));
        let scans = scans.collect::<Result<Vec<_>, _>>()?;
        let records = scans.into_iter().flatten();
        Ok(records.map(|item| item.map_err(from_engine)))
    }

    /// Deletions of all that a layer has in one family: one for each shard where that is something.
    pub(super) fn branch_ranges(
        &self,
        keyspace: Keyspace,
        layer: Layer,
    ) -> Result<Vec<Write>, Failure> {
        let mut ranges = Vec::new();
        for shard in self.shard().ids() {
            let mut scan = self.branch_in_shard(keyspace, layer, shard)?;
            if scan.next().transpose().map_err(from_engine)?.is_none() {
                continue;
            }
            let prefix = branch_prefix(shard, layer.branch);
            ranges.push(Write::DeleteRange {
                keyspace,
                start: Bytes::copy_from_slice(&prefix),
                end: prefix_end(&prefix).unwrap_or_default().into(),
            });
        }
        Ok(ranges)
    }

    fn branch_in_shard(
        &self,
        keyspace: Keyspace,
        layer: Layer,
        shard: ShardId,
    ) -> Result<Scan, Failure> {
        let range = KeyRange::prefix(branch_prefix(shard, layer.branch));
        self.engine()
            .scan(keyspace, range, layer.at, Direction::Forward)
            .map_err(from_engine)
    }
}
