//! Backups hold back the deletion of what they refer to, and of nothing else.

use crate::support::{Store, in_blocks};
use nokv_namespace::Remove;
use nokv_types::{BlockId, SessionId};
use std::time::Duration;

fn block(session: SessionId, sequence: u32) -> BlockId {
    BlockId { session, sequence }
}

/// Replaces bodies of blocks 0, 1, … until they are doomed.
fn dooms(store: &Store, path: &str) {
    let place = crate::support::path(path);
    let removed = store
        .namespace
        .remove(&store.context(), &place, Remove::File);
    removed.expect("there");
    store.clock.advance(Duration::from_secs(200));
    for _ in 0..3 {
        store.namespace.reclaim_within(1000, 0).expect("reclaimed");
    }
}

#[test]
fn what_a_backup_saw_stays_until_it_goes() {
    let store = Store::new();
    let namespace = &store.namespace;
    let session = namespace.open_session(86_400_000).expect("a session").id;
    for (path, sequence) in [("/before", 0), ("/seen", 1), ("/later", 2)] {
        let body = in_blocks(session, &[sequence]);
        store.publish(path, body, Some(session)).expect("published");
    }
    namespace.close_session(session).expect("closed");
    namespace.finish_session(session).expect("swept");
    dooms(&store, "/before");
    namespace.hold_objects(7, None).expect("held");
    dooms(&store, "/seen");
    let doomed = || namespace.doomed(None, 100).expect("asked");
    let block = |sequence| block(session, sequence);
    assert_eq!(doomed(), [block(0)], "what was doomed before goes");
    let referenced = namespace.is_referenced(&[block(0), block(1), block(2)]);
    assert_eq!(referenced.expect("asked"), [false, true, true]);
    // A later backup does not let go of what the first one needs; an end does.
    store.clock.advance(Duration::from_secs(10));
    let until = store.now() + 5_000;
    namespace.hold_objects(8, Some(until)).expect("held");
    dooms(&store, "/later");
    assert_eq!(doomed(), [block(0)]);
    namespace.release_hold(7).expect("released");
    assert_eq!(doomed(), [block(0), block(1), block(2)], "8 has ended");
    assert_eq!(namespace.holds().len(), 1);
}

#[test]
fn holds_survive_and_sessions_are_skipped() {
    let store = Store::new();
    let hold = store.namespace.hold_objects(3, None).expect("held");
    let again = store.namespace.hold_objects(3, Some(5)).expect("held");
    assert_eq!((again.version, again.until_millis), (hold.version, Some(5)));
    store.namespace.close().expect("closed");
    let store = Store::on(store.files.clone(), nokv_namespace::Options::default());
    assert_eq!(store.namespace.holds(), [again]);
    let given = store.namespace.open_session(1_000).expect("a session").id;
    store.namespace.close().expect("closed");
    let store = Store::on(store.files.clone(), nokv_namespace::Options::default());
    let last = SessionId::new(given.get() + 1_000_000);
    store.namespace.skip_sessions(last).expect("skipped");
    let next = store.namespace.open_session(1_000).expect("a session").id;
    assert!(next > last);
}
