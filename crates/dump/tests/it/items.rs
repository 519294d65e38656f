//! Any items, from a seed.

use bytes::Bytes;
use nokv_dump::{Bodies, Content, Head, Identity, Item, NodeItem, Quota};
use nokv_types::{
    BlockId, Body, BranchId, Digest, Encoding, Extent, Generation, Layout, Name, NodeId, NodeKind,
    SessionId, TimeNanos, Unit, Version,
};
use proptest::prelude::*;

pub(crate) fn head() -> impl Strategy<Value = Head> {
    let text = proptest::collection::vec(any::<u8>(), 0..20);
    let head = (
        any::<[u8; 16]>(),
        "[a-z]{1,8}",
        text,
        any::<u64>(),
        any::<bool>(),
    );
    head.prop_map(|(store_id, mount, path, version, embedded)| Head {
        store_id,
        mount,
        path: Bytes::from(path),
        version: Version::from_u64(version),
        made_millis: version >> 20,
        bodies: match embedded {
            true => Bodies::Embedded,
            false => Bodies::Referenced,
        },
    })
}

pub(crate) fn items() -> impl Strategy<Value = Vec<Item>> {
    let item = prop_oneof![
        4 => node().prop_map(|node| Item::Node(Box::new(node))),
        1 => (0..1_u64 << 40, proptest::collection::vec(any::<u8>(), 1..300)).prop_map(
            |(offset, bytes)| Item::Data { offset, bytes: bytes.into() }
        ),
    ];
    proptest::collection::vec(item, 0..12)
}

fn bytes(most: usize) -> impl Strategy<Value = Bytes> {
    prop_oneof![
        "[a-zä]{1,12}".prop_map(Bytes::from),
        proptest::collection::vec(1..=255_u8, 1..most).prop_map(Bytes::from),
    ]
}

fn name() -> impl Strategy<Value = Name> {
    bytes(40).prop_filter_map("no name", |bytes| Name::new(bytes).ok())
}

fn kind() -> impl Strategy<Value = NodeKind> {
    prop_oneof![
        Just(NodeKind::File),
        Just(NodeKind::Directory),
        Just(NodeKind::Symlink),
        Just(NodeKind::Fifo),
        Just(NodeKind::Socket),
        any::<u64>().prop_map(NodeKind::CharDevice),
        any::<u64>().prop_map(NodeKind::BlockDevice),
    ]
}

fn node() -> impl Strategy<Value = NodeItem> {
    let place = (0..5_u32, name(), any::<u64>());
    let owner = (0..0o10000_u32, any::<u32>(), any::<u32>(), 1..5_u32);
    let xattrs = proptest::collection::vec((bytes(20), bytes(60)), 0..3);
    let quota = proptest::option::of((any::<Option<u32>>(), any::<Option<u32>>()));
    let rest = (any::<[i64; 4]>(), any::<u64>(), xattrs, quota);
    (place, kind(), owner, rest, bytes(90), body()).prop_map(
        |((depth, name, node), kind, owner, (times, generation, xattrs, quota), target, body)| {
            let [atime, mtime, ctime, btime] = times.map(TimeNanos::new);
            let quota = quota.filter(|_| kind == NodeKind::Directory);
            NodeItem {
                depth,
                name: (depth > 0).then_some(name),
                node: Identity {
                    id: NodeId::from_u64(node),
                    branch: BranchId::new(uid_of(node)),
                    at: (node % 3 == 0).then_some(Version::from_u64(node | 1)),
                },
                kind,
                mode: owner.0,
                uid: owner.1,
                gid: owner.2,
                links: owner.3,
                atime,
                mtime,
                ctime,
                btime,
                generation: Generation::new(generation),
                xattrs,
                quota: quota.map(|(bytes, inodes)| Quota {
                    bytes: bytes.map(u64::from),
                    inodes: inodes.map(u64::from),
                }),
                content: match kind {
                    NodeKind::File => Content::Body(body),
                    NodeKind::Symlink => Content::Target(target),
                    _ => Content::None,
                },
            }
        },
    )
}

fn uid_of(node: u64) -> u32 {
    u32::try_from(node % 5).expect("small")
}

fn body() -> impl Strategy<Value = Body> {
    let extent = (0..1_u64 << 30, 1..1_u32 << 22, any::<(u64, u32, u32)>());
    let digest = proptest::option::of(any::<[u8; 32]>().prop_map(Digest::from_bytes));
    let inline = proptest::collection::vec(any::<u8>(), 0..200);
    let extents = proptest::collection::vec(extent, 1..6);
    (digest, inline, extents, any::<bool>()).prop_map(|(digest, inline, parts, is_inline)| {
        if is_inline {
            let layout = Layout::Inline(inline.clone().into());
            return Body::new(inline.len() as u64, digest, layout).expect("fits");
        }
        let mut end = 0;
        let extents = parts
            .into_iter()
            .map(|(gap, length, (session, sequence, crc32c))| {
                let body_offset = end + gap;
                let block = BlockId {
                    session: SessionId::new(session),
                    sequence,
                };
                let from = sequence >> 4;
                let mut extent =
                    Extent::whole(body_offset, Unit::plain(block, from..from + length, crc32c));
                match crc32c % 4 {
                    1 => extent.unit.encoding = Encoding::Lz4,
                    2 if length > 2 => (extent.skip, extent.length) = (1, length - 2),
                    _ => {}
                }
                if extent.unit.encoding == Encoding::Lz4 {
                    extent.unit.plain_bytes += 1;
                    extent.length = extent.unit.plain_bytes;
                }
                end = extent.end();
                extent
            });
        let layout = Layout::Extents(extents.collect());
        Body::new(end + 7, digest, layout).expect("in order")
    })
}
