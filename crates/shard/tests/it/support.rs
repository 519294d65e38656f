//! Shards in memory, and short ways to say things.

use bytes::Bytes;
use nokv_engine::{Engine, Keyspace};
use nokv_env::{Clock, Env, ManualClock};
use nokv_shard::{Command, Key, Options, Request, Shards, Slot, Write};
use nokv_types::{RequestId, ShardId};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const DATA: Keyspace = Keyspace::new(1);
pub(crate) const COUNTS: Keyspace = Keyspace::new(2);
pub(crate) const SLOT: Slot = Slot::new(0);

pub(crate) fn key(number: u8) -> Key {
    Key::new(DATA, &[b'k', number])
}

pub(crate) fn counter(number: u8) -> Key {
    Key::new(COUNTS, &[number])
}

pub(crate) fn request(number: u64, fingerprint: u64) -> Request {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    Request {
        id: RequestId::from_bytes(id),
        fingerprint,
    }
}

/// A command that puts a value, announces itself and answers.
pub(crate) fn put(number: u8, value: &[u8]) -> Command {
    Command {
        writes: vec![Write::Put(key(number), Bytes::copy_from_slice(value))],
        events: smallvec::smallvec![(place(&key(number)), Bytes::copy_from_slice(value))],
        answer: Bytes::copy_from_slice(value),
        ..Command::default()
    }
}

pub(crate) fn clock() -> Arc<ManualClock> {
    let clock = ManualClock::new();
    clock.advance(Duration::from_secs(1_800_000_000));
    Arc::new(clock)
}

/// How many shards tests have.
pub(crate) const SHARDS: u16 = 4;

/// Where keys are: three values to a shard, counters behind them.
pub(crate) fn place(key: &Key) -> ShardId {
    let number = u16::from(key.bytes().last().copied().unwrap_or(0));
    ShardId::new(match key.keyspace() == DATA {
        true if key.bytes().len() > 1 => number / 3 % SHARDS,
        true => 0,
        false => 2 + number % 2,
    })
}

pub(crate) fn open(env: Env, clock: &Arc<ManualClock>, options: Options) -> Shards {
    let env = Env {
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        ..env
    };
    let engine = Engine::open(
        env.clone(),
        Path::new("/shard"),
        nokv_engine::Options::default(),
    );
    Shards::open(&env, engine.expect("opens"), (SHARDS, place), options).expect("opens")
}
