//! Sessions, dead bodies, doomed blocks.

use crate::support::{Store, in_blocks, item, path, reason};
use nokv_namespace::{Content, Follow, Options, Parents, Publish, Remove};
use nokv_types::{BlockId, Body, Extent, Layout, Reason, SessionId, Unit};
use std::time::Duration;

fn block(session: SessionId, sequence: u32) -> BlockId {
    BlockId { session, sequence }
}

/// Reclaims everything that only the past can see, and returns the doomed blocks.
fn collect(store: &Store) -> Vec<BlockId> {
    for _ in 0..100 {
        if !store
            .namespace
            .reclaim_within(10, 0)
            .expect("reclaims")
            .more
        {
            break;
        }
    }
    store
        .namespace
        .check()
        .expect("checks")
        .verdict()
        .expect("consistent");
    store.namespace.doomed(None, 1000).expect("doomed")
}

#[test]
fn a_publish_needs_an_open_session() {
    let store = Store::new();
    let session = store.namespace.open_session(60_000).expect("opened").id;
    let body = in_blocks(session, &[0]);
    assert_eq!(
        reason(store.publish("/f", body.clone(), None)),
        Reason::InvalidArgument
    );
    let none = SessionId::new(99);
    assert_eq!(
        reason(store.publish("/f", body.clone(), Some(none))),
        Reason::SessionExpired
    );
    let other = store.namespace.open_session(60_000).expect("opened").id;
    assert_eq!(
        reason(store.publish("/f", body.clone(), Some(other))),
        Reason::MissingBlock
    );
    store
        .publish("/f", body.clone(), Some(session))
        .expect("published");
    store
        .publish("/g", body.clone(), Some(other))
        .expect("the block is held by /f");
    store.namespace.close_session(session).expect("closed");
    store
        .namespace
        .close_session(session)
        .expect("closed again");
    assert_eq!(
        reason(store.publish("/h", in_blocks(session, &[1]), Some(session))),
        Reason::SessionExpired
    );
    assert_eq!(
        reason(store.namespace.renew_session(session, 1)),
        Reason::SessionExpired
    );
}

#[test]
fn sessions_expire_are_swept_once_and_leases_only_extend() {
    let store = Store::new();
    let session = store.namespace.open_session(1_000).expect("opened");
    let renewed = store
        .namespace
        .renew_session(session.id, 5_000)
        .expect("renewed");
    assert_eq!(renewed.expires_millis, session.expires_millis + 4_000);
    let shorter = store
        .namespace
        .renew_session(session.id, 1)
        .expect("renewed");
    assert_eq!(shorter.expires_millis, renewed.expires_millis);
    store
        .publish("/f", in_blocks(session.id, &[3]), Some(session.id))
        .expect("published");
    assert_eq!(
        store.namespace.expired_sessions(None, 10).expect("asked"),
        []
    );
    store.clock.advance(Duration::from_millis(5_001));
    assert_eq!(
        reason(store.publish("/g", in_blocks(session.id, &[4]), Some(session.id))),
        Reason::SessionExpired
    );
    assert_eq!(
        store.namespace.expired_sessions(None, 10).expect("asked"),
        [],
        "within its grace"
    );
    store
        .clock
        .advance(Duration::from_millis(Options::SESSION_GRACE_MS_DEFAULT));
    assert_eq!(
        store.namespace.expired_sessions(None, 10).expect("asked"),
        [session.id]
    );
    let blocks = [block(session.id, 3), block(session.id, 4)];
    assert_eq!(
        store.namespace.is_referenced(&blocks).expect("asked"),
        [true, false]
    );
    store
        .namespace
        .finish_session(session.id)
        .expect("finished");
    assert_eq!(
        store.namespace.expired_sessions(None, 10).expect("asked"),
        []
    );
    let open = store.namespace.open_session(1_000).expect("opened");
    assert!(open.id != session.id);
    assert_eq!(
        reason(store.namespace.finish_session(open.id)),
        Reason::Conflict
    );
}

#[test]
fn a_replaced_body_lives_as_long_as_a_retained_version_sees_it() {
    let store = Store::new();
    let session = store.namespace.open_session(60_000).expect("opened").id;
    store
        .publish("/f", in_blocks(session, &[0, 1]), Some(session))
        .expect("published");
    let before = store.view().at(store.namespace.read_version());
    store
        .publish("/f", in_blocks(session, &[1, 2]), Some(session))
        .expect("published");
    store.namespace.close_session(session).expect("closed");
    store.namespace.finish_session(session).expect("finished");
    let reclaimed = store.namespace.reclaim(100).expect("reclaims");
    assert_eq!(reclaimed.bodies, 0);
    assert_eq!(store.namespace.doomed(None, 10).expect("doomed"), []);
    assert!(store.namespace.body(&before, &path("/f")).is_ok());
    store.clock.advance(Duration::from_millis(
        Options::RETENTION_MS_DEFAULT + 60_000,
    ));
    let reclaimed = store.namespace.reclaim(100).expect("reclaims");
    assert_eq!(reclaimed.bodies, 1);
    assert_eq!(
        store.namespace.doomed(None, 10).expect("doomed"),
        [block(session, 0)]
    );
    assert_eq!(
        reason(store.namespace.body(&before, &path("/f"))),
        Reason::Compacted
    );
    store
        .namespace
        .forget_doomed(&[block(session, 0)])
        .expect("forgotten");
    assert_eq!(store.namespace.doomed(None, 10).expect("doomed"), []);
    store
        .namespace
        .check()
        .expect("checks")
        .verdict()
        .expect("consistent");
}

#[test]
fn a_shared_block_is_doomed_with_its_last_body() {
    let store = Store::new();
    let session = store.namespace.open_session(60_000).expect("opened").id;
    for name in ["/a", "/b"] {
        store
            .publish(name, in_blocks(session, &[7]), Some(session))
            .expect("published");
    }
    store.namespace.close_session(session).expect("closed");
    store.namespace.finish_session(session).expect("finished");
    let remove = |name| {
        store
            .namespace
            .remove(&store.context(), &path(name), Remove::File)
            .expect("removed")
    };
    remove("/a");
    assert_eq!(collect(&store), []);
    remove("/b");
    assert_eq!(collect(&store), [block(session, 7)]);
}

#[test]
fn a_doomed_block_waits_for_its_session_and_may_come_back_within_it() {
    let store = Store::new();
    let session = store.namespace.open_session(60_000).expect("opened").id;
    store
        .publish("/a", in_blocks(session, &[0, 1]), Some(session))
        .expect("published");
    store
        .namespace
        .remove(&store.context(), &path("/a"), Remove::File)
        .expect("removed");
    assert_eq!(collect(&store), [], "its session may still publish it");
    store
        .publish("/b", in_blocks(session, &[1]), Some(session))
        .expect("published again");
    store.namespace.close_session(session).expect("closed");
    assert_eq!(collect(&store), [], "the sweep takes care of it");
    store.namespace.finish_session(session).expect("finished");
    assert_eq!(collect(&store), [block(session, 0)]);
    assert!(
        store
            .namespace
            .lookup(&store.view(), &path("/b"), Follow::No)
            .is_ok()
    );
}

#[test]
fn a_large_body_is_kept_in_chunks_and_reclaimed_in_bounded_commands() {
    let store = Store::new();
    let session = store.namespace.open_session(60_000).expect("opened").id;
    let extents: Vec<_> = (0..10_000_u32)
        .map(|index| {
            let start = index % 2 * 8;
            let unit = Unit::plain(block(session, index / 2), start..start + 8, index);
            Extent::whole(u64::from(index) * 8, unit)
        })
        .collect();
    let body = Body::new(80_000, None, Layout::Extents(extents)).expect("valid");
    store
        .publish("/large", body.clone(), Some(session))
        .expect("published");
    let (node, read) = store
        .namespace
        .body(&store.view(), &path("/large"))
        .expect("read");
    assert_eq!(read, body);
    assert_eq!(
        node.body.storage,
        nokv_namespace::BodyStorage::Extents(10_000)
    );
    store
        .namespace
        .check()
        .expect("checks")
        .verdict()
        .expect("consistent");
    store.namespace.close_session(session).expect("closed");
    store.namespace.finish_session(session).expect("finished");
    store
        .namespace
        .remove(&store.context(), &path("/large"), Remove::File)
        .expect("removed");
    assert_eq!(collect(&store).len(), 1000);
    let all = store.namespace.doomed(None, 100_000).expect("doomed");
    assert_eq!(all.len(), 5000);
    store.namespace.forget_doomed(&all).expect("forgotten");
    let report = store.namespace.check().expect("checks");
    assert_eq!((report.blocks, report.dead_bodies), (0, 0));
}

#[test]
fn a_removed_tree_is_taken_apart_in_bounded_rounds() {
    let store = Store::new();
    let session = store.namespace.open_session(60_000).expect("opened").id;
    let mut items = Vec::new();
    for index in 0..50 {
        let text = format!("/tree/{}/{index}", index % 7);
        items.push(item(&text, Content::File(in_blocks(session, &[index]))));
    }
    let publish = Publish {
        items,
        parents: Parents::Create,
        session: Some(session),
    };
    store
        .namespace
        .publish(&store.context(), publish)
        .expect("published");
    store
        .namespace
        .link(&store.context(), &path("/tree/0/0"), &path("/kept"))
        .expect("linked");
    store.namespace.close_session(session).expect("closed");
    store.namespace.finish_session(session).expect("finished");
    store
        .namespace
        .remove(&store.context(), &path("/tree"), Remove::Tree)
        .expect("removed");
    let reclaimed = store.namespace.reclaim(10).expect("reclaims");
    assert!(reclaimed.more && reclaimed.entries <= 17, "{reclaimed:?}");
    store
        .namespace
        .check()
        .expect("checks")
        .verdict()
        .expect("consistent in between");
    let doomed = collect(&store);
    assert_eq!(doomed.len(), 49);
    assert!(!doomed.contains(&block(session, 0)));
    let report = store.namespace.check().expect("checks");
    assert_eq!((report.nodes, report.entries, report.blocks), (2, 1, 1));
}

#[test]
fn garbage_of_a_store_stays_bounded_under_rewriting() {
    let store = Store::new();
    for round in 0..30 {
        let session = store.namespace.open_session(60_000).expect("opened").id;
        store
            .publish("/f", in_blocks(session, &[0]), Some(session))
            .expect("published");
        store.namespace.close_session(session).expect("closed");
        store.namespace.finish_session(session).expect("finished");
        let doomed = collect(&store);
        assert_eq!(doomed.len(), usize::from(round > 0));
        store.namespace.forget_doomed(&doomed).expect("forgotten");
    }
    let report = store.namespace.check().expect("checks");
    assert_eq!((report.blocks, report.dead_bodies), (1, 0));
}
