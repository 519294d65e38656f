//! From records to what callers are told of a node.

use crate::records::{NodeRecord, StoredLayout, counter};
use crate::spot::Spot;
use crate::{BodyStorage, BodySummary, Node};
use nokv_shard::Counter;
use nokv_types::{Attributes, TimeNanos, Version};

/// The public form of a node.
pub(crate) fn describe(
    spot: Spot,
    version: Version,
    record: &NodeRecord,
    counter: &Counter,
) -> Node {
    let (links, size, mtime, ctime) = if record.is_directory() {
        let time = |slot| counter.get(slot).map(TimeNanos::new);
        let links = counter.sum(counter::SUBDIRECTORIES).saturating_add(2);
        (
            u32::try_from(links).unwrap_or(u32::MAX),
            u64::try_from(counter.sum(counter::ENTRIES)).unwrap_or(0),
            time(counter::MTIME).unwrap_or(record.mtime),
            time(counter::CTIME).map_or(record.ctime, |ctime| ctime.max(record.ctime)),
        )
    } else {
        (record.links, record.body.size, record.mtime, record.ctime)
    };
    let attributes = Attributes {
        kind: record.kind,
        mode: record.mode,
        uid: record.uid,
        gid: record.gid,
        links,
        size,
        atime: record.atime,
        mtime,
        ctime,
        btime: record.btime,
    };
    let storage = match &record.body.layout {
        StoredLayout::Inline(_) => BodyStorage::Inline,
        StoredLayout::Embedded(_) | StoredLayout::Chunked(_) => {
            BodyStorage::Extents(record.body.extent_count())
        }
    };
    let body = BodySummary {
        digest: record.body.digest,
        storage,
    };
    Node {
        id: spot.node,
        branch: spot.branch,
        version,
        attributes,
        generation: record.generation,
        body,
    }
}
