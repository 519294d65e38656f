//! Quotas: errors, moves, links, removed trees; and many writers at once.

use crate::support::{Store, inline, path, reason};
use nokv_env::{Random, SeededRandom};
use nokv_namespace::{
    Durability, Follow, Parents, Quota, QuotaLimits, QuotaUsage, Remove, RenameMode, SetAttributes,
};
use nokv_types::{Failure, Reason};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

fn bytes(limit: u64) -> QuotaLimits {
    QuotaLimits {
        bytes: Some(limit),
        inodes: None,
    }
}

fn inodes(limit: u64) -> QuotaLimits {
    QuotaLimits {
        bytes: None,
        inodes: Some(limit),
    }
}

impl Store {
    fn limit(&self, text: &str, limits: QuotaLimits) -> Result<Quota, Failure> {
        self.namespace
            .set_quota(&self.context(), &path(text), limits)
    }

    fn used(&self, text: &str) -> (u64, u64) {
        let mount = self.view().mount;
        let check = self.namespace.check_quota(mount, &path(text));
        let check = check.expect("recounted");
        assert_eq!(check.counted, check.recounted, "{text}");
        (check.counted.bytes, check.counted.inodes)
    }

    fn hard_link(&self, from: &str, to: &str) -> Result<(), Failure> {
        self.namespace
            .link(&self.context(), &path(from), &path(to))
            .map(drop)
    }

    fn mv(&self, from: &str, to: &str) -> Result<(), Failure> {
        self.namespace
            .rename(&self.context(), &path(from), &path(to), RenameMode::Plain)
            .map(drop)
    }

    fn rm(&self, text: &str) {
        self.namespace
            .remove(&self.context(), &path(text), Remove::Tree)
            .expect("removed");
    }

    fn resize(&self, text: &str, size: u64) -> Result<(), Failure> {
        let changes = SetAttributes {
            size: Some(size),
            ..SetAttributes::default()
        };
        let node = self.stat(text)?.id;
        // By node, as a mount asks: the names must be found from there.
        self.namespace
            .set_attributes(&self.context(), node, Follow::No, changes)
            .map(drop)
    }
}

fn exceeded<T: std::fmt::Debug>(result: Result<T, Failure>) {
    assert_eq!(reason(result), Reason::QuotaExceeded);
}

#[test]
fn a_quota_set_late_counts_what_is_there_and_lets_it_only_shrink() {
    let store = Store::new();
    store.mkdir("/d").expect("made");
    store.mkdir("/d/deep").expect("made");
    store.put("/d/f", b"12345").expect("put");
    store.put("/d/deep/g", b"12345").expect("put");
    let quota = store.limit("/d", bytes(8)).expect("set");
    assert_eq!(
        quota.usage,
        QuotaUsage {
            bytes: 10,
            inodes: 3
        }
    );
    let failure = store.put("/d/deep/h", b"x").expect_err("full");
    for said in ["/d", "8 bytes", "10 are used", "1 more"] {
        assert!(failure.message().contains(said), "{failure}");
    }
    store.put("/d/deep/empty", b"").expect("no bytes");
    store.put("/d/f", b"1234").expect("less than before");
    exceeded(store.put("/d/f", b"12345"));
    store.rm("/d/deep");
    store.put("/d/f", b"12345678").expect("fits");
    assert_eq!(store.used("/d"), (8, 1));
    assert_eq!(store.limit("/d", bytes(7)).expect("set").usage.bytes, 8);
    exceeded(store.put("/d/g", b"x"));
    store.put("/outside", &[0; 100]).expect("elsewhere");
    let removed = store.namespace.remove_quota(&store.context(), &path("/d"));
    assert_eq!(removed.expect("removed").limits, bytes(7));
    store.put("/d/g", b"x").expect("no quota");
}

#[test]
fn errors_name_what_is_wrong() {
    let store = Store::new();
    store.put("/f", b"x").expect("put");
    assert_eq!(reason(store.limit("/f", bytes(1))), Reason::NotDirectory);
    assert_eq!(reason(store.limit("/none", bytes(1))), Reason::NotFound);
    let mount = store.view().mount;
    let none = store.namespace.quota(mount, &path("/"));
    assert_eq!(reason(none), Reason::NotFound);
    let none = store.namespace.remove_quota(&store.context(), &path("/"));
    assert_eq!(reason(none), Reason::NotFound);
}

#[test]
fn a_mount_and_every_directory_above_count() {
    let store = Store::new();
    for directory in ["/a", "/a/b", "/a/b/c"] {
        store.mkdir(directory).expect("made");
    }
    store.limit("/", inodes(6)).expect("set");
    store.limit("/a/b", inodes(2)).expect("set");
    store.put("/a/b/c/f", b"x").expect("fits");
    exceeded(store.put("/a/b/g", b"x"));
    store.put("/a/g", b"x").expect("fits in the mount");
    store.put("/h", b"x").expect("fits in the mount");
    exceeded(store.put("/i", b"x"));
    exceeded(store.mkdir("/i"));
    let deep = store
        .namespace
        .make_dir(&store.context(), &path("/x/y/z"), 0o755, Parents::Create);
    exceeded(deep);
    assert_eq!(
        store.names("/"),
        ["a", "h"],
        "a failed operation leaves no trace"
    );
    let room = store.namespace.room(&store.view(), &path("/a/b/c/f"));
    let room = room.expect("asked").inodes.expect("limited");
    assert_eq!((room.limit, room.free), (2, 0));
}

#[test]
fn what_moves_takes_its_usage_along() {
    let store = Store::new();
    for directory in ["/q", "/r", "/plain", "/plain/tree", "/plain/tree/deep"] {
        store.mkdir(directory).expect("made");
    }
    store.put("/plain/tree/deep/f", &[1; 10]).expect("put");
    store.limit("/q", bytes(15)).expect("set");
    store.limit("/r", bytes(9)).expect("set");
    store.mv("/plain/tree", "/q/tree").expect("fits");
    assert_eq!(store.used("/q"), (10, 3));
    exceeded(store.mv("/q/tree", "/r/tree"));
    assert_eq!((store.used("/q"), store.used("/r")), ((10, 3), (0, 0)));
    store.limit("/q/tree", bytes(100)).expect("set");
    exceeded(store.put("/q/tree/g", &[1; 6]));
    store.limit("/r", bytes(10)).expect("raised");
    store.mv("/q/tree", "/r/moved").expect("fits");
    assert_eq!((store.used("/q"), store.used("/r")), ((0, 0), (10, 3)));
    assert_eq!(store.used("/r/moved"), (10, 2), "its own quota went along");
    store.put("/q/other", &[1; 9]).expect("put");
    let exchange = |from, to| {
        let mode = RenameMode::Exchange;
        store
            .namespace
            .rename(&store.context(), &path(from), &path(to), mode)
    };
    exchange("/q/other", "/r/moved").expect("both fit");
    assert_eq!((store.used("/q"), store.used("/r")), ((10, 3), (9, 1)));
    store.mv("/q/other", "/plain/out").expect("out of all");
    assert_eq!(store.used("/q"), (0, 0));
    assert_eq!(
        store
            .namespace
            .quotas(store.view().mount)
            .expect("listed")
            .len(),
        3
    );
}

#[test]
fn every_name_of_a_file_counts_where_it_is() {
    let store = Store::new();
    for directory in ["/q", "/r"] {
        store.mkdir(directory).expect("made");
        store.limit(directory, bytes(20)).expect("set");
    }
    store.put("/q/f", &[1; 8]).expect("put");
    store.hard_link("/q/f", "/q/g").expect("fits");
    store.hard_link("/q/f", "/r/h").expect("fits");
    assert_eq!((store.used("/q"), store.used("/r")), ((16, 2), (8, 1)));
    exceeded(store.hard_link("/q/f", "/q/i"));
    exceeded(store.resize("/r/h", 11));
    store.resize("/r/h", 10).expect("20 in /q, 10 in /r");
    assert_eq!((store.used("/q"), store.used("/r")), ((20, 2), (10, 1)));
    store.rm("/q/f");
    store.resize("/q/g", 20).expect("20 in each");
    exceeded(store.mv("/r/h", "/q/h"));
    store.rm("/q/g");
    store.mv("/r/h", "/q/h").expect("fits");
    store.resize("/q/h", 3).expect("the last name");
    assert_eq!((store.used("/q"), store.used("/r")), ((3, 1), (0, 0)));
}

#[test]
fn a_removed_tree_gives_its_room_to_whoever_needs_it() {
    let store = Store::new();
    store.mkdir("/q").expect("made");
    store.limit("/q", inodes(100)).expect("set");
    for round in 0..3 {
        store.mkdir("/q/tree").expect("made");
        for file in 0..99 {
            store.put(&format!("/q/tree/{file}"), b"x").expect("put");
        }
        exceeded(store.mkdir("/q/more"));
        store.rm("/q/tree");
        assert_eq!(store.used("/q").1, 99, "round {round}: not yet taken apart");
        store.mkdir("/q/more").expect("fits");
        store.mkdir("/q/more/still").expect("there is room");
        assert_eq!(store.used("/q").1, 2);
        store.rm("/q/more");
    }
    store.rm("/q");
    while store.namespace.reclaim(100).expect("reclaims").more {}
    assert_eq!(store.namespace.quotas(store.view().mount), Ok(Vec::new()));
    store
        .namespace
        .check()
        .expect("checks")
        .verdict()
        .expect("consistent");
}

#[test]
fn many_writers_never_overshoot_while_quotas_come_and_go_and_trees_move() {
    let mut store = Store::new();
    store.durability = Durability::Buffered;
    for directory in ["/a", "/b", "/a/s", "/b/s"] {
        store.mkdir(directory).expect("made");
    }
    let limit = QuotaLimits {
        bytes: Some(400),
        inodes: Some(40),
    };
    store.limit("/a", limit).expect("set");
    let (store, stop, refused) = (&store, AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4_u64)
            .map(|thread| {
                let refused = &refused;
                scope.spawn(move || {
                    let random = SeededRandom::new(thread);
                    for _ in 0..400 {
                        if let Err(failure) = write(store, &random)
                            && failure.reason() == Reason::QuotaExceeded
                        {
                            refused.fetch_add(1, SeqCst);
                        }
                    }
                })
            })
            .collect();
        let setter = scope.spawn(|| {
            while !stop.load(SeqCst) {
                for directory in ["/b", "/a/s", "/"] {
                    // The directory may have moved away, or be counted by a rename.
                    drop(store.limit(directory, inodes(1000)));
                }
                drop(store.namespace.remove_quota(&store.context(), &path("/b")));
                store.namespace.reclaim_within(100, 0).expect("reclaims");
            }
        });
        let watcher = scope.spawn(|| {
            while !stop.load(SeqCst) {
                let quota = store.namespace.quota(store.view().mount, &path("/a"));
                let used = quota.expect("it stays").usage;
                assert!(used.bytes <= 400 && used.inodes <= 40, "{used:?}");
            }
        });
        for writer in writers {
            writer.join().expect("no panic");
        }
        stop.store(true, SeqCst);
        setter.join().expect("no panic");
        watcher.join().expect("no panic");
    });
    assert!(refused.load(SeqCst) > 0, "the limit was never met");
    let used = store.used("/a");
    assert!(used.0 <= 400 && used.1 <= 40);
    let verify = || store.namespace.check().expect("checks").verdict();
    verify().expect("consistent");
    while store.namespace.reclaim(1000).expect("reclaims").more {}
    verify().expect("consistent after all is taken apart");
}

/// One random change.
fn write(store: &Store, random: &SeededRandom) -> Result<(), Failure> {
    let below = |count: u64| random.next_u64() % count;
    let place = || {
        let directory = ["/a", "/b", "/a/s", "/b/s", "/a/t"][below(5) as usize];
        format!("{directory}/{}", below(16))
    };
    match below(12) {
        0..6 => store.put(&place(), &vec![1; below(40) as usize]).map(drop),
        6 => store
            .mkdir(["/a/s", "/b/s", "/a/t"][below(3) as usize])
            .map(drop),
        7 => store.mv(&place(), &place()),
        8 => store.mv(
            ["/a/s", "/b/s", "/a/t"][below(3) as usize],
            ["/a/s", "/b/s", "/a/t", "/b/u"][below(4) as usize],
        ),
        9 => store.hard_link(&place(), &place()),
        10 => {
            let name = ["/a/s", "/b/u", "/a/t"][below(3) as usize].to_owned();
            let name = if below(4) == 0 { name } else { place() };
            let removed = store
                .namespace
                .remove(&store.context(), &path(&name), Remove::Tree);
            removed.map(drop)
        }
        _ => store.publish(&place(), inline(&[2; 9]), None),
    }
}

/// Runs `work` in threads that start together.
fn together(threads: u64, work: impl Fn(u64) + Sync) {
    let barrier = std::sync::Barrier::new(threads as usize);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (barrier, work) = (&barrier, &work);
            scope.spawn(move || {
                barrier.wait();
                work(thread);
            });
        }
    });
}

#[test]
fn of_all_that_wants_in_at_once_exactly_what_fits_gets_in() {
    let mut store = Store::new();
    store.durability = Durability::Buffered;
    let store = &store;
    for round in 0..40 {
        let directory = format!("/d{round}");
        store.mkdir(&directory).expect("made");
        store.limit(&directory, inodes(21)).expect("set");
        let made = AtomicU64::new(0);
        together(4, |thread| {
            for file in 0..8 {
                match store.put(&format!("{directory}/{thread}-{file}"), b"x") {
                    Ok(_) => drop(made.fetch_add(1, SeqCst)),
                    Err(failure) => assert_eq!(failure.reason(), Reason::QuotaExceeded),
                }
            }
        });
        assert_eq!(made.load(SeqCst), 21, "round {round}");
        assert_eq!(store.used(&directory), (21, 21));
    }
}

#[test]
fn a_quota_set_late_is_exact_while_writers_go_on() {
    let mut store = Store::new();
    store.durability = Durability::Buffered;
    let store = &store;
    for round in 0..40 {
        let directory = format!("/d{round}");
        store.mkdir(&directory).expect("made");
        let id = store.stat(&directory).expect("made").id;
        together(4, |thread| {
            if thread == 0 {
                let limits = QuotaLimits::default();
                store.limit(&directory, limits).expect("set");
                return;
            }
            for file in 0..12 {
                // By node, so that nothing but the quota makes the command look at the path.
                let name = nokv_types::Name::new(format!("{thread}-{file}").into_bytes());
                let place = nokv_namespace::Place::Child {
                    directory: id,
                    name: &name.expect("legal"),
                };
                let kind = nokv_types::NodeKind::File;
                let made = store
                    .namespace
                    .make_node(&store.context(), place, kind, 0o644);
                made.expect("no limit");
            }
        });
        assert_eq!(store.used(&directory), (0, 36), "round {round}");
    }
}

#[test]
fn a_tree_that_moves_between_quotas_takes_along_what_is_written_meanwhile() {
    let mut store = Store::new();
    store.durability = Durability::Buffered;
    let store = &store;
    for directory in ["/q", "/q/s", "/r"] {
        store.mkdir(directory).expect("made");
    }
    let id = store.stat("/q/s").expect("made").id;
    for directory in ["/q", "/r"] {
        store.limit(directory, inodes(100_000)).expect("set");
    }
    together(4, |thread| {
        for step in 0..60 {
            if thread == 0 {
                let (from, to) = [("/q/s", "/r/s"), ("/r/s", "/q/s")][step % 2];
                match store.mv(from, to) {
                    // Outrun by the writers again and again: it stays where it is.
                    Err(failure) if failure.reason() == Reason::Conflict => {}
                    Err(failure) if failure.reason() == Reason::NotFound => {}
                    moved => moved.expect("moved"),
                }
                continue;
            }
            let name = nokv_types::Name::new(format!("{thread}-{step}").into_bytes());
            let place = nokv_namespace::Place::Child {
                directory: id,
                name: &name.expect("legal"),
            };
            let kind = nokv_types::NodeKind::File;
            let made = store
                .namespace
                .make_node(&store.context(), place, kind, 0o644);
            made.expect("no limit");
        }
    });
    let used = (store.used("/q").1, store.used("/r").1);
    assert!(used == (181, 0) || used == (0, 181), "{used:?}");
}
