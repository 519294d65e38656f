//! Requests, the change feed, and forgetting both.

use crate::support::{clock, key, open, put, request};
use nokv_env::{Env, ManualClock};
use nokv_shard::{Check, Command, Durability, Error, Options, Outcome, Shards};
use nokv_types::Version;
use std::sync::Arc;
use std::time::Duration;

fn requested(number: u64, fingerprint: u64, value: &[u8]) -> Command {
    Command {
        request: Some(request(number, fingerprint)),
        ..put(1, value)
    }
}

fn events(shard: &Shards, after: Version) -> Vec<Vec<u8>> {
    let (mut after, mut events) = (after, Vec::new());
    loop {
        let page = shard.log_after(after, 3).expect("read").expect("retained");
        let parts = page.records.iter().flat_map(|record| &record.events);
        events.extend(parts.map(|(_, events)| events.to_vec()));
        if page.through == after || page.records.is_empty() {
            return events;
        }
        after = page.through;
    }
}

#[test]
fn a_request_is_applied_once_also_within_a_group_and_after_reopening() {
    let (env, clock) = (Env::memory(1), clock());
    let shard = open(env.clone(), &clock, Options::default());
    let twice = vec![
        requested(1, 7, b"first"),
        requested(1, 7, b"second"),
        requested(1, 8, b"x"),
    ];
    let results = shard
        .execute_all(twice, Durability::Synced)
        .expect("executed");
    let first = results[0].clone().expect("applied");
    let second = results[1].clone().expect("repeated");
    assert_eq!(
        (second.version, &second.answer),
        (first.version, &first.answer)
    );
    assert_eq!(second.outcome, Outcome::Repeated);
    assert_eq!(results[2], Err(Error::RequestReused));
    assert_eq!(events(&shard, Version::ZERO), [b"first"]);
    shard.engine().clone().close().expect("closed");
    drop(shard);
    let shard = open(env, &clock, Options::default());
    let again = shard
        .execute(requested(1, 7, b"third"), Durability::Synced)
        .expect("repeated");
    assert_eq!((again.version, again.answer), (first.version, first.answer));
    assert_eq!(events(&shard, Version::ZERO), [b"first"]);
}

#[test]
fn a_failed_command_leaves_no_trace_and_its_request_may_try_again() {
    let shard = open(Env::memory(1), &clock(), Options::default());
    let mut command = requested(1, 7, b"x");
    command.checks.push(Check::Present(key(1)));
    assert_eq!(
        shard.execute(command.clone(), Durability::Buffered),
        Err(Error::CheckFailed { index: 0 })
    );
    assert_eq!(events(&shard, Version::ZERO), Vec::<Vec<u8>>::new());
    shard
        .execute(put(1, b"now"), Durability::Buffered)
        .expect("applied");
    let applied = shard
        .execute(command, Durability::Buffered)
        .expect("applied");
    assert_eq!(applied.outcome, Outcome::Applied);
}

#[test]
fn the_feed_has_each_change_once_in_order_from_any_cursor() {
    let shard = open(Env::memory(1), &clock(), Options::default());
    let mut cursors = vec![Version::ZERO];
    for number in 0..20_u8 {
        let applied = shard
            .execute(put(1, &[number]), Durability::Buffered)
            .expect("applied");
        cursors.push(applied.version);
    }
    for (seen, cursor) in cursors.iter().enumerate() {
        let expected: Vec<Vec<u8>> = (seen..20).map(|number| vec![number as u8]).collect();
        assert_eq!(events(&shard, *cursor), expected);
    }
}

/// Trims in small rounds until all is done.
fn trim(shard: &Shards) -> u64 {
    let mut forgotten = 0;
    for _ in 0..1000 {
        let trimmed = shard.trim(3).expect("trimmed");
        assert!(trimmed.requests <= 3);
        forgotten += trimmed.requests;
        if !trimmed.more {
            return forgotten;
        }
    }
    panic!("trimming does not end");
}

fn filled(options: Options) -> (Shards, Arc<ManualClock>, Vec<Version>) {
    let clock = clock();
    let shard = open(Env::memory(1), &clock, options);
    let versions = (0..20)
        .map(|number| {
            clock.advance(Duration::from_secs(1));
            let command = requested(number, 0, &[number as u8]);
            shard
                .execute(command, Durability::Buffered)
                .expect("applied")
                .version
        })
        .collect();
    (shard, clock, versions)
}

#[test]
fn the_log_ages_and_an_old_cursor_is_told_so() {
    let (shard, clock, versions) = filled(Options {
        log_ms: 10_000,
        ..Options::default()
    });
    assert_eq!(trim(&shard), 9);
    assert_eq!(trim(&shard), 0, "nothing is trimmed twice");
    assert_eq!(shard.log_floor().expect("read"), versions[8]);
    assert_eq!(shard.log_after(versions[7], 10).expect("read"), None);
    assert_eq!(events(&shard, versions[8]).len(), 11);
    let forgotten = shard
        .execute(requested(3, 0, b"new"), Durability::Buffered)
        .expect("applied");
    assert_eq!(forgotten.outcome, Outcome::Applied);
    let kept = shard
        .execute(requested(9, 0, b"new"), Durability::Buffered)
        .expect("repeated");
    assert_eq!(kept.outcome, Outcome::Repeated);
    clock.advance(Duration::from_secs(100));
    trim(&shard);
    assert_eq!(
        shard.log_after(versions[19], 10).expect("read"),
        None,
        "idle logs age too"
    );
}

#[test]
fn the_log_is_bounded_by_bytes_and_requests_by_count() {
    let (shard, ..) = filled(Options {
        log_bytes: 200,
        ..Options::default()
    });
    trim(&shard);
    let kept = events(&shard, shard.log_floor().expect("read")).len();
    assert!(
        (2..8).contains(&kept),
        "{kept} records of about 40 bytes in 200"
    );
    let (shard, _, versions) = filled(Options {
        dedupe_count: 5,
        ..Options::default()
    });
    assert_eq!(trim(&shard), 15);
    assert_eq!(trim(&shard), 0);
    assert_eq!(
        events(&shard, Version::ZERO).len(),
        20,
        "the log itself stays"
    );
    for (number, version) in versions.iter().enumerate() {
        let number = number as u64;
        let known = shard.first_answer(request(number, 0)).expect("read");
        assert_eq!(
            known.map(|known| known.version),
            (number >= 15).then_some(*version)
        );
    }
    let (shard, ..) = filled(Options {
        dedupe_ms: 5_000,
        ..Options::default()
    });
    assert_eq!(trim(&shard), 14);
    assert_eq!(events(&shard, Version::ZERO).len(), 20);
}
