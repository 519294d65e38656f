//! Every record survives storage; damaged bytes are an error or another valid record, never a
//! panic; an unknown tail is legal, an unknown format byte is not; keys keep the order of what they
//! name.

use super::answer::Answer;
use super::branch::{BranchRecord, FormerBase};
use super::event::{Event, EventKind, Events};
use super::*;
use crate::{
    BodyStorage, BodySummary, Changed, Edited, Node, Placement, Published, Removed, Renamed,
};
use bytes::Bytes;
use nokv_shard::codec::Malformed;
use nokv_types::{
    Attributes, BLOCK_BYTES_MAX, BlockId, BranchId, Digest, Encoding, Extent, Generation, MountId,
    Name, NodeId, NodeKind, NsPath, SessionId, TimeNanos, Unit, Version,
};
use proptest::prelude::*;
use std::fmt::Debug;

/// Round trip, tail, format byte, every truncation, and a flip of each byte.
fn check<T: PartialEq + Debug>(
    record: &T,
    bytes: &Bytes,
    decode: impl Fn(&[u8]) -> Result<T, Malformed>,
) {
    assert_eq!(decode(bytes).as_ref(), Ok(record));
    let with_tail = [&bytes[..], b"tail of a later format"].concat();
    assert_eq!(decode(&with_tail).as_ref(), Ok(record));
    for end in 0..bytes.len() {
        assert!(decode(&bytes[..end]).is_err(), "truncated to {end}");
        let mut flipped = bytes.to_vec();
        flipped[end] ^= 0x41;
        let damaged = decode(&flipped);
        assert!(end > 0 || damaged.is_err(), "another format byte");
    }
}

fn decode_part(part: &[u8]) -> Result<Option<Events>, Malformed> {
    Events::decode(&smallvec::smallvec![(HOME, Bytes::copy_from_slice(part))])
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

fn time() -> impl Strategy<Value = TimeNanos> {
    any::<i64>().prop_map(TimeNanos::new)
}

fn node_id() -> impl Strategy<Value = NodeId> {
    any::<u64>().prop_map(NodeId::from_u64)
}

fn name() -> impl Strategy<Value = Name> {
    proptest::collection::vec(any::<u8>(), 1..255)
        .prop_filter_map("a legal name", |bytes| Name::new(bytes).ok())
}

fn extents() -> impl Strategy<Value = Vec<Extent>> {
    let extent = (
        0..1000_u64,
        1..BLOCK_BYTES_MAX,
        any::<(u64, u32)>(),
        0..1_u32 << 31,
        any::<u32>(),
    );
    proptest::collection::vec(extent, 1..20).prop_map(|parts| {
        let mut end = 0;
        parts
            .into_iter()
            .map(
                |(gap, length, (session, sequence), object_offset, crc32c)| {
                    let body_offset = end + gap;
                    end = body_offset + u64::from(length);
                    let block = BlockId {
                        session: SessionId::new(session),
                        sequence,
                    };
                    let range = object_offset..object_offset + length;
                    let whole = Extent::whole(body_offset, Unit::plain(block, range, crc32c));
                    match crc32c % 3 {
                        0 => whole,
                        1 => half_of(whole),
                        _ => encoded(whole),
                    }
                },
            )
            .collect()
    })
}

/// The second part of the unit of an extent.
fn half_of(mut whole: Extent) -> Extent {
    whole.skip = whole.length / 2;
    whole.length -= whole.skip;
    whole
}

/// An extent of a unit that is stored shorter, if it can be.
fn encoded(mut whole: Extent) -> Extent {
    if whole.length > 1 {
        whole.unit.stored_bytes -= 1;
        whole.unit.encoding = Encoding::Zstd;
    }
    whole
}

fn body() -> impl Strategy<Value = StoredBody> {
    let digest = proptest::option::of(any::<[u8; 32]>().prop_map(Digest::from_bytes));
    let layout = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..100)
            .prop_map(|bytes| (bytes.len() as u64, StoredLayout::Inline(bytes.into()))),
        extents().prop_map(|extents| (1 << 40, StoredLayout::Embedded(extents))),
        any::<u32>().prop_map(|count| (u64::MAX, StoredLayout::Chunked(count))),
    ];
    (digest, layout).prop_map(|(digest, (size, layout))| StoredBody {
        size,
        digest,
        layout,
    })
}

fn moment() -> impl Strategy<Value = Moment> {
    any::<u64>().prop_map(|number| match number {
        0 => Moment::ThisRecord,
        version => Moment::At(Version::from_u64(version)),
    })
}

prop_compose! {
    fn node_record()(
        kind in kind(), mode: u32, uid: u32, gid: u32, times in [time(), time(), time(), time()],
        links: u32, home in proptest::option::of(1..u64::MAX), xattrs: u32,
        place in proptest::option::of((node_id(), name())),
        generation: u64, birth in moment(), body in body(),
        laid_out in proptest::option::of(moment()),
        owner: Option<u32>,
    ) -> NodeRecord {
        let [atime, mtime, ctime, btime] = times;
        let fresh = NodeRecord::new(kind, mode, uid, gid, btime);
        let mut record = NodeRecord { xattrs, atime, mtime, ctime, ..fresh };
        match kind {
            NodeKind::Directory => {
                record.place = place.map(|(parent, name)| DirectoryPlace { parent, name });
                record.placement = [None, Some(Placement::LeastLoaded)][usize::from(uid % 2 == 0)];
            }
            NodeKind::File | NodeKind::Symlink => {
                record.links = links;
                record.home = home.map(NodeId::from_u64);
                record.generation = Generation::new(generation);
                record.birth = birth;
                record.laid_out = laid_out;
                record.owner = owner.map(BranchId::new);
                record.body = body;
            }
            _ => {
                record.links = links;
                record.home = home.map(NodeId::from_u64);
            }
        }
        record
    }
}

prop_compose! {
    fn event()(
        kind in prop::sample::select(vec![
            EventKind::Created, EventKind::Removed, EventKind::Renamed, EventKind::Published,
            EventKind::Attributes, EventKind::Xattr, EventKind::Exchanged, EventKind::Snapshot,
            EventKind::SnapshotRemoved, EventKind::Branched, EventKind::Quota,
        ]),
        branch_id: u32, node in node_id(), node_kind in kind(), generation: u64, size: u64,
        from in proptest::option::of((node_id(), name())),
        to in proptest::option::of((node_id(), name())),
        displaced in proptest::option::of(node_id()),
    ) -> Event {
        let generation = Generation::new(generation);
        let branch = BranchId::new(branch_id);
        Event { branch, kind, node, node_kind, generation, size, from, to, displaced }
    }
}

prop_compose! {
    fn changed()(
        id in node_id(), branch: u32, version: u64, kind in kind(), numbers: (u32, u32, u32, u32),
        size: u64, times in [time(), time(), time(), time()], generation: u64,
        digest: Option<[u8; 32]>, extents: Option<u32>,
    ) -> Changed {
        let (mode, uid, gid, links) = numbers;
        let [atime, mtime, ctime, btime] = times;
        let attributes =
            Attributes { kind, mode, uid, gid, links, size, atime, mtime, ctime, btime };
        let storage = extents.map_or(BodyStorage::Inline, BodyStorage::Extents);
        let body = BodySummary { digest: digest.map(Digest::from_bytes), storage };
        let (branch, version) = (BranchId::new(branch), Version::from_u64(version));
        let generation = Generation::new(generation);
        let node = Node { id, branch, version, attributes, generation, body };
        Changed { version: Version::ZERO, node }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn quotas_orphans_and_names_survive_storage(
        (bytes, inodes) in (proptest::option::of(0..u64::MAX), proptest::option::of(0..u64::MAX)),
        (purpose, phase) in any::<(bool, bool)>(), id: u64, mount: u32, set_millis: u64, count: u32,
        charged in proptest::collection::vec((node_id(), any::<u64>()), 1..5),
    ) {
        let record = quota::QuotaRecord {
            purpose: if purpose { quota::Purpose::Limit } else { quota::Purpose::Tally },
            phase: if phase { quota::Phase::Counting } else { quota::Phase::Counted },
            id,
            mount: MountId::new(mount),
            limits: crate::QuotaLimits { bytes, inodes },
            set_millis,
        };
        check(&record, &record.encode(), quota::QuotaRecord::decode);
        let record = orphan::OrphanRecord { mount: MountId::new(mount), quotas: charged };
        let bytes = record.encode();
        prop_assert_eq!(orphan::OrphanRecord::decode(&bytes), Ok(record));
        for end in 1..bytes.len() {
            prop_assert!(orphan::OrphanRecord::decode(&bytes[..end]).is_err());
        }
        check(&count, &names::encode(count), names::decode);
    }

    #[test]
    fn client_sessions_and_nodes_without_a_name(
        ttl_ms: u64,
        label in "[a-zü ]{0,40}",
        client: u64,
        unnamed: bool,
        mount: u32,
        node in node_id(),
        branch: u32,
    ) {
        let record = client::ClientRecord { ttl_ms, label };
        check(&record, &record.encode(), client::ClientRecord::decode);
        let client = nokv_types::ClientId::new(client);
        prop_assert_eq!(client::client(client::key(client).bytes()), Ok(client));
        let origin = match unnamed {
            true => nameless::Origin::Unnamed,
            false => nameless::Origin::Unlinked,
        };
        let record = nameless::NamelessRecord { origin, mount: MountId::new(mount) };
        check(&record, &record.encode(), nameless::NamelessRecord::decode);
        let branch = BranchId::new(branch);
        let key = nameless::key(node, branch);
        prop_assert_eq!(nameless::node(key.bytes()), Ok((node, branch)));
        prop_assert_eq!(shard_of(&key), node.shard());
    }

    #[test]
    fn nodes_and_entries(record in node_record(), branch: u32, node in node_id()) {
        check(&record, &record.encode(), NodeRecord::decode);
        let entry = EntryRecord { kind: record.kind, branch: BranchId::new(branch), node };
        check(&entry, &entry.encode(), EntryRecord::decode);
    }

    #[test]
    fn deaths_and_chunks(
        birth: u64, death in moment(), embedded in extents(), chunks: u32, node in node_id(),
        generation: u64, branch: u32,
    ) {
        check(&embedded, &chunk::encode(&embedded), |bytes| chunk::decode(bytes, 1 << 40));
        let record =
            DeathRecord { birth: Version::from_u64(birth), death, size: 1 << 40, embedded, chunks };
        check(&record, &record.encode(), DeathRecord::decode);
        let (branch, generation) = (BranchId::new(branch), Generation::new(generation));
        let body = DeadBody { planned: Version::from_u64(birth), node, branch, generation };
        prop_assert_eq!(DeadBody::from_key(body.key().bytes()), Ok(body));
        let key = chunk::key(node, branch, generation, chunks);
        prop_assert_eq!(chunk::generation(key.bytes()), Ok(generation));
    }

    #[test]
    fn mounts_sessions_and_numbers(name in "[a-z]{1,20}", root in node_id(), id: u32, number: u64) {
        let state = if root.as_u64() % 2 == 0 { MountState::Live } else { MountState::Retired };
        let placement = [Placement::Parent, Placement::Spread][usize::from(id % 2 == 0)];
        let record = MountRecord { root, name, state, placement };
        check(&record, &record.encode(), MountRecord::decode);
        let mount = MountId::new(id);
        prop_assert_eq!(MountRecord::id(MountRecord::key(mount).bytes()), Ok(mount));
        let record = SessionRecord { millis: number };
        check(&record, &record.encode(), SessionRecord::decode);
        let session = SessionId::new(number);
        prop_assert_eq!(SessionRecord::id(SessionRecord::open_key(session).bytes()), Ok(session));
        prop_assert_eq!(SessionRecord::id(SessionRecord::closed_key(session).bytes()), Ok(session));
        check(&number, &system::encode(number), system::decode);
        let block = BlockId { session, sequence: id };
        prop_assert_eq!(object::block(object::key(block).bytes()), Ok(block));
        let branch = BranchId::new(id);
        prop_assert_eq!(orphan::directory(orphan::key(root, branch).bytes()), Ok((root, branch)));
    }

    #[test]
    fn branches(
        base in moment(), since in moment(), root in node_id(), above: u32, directory in node_id(),
        name in name(), mount: u32, parent: u32, created_millis: u64, version: u64,
    ) {
        let above = (BranchId::new(above), directory);
        let (mount, parent) = (MountId::new(mount), BranchId::new(parent));
        let record = BranchRecord { mount, parent, base, since, root, above, name, created_millis };
        check(&record, &record.encode(), BranchRecord::decode);
        let former = FormerBase { base: Version::from_u64(version), end: base };
        check(&former, &former.encode(), FormerBase::decode);
        let key = branch::former_key(parent, Version::from_u64(version));
        prop_assert_eq!(branch::id(key.bytes()), Ok(parent));
        prop_assert_eq!(branch::since(key.bytes()), Ok(Version::from_u64(version)));
        let spot = node_and_branch(root, parent);
        prop_assert!(spot.starts_with(&branch_prefix(root.shard(), parent)));
        prop_assert_eq!(spot_at(&spot, 0), Ok((root, parent)));
    }

    #[test]
    fn events(events in proptest::collection::vec(event(), 1..4), mount: u32) {
        let mount = MountId::new(mount);
        let events = Events { mount, events };
        let parts = events.encode();
        prop_assert_eq!(Events::decode(&parts), Ok(Some(events)));
        for (shard, part) in parts {
            let of_shard = Events::decode(&smallvec::smallvec![(shard, part.clone())]);
            check(&of_shard.expect("valid"), &part, decode_part);
        }
    }

    #[test]
    fn answers(
        changed in changed(), node in node_id(), displaced in proptest::option::of(node_id()),
        names in proptest::collection::vec(name(), 0..4), version in 1..u64::MAX,
    ) {
        check(&changed, &changed.encode(), Changed::decode);
        let based_on = Generation::new(version);
        let edited = Edited { version: Version::ZERO, node: changed.node.clone(), based_on };
        check(&edited, &edited.encode(), Edited::decode);
        let renamed = Renamed { version: Version::ZERO, node, displaced };
        check(&renamed, &renamed.encode(), Renamed::decode);
        let removed = Removed { version: Version::ZERO, node };
        check(&removed, &removed.encode(), Removed::decode);
        let mut path = NsPath::root();
        for name in &names {
            path = path.join(name).expect("short");
        }
        let generation = Generation::new(version);
        let mut items = vec![Published { path, node, generation, version: Version::ZERO }];
        check(&items, &items.encode(), Vec::<Published>::decode);
        items.stamp(Version::from_u64(version));
        prop_assert_eq!(items[0].version, Version::from_u64(version));
    }

    #[test]
    fn entry_keys_have_the_order_of_directory_and_name(
        left in (node_id(), name()), right in (node_id(), name()),
    ) {
        let key = |at: &(NodeId, Name)| EntryRecord::key(at.0, BranchId::TRUNK, &at.1);
        prop_assert_eq!(key(&left).cmp(&key(&right)), left.cmp(&right));
        prop_assert_eq!(EntryRecord::name(key(&left).bytes()), Ok(left.1));
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(mut bytes: Vec<u8>) {
        if let Some(first) = bytes.first_mut() {
            *first = FORMAT;
        }
        drop((NodeRecord::decode(&bytes), EntryRecord::decode(&bytes), decode_part(&bytes)));
        drop((DeathRecord::decode(&bytes), Changed::decode(&bytes)));
        drop((DeadBody::from_key(&bytes), Vec::<Published>::decode(&bytes)));
    }
}
