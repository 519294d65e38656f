//! Commands over several shards: each log has its part, all of them or none.

use crate::support::{COUNTS, DATA, SHARDS, SLOT, clock, counter, key, open, place, request};
use bytes::Bytes;
use nokv_engine::{Direction, KeyRange};
use nokv_env::{Env, MemoryFileSystem};
use nokv_shard::{
    Add, Change, Check, Command, Durability, Error, Options, Participants, Shards, Write,
};
use nokv_types::{ShardId, Version};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Keys that a command puts and counts, each with an event where it lies.
#[derive(Clone, Debug)]
struct Step {
    puts: BTreeSet<u8>,
    adds: BTreeSet<u8>,
    request: Option<u64>,
    synced: bool,
}

fn step() -> impl Strategy<Value = Step> {
    (
        proptest::collection::btree_set(0..12_u8, 1..4),
        proptest::collection::btree_set(0..2_u8, 0..2),
        proptest::option::weighted(0.3, 0..1000_u64),
        proptest::bool::weighted(0.3),
    )
        .prop_map(|(puts, adds, request, synced)| Step {
            puts,
            adds,
            request,
            synced,
        })
}

impl Step {
    fn shards(&self) -> BTreeSet<ShardId> {
        let puts = self.puts.iter().map(|number| place(&key(*number)));
        let adds = self.adds.iter().map(|number| place(&counter(*number)));
        puts.chain(adds).collect()
    }

    /// The events say which keys of the shard changed.
    fn events(&self) -> BTreeMap<ShardId, Vec<u8>> {
        let mut events: BTreeMap<ShardId, Vec<u8>> = BTreeMap::new();
        for number in &self.puts {
            let of_shard = events.entry(place(&key(*number))).or_default();
            of_shard.push(*number);
        }
        events
    }

    fn command(&self, serial: u8) -> Command {
        let put = |number: &u8| Write::Put(key(*number), Bytes::from(vec![serial]));
        let add = |number: &u8| Add::one(counter(*number), SLOT, Change::Sum(1));
        let events = self.events().into_iter();
        Command {
            request: self
                .request
                .map(|number| request(number, u64::from(serial))),
            writes: self.puts.iter().map(put).collect(),
            adds: self.adds.iter().map(add).collect(),
            events: events.map(|(shard, keys)| (shard, keys.into())).collect(),
            answer: Bytes::from(vec![serial]),
            ..Command::default()
        }
    }
}

/// What was applied: version by version.
type History = Vec<(Version, Step)>;

/// The logs say what the history says up to where the store is, each and all together.
fn compare(shards: &Shards, history: &History) {
    let now = shards.read_version();
    let applied: Vec<_> = history
        .iter()
        .filter(|(version, _)| *version <= now)
        .collect();
    for shard in shards.ids() {
        let parts: Vec<_> = applied
            .iter()
            .filter(|(_, step)| step.shards().contains(&shard))
            .map(|(version, step)| (*version, step.events().remove(&shard).unwrap_or_default()))
            .collect();
        let page = shards.log_of(shard, Version::ZERO, 1000);
        let page = page.expect("read").expect("retained");
        let found: Vec<_> = page
            .records
            .iter()
            .map(|record| {
                let events = record.events.first();
                (
                    record.version,
                    events.map_or_else(Vec::new, |(_, events)| events.to_vec()),
                )
            })
            .collect();
        assert_eq!(found, parts, "log of shard {shard}");
        let position = shards.position(shard);
        assert_eq!(position.commands, parts.len() as u64);
        let last = parts.last().map_or(Version::ZERO, |(version, _)| *version);
        assert_eq!(position.version, last);
    }
    let all = shards
        .log_after(Version::ZERO, 1000)
        .expect("read")
        .expect("retained");
    let found: Vec<_> = all
        .records
        .into_iter()
        .map(|record| {
            let events = record.events.into_iter();
            let events: BTreeMap<_, _> = events
                .map(|(shard, events)| (shard, events.to_vec()))
                .collect();
            (record.version, events)
        })
        .collect();
    let wanted: Vec<_> = applied
        .iter()
        .map(|(version, step)| (*version, step.events()))
        .collect();
    assert_eq!(found, wanted, "all logs together");
    compare_keys(shards, &applied);
}

/// Whether the power is cut after a step, and what is lost then.
fn cut() -> impl Strategy<Value = Option<u64>> {
    proptest::option::weighted(0.2, any::<u64>())
}

/// Each key is of the newest command that wrote it.
fn compare_keys(shards: &Shards, applied: &[&(Version, Step)]) {
    let now = shards.read_version();
    for (keyspace, offset) in [(DATA, 1), (COUNTS, 0)] {
        let scan = shards
            .engine()
            .scan(keyspace, KeyRange::all(), now, Direction::Forward)
            .expect("scans");
        let found: BTreeMap<u8, Version> = scan
            .map(|item| item.expect("read"))
            .map(|(key, record)| (key[offset], record.version))
            .collect();
        let mut wanted = BTreeMap::new();
        for (version, step) in applied {
            let keys = if keyspace == DATA {
                &step.puts
            } else {
                &step.adds
            };
            wanted.extend(keys.iter().map(|number| (*number, *version)));
        }
        assert_eq!(found, wanted, "the newest of each key");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_power_cut_leaves_all_parts_of_a_command_or_none(
        steps in proptest::collection::vec((step(), cut()), 1..40),
    ) {
        let files = Arc::new(MemoryFileSystem::new());
        let env = || Env::memory(1).with_files(Arc::clone(&files) as _);
        let (clock, options) = (clock(), Options::default());
        let shards = open(env(), &clock, options);
        let (mut history, mut images, mut synced) = (History::new(), Vec::new(), Version::ZERO);
        for (serial, (step, cut)) in steps.iter().enumerate() {
            clock.advance(Duration::from_millis(3));
            let durability = if step.synced { Durability::Synced } else { Durability::Buffered };
            match shards.execute(step.command(serial as u8), durability) {
                Ok(applied) => {
                    history.push((applied.version, step.clone()));
                    synced = if step.synced { applied.version } else { synced };
                }
                Err(Error::RequestReused) => {}
                Err(error) => panic!("{error}"),
            }
            if let Some(seed) = cut {
                images.push((files.crash(*seed), synced));
            }
        }
        compare(&shards, &history);
        for (image, synced) in images {
            let env = Env::memory(1).with_files(Arc::new(image));
            let shards = open(env, &clock, options);
            prop_assert!(shards.read_version() >= synced);
            compare(&shards, &history);
        }
    }
}

#[test]
fn a_command_says_which_shards_it_touches_and_the_first_remembers_its_request() {
    let mut command = Step {
        puts: [0, 7].into(),
        adds: [1].into(),
        request: Some(5),
        synced: true,
    }
    .command(9);
    command.checks.push(Check::Absent(key(4)));
    command.checks.push(Check::Absent(key(6)));
    let shard = ShardId::new;
    let touched = Participants {
        written: [shard(0), shard(2), shard(3)].into_iter().collect(),
        checked: [shard(1)].into_iter().collect(),
    };
    assert_eq!(command.participants(place), touched);
    assert_eq!(touched.lead(), Some(shard(0)));
    let (env, clock) = (Env::memory(1), clock());
    let shards = open(env.clone(), &clock, Options::default());
    let first = shards
        .execute(command.clone(), Durability::Synced)
        .expect("applied");
    shards.engine().clone().close().expect("closed");
    drop(shards);
    let shards = open(env, &clock, Options::default());
    let again = shards
        .execute(command.clone(), Durability::Synced)
        .expect("repeated");
    assert_eq!((again.version, again.answer), (first.version, first.answer));
    let known = shards
        .first_answer(request(5, 9))
        .expect("read")
        .expect("known");
    assert_eq!(known.version, first.version);
    command.request = None;
    let failed = shards.execute(command, Durability::Buffered);
    assert!(failed.is_ok(), "no check was of a key that changed");
}

#[test]
fn a_check_in_one_shard_holds_back_the_parts_of_all() {
    let shards = open(Env::memory(1), &clock(), Options::default());
    let step = |puts: [u8; 2]| Step {
        puts: puts.into(),
        adds: BTreeSet::new(),
        request: None,
        synced: false,
    };
    shards
        .execute(step([0, 3]).command(1), Durability::Buffered)
        .expect("applied");
    let mut held = step([6, 9]).command(2);
    held.checks.push(Check::Absent(key(3)));
    let outcome = shards.execute(held, Durability::Buffered);
    assert_eq!(outcome, Err(Error::CheckFailed { index: 0 }));
    let commands = |shard| shards.position(ShardId::new(shard)).commands;
    assert_eq!(
        [commands(0), commands(1), commands(2), commands(3)],
        [1, 1, 0, 0]
    );
}

#[test]
fn a_key_of_a_shard_that_is_not_there_is_refused_until_it_is() {
    let (env, clock) = (Env::memory(1), clock());
    let engine = nokv_engine::Engine::open(
        env.clone(),
        std::path::Path::new("/shard"),
        nokv_engine::Options::default(),
    );
    let (engine, options) = (engine.expect("opens"), Options::default());
    let env = Env { clock, ..env };
    let shards = Shards::open(&env, engine, (2, place), options).expect("opens");
    let step = Step {
        puts: [9].into(),
        adds: BTreeSet::new(),
        request: None,
        synced: false,
    };
    let refused = shards.execute(step.command(1), Durability::Buffered);
    assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
    shards.grow(SHARDS).expect("grown");
    shards
        .execute(step.command(1), Durability::Buffered)
        .expect("applied");
    assert_eq!(shards.position(ShardId::new(3)).commands, 1);
    assert_eq!(shards.least_loaded(), ShardId::new(0));
    assert!(matches!(shards.grow(1000), Err(Error::TooLarge(_))));
}

#[test]
fn positions_outlive_the_log() {
    let clock = clock();
    let env = Env::memory(1);
    let options = Options {
        log_ms: 1000,
        ..Options::default()
    };
    let shards = open(env.clone(), &clock, options);
    let step = Step {
        puts: [0, 3].into(),
        adds: BTreeSet::new(),
        request: Some(1),
        synced: true,
    };
    for serial in 0..10 {
        let mut step = step.clone();
        step.request = Some(u64::from(serial));
        shards
            .execute(step.command(serial), Durability::Synced)
            .expect("applied");
    }
    let position = shards.position(ShardId::new(1));
    clock.advance(Duration::from_secs(60));
    while shards.trim(4).expect("trimmed").more {}
    assert_eq!(
        shards
            .log_of(ShardId::new(1), Version::ZERO, 10)
            .expect("read"),
        None
    );
    let key = nokv_engine::Keyspace::new(0xf0);
    let left = shards
        .engine()
        .scan(key, KeyRange::all(), Version::MAX, Direction::Forward)
        .expect("scans");
    assert_eq!(left.count(), 0, "nothing is left in any log");
    shards.engine().clone().close().expect("closed");
    drop(shards);
    let shards = open(env, &clock, options);
    assert_eq!(shards.position(ShardId::new(1)), position);
    let mut step = step.clone();
    step.request = None;
    shards
        .execute(step.command(1), Durability::Synced)
        .expect("applied");
    assert_eq!(shards.position(ShardId::new(1)).commands, 11);
}
