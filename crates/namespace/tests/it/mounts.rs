//! Mounts: apart from each other, and retired for good.

use crate::support::{Store, in_blocks, path, reason};
use nokv_namespace::{
    Context, Durability, Follow, Mount, NewSnapshot, Options, Parents, QuotaLimits, Remove, Scope,
    SetAttributes, View,
};
use nokv_types::{Failure, Reason, SnapshotName, Version};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

impl Store {
    fn register(&self, name: &str) -> Mount {
        let context = self.context();
        self.namespace
            .register_mount(&context, name)
            .expect("registered")
    }

    fn in_mount(&self, mount: &Mount) -> Context {
        Context {
            mount: mount.id,
            durability: Durability::Buffered,
            ..self.context()
        }
    }

    fn mkdir_on(&self, mount: &Mount, text: &str) -> Result<(), Failure> {
        self.namespace
            .make_dir(&self.in_mount(mount), &path(text), 0o755, Parents::Create)
            .map(drop)
    }
}

/// No read, no change, no watch of the mount.
fn refuses_everything(store: &Store, mount: &Mount, new: NewSnapshot, at: Version) {
    let namespace = &store.namespace;
    let view = View::latest(mount.id);
    let changes = SetAttributes::default();
    assert_eq!(reason(namespace.mount("team")), Reason::NotFound);
    assert_eq!(
        reason(namespace.retire_mount(&store.context(), "team")),
        Reason::NotFound
    );
    assert_eq!(reason(store.mkdir_on(mount, "/x")), Reason::NotFound);
    let read = namespace.lookup(&view, &path("/a"), Follow::No);
    assert_eq!(reason(read), Reason::NotFound);
    let read = namespace.lookup(&view.at(at), &path("/a"), Follow::No);
    assert_eq!(reason(read), Reason::NotFound);
    let by_node = namespace.set_attributes(&store.in_mount(mount), mount.root, Follow::No, changes);
    assert_eq!(reason(by_node), Reason::NotFound);
    let watched = namespace.changes(mount.id, Scope::Mount, at, 10);
    assert_eq!(reason(watched), Reason::NotFound);
    assert_eq!(reason(namespace.snapshots(mount.id)), Reason::NotFound);
    let made = namespace.create_snapshot(&store.in_mount(mount), &path("/"), new);
    assert_eq!(reason(made), Reason::NotFound);
}

#[test]
fn a_retired_mount_refuses_everything_and_leaves_nothing() {
    let store = Store::new();
    store.put("/kept", b"kept").expect("put");
    let nodes = store.namespace.check().expect("checks").nodes;
    let mount = store.register("team");
    store.mkdir_on(&mount, "/a/b/c").expect("made");
    store.mkdir_on(&mount, "/gone/deep").expect("made");
    let session = store.namespace.open_session(600_000).expect("opened").id;
    let publish = nokv_namespace::Publish {
        items: vec![crate::support::item(
            "/a/f",
            nokv_namespace::Content::File(in_blocks(session, &[1])),
        )],
        parents: Parents::Required,
        session: Some(session),
    };
    let namespace = &store.namespace;
    namespace
        .publish(&store.in_mount(&mount), publish)
        .expect("published");
    let limits = QuotaLimits {
        inodes: Some(100),
        bytes: None,
    };
    for directory in ["/", "/a"] {
        let set = namespace.set_quota(&store.in_mount(&mount), &path(directory), limits);
        set.expect("set");
    }
    let removed = namespace.remove(&store.in_mount(&mount), &path("/gone"), Remove::Tree);
    removed.expect("removed");
    let name = SnapshotName::parse("s").expect("a valid name");
    let new = NewSnapshot {
        name: name.clone(),
        at: None,
        lease_ms: None,
    };
    let taken = namespace
        .create_snapshot(&store.in_mount(&mount), &path("/"), new.clone())
        .expect("taken");
    assert_eq!(
        namespace
            .retire_mount(&store.context(), "team")
            .expect("retired"),
        mount
    );

    refuses_everything(&store, &mount, new, taken.at);
    store.collect_all();
    namespace.close_session(session).expect("closed");
    let report = namespace.check().expect("checks");
    assert_eq!(
        (report.nodes, report.blocks),
        (nodes, 0),
        "all is reclaimed"
    );
    assert_eq!(
        store.stat("/kept").expect("another mount").attributes.size,
        4
    );
    let again = store.register("team");
    assert!(again.id > mount.id && again.root != mount.root);
    store.mkdir_on(&again, "/a").expect("the name is free");
    let store = Store::on_files(&store);
    assert_eq!(reason(store.mkdir_on(&mount, "/x")), Reason::NotFound);
    assert_eq!(store.namespace.mount("team").expect("there"), again);
    assert!(
        store.register("later").id > again.id,
        "no number is given twice"
    );
}

impl Store {
    fn on_files(store: &Self) -> Self {
        Self::on(Arc::new(store.files.crash(1)), Options::default())
    }
}

#[test]
fn the_default_mount_stays() {
    let store = Store::new();
    assert_eq!(
        reason(store.namespace.retire_mount(&store.context(), "default")),
        Reason::NotPermitted
    );
    assert_eq!(
        reason(store.namespace.retire_mount(&store.context(), "none")),
        Reason::NotFound
    );
}

#[test]
fn trap_a_mount_retired_under_writers_and_watchers_changes_no_more() {
    let store = Store::new();
    let store = &store;
    for round in 0..10 {
        let mount = store.register("busy");
        let mount = &mount;
        let retired = AtomicBool::new(false);
        let retired = &retired;
        std::thread::scope(|scope| {
            for thread in 0..3 {
                scope.spawn(move || {
                    for step in 0.. {
                        let was_retired = retired.load(SeqCst);
                        let name = format!("/{thread}-{step}");
                        match store.mkdir_on(mount, &name) {
                            Ok(()) => assert!(!was_retired, "changed after it was retired"),
                            Err(failure) => {
                                assert_eq!(failure.reason(), Reason::NotFound);
                                break;
                            }
                        }
                    }
                });
            }
            scope.spawn(move || {
                let mut after = store.namespace.read_version();
                loop {
                    match store.namespace.changes(mount.id, Scope::Mount, after, 100) {
                        Ok(page) => after = page.through,
                        Err(failure) => break assert_eq!(failure.reason(), Reason::NotFound),
                    }
                }
            });
            while store
                .namespace
                .changes(mount.id, Scope::Mount, store.namespace.read_version(), 1)
                .is_err()
            {}
            store
                .namespace
                .retire_mount(&store.context(), "busy")
                .expect("retired");
            retired.store(true, SeqCst);
        });
        store.collect_all();
        let nodes = store.namespace.check().expect("checks").nodes;
        assert_eq!(
            nodes, 1,
            "round {round}: only the root of the default mount"
        );
    }
}
