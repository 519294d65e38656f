//! Many threads on few names: one winner where there may be one, and nothing broken afterwards.

use crate::support::{Store, in_blocks, inline, item, path, reason};
use nokv_env::{Random, SeededRandom};
use nokv_namespace::{
    Content, Durability, Expect, Follow, Namespace, Parents, Publish, Remove, RenameMode, View,
};
use nokv_types::{Failure, NsPath, Reason, RequestId, SessionId};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

const THREADS: u64 = 4;

fn race<T: Send>(work: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(move || work(thread)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    })
}

fn consistent(store: &Store) {
    store
        .namespace
        .check()
        .expect("checks")
        .verdict()
        .expect("consistent");
    while store
        .namespace
        .reclaim_within(100, 0)
        .expect("reclaims")
        .more
    {}
    store
        .namespace
        .check()
        .expect("checks")
        .verdict()
        .expect("consistent after collection");
}

#[test]
fn of_many_creates_of_one_name_one_wins() {
    let store = Store::new();
    for round in 0..50 {
        let at = path(&format!("/d{round}"));
        let made = race(|_| {
            store
                .namespace
                .make_dir(&store.context(), &at, 0o755, Parents::Required)
        });
        assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1);
        for failure in made.into_iter().filter(Result::is_err) {
            assert_eq!(reason(failure), Reason::AlreadyExists);
        }
    }
    consistent(&store);
}

#[test]
fn the_same_request_from_many_threads_is_applied_once() {
    let store = Store::new();
    for round in 0..50_u8 {
        let at = path(&format!("/d{round}"));
        let mut context = store.context();
        context.request = Some(RequestId::from_bytes([round; 16]));
        let made = race(|_| {
            store
                .namespace
                .make_dir(&context, &at, 0o755, Parents::Required)
        });
        let first = made[0].as_ref().expect("applied or repeated");
        assert!(
            made.iter().all(|made| made.as_ref() == Ok(first)),
            "{made:?}"
        );
    }
    consistent(&store);
}

#[test]
fn every_publish_makes_one_generation() {
    let store = Store::new();
    store.put("/f", b"0").expect("published");
    race(|thread| {
        for _ in 0..50 {
            store
                .publish("/f", inline(&[b'x', thread as u8]), None)
                .expect("published");
        }
    });
    assert_eq!(
        store.stat("/f").expect("there").generation.get(),
        1 + 50 * THREADS
    );
}

#[test]
fn two_renames_never_make_a_cycle_together() {
    for _ in 0..100 {
        let store = Store::new();
        store.mkdir("/a").expect("made");
        store.mkdir("/b").expect("made");
        let moved = race(|thread| {
            let (from, to) = if thread % 2 == 0 {
                ("/a", "/b/x")
            } else {
                ("/b", "/a/x")
            };
            store
                .namespace
                .rename(&store.context(), &path(from), &path(to), RenameMode::Plain)
        });
        assert_eq!(
            moved.iter().filter(|moved| moved.is_ok()).count(),
            1,
            "{moved:?}"
        );
        consistent(&store);
    }
}

#[test]
fn nothing_is_made_in_a_directory_that_is_removed() {
    for round in 0..100 {
        let store = Store::new();
        store.mkdir("/p").expect("made");
        store.mkdir("/p/d").expect("made");
        let outcomes = race(|thread| match (thread, round % 3) {
            (0, 0) => remove(&store, "/p/d", Remove::EmptyDirectory),
            (0, 1) => remove(&store, "/p", Remove::Tree),
            (0, _) => store
                .namespace
                .rename(
                    &store.context(),
                    &path("/p"),
                    &path("/q"),
                    RenameMode::Plain,
                )
                .map(drop),
            _ => store.publish(&format!("/p/d/{thread}"), inline(b"x"), None),
        });
        for outcome in outcomes {
            if let Err(failure) = outcome {
                assert!(
                    matches!(failure.reason(), Reason::NotFound | Reason::NotEmpty),
                    "{failure}"
                );
            }
        }
        consistent(&store);
    }
}

fn remove(store: &Store, text: &str, remove: Remove) -> Result<(), Failure> {
    store
        .namespace
        .remove(&store.context(), &path(text), remove)
        .map(drop)
}

fn random_path(random: &SeededRandom) -> NsPath {
    let mut text = String::new();
    for _ in 0..random.next_u64() % 3 + 1 {
        text.push('/');
        text.push(char::from(b'a' + (random.next_u64() % 3) as u8));
    }
    path(&text)
}

fn random_operation(
    store: &Store,
    random: &SeededRandom,
    session: SessionId,
) -> Result<(), Failure> {
    let (namespace, mut context) = (&store.namespace, store.context());
    context.durability = if random.next_u64().is_multiple_of(2) {
        Durability::Buffered
    } else {
        Durability::Synced
    };
    let (at, to) = (random_path(random), random_path(random));
    match random.next_u64() % 9 {
        0 | 1 => namespace
            .make_dir(&context, &at, 0o755, Parents::Create)
            .map(drop),
        2 | 3 => {
            let body = in_blocks(session, &[(random.next_u64() % 50) as u32]);
            let mut items = vec![
                item(&at.to_string(), Content::File(body.clone())),
                item(&to.to_string(), Content::File(body)),
            ];
            items.dedup_by(|left, right| left.path == right.path);
            items[0].expect = Expect::Any;
            let publish = Publish {
                items,
                parents: Parents::Create,
                session: Some(session),
            };
            namespace.publish(&context, publish).map(drop)
        }
        4 | 5 => {
            let modes = [
                RenameMode::Plain,
                RenameMode::NoReplace,
                RenameMode::Exchange,
            ];
            namespace
                .rename(&context, &at, &to, modes[(random.next_u64() % 3) as usize])
                .map(drop)
        }
        6 => namespace.link(&context, &at, &to).map(drop),
        7 => {
            let what = [Remove::File, Remove::EmptyDirectory, Remove::Tree];
            namespace
                .remove(&context, &at, what[(random.next_u64() % 3) as usize])
                .map(drop)
        }
        _ => namespace
            .reclaim_within(20, random.next_u64() % 2 * 1000)
            .map(drop),
    }
}

/// A tree seen at one version is whole: what an entry leads to exists and counts are right; or the
/// version is no longer retained, and the reader is told.
fn read_whole(namespace: &Namespace, view: &View, at: &NsPath) {
    let page = match namespace.read_dir_plus(view, at, None, 1000) {
        Err(failure) if failure.reason() == Reason::Compacted => return,
        page => page.expect("a whole page"),
    };
    assert_eq!(page.directory.attributes.size as usize, page.entries.len());
    for entry in page.entries {
        if entry.node.attributes.kind == nokv_types::NodeKind::Directory {
            read_whole(namespace, view, &at.join(&entry.name).expect("short"));
        }
    }
}

#[test]
fn random_operations_of_many_threads_leave_a_consistent_tree() {
    for seed in 0..8 {
        let store = Store::new();
        let session = store.namespace.open_session(60_000).expect("opened").id;
        let applied = AtomicU64::new(0);
        race(|thread| {
            let random = SeededRandom::new(seed * 100 + thread);
            for _ in 0..150 {
                match random_operation(&store, &random, session) {
                    Ok(()) => drop(applied.fetch_add(1, SeqCst)),
                    Err(failure) => assert!(
                        !matches!(failure.reason(), Reason::Corrupt | Reason::Conflict),
                        "seed {seed}: {failure}"
                    ),
                }
                let view = store.view().at(store.namespace.read_version());
                if random.next_u64().is_multiple_of(10) {
                    read_whole(&store.namespace, &view, &NsPath::root());
                }
            }
        });
        assert!(
            applied.load(SeqCst) > 100,
            "seed {seed}: the histories do something"
        );
        consistent(&store);
        store.namespace.close_session(session).expect("closed");
        store.namespace.finish_session(session).expect("finished");
        store.namespace.doomed(None, 1000).expect("doomed");
        let root = store
            .namespace
            .lookup(&store.view(), &NsPath::root(), Follow::No);
        assert!(root.is_ok());
    }
}

#[test]
fn a_directory_that_moved_is_not_found_where_it_was() {
    const MOVES: u64 = 100;
    let store = Store::new();
    store.mkdir("/0").expect("made");
    store.put("/0/f", b"").expect("published");
    let (moved, looked) = (AtomicU64::new(0), AtomicU64::new(0));
    let at = |number: u64| path(&format!("/{number}/f"));
    let found = |view: &View, number| {
        store
            .namespace
            .lookup(view, &at(number), Follow::No)
            .is_ok()
    };
    let flaws = race(|thread| {
        let mut flaws = 0;
        while moved.load(SeqCst) < MOVES {
            let number = moved.load(SeqCst);
            if thread == 0 {
                let (from, to) = (
                    path(&format!("/{number}")),
                    path(&format!("/{}", number + 1)),
                );
                let context = store.context();
                store
                    .namespace
                    .rename(&context, &from, &to, RenameMode::Plain)
                    .expect("moved");
                let before = looked.load(SeqCst);
                moved.store(number + 1, SeqCst);
                while number + 1 < MOVES && looked.load(SeqCst) < before + 2 * THREADS {
                    std::thread::yield_now();
                }
                continue;
            }
            let view = store.view();
            flaws += u64::from(number > 0 && found(&view, number - 1));
            flaws += u64::from(!found(&view, number) && moved.load(SeqCst) < number);
            let view = view.at(store.namespace.read_version());
            let places = (number..number + 5)
                .filter(|number| found(&view, *number))
                .count();
            flaws += u64::from(places > 1);
            looked.fetch_add(1, SeqCst);
        }
        flaws
    });
    assert_eq!(
        flaws.iter().sum::<u64>(),
        0,
        "found where it was, or in two places at a version"
    );
}
