//! Snapshots and the pins below them. Several tests are named after defects of earlier systems.

use crate::support::{Store, in_blocks, path, reason, spread};
use nokv_namespace::{
    Change, ChangeKind, Durability, Follow, Lease, NewSnapshot, Options, Remove, Scope, Snapshot,
    SnapshotState, View,
};
use nokv_types::{BlockId, Failure, NsPath, Reason, RequestId, SnapshotName, Version};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

fn name(text: &str) -> SnapshotName {
    SnapshotName::parse(text).expect("a valid name")
}

fn new(text: &str) -> NewSnapshot {
    NewSnapshot {
        name: name(text),
        at: None,
        lease_ms: None,
    }
}

impl Store {
    fn snapshot(&self, text: &str, directory: &str) -> Result<Snapshot, Failure> {
        self.namespace
            .create_snapshot(&self.context(), &path(directory), new(text))
    }

    fn leased(&self, text: &str, lease_ms: u64) -> Snapshot {
        let new = NewSnapshot {
            lease_ms: Some(lease_ms),
            ..new(text)
        };
        self.namespace
            .create_snapshot(&self.context(), &path("/"), new)
            .expect("made")
    }

    fn drop_snapshot(&self, text: &str) {
        self.namespace
            .remove_snapshot(&self.context(), &name(text))
            .expect("removed");
    }

    fn names_at(&self, at: Version, text: &str) -> Result<Vec<String>, Failure> {
        let page = self
            .namespace
            .read_dir_plus(&self.view().at(at), &path(text), None, 100)?;
        Ok(page
            .entries
            .iter()
            .map(|entry| entry.name.to_string())
            .collect())
    }

    /// Forgets all that only the past can see, also in the tables.
    pub(crate) fn collect_all(&self) {
        self.clock.advance(Duration::from_secs(120));
        while self.namespace.reclaim_within(7, 0).expect("reclaims").more {}
        self.namespace.engine().flush().expect("flushed");
        let report = self.namespace.check().expect("checks");
        report.verdict().expect("consistent");
    }
}

#[test]
fn trap_a_snapshot_lists_what_was_deleted_renamed_and_replaced_later() {
    let store = Store::new();
    store.mkdir("/d").expect("made");
    for file in ["/d/gone", "/d/moved", "/d/replaced"] {
        store.put(file, b"before").expect("put");
    }
    let taken = store.snapshot("s", "/d").expect("taken");
    assert_eq!(taken.path, path("/d"));
    let context = store.context();
    let namespace = &store.namespace;
    namespace
        .remove(&context, &path("/d/gone"), Remove::File)
        .expect("removed");
    let mode = nokv_namespace::RenameMode::Plain;
    namespace
        .rename(&context, &path("/d/moved"), &path("/moved"), mode)
        .expect("moved");
    store.put("/d/replaced", b"after").expect("put");
    store.put("/d/later", b"later").expect("put");
    for round in 0..3 {
        let names = store.names_at(taken.at, "/d").expect("listed");
        assert_eq!(names, ["gone", "moved", "replaced"], "round {round}");
        let view = store.view().at(taken.at);
        let (_, body) = namespace.body(&view, &path("/d/replaced")).expect("read");
        assert_eq!(body, crate::support::inline(b"before"));
        store.collect_all();
    }
    let remove = namespace.remove(&context, &path("/d"), Remove::Tree);
    remove.expect("removed");
    store.collect_all();
    assert_eq!(store.names_at(taken.at, "/d").expect("listed").len(), 3);
    store.drop_snapshot("s");
    assert_eq!(
        reason(store.names_at(taken.at, "/d")),
        Reason::Compacted,
        "what was given up is not half there"
    );
}

#[test]
fn trap_reads_of_an_expired_snapshot_fail_loudly() {
    let store = Store::new();
    let taken = store.leased("s", 5_000);
    assert_eq!(taken.lease, Lease::Until(store.now() + 5_000));
    let mount = store.view().mount;
    let found = store.namespace.snapshot(mount, &name("s")).expect("live");
    assert_eq!(found, taken);
    store.clock.advance(Duration::from_millis(5_000));
    let read = || store.namespace.snapshot(mount, &name("s"));
    assert_eq!(
        reason(read()),
        Reason::SnapshotExpired,
        "on time, not by collection"
    );
    let renew = || {
        store
            .namespace
            .renew_snapshot(&store.context(), &name("s"), Some(60_000))
    };
    assert_eq!(reason(renew()), Reason::SnapshotExpired);
    store.put("/f", b"x").expect("put");
    store.collect_all();
    assert_eq!(reason(read()), Reason::SnapshotExpired);
    assert_eq!(reason(renew()), Reason::SnapshotExpired);
    assert_eq!(reason(store.names_at(taken.at, "/")), Reason::Compacted);
    let listed = store.namespace.snapshots(mount).expect("listed");
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].state, SnapshotState::Expired);
    assert_eq!(reason(store.snapshot("s", "/")), Reason::AlreadyExists);
    store.clock.advance(Duration::from_secs(8 * 86_400));
    store.collect_all();
    assert_eq!(reason(read()), Reason::NotFound, "forgotten after a week");
    store.snapshot("s", "/").expect("the name is free again");
}

#[test]
fn trap_leases_only_extend() {
    let store = Store::new();
    let (taken, began) = (store.leased("s", 60_000), store.now());
    let renew = |lease_ms| {
        store
            .namespace
            .renew_snapshot(&store.context(), &name("s"), lease_ms)
            .expect("renewed")
            .lease
    };
    assert_eq!(renew(Some(1)), taken.lease);
    assert_eq!(renew(Some(90_000)), Lease::Until(began + 90_000));
    store.clock.advance(Duration::from_secs(70));
    store.collect_all_without_time();
    assert_eq!(renew(Some(1)), Lease::Until(began + 90_000));
    assert_eq!(renew(None), Lease::Permanent);
    assert_eq!(renew(Some(1)), Lease::Permanent);
    store.collect_all();
    let mount = store.view().mount;
    assert!(store.namespace.snapshot(mount, &name("s")).is_ok());
    for lease_ms in [0, nokv_namespace::SNAPSHOT_LEASE_MS_MAX + 1] {
        let new = NewSnapshot {
            lease_ms: Some(lease_ms),
            ..new("other")
        };
        let made = store
            .namespace
            .create_snapshot(&store.context(), &path("/"), new);
        assert_eq!(reason(made), Reason::InvalidArgument);
    }
}

impl Store {
    fn collect_all_without_time(&self) {
        while self.namespace.reclaim_within(7, 0).expect("reclaims").more {}
    }
}

#[test]
fn trap_a_publish_under_way_never_shows_in_a_snapshot_taken_before_it_ends() {
    let store = Store::new();
    let session = store.namespace.open_session(60_000).expect("opened").id;
    let body = in_blocks(session, &[0]);
    let taken = store.snapshot("s", "/").expect("taken");
    store.publish("/f", body, Some(session)).expect("published");
    assert_eq!(store.names_at(taken.at, "/").expect("listed").len(), 0);
    assert_eq!(store.names("/"), ["f"]);
}

#[test]
fn trap_bodies_that_wait_for_a_snapshot_do_not_hold_up_the_others() {
    let store = Store::new();
    let session = store.namespace.open_session(600_000).expect("opened").id;
    let publish = |file: &str, sequence| {
        store
            .publish(file, in_blocks(session, &[sequence]), Some(session))
            .expect("published");
    };
    for file in 0..50 {
        publish(&format!("/old{file}"), file);
    }
    store.snapshot("s", "/").expect("taken");
    for file in 0..50 {
        publish(&format!("/old{file}"), 100 + file);
    }
    publish("/new", 200);
    publish("/new", 201);
    store.clock.advance(Duration::from_secs(10));
    let first = store.namespace.reclaim_within(10, 0).expect("reclaims");
    assert_eq!((first.bodies, first.retained, first.more), (0, 10, true));
    let mut rest = nokv_namespace::Reclaimed::default();
    loop {
        let round = store.namespace.reclaim_within(10, 0).expect("reclaims");
        rest.bodies += round.bodies;
        rest.retained += round.retained;
        if !round.more {
            break;
        }
    }
    assert_eq!(
        (rest.bodies, rest.retained),
        (1, 40),
        "each is looked at once"
    );
    let idle = store.namespace.reclaim_within(10, 0).expect("reclaims");
    assert_eq!(idle, nokv_namespace::Reclaimed::default());
    store.collect_all();
    store.drop_snapshot("s");
    let mut bodies = 0;
    loop {
        let round = store.namespace.reclaim_within(10, 0).expect("reclaims");
        bodies += round.bodies;
        if !round.more {
            break;
        }
    }
    assert_eq!(bodies, 50, "they come up again when the pin goes");
}

#[test]
fn a_snapshot_keeps_one_body_for_each_file_that_changed_since_not_the_history() {
    let store = Store::new();
    let session = store.namespace.open_session(6_000_000).expect("opened").id;
    let publish = |sequence| {
        store
            .publish("/f", in_blocks(session, &[sequence]), Some(session))
            .expect("published");
    };
    publish(0);
    let first = store.snapshot("first", "/").expect("taken");
    for sequence in 1..20 {
        publish(sequence);
    }
    let second = store.snapshot("second", "/").expect("taken");
    publish(20);
    store.collect_all();
    let blocks: Vec<_> = (0..21)
        .map(|sequence| BlockId { session, sequence })
        .collect();
    let kept = || -> Vec<u32> {
        let referenced = store.namespace.is_referenced(&blocks).expect("asked");
        (0..21)
            .filter(|block| referenced[*block as usize])
            .collect()
    };
    assert_eq!(kept(), [0, 19, 20]);
    for (snapshot, sequence) in [(&first, 0), (&second, 19)] {
        let view = store.view().at(snapshot.at);
        let (_, body) = store.namespace.body(&view, &path("/f")).expect("read");
        assert_eq!(body, in_blocks(session, &[sequence]));
    }
    store.drop_snapshot("second");
    store.collect_all();
    assert_eq!(kept(), [0, 20]);
    store.drop_snapshot("first");
    store.collect_all();
    assert_eq!(kept(), [20]);
}

#[test]
fn snapshots_survive_a_crash_and_so_does_their_removal() {
    let store = Store::new();
    store.put("/f", b"1").expect("put");
    let kept = store.snapshot("kept", "/").expect("taken");
    store.put("/f", b"22").expect("put");
    let dropped = store.snapshot("dropped", "/").expect("taken");
    store.put("/f", b"333").expect("put");
    store.drop_snapshot("dropped");
    store.collect_all();
    let store = Store::on(Arc::new(store.files.crash(7)), Options::default());
    store.clock.advance(Duration::from_secs(500));
    store.collect_all();
    let size = |at| {
        let view = store.view().at(at);
        store.namespace.lookup(&view, &path("/f"), Follow::No)
    };
    assert_eq!(size(kept.at).expect("pinned").attributes.size, 1);
    assert_eq!(reason(size(dropped.at)), Reason::Compacted);
    let listed = store.namespace.snapshots(store.view().mount);
    assert_eq!(listed.expect("listed"), [kept]);
}

#[test]
fn a_snapshot_of_the_past_needs_that_past() {
    let store = Store::new();
    store.mkdir("/d").expect("made");
    let early = store.namespace.read_version();
    store.put("/d/f", b"x").expect("put");
    let at = |text: &str, at, directory: &str| {
        let new = NewSnapshot {
            at: Some(at),
            ..new(text)
        };
        store
            .namespace
            .create_snapshot(&store.context(), &path(directory), new)
    };
    let taken = at("early", early, "/d").expect("retained");
    assert_eq!(store.names_at(taken.at, "/d").expect("listed").len(), 0);
    let between = Version::from_u64(early.as_u64() + 1);
    store.collect_all();
    assert_eq!(reason(at("between", between, "/d")), Reason::Compacted);
    at("again", early, "/").expect("another snapshot keeps it");
    store.drop_snapshot("early");
    store.collect_all();
    assert_eq!(store.names_at(early, "/d").expect("listed").len(), 0);
    store.drop_snapshot("again");
    assert_eq!(reason(at("late", early, "/")), Reason::Compacted);
    let future = Version::from_millis(store.now() * 2);
    assert_eq!(reason(at("future", future, "/")), Reason::InvalidArgument);
    assert_eq!(reason(store.snapshot("f", "/d/f")), Reason::NotDirectory);
    assert_eq!(reason(store.snapshot("f", "/none")), Reason::NotFound);
}

#[test]
fn a_repeated_request_makes_one_snapshot_and_one_event() {
    let store = Store::new();
    store.mkdir("/d").expect("made");
    let before = store.namespace.read_version();
    let mut context = store.context();
    context.request = Some(RequestId::from_bytes([3; 16]));
    let make = |context: &_, text: &str| {
        store
            .namespace
            .create_snapshot(context, &path("/d"), new(text))
    };
    let taken = make(&context, "s").expect("made");
    assert_eq!(make(&context, "s"), Ok(taken.clone()));
    assert_eq!(reason(make(&context, "t")), Reason::RequestReused);
    store.drop_snapshot("s");
    let mount = store.view().mount;
    let page = store
        .namespace
        .changes(mount, Scope::Tree(taken.directory), before, 10);
    let changes = page.expect("heard").changes;
    let kinds: Vec<_> = changes.iter().map(|change| change.kind).collect();
    assert_eq!(kinds, [ChangeKind::Snapshot, ChangeKind::SnapshotRemoved]);
    let shown = |change: &Change| change.to.as_ref().and_then(|to| to.path.clone());
    assert_eq!(shown(&changes[0]), Some(path("/d")));
    let again = store
        .namespace
        .remove_snapshot(&store.context(), &name("s"));
    assert_eq!(reason(again), Reason::NotFound);
}

#[test]
fn what_a_snapshot_shows_never_changes_while_all_is_written_and_collected() {
    let mut store = Store::new();
    store.durability = Durability::Buffered;
    for file in 0..8 {
        store.put(&format!("/f{file}"), b"0").expect("put");
    }
    let (store, stop) = (&store, AtomicBool::new(false));
    std::thread::scope(|scope| {
        let collector = scope.spawn(|| {
            while !stop.load(SeqCst) {
                store.namespace.reclaim_within(50, 0).expect("reclaims");
            }
        });
        let writer = scope.spawn(|| {
            for round in 1..400_usize {
                store.clock.advance(Duration::from_secs(1));
                let body = vec![b'x'; round % 13];
                store.put(&format!("/f{}", round % 8), &body).expect("put");
            }
        });
        let sizes = |view: &View| -> Vec<u64> {
            let page = store
                .namespace
                .read_dir_plus(view, &NsPath::root(), None, 100);
            let entries = page.expect("listed").entries;
            entries
                .iter()
                .map(|entry| entry.node.attributes.size)
                .collect()
        };
        let mut taken = Vec::new();
        for round in 0..60 {
            let snapshot = store.snapshot(&format!("s{round}"), "/").expect("taken");
            let view = store.view().at(snapshot.at);
            taken.push((round, view, sizes(&view)));
            let (oldest, view, seen) = &taken[0];
            assert_eq!(&sizes(view), seen);
            if taken.len() > 5 {
                store.drop_snapshot(&format!("s{oldest}"));
                taken.remove(0);
            }
        }
        writer.join().expect("no panic");
        stop.store(true, SeqCst);
        collector.join().expect("no panic");
        store.collect_all();
        for (_, view, seen) in taken {
            assert_eq!(sizes(&view), seen);
        }
    });
}

/// Bytes of the tables once all that may go is gone.
fn table_bytes(store: &Store) -> u64 {
    let engine = store.namespace.engine();
    engine.flush().expect("flushed");
    for keyspace in 0..=u8::MAX {
        let keyspace = nokv_engine::Keyspace::new(keyspace);
        let range = nokv_engine::KeyRange::all();
        engine
            .compact_range(keyspace, &range, &mut || ())
            .expect("compacted");
    }
    engine.stats().levels.iter().map(|level| level.bytes).sum()
}

#[test]
fn a_long_lived_snapshot_costs_a_version_per_key_and_not_the_history() {
    let mut options = spread();
    options.retention_ms = 1000;
    options.log.log_ms = 1000;
    options.log.dedupe_ms = 1000;
    let mut store = Store::with(options);
    store.durability = Durability::Buffered;
    let dirs = ["a", "b", "c"];
    for dir in dirs {
        store.mkdir(&format!("/{dir}")).expect("made");
    }
    for round in 0..3000_u32 {
        let at = format!("/{}/f", dirs[round as usize % 3]);
        store.put(&at, &round.to_be_bytes()).expect("published");
    }
    // While its log is retained: 3,000 commands.
    let before = table_bytes(&store);
    store.snapshot("long", "/").expect("taken");
    // The first round forgets the log, which those of the next may drop from the tables.
    for round in 0..3 {
        for dir in dirs {
            let bytes = format!("after {round}");
            store
                .put(&format!("/{dir}/f"), bytes.as_bytes())
                .expect("published");
        }
        store.collect_all();
    }
    let after = table_bytes(&store);
    assert!(
        after < before / 5,
        "{after} bytes with a snapshot, of {before} with the history"
    );
}

#[test]
fn a_longer_lease_is_announced_once() {
    let store = Store::new();
    let taken = store.leased("s", 1000);
    let (namespace, before) = (&store.namespace, store.namespace.read_version());
    let renew = |lease_ms| namespace.renew_snapshot(&store.context(), &name("s"), Some(lease_ms));
    renew(5000).expect("renewed");
    renew(10).expect("is longer already");
    let page = namespace.changes(store.view().mount, Scope::Tree(taken.directory), before, 10);
    let kinds: Vec<_> = page
        .expect("heard")
        .changes
        .iter()
        .map(|change| change.kind)
        .collect();
    assert_eq!(kinds, [ChangeKind::SnapshotRenewed]);
}
