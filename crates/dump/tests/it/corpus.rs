//! The files of testdata: golden dumps of each format, and what the fuzz target begins with.

#![expect(
    clippy::disallowed_methods,
    reason = "testdata is read from the source tree"
)]

use bytes::Bytes;
use nokv_dump::{
    Bodies, Content, DumpReader, DumpWriter, Form, Head, Identity, Item, NodeItem, Quota,
};
use nokv_types::{
    BlockId, Body, BranchId, Digest, Encoding, Extent, Generation, Layout, Name, NodeId, NodeKind,
    SessionId, TimeNanos, Unit, Version,
};

const GOLDEN: [(Form, &str); 2] = [
    (Form::Binary, "../../testdata/format/dump-1.bin"),
    (Form::JsonLines, "../../testdata/format/dump-1.jsonl"),
];

fn head() -> Head {
    Head {
        store_id: *b"0123456789abcdef",
        mount: "default".to_owned(),
        path: Bytes::from_static(b"/runs"),
        version: Version::from_u64(7 << 18 | 3),
        made_millis: 1_700_000_000_000,
        bodies: Bodies::Embedded,
    }
}

fn node(depth: u32, name: &[u8], kind: NodeKind, content: Content) -> NodeItem {
    let time = TimeNanos::new;
    NodeItem {
        depth,
        name: (depth > 0).then(|| Name::new(name.to_vec()).expect("a name")),
        node: Identity {
            id: NodeId::from_u64(40 + u64::from(depth)),
            branch: BranchId::new(depth),
            at: (depth > 0).then_some(Version::from_u64(9)),
        },
        kind,
        mode: 0o644,
        uid: 1000,
        gid: 100,
        links: 1,
        atime: time(4),
        mtime: time(3),
        ctime: time(2),
        btime: time(-1),
        generation: Generation::new(2),
        xattrs: vec![(Bytes::from_static(b"user.a"), Bytes::from_static(b"\xff"))],
        quota: (kind == NodeKind::Directory).then_some(Quota {
            bytes: Some(1 << 40),
            inodes: None,
        }),
        content,
    }
}

fn items() -> Vec<Item> {
    let block = BlockId {
        session: SessionId::new(0x1234),
        sequence: 1,
    };
    let whole = Extent::whole(0, Unit::plain(block, 9..12, 0xdead_beef));
    let part = Extent {
        body_offset: 8,
        length: 2,
        skip: 1,
        unit: Unit {
            stored_bytes: 5,
            plain_bytes: 7,
            encoding: Encoding::Lz4,
            ..whole.unit
        },
    };
    let inline = Layout::Inline(Bytes::from_static(b"hello\n"));
    let digest = Some(Digest::from_bytes([7; 32]));
    let extents = Layout::Extents(vec![whole, part]);
    let body = |size, layout| Content::Body(Body::new(size, digest, layout).expect("a body"));
    let target = Content::Target(Bytes::from_static(b"../x"));
    let nodes = [
        node(0, b"", NodeKind::Directory, Content::None),
        node(1, b"a\xff", NodeKind::File, body(6, inline)),
        node(1, b"big", NodeKind::File, body(10, extents)),
        node(1, b"link", NodeKind::Symlink, target),
        node(1, b"null", NodeKind::CharDevice(259), Content::None),
        node(1, b"pipe", NodeKind::Fifo, Content::None),
    ];
    let mut items: Vec<_> = nodes
        .into_iter()
        .map(|node| Item::Node(Box::new(node)))
        .collect();
    let data = |offset, bytes: &'static [u8]| Item::Data {
        offset,
        bytes: Bytes::from_static(bytes),
    };
    items.splice(3..3, [data(0, b"abc"), data(8, b"de")]);
    items
}

#[test]
fn golden_dumps_are_read_and_written() {
    for (form, path) in GOLDEN {
        let mut writer = DumpWriter::new(form, Vec::new(), &head()).expect("memory");
        for item in items() {
            match item {
                Item::Node(node) => writer.node(&node),
                Item::Data { offset, bytes } => writer.data(offset, &bytes),
            }
            .expect("memory");
        }
        let written = writer.finish().expect("memory");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &written).expect("testdata");
        }
        let golden = std::fs::read(path).expect("testdata");
        assert_eq!(golden, written, "{path}");
        let (mut reader, read) = DumpReader::new(&golden[..]).expect("a dump");
        assert_eq!(read, head());
        for item in items() {
            assert_eq!(reader.next_item().expect("whole"), Some(item));
        }
        assert!(reader.next_item().expect("whole").is_none());
    }
}

#[test]
fn any_bytes_are_answered() {
    for (_, path) in GOLDEN {
        let golden = std::fs::read(path).expect("testdata");
        for start in 0..golden.len().min(64) {
            any_bytes(&golden[start..]);
        }
    }
}

/// As the fuzz target `dump`.
fn any_bytes(bytes: &[u8]) {
    if let Ok((mut reader, _)) = DumpReader::new(bytes) {
        while let Ok(Some(_)) = reader.next_item() {}
    }
    nokv_dump::Items::new(Bytes::copy_from_slice(bytes)).for_each(drop);
}
