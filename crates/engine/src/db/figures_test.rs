//! Figures of writes, for people: `cargo test --release -p nokv-engine --lib -- --ignored
//! --nocapture figures_of_writes`. `NOKV_FIGURES_DIR` says on which device.

use std::{path::PathBuf, thread, time::Duration};

use nokv_env::Env;
use nokv_types::Version;

use crate::{Batch, Durability, Engine, Keyspace, Options};

const VALUE_BYTES: usize = 1000;

const SECONDS: u64 = 4;

fn write_for(env: &Env, engine: &Engine, writer: u64, durability: Durability) -> Vec<u32> {
    let end = env.clock.monotonic() + Duration::from_secs(SECONDS);
    let (mut micros, mut number) = (Vec::new(), writer << 40);
    let value = vec![7; VALUE_BYTES];
    loop {
        let start = env.clock.monotonic();
        if start > end {
            return micros;
        }
        number += 1;
        let mut batch = Batch::unstamped();
        batch.put(
            Keyspace::new(1),
            &number.to_be_bytes(),
            &value,
            Version::ZERO,
        );
        engine.write(batch, durability).expect("a sound device");
        micros.push((env.clock.monotonic() - start).as_micros() as u32);
    }
}

fn figures(dir: &std::path::Path, writers: u64, durability: Durability) {
    let env = Env::real();
    let engine = Engine::open(env.clone(), dir, Options::default()).expect("a store");
    let all = thread::scope(|scope| {
        let spawn = |writer| {
            let (env, engine) = (env.clone(), engine.clone());
            scope.spawn(move || write_for(&env, &engine, writer, durability))
        };
        let threads: Vec<_> = (0..writers).map(spawn).collect();
        let joined = threads
            .into_iter()
            .flat_map(|own| own.join().expect("no panic"));
        let mut micros: Vec<u32> = joined.collect();
        micros.sort_unstable();
        micros
    });
    let stats = engine.stats();
    let at = |part: f64| all[(all.len() as f64 * part) as usize];
    println!(
        "{durability:?} {writers:2} writers: {:7}/s p50 {} p99 {} p99.9 {} us, {:.1} a group, {:.1} a sync, stalls {} slow {}",
        all.len() as u64 / SECONDS,
        at(0.5),
        at(0.99),
        at(0.999),
        stats.batch_count as f64 / stats.group_count as f64,
        stats.batch_count as f64 / stats.sync_count.max(1) as f64,
        stats.stall_count,
        stats.slowdown_count,
    );
}

#[test]
#[ignore = "prints figures; asserts nothing about time"]
fn figures_of_writes() {
    let parent =
        std::env::var_os("NOKV_FIGURES_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    for durability in [Durability::Synced, Durability::Buffered] {
        for writers in [1, 4, 16, 64] {
            let dir = tempfile::tempdir_in(&parent).expect("a directory");
            figures(dir.path(), writers, durability);
        }
    }
}
