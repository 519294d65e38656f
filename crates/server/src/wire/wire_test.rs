//! Round trips of the nouns, and refusals that name the field.

use super::*;
use bytes::Bytes;
use nokv_namespace::{
    BodyStorage, BodySummary, Content, Context, DirEntry, Durability, Expect, Follow,
    NewAttributes, Node, Page, Parents, Place, Publish, PublishItem, Remove, RenameMode,
    SetAttributes, SetTime, Target, View,
};
use nokv_proto::v1;
use nokv_types::{
    Attributes, Body, BranchId, Digest, Generation, MountId, Name, NodeId, NodeKind, NsPath,
    Reason, RequestId, SessionId, TimeNanos, Version,
};

fn path(text: &str) -> NsPath {
    NsPath::parse(text).expect("valid")
}

fn name(text: &'static str) -> Name {
    Name::new(text).expect("valid")
}

fn example(storage: BodyStorage) -> Node {
    let time = TimeNanos::new;
    Node {
        id: NodeId::from_u64(77),
        branch: BranchId::new(3),
        version: Version::from_millis(5),
        attributes: Attributes {
            kind: NodeKind::CharDevice(9),
            mode: 0o4755,
            uid: 1,
            gid: 2,
            links: 3,
            size: 4,
            atime: time(-1),
            mtime: time(2),
            ctime: time(3),
            btime: time(4),
        },
        generation: Generation::new(8),
        body: BodySummary {
            digest: Some(Digest::from_bytes([7; 32])),
            storage,
        },
    }
}

#[test]
fn nodes_and_pages_survive() {
    for storage in [
        BodyStorage::Inline,
        BodyStorage::Extents(0),
        BodyStorage::Extents(5),
    ] {
        let original = example(storage);
        assert_eq!(node("node", node_to_wire(&original)), Ok(original));
    }
    for next in [None, Some(name("b"))] {
        let original = Page {
            version: Version::from_millis(9),
            directory: example(BodyStorage::Inline),
            entries: vec![DirEntry {
                name: name("a\n"),
                node: example(BodyStorage::Inline),
            }],
            next,
        };
        assert_eq!(page(page_to_wire(&original)), Ok(original));
    }
}

#[test]
fn asks_survive() {
    for at in [None, Some(Version::from_millis(1))] {
        let original = View {
            mount: MountId::new(4),
            branch: BranchId::new(5),
            at,
        };
        assert_eq!(view(Some(view_to_wire(&original))), original);
    }
    for (request, durability) in [
        (None, Durability::Buffered),
        (Some(RequestId::from_bytes([1; 16])), Durability::Synced),
    ] {
        let original = Context {
            request,
            durability,
            uid: 8,
            gid: 9,
            ..Context::new(MountId::new(6), TimeNanos::new(5))
        };
        let back = context(Some(context_to_wire(&original)), TimeNanos::new(5));
        assert_eq!(back, Ok(original));
    }
    let (target_path, target_name) = (path("/a/b"), name("c"));
    let directory = NodeId::from_u64(5);
    let child = Target::Child {
        directory,
        name: &target_name,
    };
    for original in [Target::Path(&target_path), Target::Node(directory), child] {
        let back = target("target", Some(target_to_wire(original))).expect("valid");
        assert_eq!(Target::from(&back), original);
    }
    let child = Place::Child {
        directory,
        name: &target_name,
    };
    for original in [Place::Path(&target_path), child] {
        let back = place("place", Some(place_to_wire(original))).expect("valid");
        assert_eq!(Place::from(&back), original);
    }
}

#[test]
fn choices_survive() {
    for original in [Follow::Yes, Follow::No] {
        assert_eq!(follow(follow_to_wire(original).into()), Ok(original));
    }
    for original in [Parents::Required, Parents::Create] {
        assert_eq!(parents(parents_to_wire(original).into()), Ok(original));
    }
    for original in [
        RenameMode::Plain,
        RenameMode::NoReplace,
        RenameMode::Exchange,
    ] {
        assert_eq!(
            rename_mode(rename_mode_to_wire(original).into()),
            Ok(original)
        );
    }
    for original in [Remove::File, Remove::EmptyDirectory, Remove::Tree] {
        assert_eq!(
            remove_mode(remove_mode_to_wire(original).into()),
            Ok(original)
        );
    }
    let changes = SetAttributes {
        mode: Some(0o600),
        size: Some(0),
        atime: Some(SetTime::Now),
        mtime: Some(SetTime::To(TimeNanos::new(-5))),
        expect: Some(Generation::new(2)),
        ..SetAttributes::default()
    };
    for original in [SetAttributes::default(), changes] {
        let mut request = v1::SetAttributesRequest::default();
        attribute_changes_to_wire(&original, &mut request);
        assert_eq!(attribute_changes(&request), Ok(original));
    }
}

#[test]
fn publishes_survive() {
    let item = |text, content, expect| PublishItem {
        path: path(text),
        content,
        attributes: NewAttributes {
            mode: 0o644,
            uid: Some(0),
            gid: None,
            mtime: Some(TimeNanos::new(1)),
        },
        expect,
    };
    let original = Publish {
        items: vec![
            item("/a", Content::Directory, Expect::Any),
            item("/a/b", Content::File(Body::empty()), Expect::Absent),
            item(
                "/a/c",
                Content::Symlink(Bytes::from_static(b"b")),
                Expect::Generation(Generation::new(3)),
            ),
        ],
        parents: Parents::Create,
        session: Some(SessionId::new(12)),
    };
    assert_eq!(publish(publish_to_wire(&original)), Ok(original));
}

#[test]
fn refusals_name_the_field() {
    let request = v1::SetAttributesRequest {
        mode: Some(0o10000),
        ..v1::SetAttributesRequest::default()
    };
    let failure = attribute_changes(&request).expect_err("refused");
    assert_eq!(failure.reason(), Reason::InvalidArgument);
    assert!(failure.message().starts_with("mode "), "{failure}");
    assert_eq!(
        publish(v1::PublishRequest::default())
            .expect_err("empty")
            .reason(),
        Reason::InvalidArgument
    );
    let item = v1::PublishItem {
        path: Bytes::from_static(b"/x"),
        ..v1::PublishItem::default()
    };
    let request = v1::PublishRequest {
        items: vec![item],
        ..v1::PublishRequest::default()
    };
    let failure = publish(request).expect_err("no content");
    assert_eq!(failure.message(), "/x: content is missing");
    assert!(target("target", None).is_err());
    assert!(follow(99).is_err());
}
