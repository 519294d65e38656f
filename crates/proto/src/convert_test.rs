//! Nouns survive the wire; what is no noun is refused with a reason and never panics.

use crate::{FromWire, failure_from_wire, v1};
use bytes::Bytes;
use nokv_types::{
    Attributes, BlockId, Body, Digest, Encoding, Extent, Failure, INLINE_BYTES_MAX, Layout,
    NodeKind, Reason, SessionId, TimeNanos, Unit,
};
use proptest::prelude::*;

fn kinds() -> impl Strategy<Value = NodeKind> {
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

fn attributes() -> impl Strategy<Value = Attributes> {
    (
        kinds(),
        0_u32..=0o7777,
        any::<[u32; 3]>(),
        any::<u64>(),
        any::<[i64; 4]>(),
    )
        .prop_map(
            |(kind, mode, [uid, gid, links], size, [atime, mtime, ctime, btime])| Attributes {
                kind,
                mode,
                uid,
                gid,
                links,
                size,
                atime: TimeNanos::new(atime),
                mtime: TimeNanos::new(mtime),
                ctime: TimeNanos::new(ctime),
                btime: TimeNanos::new(btime),
            },
        )
}

fn bodies() -> impl Strategy<Value = Body> {
    let digest = prop::option::of(any::<[u8; 32]>().prop_map(Digest::from_bytes));
    let inline = prop::collection::vec(any::<u8>(), 0..=INLINE_BYTES_MAX);
    let parts = prop::collection::vec((0_u64..5, 1_u32..1000, any::<[u32; 2]>()), 0..20);
    prop_oneof![
        (inline, digest.clone()).prop_map(|(bytes, digest)| {
            Body::new(bytes.len() as u64, digest, Layout::Inline(bytes.into())).expect("valid")
        }),
        (parts, digest, 1_u64..9).prop_map(|(parts, digest, tail)| {
            let mut end = 0;
            let extents = parts.into_iter().map(|(gap, length, [sequence, crc32c])| {
                let body_offset = end + gap;
                end = body_offset + u64::from(length);
                let block = BlockId {
                    session: SessionId::new(u64::MAX),
                    sequence,
                };
                let unit = Unit {
                    block,
                    object_offset: 1,
                    stored_bytes: length + 1,
                    plain_bytes: length + 2,
                    encoding: Encoding::Lz4,
                    crc32c,
                };
                match crc32c % 3 {
                    0 => Extent {
                        body_offset,
                        length,
                        skip: crc32c % 2,
                        unit,
                    },
                    _ => Extent::whole(body_offset, Unit::plain(block, 1..1 + length, crc32c)),
                }
            });
            let extents: Vec<_> = extents.collect();
            Body::new(end + tail, digest, Layout::Extents(extents)).expect("valid")
        }),
    ]
}

proptest! {
    #[test]
    fn attributes_survive(attributes in attributes()) {
        let back = Attributes::from_wire("attributes", v1::Attributes::from(attributes));
        prop_assert_eq!(back, Ok(attributes));
    }

    #[test]
    fn bodies_survive(body in bodies()) {
        prop_assert_eq!(Body::from_wire("file", v1::Body::from(&body)), Ok(body));
    }

    #[test]
    fn any_body_message_is_a_body_or_a_refusal(
        size in prop_oneof![any::<u64>(), 0_u64..20],
        digest in prop::collection::vec(any::<u8>(), 0..40),
        inline in prop::collection::vec(any::<u8>(), 0..20),
        extents in prop::collection::vec((any::<u64>(), any::<u32>(), any::<u32>()), 0..3),
    ) {
        let extents = extents.into_iter().map(|(body_offset, length, object_offset)| v1::Extent {
            body_offset, length, object_offset, ..v1::Extent::default()
        }).collect();
        let message = v1::Body { size, digest: digest.into(), inline: inline.into(), extents };
        match Body::from_wire("file", message.clone()) {
            Ok(body) => prop_assert_eq!(v1::Body::from(&body), message),
            Err(failure) => prop_assert_eq!(failure.reason(), Reason::InvalidArgument),
        }
    }
}

#[test]
fn every_reason_survives_and_a_newer_one_is_told() {
    for reason in Reason::ALL {
        let failure = Failure::new(*reason, "what to do");
        assert_eq!(failure_from_wire(&failure.clone().into()), failure);
    }
    let newer = v1::Failure {
        reason: 60_000,
        message: "so".into(),
    };
    assert_eq!(failure_from_wire(&newer).reason(), Reason::Io);
    assert_eq!(failure_from_wire(&newer).message(), "so (reason 60000)");
}

#[test]
fn a_hole_is_not_an_inline_body() {
    let hole = Body::new(9, None, Layout::Extents(Vec::new())).expect("valid");
    assert_eq!(Body::from_wire("file", v1::Body::from(&hole)), Ok(hole));
    let both = v1::Body {
        size: 3,
        inline: Bytes::from_static(b"ab"),
        ..v1::Body::default()
    };
    assert!(Body::from_wire("file", both).is_err());
}
