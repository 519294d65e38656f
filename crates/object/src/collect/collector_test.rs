//! Random histories of a store whose collector dies at any step; single rounds under trouble.

use super::{
    CollectOptions, Collector, Orphans, RESERVED_SESSION,
    world_test::{Checked, Fuse, Lie, World, busy_world, run},
};
use crate::{
    BlockStore, Error,
    testing::{Call, Chance, Fault, FaultStore, Operation, Trouble},
};
use nokv_types::BlockId;
use std::sync::Arc;

/// Nothing goes wrong.
const SOUND: Chance = Chance {
    seed: 0,
    per_thousand: 0,
    trouble: Trouble::Any,
};
const DELETE: Orphans = Orphans::Delete { grace_ms: 1_000 };

fn history(seed: u64, lie: Lie) -> Checked {
    // Looking for orphans would hide what the other phases leave, so every other store does
    // without.
    let orphans = if seed.is_multiple_of(2) {
        DELETE
    } else {
        Orphans::Ignore
    };
    run(async {
        let mut world = World::new(seed, lie, orphans);
        for _ in 0..120 {
            world.step().await?;
        }
        world.check_the_end().await
    })
}

#[test]
fn only_what_nobody_needs_is_deleted_and_all_of_it() {
    for seed in 0..60 {
        if let Err(flaw) = history(seed, Lie::None) {
            panic!("seed {seed}: {flaw}");
        }
    }
}

#[test]
fn the_checker_catches_planted_bugs() {
    let found = |lie, words: &str| {
        let mut flaws = (0..20).filter_map(|seed| history(seed, lie).err());
        flaws.any(|flaw| flaw.contains(words))
    };
    assert!(found(Lie::NothingIsReferenced, "was deleted, and View"));
    assert!(found(Lie::OpenSessionsAreOver, "its session is open"));
    assert!(found(
        Lie::EverythingIsReferenced,
        "is left, and nobody needs it"
    ));
    assert!(found(Lie::NothingIsDoomed, "is left, and nobody needs it"));
    assert!(found(Lie::NothingIsDoomed, "is doomed for ever"));
}

/// What dies with the collector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Death {
    /// The machine, with what was not synced.
    Power,
    /// Only the round, whose future was dropped.
    Round,
}

#[test]
fn a_round_may_die_at_each_of_its_steps() {
    for death in [Death::Power, Death::Round] {
        dies_at_each_step(death, Orphans::Ignore);
        dies_at_each_step(death, Orphans::Delete { grace_ms: 0 });
    }
}

fn dies_at_each_step(death: Death, orphans: Orphans) {
    for steps in 0.. {
        let fuse = Fuse::new(steps);
        let checked = run(die_after(&fuse, death, orphans));
        assert_eq!(checked, Ok(()), "{steps} steps, {death:?}, {orphans:?}");
        if !fuse.is_burnt() {
            assert!(steps > 30, "{steps} steps are too few for a round");
            return;
        }
    }
}

async fn die_after(fuse: &Fuse, death: Death, orphans: Orphans) -> Checked {
    let options = CollectOptions {
        orphans,
        objects_max: 100,
        ..CollectOptions::default()
    };
    let mut world = busy_world(orphans).await;
    // Whether the round says so or not: the store may have died under a phase that goes on.
    let _died = world.collector(options, fuse, SOUND).round_within(0).await;
    if death == Death::Power {
        world.crash();
    }
    world.check()?;
    world.check_the_end().await
}

/// A power cut that takes back the dropping of a last reference also gives every session the right
/// to publish the block again: it must be there.
#[test]
fn what_a_power_cut_may_bring_back_is_not_deleted() {
    for steps in 0..40 {
        let world = run(async {
            let mut world = World::new(steps, Lie::SomebodyReclaims, Orphans::Ignore);
            let block = world.publish_alone("/a").await;
            world.remove_all();
            world.namespace.sync().expect("syncs");
            let fuse = Fuse::new(i64::try_from(steps).expect("few"));
            let options = CollectOptions::default();
            let _died = world.collector(options, &fuse, SOUND).round_within(0).await;
            world.crash();
            world.publish_again("/b", block);
            world
        });
        assert_eq!(world.check(), Ok(()), "{steps} steps");
    }
}

/// A collector over a sound namespace and a store that fails as planned.
fn planned(
    world: &World,
    plan: impl Fn(&Call) -> Option<Fault> + Send + Sync + 'static,
) -> (Collector, Arc<FaultStore>) {
    let store = Arc::new(FaultStore::new(Arc::clone(&world.blocks) as _, plan));
    let options = CollectOptions {
        orphans: Orphans::Ignore,
        ..CollectOptions::default()
    };
    let (namespace, clock) = (world.namespace.clone(), Arc::clone(&world.clock) as _);
    (
        Collector::new(namespace, Arc::clone(&store) as _, clock, options),
        store,
    )
}

#[test]
fn what_can_not_be_deleted_holds_up_nothing_else() {
    run(async {
        let world = busy_world(DELETE).await;
        let sessions = world.blocks.list_sessions().await.expect("lists");
        let stuck = BlockId {
            session: sessions[1],
            sequence: 4,
        };
        let unlisted = BlockId {
            session: sessions[2],
            sequence: 0,
        };
        let (collector, _) = planned(&world, move |call| {
            let refused = call.blocks.contains(&stuck) && call.operation == Operation::Delete;
            let hidden = call.blocks.contains(&unlisted) && call.operation == Operation::List;
            (refused || hidden)
                .then(|| Fault::Refused(Error::PermissionDenied("not this one".to_owned())))
        });
        let report = collector.round_within(0).await.expect("a round");
        assert_eq!(
            (
                report.swept_sessions,
                report.failed_sessions,
                report.failed_objects
            ),
            (1, 2, 1),
            "{report:?}"
        );
        assert!(report.more && matches!(report.first_error, Some(Error::PermissionDenied(_))));
        let left = world.blocks.list_session(sessions[1]).await.expect("lists");
        assert!(left.iter().any(|entry| entry.block == stuck));
        assert!(
            left.iter().all(|entry| entry.block.sequence != 5),
            "its neighbour is gone"
        );
        // Once it may be deleted, it is.
        let (collector, _) = planned(&world, |_| None);
        let report = collector.round_within(0).await.expect("a round");
        assert_eq!(
            (report.swept_sessions, report.failed_objects),
            (2, 0),
            "{report:?}"
        );
        assert_eq!(world.check(), Ok(()));
    });
}

#[test]
fn a_store_that_is_down_is_not_asked_again_and_again() {
    run(async {
        let world = busy_world(DELETE).await;
        let down = Fault::Refused(Error::Unavailable("nobody answers".to_owned()));
        let (collector, store) = planned(&world, move |_| Some(down.clone()));
        let before = world.blocks.snapshot();
        let report = collector.round_within(0).await.expect("a round");
        assert!(
            matches!(report.first_error, Some(Error::Unavailable(_))) && report.more,
            "{report:?}"
        );
        assert!(store.faults().len() <= 3, "{} calls", store.faults().len());
        assert_eq!(world.blocks.snapshot(), before);
    });
}

#[test]
fn a_round_deletes_no_more_than_it_may() {
    run(async {
        let world = busy_world(DELETE).await;
        let options = CollectOptions {
            objects_max: 2,
            ..CollectOptions::default()
        };
        let collector = world.collector(options, &Fuse::endless(), SOUND);
        let mut rounds = 0;
        loop {
            let report = collector.round_within(0).await.expect("a round");
            assert!(report.deleted_objects <= 2, "{report:?}");
            if !report.more {
                break;
            }
            rounds += 1;
        }
        assert!(rounds > 4, "{rounds} rounds for 16 objects");
        assert_eq!(world.check(), Ok(()));
    });
}

#[test]
fn orphans_are_reported_and_marks_are_left_alone() {
    run(async {
        let world = busy_world(DELETE).await;
        let mark = BlockId {
            session: RESERVED_SESSION,
            sequence: 0,
        };
        world.put(mark).await;
        let reporting = world.collector(CollectOptions::default(), &Fuse::endless(), SOUND);
        let report = reporting.round_within(0).await.expect("a round");
        assert_eq!(
            (report.orphan_objects, report.orphan_bytes),
            (1, 10),
            "{report:?}"
        );
        assert_eq!(
            reporting
                .round_within(0)
                .await
                .expect("a round")
                .orphan_objects,
            0,
            "it looks once a day"
        );
        let options = CollectOptions {
            orphans: Orphans::Delete { grace_ms: 1_000 },
            orphan_interval_ms: 0,
            ..CollectOptions::default()
        };
        let deleting = world.collector(options, &Fuse::endless(), SOUND);
        assert_eq!(
            deleting.round().await.expect("a round").orphan_objects,
            1,
            "it was only just seen"
        );
        world.advance(1_000);
        let report = deleting.round().await.expect("a round");
        assert_eq!(
            (
                report.orphan_objects,
                report.deleted_objects,
                report.deleted_bytes
            ),
            (0, 1, 10)
        );
        assert!(world.blocks.snapshot().contains_key(&mark));
    });
}

/// However many can't be deleted, and however few a round may try: the others have their turn.
#[test]
fn many_that_can_not_be_deleted_hold_up_nothing_else() {
    run(async {
        let world = World::new(5, Lie::None, Orphans::Ignore);
        let mut blocks = Vec::new();
        for index in 0..12 {
            blocks.push(world.publish_alone(&format!("/gone/{index}")).await);
        }
        world.remove_tree("/gone");
        let stuck = blocks[..10].to_vec();
        let store = FaultStore::new(Arc::clone(&world.blocks) as _, move |call| {
            let is_stuck = call.operation == Operation::Delete
                && call.blocks.iter().any(|block| stuck.contains(block));
            is_stuck.then(|| Fault::Refused(Error::PermissionDenied("not this one".to_owned())))
        });
        let options = CollectOptions {
            objects_max: 3,
            sessions_max: 2,
            orphans: Orphans::Ignore,
            ..CollectOptions::default()
        };
        let (namespace, clock) = (world.namespace.clone(), Arc::clone(&world.clock) as _);
        let collector = Collector::new(namespace, Arc::new(store), clock, options);
        for _ in 0..12 {
            collector.round_within(0).await.expect("a round");
        }
        let left: Vec<_> = world.blocks.snapshot().into_keys().collect();
        assert_eq!(left, &blocks[..10]);
    });
}

#[test]
fn a_put_that_came_late_goes_and_what_is_not_known_stays() {
    run(async {
        let world = World::new(6, Lie::None, Orphans::Report);
        let kept = world.publish_alone("/a").await;
        let late = BlockId {
            sequence: 7,
            ..kept
        };
        let unknown = BlockId {
            session: nokv_types::SessionId::new(kept.session.get() + 1),
            sequence: 0,
        };
        let options = CollectOptions {
            orphans: Orphans::Late { grace_ms: 1_000 },
            orphan_interval_ms: 0,
            ..CollectOptions::default()
        };
        let collector = world.collector(options, &Fuse::endless(), SOUND);
        collector.round().await.expect("a round");
        world.put(late).await;
        world.put(unknown).await;
        let report = collector.round().await.expect("a round");
        assert_eq!((report.orphan_objects, report.deleted_objects), (2, 0));
        world.advance(1_000);
        let report = collector.round().await.expect("a round");
        assert_eq!((report.orphan_objects, report.deleted_objects), (1, 1));
        let left: Vec<_> = world.blocks.snapshot().into_keys().collect();
        assert_eq!(left, [kept, unknown]);
    });
}
