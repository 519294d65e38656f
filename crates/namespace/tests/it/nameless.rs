//! Files without a name: unlinked or replaced while they are open, and made so.

use crate::clients::{restart, session};
use crate::support::{Store, in_blocks, inline, path, reason};
use nokv_namespace::{
    Announcement, AnnouncementEnd, Asker, Follow, Node, Options, Parents, Remove, RenameMode,
    ReplaceBody, View,
};
use nokv_types::{BranchId, ClientId, Failure, NodeId, Reason};
use std::time::Duration;

fn open(store: &Store, client: ClientId, text: &str) -> Node {
    let asker = Asker::of(client);
    let opened = store
        .namespace
        .open_node(&store.view(), &path(text), Follow::Yes, asker);
    opened.expect("opens")
}

fn close(store: &Store, client: ClientId, node: NodeId) {
    store
        .namespace
        .close_node(Asker::of(client), BranchId::TRUNK, node)
        .expect("closes");
}

fn remove(store: &Store, text: &str) {
    let removed = store
        .namespace
        .remove(&store.context(), &path(text), Remove::Tree);
    removed.expect("removes");
}

fn by_id(store: &Store, node: NodeId) -> Result<Node, Failure> {
    store.namespace.lookup(&store.view(), node, Follow::No)
}

/// The bytes of a node, by its id.
fn read(store: &Store, node: NodeId) -> Vec<u8> {
    let (_, body) = store.namespace.body(&store.view(), node).expect("reads");
    match body.layout() {
        nokv_types::Layout::Inline(bytes) => bytes.to_vec(),
        nokv_types::Layout::Extents(extents) => vec![b'e'; extents.len()],
    }
}

fn write(store: &Store, node: NodeId, body: &[u8]) {
    let new = ReplaceBody {
        body: inline(body),
        session: None,
        expect: None,
        mtime: None,
        ctime: None,
    };
    let written = store.namespace.replace_body(&store.context(), node, &new);
    written.expect("writes");
}

fn is_whole(store: &Store) {
    let checked = store.namespace.check().expect("checks");
    checked.verdict().expect("everything fits");
}

#[test]
fn open_files_survive_unlink() {
    let store = Store::new();
    store.mkdir("/d").expect("makes");
    store.put("/d/f", b"first").expect("puts");
    let (one, other) = (session(&store), session(&store));
    let node = open(&store, one, "/d/f").id;
    assert_eq!(open(&store, other, "/d/f").id, node);
    remove(&store, "/d/f");
    assert_eq!(reason(store.stat("/d/f")), Reason::NotFound);
    assert_eq!(by_id(&store, node).expect("is open").attributes.links, 0);
    assert_eq!(read(&store, node), b"first");
    write(&store, node, b"second");
    assert_eq!(read(&store, node), b"second");
    is_whole(&store);
    // The name can be taken again.
    let new = store.put("/d/f", b"new").expect("puts").id;
    assert_ne!(new, node);
    close(&store, one, node);
    assert_eq!(read(&store, node), b"second", "the other has it open");
    close(&store, other, node);
    assert_eq!(reason(by_id(&store, node)), Reason::NotFound);
    is_whole(&store);
}

#[test]
fn open_files_survive_being_replaced_and_removed_with_their_tree() {
    let store = Store::new();
    let client = session(&store);
    store.put("/a", b"a").expect("puts");
    store.put("/b", b"b").expect("puts");
    let replaced = open(&store, client, "/b").id;
    let renamed = store.namespace.rename(
        &store.context(),
        &path("/a"),
        &path("/b"),
        RenameMode::Plain,
    );
    assert_eq!(renamed.expect("renames").displaced, Some(replaced));
    assert_eq!(read(&store, replaced), b"b");
    store.mkdir("/d").expect("makes");
    store.put("/d/f", b"f").expect("puts");
    let below = open(&store, client, "/d/f").id;
    remove(&store, "/d");
    assert_eq!(read(&store, below), b"f");
    while store.namespace.reclaim(100).expect("reclaims").more {}
    assert_eq!(
        read(&store, below),
        b"f",
        "also when the tree is taken apart"
    );
    is_whole(&store);
    store.namespace.close_client(client).expect("closes");
    for node in [replaced, below] {
        assert_eq!(reason(by_id(&store, node)), Reason::NotFound);
    }
    is_whole(&store);
}

#[test]
fn a_file_with_another_name_is_no_matter_of_being_open() {
    let store = Store::new();
    let client = session(&store);
    store.put("/a", b"a").expect("puts");
    let linked = store
        .namespace
        .link(&store.context(), &path("/a"), &path("/b"));
    linked.expect("links");
    let node = open(&store, client, "/a").id;
    remove(&store, "/a");
    close(&store, client, node);
    assert_eq!(store.stat("/b").expect("is there").id, node);
    // Closed before the last name goes, it goes with the name.
    remove(&store, "/b");
    assert_eq!(reason(by_id(&store, node)), Reason::NotFound);
    is_whole(&store);
}

#[test]
fn open_files_survive_a_restart_and_go_with_their_session() {
    let store = Store::new();
    let (keeper, silent) = (session(&store), session(&store));
    for (client, text) in [
        (keeper, "/kept"),
        (silent, "/lost"),
        (keeper, "/unlinked-later"),
    ] {
        store.put(text, text.as_bytes()).expect("puts");
        open(&store, client, text);
    }
    let ids = ["/kept", "/lost", "/unlinked-later"].map(|text| store.stat(text).expect("is").id);
    remove(&store, "/kept");
    remove(&store, "/lost");
    let store = restart(store);
    // Nobody has said yet who has what open: what loses its name now stays too.
    remove(&store, "/unlinked-later");
    store.namespace.expire_clients().expect("looks");
    for node in ids {
        by_id(&store, node).expect("is there");
    }
    let incarnation = store
        .namespace
        .renew_client(keeper)
        .expect("renews")
        .incarnation;
    let claims = Announcement {
        opens: [ids[0], ids[2], NodeId::from_u64(77_777)]
            .map(|node| (BranchId::TRUNK, node))
            .to_vec(),
        locks: Vec::new(),
    };
    let lost = store
        .namespace
        .announce_client((keeper, incarnation), &claims, AnnouncementEnd::Complete)
        .expect("is announced");
    assert_eq!(lost.opens, [(BranchId::TRUNK, NodeId::from_u64(77_777))]);
    by_id(&store, ids[1]).expect("its session may still come");
    store.clock.advance(Duration::from_millis(6_000));
    store.namespace.renew_client(keeper).expect("renews");
    store.clock.advance(Duration::from_millis(6_000));
    assert_eq!(store.namespace.expire_clients(), Ok(1));
    assert_eq!(reason(by_id(&store, ids[1])), Reason::NotFound);
    assert_eq!(read(&store, ids[0]), b"/kept");
    assert_eq!(read(&store, ids[2]), b"/unlinked-later");
    is_whole(&store);
    store.namespace.close_client(keeper).expect("closes");
    for node in ids {
        assert_eq!(reason(by_id(&store, node)), Reason::NotFound);
    }
    is_whole(&store);
}

#[test]
fn a_file_without_a_name_can_get_one_if_it_never_had_any() {
    let store = Store::new();
    let client = session(&store);
    store.mkdir("/d").expect("makes");
    let make = |text: &str| {
        let namespace = &store.namespace;
        namespace.make_unnamed(&store.context(), &path(text), 0o600, client)
    };
    let made = make("/d").expect("makes").node;
    assert_eq!((made.attributes.links, made.attributes.mode), (0, 0o600));
    assert_eq!(store.names("/d"), [""; 0]);
    write(&store, made.id, b"body");
    is_whole(&store);
    let linked = store
        .namespace
        .link(&store.context(), made.id, &path("/d/f"))
        .expect("links");
    assert_eq!(linked.node.attributes.links, 1);
    close(&store, client, made.id);
    assert_eq!(store.stat("/d/f").expect("is there").id, made.id);
    is_whole(&store);
    // One that is closed goes; one whose last name is gone gets none again.
    let gone = make("/d").expect("makes").node.id;
    close(&store, client, gone);
    assert_eq!(reason(by_id(&store, gone)), Reason::NotFound);
    open(&store, client, "/d/f");
    remove(&store, "/d/f");
    let linked = store
        .namespace
        .link(&store.context(), made.id, &path("/again"));
    assert_eq!(reason(linked), Reason::NotFound);
    assert_eq!(reason(make("/missing")), Reason::NotFound);
    store.put("/file", b"").expect("puts");
    assert_eq!(reason(make("/file")), Reason::NotDirectory);
    store.namespace.close_client(client).expect("closes");
    assert_eq!(reason(make("/d")), Reason::SessionExpired);
    is_whole(&store);
}

#[test]
fn a_file_is_made_open() {
    let store = Store::new();
    let client = session(&store);
    let context = store.context();
    let made = store
        .namespace
        .make_open(&context, &path("/f"), 0o644, client)
        .expect("makes");
    remove(&store, "/f");
    assert_eq!(
        by_id(&store, made.node.id)
            .expect("is open")
            .attributes
            .links,
        0
    );
    close(&store, client, made.node.id);
    assert_eq!(reason(by_id(&store, made.node.id)), Reason::NotFound);
    let taken = store
        .namespace
        .make_open(&context, &path("/f"), 0o644, client);
    let node = taken.expect("is free again").node.id;
    let taken = store
        .namespace
        .make_open(&context, &path("/f"), 0o644, client);
    assert_eq!(reason(taken), Reason::AlreadyExists);
    remove(&store, "/f");
    close(&store, client, node);
    is_whole(&store);
}

#[test]
fn opening_what_is_not_there_leaves_nothing_open() {
    let store = Store::new();
    let client = session(&store);
    let missing = store.namespace.open_node(
        &store.view(),
        NodeId::from_u64(4_711),
        Follow::No,
        Asker::of(client),
    );
    assert_eq!(reason(missing), Reason::NotFound);
    let sessions = store.namespace.clients();
    assert!(sessions.iter().all(|session| session.open_count == 0));
}

#[test]
fn the_body_of_a_file_without_a_name_is_collected_when_it_goes() {
    let options = Options {
        retention_ms: 0,
        ..Options::default()
    };
    let store = Store::with(options);
    let client = session(&store);
    let upload = store.namespace.open_session(60_000).expect("opens").id;
    store
        .publish("/f", in_blocks(upload, &[1, 2]), Some(upload))
        .expect("publishes");
    store.namespace.close_session(upload).expect("closes");
    store.namespace.finish_session(upload).expect("finishes");
    let node = open(&store, client, "/f").id;
    remove(&store, "/f");
    store.namespace.reclaim(100).expect("reclaims");
    assert_eq!(store.namespace.doomed(None, 10).expect("names"), []);
    assert_eq!(read(&store, node), b"ee");
    close(&store, client, node);
    store.namespace.reclaim(100).expect("reclaims");
    assert_eq!(store.namespace.doomed(None, 10).expect("names").len(), 2);
    is_whole(&store);
}

#[test]
fn undoing_the_removal_of_an_open_file_gives_it_its_name_back() {
    let store = Store::new();
    let client = session(&store);
    store.put("/f", b"body").expect("puts");
    let node = open(&store, client, "/f").id;
    let removed = store
        .namespace
        .remove(&store.context(), &path("/f"), Remove::File)
        .expect("removes");
    store
        .namespace
        .undo(&store.context(), removed.version)
        .expect("undoes");
    assert_eq!(store.stat("/f").expect("is back").id, node);
    is_whole(&store);
    close(&store, client, node);
    store.namespace.expire_clients().expect("looks");
    assert_eq!(read(&store, node), b"body");
    is_whole(&store);
}

#[test]
fn a_file_of_a_branch_survives_its_unlinking_there() {
    let store = Store::new();
    store.mkdir("/src").expect("makes");
    store.put("/src/f", b"body").expect("puts");
    let client = session(&store);
    let branch = store
        .namespace
        .create_branch(&store.context(), &path("/src"), &path("/work"), None)
        .expect("branches");
    let node = open(&store, client, "/work/f").id;
    remove(&store, "/work/f");
    let view = View {
        branch: branch.id,
        ..store.view()
    };
    let found = store.namespace.lookup(&view, node, Follow::No);
    assert_eq!(found.expect("is open").attributes.links, 0);
    assert_eq!(store.stat("/src/f").expect("is there").attributes.links, 1);
    is_whole(&store);
    store
        .namespace
        .close_node(Asker::of(client), branch.id, node)
        .expect("closes");
    let found = store.namespace.lookup(&view, node, Follow::No);
    assert_eq!(reason(found), Reason::NotFound);
    assert_eq!(store.stat("/src/f").expect("is there").attributes.links, 1);
    let made = store
        .namespace
        .make_dir(&store.context(), &path("/end"), 0o755, Parents::Required);
    made.expect("goes on");
    is_whole(&store);
}

#[test]
fn no_open_falls_between_looking_and_unlinking() {
    let store = Store::new();
    let client = session(&store);
    for round in 0..300 {
        let text = format!("/f{round}");
        let node = store.put(&text, b"body").expect("puts").id;
        let start = std::sync::Barrier::new(2);
        let opened = std::thread::scope(|scope| {
            let opener = scope.spawn(|| {
                start.wait();
                let asker = Asker::of(client);
                store
                    .namespace
                    .open_node(&store.view(), node, Follow::No, asker)
            });
            start.wait();
            remove(&store, &text);
            opener.join().expect("no panic")
        });
        match opened {
            Ok(_) => {
                assert_eq!(read(&store, node), b"body", "round {round}");
                close(&store, client, node);
            }
            Err(failure) => assert_eq!(failure.reason(), Reason::NotFound),
        }
        assert_eq!(reason(by_id(&store, node)), Reason::NotFound);
    }
    is_whole(&store);
}

#[test]
fn no_close_falls_between_unlinking_and_keeping() {
    let store = Store::new();
    let client = session(&store);
    for round in 0..300 {
        let text = format!("/f{round}");
        store.put(&text, b"body").expect("puts");
        let node = open(&store, client, &text).id;
        let start = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                close(&store, client, node);
            });
            start.wait();
            remove(&store, &text);
        });
        assert_eq!(
            reason(by_id(&store, node)),
            Reason::NotFound,
            "round {round}"
        );
    }
    is_whole(&store);
}
