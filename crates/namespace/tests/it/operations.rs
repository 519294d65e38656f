//! Each operation and its errors, one at a time.

use crate::support::{Store, inline, item, path, reason};
use bytes::Bytes;
use nokv_namespace::{
    Content, Expect, Follow, Parents, Publish, Remove, RenameMode, SetAttributes, SetTime,
    SetXattr, XATTR_VALUE_BYTES_MAX, XATTRS_MAX,
};
use nokv_types::{Generation, NodeKind, Reason, RequestId, TimeNanos};

#[test]
fn what_is_published_is_found_listed_and_read() {
    let store = Store::new();
    store.mkdir("/a").expect("made");
    let node = store.put("/a/file", b"hello").expect("published");
    assert_eq!(
        (node.attributes.size, node.generation),
        (5, Generation::new(1))
    );
    assert_eq!(store.names("/a"), ["file"]);
    let (_, body) = store
        .namespace
        .body(&store.view(), &path("/a/file"))
        .expect("read");
    assert_eq!(body, inline(b"hello"));
    let again = store.put("/a/file", b"hi").expect("published");
    assert_eq!((again.id, again.generation), (node.id, Generation::new(2)));
}

#[test]
fn creating_needs_a_live_directory_as_parent_and_names_it() {
    let store = Store::new();
    assert_eq!(reason(store.mkdir("/missing/dir")), Reason::NotFound);
    let failure = store.mkdir("/missing/dir").expect_err("no parent");
    assert!(
        failure.message().contains("/missing does not exist"),
        "{failure}"
    );
    store.put("/file", b"").expect("published");
    assert_eq!(reason(store.mkdir("/file/dir")), Reason::NotDirectory);
    assert_eq!(reason(store.put("/file/x", b"")), Reason::NotDirectory);
    assert_eq!(reason(store.mkdir("/file")), Reason::AlreadyExists);
    assert_eq!(reason(store.mkdir("/")), Reason::NotPermitted);
}

#[test]
fn a_handle_of_a_removed_directory_takes_no_entries() {
    let store = Store::new();
    let node = store.mkdir("/dir").expect("made");
    let remove = |what| {
        store
            .namespace
            .remove(&store.context(), &path("/dir"), what)
    };
    remove(Remove::EmptyDirectory).expect("removed");
    let name = path("/x").last().expect("a name").clone();
    let place = nokv_namespace::Place::Child {
        directory: node.id,
        name: &name,
    };
    let made = store
        .namespace
        .make_dir(&store.context(), place, 0o755, Parents::Required);
    assert_eq!(reason(made), Reason::NotFound);
    assert_eq!(reason(remove(Remove::Tree)), Reason::NotFound);
}

#[test]
fn make_parents_makes_what_is_missing_and_is_content_with_what_is_there() {
    let store = Store::new();
    let make = |text| {
        store
            .namespace
            .make_dir(&store.context(), &path(text), 0o700, Parents::Create)
    };
    let made = make("/a/b/c").expect("made");
    assert_eq!(make("/a/b/c").expect("there").node.id, made.node.id);
    assert_eq!(store.stat("/a").expect("made").attributes.mode, 0o755);
    assert_eq!(store.stat("/a/b").expect("made").attributes.links, 3);
    store.put("/a/f", b"").expect("published");
    assert_eq!(reason(make("/a/f")), Reason::AlreadyExists);
    assert_eq!(reason(make("/a/f/g")), Reason::NotDirectory);
    assert!(make("/").is_ok());
}

#[test]
fn removing_follows_the_kinds() {
    let store = Store::new();
    store.mkdir("/d").expect("made");
    store.put("/d/f", b"x").expect("published");
    let remove = |text, what| store.namespace.remove(&store.context(), &path(text), what);
    assert_eq!(reason(remove("/d", Remove::File)), Reason::IsDirectory);
    assert_eq!(
        reason(remove("/d", Remove::EmptyDirectory)),
        Reason::NotEmpty
    );
    assert_eq!(
        reason(remove("/d/f", Remove::EmptyDirectory)),
        Reason::NotDirectory
    );
    assert_eq!(reason(remove("/", Remove::Tree)), Reason::NotPermitted);
    let before = store.namespace.read_version();
    remove("/d", Remove::Tree).expect("removed");
    assert_eq!(reason(store.stat("/d/f")), Reason::NotFound);
    let past = store.view().at(before);
    assert!(
        store
            .namespace
            .lookup(&past, &path("/d/f"), Follow::No)
            .is_ok()
    );
    let reclaimed = store.namespace.reclaim(100).expect("reclaimed");
    assert_eq!((reclaimed.entries, reclaimed.more), (1, false));
    assert!(
        store
            .namespace
            .lookup(&past, &path("/d/f"), Follow::No)
            .is_ok()
    );
}

#[test]
fn renaming_follows_posix() {
    let store = Store::new();
    for dir in ["/a", "/a/b", "/empty", "/full"] {
        store.mkdir(dir).expect("made");
    }
    let file = store.put("/file", b"1").expect("published");
    store.put("/full/x", b"2").expect("published");
    let rename = |from, to, mode| {
        store
            .namespace
            .rename(&store.context(), &path(from), &path(to), mode)
    };
    use RenameMode::{Exchange, NoReplace, Plain};
    assert_eq!(reason(rename("/none", "/b", Plain)), Reason::NotFound);
    assert_eq!(reason(rename("/file", "/a", Plain)), Reason::IsDirectory);
    assert_eq!(reason(rename("/a", "/file", Plain)), Reason::NotDirectory);
    assert_eq!(reason(rename("/a", "/full", Plain)), Reason::NotEmpty);
    assert_eq!(
        reason(rename("/a", "/a/b/c", Plain)),
        Reason::InvalidArgument
    );
    assert_eq!(
        reason(rename("/a", "/a/b", Exchange)),
        Reason::InvalidArgument
    );
    assert_eq!(
        reason(rename("/a/b", "/a", Exchange)),
        Reason::InvalidArgument
    );
    assert_eq!(
        reason(rename("/file", "/full/x", NoReplace)),
        Reason::AlreadyExists
    );
    assert_eq!(reason(rename("/file", "/new", Exchange)), Reason::NotFound);
    assert_eq!(reason(rename("/", "/new", Plain)), Reason::NotPermitted);
    assert_eq!(rename("/a", "/a", Plain).expect("nothing").displaced, None);
    let moved = rename("/a", "/empty", Plain).expect("replaces an empty directory");
    assert!(moved.displaced.is_some());
    assert_eq!(store.names("/empty"), ["b"]);
    rename("/file", "/full/x", Plain).expect("replaces a file");
    assert_eq!(store.stat("/full/x").expect("there").id, file.id);
    rename("/full", "/empty/b", Exchange).expect("exchanged");
    assert_eq!(store.names("/empty/b"), ["x"]);
    assert_eq!(store.names("/full"), Vec::<String>::new());
    assert_eq!(store.stat("/").expect("root").attributes.links, 4);
}

#[test]
fn links_count_and_the_last_name_takes_the_node_along() {
    let store = Store::new();
    store.put("/a", b"x").expect("published");
    store.mkdir("/d").expect("made");
    let link = |from, to| {
        store
            .namespace
            .link(&store.context(), &path(from), &path(to))
    };
    assert_eq!(link("/a", "/d/b").expect("linked").node.attributes.links, 2);
    assert_eq!(reason(link("/d", "/e")), Reason::NotPermitted);
    assert_eq!(reason(link("/a", "/d")), Reason::AlreadyExists);
    assert_eq!(reason(link("/none", "/e")), Reason::NotFound);
    let same = store.namespace.rename(
        &store.context(),
        &path("/a"),
        &path("/d/b"),
        RenameMode::Plain,
    );
    assert_eq!(same.expect("nothing").displaced, None);
    store
        .namespace
        .remove(&store.context(), &path("/a"), Remove::File)
        .expect("removed");
    assert_eq!(store.stat("/d/b").expect("there").attributes.links, 1);
}

#[test]
fn symbolic_links_are_followed_in_the_middle_and_at_the_end_as_told() {
    let store = Store::new();
    let link = |place, target: &'static str| {
        store
            .namespace
            .symlink(&store.context(), &path(place), Bytes::from(target))
    };
    store.mkdir("/real").expect("made");
    store.mkdir("/real/deep").expect("made");
    let file = store.put("/real/deep/file", b"x").expect("published");
    for (place, target) in [
        ("/absolute", "/real/deep"),
        ("/relative", "real/./deep/"),
        ("/real/up", "../real/deep"),
        ("/chain", "absolute"),
        ("/top", "/"),
        ("/above", "../../real/deep"),
    ] {
        link(place, target).expect("linked");
        let through = if place == "/top" {
            "/top/real/deep/file".into()
        } else {
            format!("{place}/file")
        };
        assert_eq!(store.stat(&through).expect(place).id, file.id);
        assert_eq!(
            store.stat(place).expect("itself").attributes.kind,
            NodeKind::Symlink
        );
        let followed = store
            .namespace
            .lookup(&store.view(), &path(place), Follow::Yes);
        assert_eq!(followed.expect(place).attributes.kind, NodeKind::Directory);
    }
    link("/loop", "loop").expect("linked");
    link("/dangling", "/none/x").expect("linked");
    link("/tofile", "/real/deep/file").expect("linked");
    assert_eq!(reason(store.stat("/loop/x")), Reason::SymlinkLoop);
    assert_eq!(reason(store.stat("/dangling/x")), Reason::NotFound);
    assert_eq!(reason(store.stat("/tofile/x")), Reason::NotDirectory);
    assert_eq!(
        store
            .namespace
            .read_link(&store.view(), &path("/loop"))
            .expect("read"),
        "loop"
    );
    assert_eq!(
        reason(store.namespace.read_link(&store.view(), &path("/real"))),
        Reason::InvalidArgument
    );
    assert_eq!(reason(link("/x", "")), Reason::InvalidArgument);
    store.put("/absolute/new", b"").expect("through a link");
    assert_eq!(store.names("/real/deep"), ["file", "new"]);
}

#[test]
fn times_and_counts_of_a_directory_move_with_its_children() {
    let store = Store::new();
    let dir = store.mkdir("/d").expect("made");
    store.clock.advance(std::time::Duration::from_secs(5));
    store.put("/d/f", b"").expect("published");
    let after = store.stat("/d").expect("there");
    assert!(after.attributes.mtime > dir.attributes.mtime);
    assert_eq!((after.attributes.size, after.attributes.links), (1, 2));
    let to = SetAttributes {
        mtime: Some(SetTime::To(TimeNanos::new(9))),
        ..Default::default()
    };
    let set = store
        .namespace
        .set_attributes(&store.context(), &path("/d"), Follow::Yes, to)
        .expect("set");
    assert_eq!(set.node.attributes.mtime, TimeNanos::new(9));
    assert_eq!(store.stat("/d").expect("there"), set.node);
    store.mkdir("/d/sub").expect("made");
    let after = store.stat("/d").expect("there");
    assert!(after.attributes.mtime > TimeNanos::new(9));
    assert_eq!((after.attributes.size, after.attributes.links), (2, 3));
}

#[test]
fn attributes_and_sizes_change_by_the_rules() {
    let store = Store::new();
    store.put("/f", b"hello").expect("published");
    let set = |changes| {
        store
            .namespace
            .set_attributes(&store.context(), &path("/f"), Follow::No, changes)
    };
    let size = |size| SetAttributes {
        size: Some(size),
        ..Default::default()
    };
    let changed = set(SetAttributes {
        mode: Some(0o600),
        uid: Some(7),
        ..size(3)
    })
    .expect("set");
    assert_eq!(
        (changed.node.attributes.mode, changed.node.attributes.size),
        (0o600, 3)
    );
    assert_eq!(changed.node.generation, Generation::new(2));
    let body = || {
        store
            .namespace
            .body(&store.view(), &path("/f"))
            .expect("read")
            .1
    };
    assert_eq!(body(), inline(b"hel"));
    set(size(5)).expect("extended");
    assert_eq!(body(), inline(b"hel\0\0"));
    assert_eq!(reason(set(size(1 << 20))), Reason::Unsupported);
    set(size(0)).expect("emptied");
    set(size(1 << 40)).expect("a hole");
    assert_eq!(body().size(), 1 << 40);
    let stale = SetAttributes {
        expect: Some(Generation::new(1)),
        ..Default::default()
    };
    assert_eq!(reason(set(stale)), Reason::StaleGeneration);
    let mode = SetAttributes {
        mode: Some(0o10000),
        ..Default::default()
    };
    assert_eq!(reason(set(mode)), Reason::InvalidArgument);
    store.mkdir("/d").expect("made");
    let directory =
        store
            .namespace
            .set_attributes(&store.context(), &path("/d"), Follow::No, size(1));
    assert_eq!(reason(directory), Reason::IsDirectory);
}

#[test]
fn a_publish_of_many_paths_is_all_or_nothing() {
    let store = Store::new();
    store.put("/taken", b"1").expect("published");
    let publish = |items, parents| {
        store.namespace.publish(
            &store.context(),
            Publish {
                items,
                parents,
                session: None,
            },
        )
    };
    let file = |text| item(text, Content::File(inline(b"x")));
    let mut absent = file("/taken");
    absent.expect = Expect::Absent;
    let mixed = vec![file("/new/a"), absent.clone()];
    assert_eq!(
        reason(publish(mixed.clone(), Parents::Required)),
        Reason::NotFound
    );
    assert_eq!(
        reason(publish(mixed, Parents::Create)),
        Reason::AlreadyExists
    );
    assert_eq!(store.names("/"), ["taken"]);
    let items = vec![
        item("/tree", Content::Directory),
        item("/tree/link", Content::Symlink(Bytes::from("a"))),
        file("/tree/a"),
        file("/tree/deep/er/b"),
        file("/taken"),
    ];
    let published = publish(items.clone(), Parents::Create).expect("published");
    assert!(
        published
            .iter()
            .all(|item| item.version == published[0].version)
    );
    assert_eq!(store.names("/tree"), ["a", "deep", "link"]);
    assert_eq!(
        store.stat("/taken").expect("there").generation,
        Generation::new(2)
    );
    assert_eq!(
        reason(publish(vec![file("/x"), file("/x")], Parents::Create)),
        Reason::InvalidArgument
    );
    assert_eq!(
        reason(publish(vec![file("/tree")], Parents::Create)),
        Reason::IsDirectory
    );
    let over = vec![item("/taken", Content::Directory)];
    assert_eq!(reason(publish(over, Parents::Create)), Reason::NotDirectory);
    let mut stale = file("/taken");
    stale.expect = Expect::Generation(Generation::new(1));
    assert_eq!(
        reason(publish(vec![stale], Parents::Create)),
        Reason::StaleGeneration
    );
    let again = publish(items, Parents::Create).expect("published again");
    assert_eq!(again[2].generation, Generation::new(2));
}

#[test]
fn a_repeated_request_gets_its_first_answer_and_changes_nothing() {
    let store = Store::new();
    let mut context = store.context();
    context.request = Some(RequestId::from_bytes([7; 16]));
    let make = |text| {
        store
            .namespace
            .make_dir(&context, &path(text), 0o755, Parents::Required)
    };
    let first = make("/d").expect("made");
    store.put("/d/f", b"").expect("published");
    let version = store.namespace.read_version();
    assert_eq!(make("/d").expect("the first answer"), first);
    assert_eq!(
        store.namespace.read_version(),
        version,
        "nothing was written"
    );
    assert_eq!(reason(make("/other")), Reason::RequestReused);
    let remove = store.namespace.remove(&context, &path("/d"), Remove::Tree);
    assert_eq!(reason(remove), Reason::RequestReused);
}

#[test]
fn usage_counts_a_node_with_two_names_once() {
    let store = Store::new();
    store.mkdir("/a").expect("made");
    store.mkdir("/a/b").expect("made");
    store.put("/a/x", b"12345").expect("published");
    store
        .namespace
        .link(&store.context(), &path("/a/x"), &path("/a/b/y"))
        .expect("linked");
    let usage = store
        .namespace
        .usage(&store.view(), &path("/a"))
        .expect("counted");
    assert_eq!((usage.bytes, usage.files, usage.directories), (5, 1, 2));
    let usage = store
        .namespace
        .usage(&store.view(), &path("/a/x"))
        .expect("counted");
    assert_eq!((usage.bytes, usage.files, usage.directories), (5, 1, 0));
}

#[test]
fn mounts_are_apart() {
    let store = Store::new();
    store.put("/f", b"").expect("published");
    let other = store
        .namespace
        .register_mount(&store.context(), "other")
        .expect("registered");
    let view = nokv_namespace::View::latest(other.id);
    let found = store.namespace.lookup(&view, &path("/f"), Follow::No);
    assert_eq!(reason(found), Reason::NotFound);
    let again = store.namespace.register_mount(&store.context(), "other");
    assert_eq!(reason(again), Reason::AlreadyExists);
    let bad = store.namespace.register_mount(&store.context(), "no/slash");
    assert_eq!(reason(bad), Reason::InvalidName);
    assert_eq!(store.namespace.mounts().len(), 2);
}

#[test]
fn extended_attributes_belong_to_the_node() {
    let store = Store::new();
    store.put("/f", b"x").expect("published");
    store.mkdir("/d").expect("made");
    let set = |at: &str, name: &str, change| {
        let name = name.as_bytes();
        store
            .namespace
            .set_xattr(&store.context(), &path(at), Follow::Yes, name, change)
    };
    let get = |at: &str, name: &str| {
        store
            .namespace
            .xattr(&store.view(), &path(at), Follow::Yes, name.as_bytes())
    };
    let names = |at| {
        store
            .namespace
            .xattrs(&store.view(), &path(at), Follow::Yes)
            .expect("read")
    };
    let value = |text: &'static str| Bytes::from(text);
    set("/f", "user.b", SetXattr::Put(value("1"))).expect("set");
    set("/f", "user.a", SetXattr::Create(value(""))).expect("set");
    let before = store.view().at(store.namespace.read_version());
    set("/f", "user.b", SetXattr::Replace(value("2"))).expect("set");
    set("/d", "user.a", SetXattr::Put(value("of a directory"))).expect("set");
    assert_eq!(names("/f"), ["user.a", "user.b"]);
    assert_eq!(get("/f", "user.b").expect("read"), "2");
    let past = store
        .namespace
        .xattr(&before, &path("/f"), Follow::No, b"user.b");
    assert_eq!(past.expect("read"), "1");
    assert_eq!(
        reason(set("/f", "user.b", SetXattr::Create(value("3")))),
        Reason::AlreadyExists
    );
    assert_eq!(
        reason(set("/f", "user.c", SetXattr::Replace(value("3")))),
        Reason::NotFound
    );
    assert_eq!(
        reason(set("/f", "user.c", SetXattr::Remove)),
        Reason::NotFound
    );
    assert_eq!(reason(get("/f", "user.c")), Reason::NotFound);
    assert_eq!(
        reason(set("/f", "", SetXattr::Remove)),
        Reason::InvalidArgument
    );
    let large = SetXattr::Put(Bytes::from(vec![0; XATTR_VALUE_BYTES_MAX + 1]));
    assert_eq!(reason(set("/f", "user.c", large)), Reason::TooLarge);
    set("/f", "user.a", SetXattr::Remove).expect("removed");
    assert_eq!(names("/f"), ["user.b"]);
}

#[test]
fn extended_attributes_are_bounded_and_go_with_their_node() {
    let store = Store::new();
    store.put("/f", b"x").expect("published");
    store.mkdir("/d").expect("made");
    let set = |at: &str, name: &str| {
        let (name, value) = (name.as_bytes(), SetXattr::Put(Bytes::from("x")));
        store
            .namespace
            .set_xattr(&store.context(), &path(at), Follow::Yes, name, value)
    };
    set("/d", "user.x").expect("set");
    for number in 0..XATTRS_MAX {
        set("/f", &format!("user.{number}")).expect("set");
    }
    assert_eq!(reason(set("/f", "user.more")), Reason::TooLarge);
    store.put("/f", b"another body").expect("published");
    let names = store
        .namespace
        .xattrs(&store.view(), &path("/f"), Follow::Yes);
    assert_eq!(names.expect("read").len(), 256);
    store
        .namespace
        .check()
        .expect("checks")
        .verdict()
        .expect("consistent");
    store
        .namespace
        .remove(&store.context(), &path("/f"), Remove::File)
        .expect("removed");
    store
        .namespace
        .remove(&store.context(), &path("/d"), Remove::Tree)
        .expect("removed");
    store
        .namespace
        .check()
        .expect("checks")
        .verdict()
        .expect("nothing is left");
}

#[test]
fn special_files_are_made_and_have_no_body() {
    let store = Store::new();
    let make = |at, kind| {
        store
            .namespace
            .make_node(&store.context(), &path(at), kind, 0o600)
    };
    for (at, kind) in [
        ("/file", NodeKind::File),
        ("/fifo", NodeKind::Fifo),
        ("/socket", NodeKind::Socket),
        ("/char", NodeKind::CharDevice(0x0105)),
        ("/block", NodeKind::BlockDevice(u64::MAX)),
    ] {
        let made = make(at, kind).expect("made");
        assert_eq!(made.node.attributes.kind, kind);
        assert_eq!(store.stat(at).expect("there"), made.node);
        let body = store.namespace.body(&store.view(), &path(at));
        assert_eq!(body.is_ok(), kind == NodeKind::File);
    }
    assert_eq!(reason(make("/fifo", NodeKind::Fifo)), Reason::AlreadyExists);
    assert_eq!(
        reason(make("/x", NodeKind::Directory)),
        Reason::InvalidArgument
    );
    assert_eq!(
        reason(make("/x", NodeKind::Symlink)),
        Reason::InvalidArgument
    );
    store.put("/file", b"now with a body").expect("published");
    store
        .put("/fifo", b"a file in its place")
        .expect("published");
    assert_eq!(
        store.stat("/fifo").expect("there").attributes.kind,
        NodeKind::File
    );
    store
        .namespace
        .check()
        .expect("checks")
        .verdict()
        .expect("consistent");
}
