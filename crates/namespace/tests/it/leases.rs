//! Leases of reads: who knows where the bytes are may fetch them to the end.

use crate::support::{Store, in_blocks, path, reason};
use nokv_namespace::{LeaseKeeping, Options, READ_LEASE_MS_MAX, Remove};
use nokv_types::{BlockId, Reason, SessionId, Version};
use std::sync::Arc;
use std::time::Duration;

fn block(session: SessionId) -> BlockId {
    BlockId {
        session,
        sequence: 0,
    }
}

impl Store {
    fn publish_alone(&self, text: &str) -> BlockId {
        let session = self.namespace.open_session(60_000).expect("opened").id;
        self.publish(text, in_blocks(session, &[0]), Some(session))
            .expect("published");
        self.namespace.close_session(session).expect("closed");
        self.namespace.finish_session(session).expect("finished");
        block(session)
    }

    fn doomed_now(&self) -> Vec<BlockId> {
        while self.namespace.reclaim_within(50, 0).expect("reclaims").more {}
        self.namespace.doomed(None, 100).expect("doomed")
    }

    fn lease(&self, at: Option<Version>, lease_ms: u64) -> u64 {
        let leased = self
            .namespace
            .lease_read(at, lease_ms, LeaseKeeping::InProcess);
        leased.expect("leased")
    }
}

#[test]
fn what_is_replaced_after_it_was_read_stays_for_the_lease() {
    let store = Store::new();
    let before = store.publish_alone("/a");
    let first = store.publish_alone("/a");
    assert_eq!(store.lease(None, 5_000), store.now() + 5_000);
    let second = store.publish_alone("/a");
    assert_eq!(store.doomed_now(), [before], "dead before anybody read");
    store.clock.advance(Duration::from_millis(3_000));
    store.lease(None, 5_000);
    store.publish_alone("/a");
    store.clock.advance(Duration::from_millis(1_999));
    assert_eq!(store.doomed_now(), [before]);
    store.clock.advance(Duration::from_millis(1_002));
    assert_eq!(store.doomed_now(), [before, first]);
    store.clock.advance(Duration::from_millis(2_000));
    assert_eq!(store.doomed_now(), [before, first, second]);
}

#[test]
fn a_lease_of_the_past_keeps_that_version_and_no_other() {
    let store = Store::new();
    let old = store.publish_alone("/a");
    let at = store.namespace.read_version();
    let between = store.publish_alone("/a");
    store.publish_alone("/a");
    store.lease(Some(at), 5_000);
    store.lease(Some(at), 7_000);
    assert_eq!(store.doomed_now(), [between]);
    let (_, body) = store
        .namespace
        .body(&store.view().at(at), &path("/a"))
        .expect("still read");
    assert_eq!(body, in_blocks(old.session, &[0]));
    store.clock.advance(Duration::from_millis(7_001));
    assert_eq!(store.doomed_now(), [old, between]);
    let late = store
        .namespace
        .lease_read(Some(at), 5_000, LeaseKeeping::InProcess);
    assert_eq!(reason(late), Reason::Compacted);
    for lease_ms in [0, READ_LEASE_MS_MAX + 1] {
        let wrong = store
            .namespace
            .lease_read(None, lease_ms, LeaseKeeping::InProcess);
        assert_eq!(reason(wrong), Reason::InvalidArgument);
    }
}

/// A reader elsewhere does not notice that the server was started again.
#[test]
fn a_lease_outlives_the_process_that_gave_it_if_the_reader_does() {
    for keeping in [LeaseKeeping::InProcess, LeaseKeeping::AcrossRestarts] {
        let store = Store::new();
        let block = store.publish_alone("/a");
        store
            .namespace
            .lease_read(None, 5_000, keeping)
            .expect("leased");
        store
            .namespace
            .remove(&store.context(), &path("/a"), Remove::File)
            .expect("removed");
        let crashed = Arc::new(store.files.crash(7));
        let again = Store::on(crashed, Options::default());
        let expected: &[BlockId] = match keeping {
            LeaseKeeping::InProcess => &[block],
            LeaseKeeping::AcrossRestarts => &[],
        };
        assert_eq!(again.doomed_now(), expected, "{keeping:?}");
        again.clock.advance(Duration::from_millis(65_001));
        assert_eq!(again.doomed_now(), [block], "{keeping:?}");
    }
}
