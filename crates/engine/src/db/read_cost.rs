//! What point reads cost: how many tables they ask and how many data blocks they search.
//!
//! One read in some thousand is gone through once more and counted, after it was answered, so the
//! others pay nothing.
//!
//! Invariant: a count is of what the read path does: the same runs in the same order, until the
//! first that knows the key.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{memory::Lookup, view::View};
use crate::{
    Error,
    moment::LookupMoment,
    table::{LookupKey, Table},
};

/// Of the reads that the observer of hot keys samples, one in so many is counted: going through it
/// again takes as long as the read.
const SAMPLES_PER_COUNT: u64 = 16;

/// Counters since the store was opened.
#[derive(Debug, Default)]
pub(super) struct ReadCosts {
    offered: AtomicU64,
    pub(super) reads: AtomicU64,
    pub(super) tables: AtomicU64,
    pub(super) blocks: AtomicU64,
}

/// What one read touched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Touched {
    tables: u64,
    blocks: u64,
}

impl ReadCosts {
    /// A read of the internal key that was answered and sampled.
    pub(super) fn offer(&self, view: &View, key: &[u8], moment: &LookupMoment<'_>) {
        if !self
            .offered
            .fetch_add(1, Ordering::Relaxed)
            .is_multiple_of(SAMPLES_PER_COUNT)
        {
            return;
        }
        // What can't be read was the reader's error already.
        if let Ok(touched) = touched(view, key, moment) {
            self.reads.fetch_add(1, Ordering::Relaxed);
            self.tables.fetch_add(touched.tables, Ordering::Relaxed);
            self.blocks.fetch_add(touched.blocks, Ordering::Relaxed);
        }
    }
}

fn touched(view: &View, key: &[u8], moment: &LookupMoment<'_>) -> Result<Touched, Error> {
    let mut sum = Touched::default();
    for memory in view.memories() {
        if !matches!(memory.get(key, moment)?, Lookup::Unknown) {
            return Ok(sum);
        }
    }
    let lookup = LookupKey::new(key);
    for tables in view.tables.runs() {
        let first = tables.partition_point(|table| table.summary().largest.as_slice() < key);
        let begins = |table: &&Table| table.summary().smallest.as_slice() <= key;
        let reached = tables.iter().skip(first).map(|table| &**table);
        for table in reached.take_while(begins) {
            sum.tables += 1;
            let is_searched = table.may_contain(&lookup, moment.at())?;
            sum.blocks += u64::from(is_searched);
            let is_covered = table.range_tombstones().covering(key, moment.at());
            if is_covered.is_some() || is_searched && table.get(&lookup, moment.at())?.is_some() {
                return Ok(sum);
            }
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use nokv_env::Env;
    use nokv_types::Version;

    use super::*;
    use crate::{
        Batch, Durability, Engine, Keyspace, Options,
        moment::{Asked, Moment},
    };

    #[test]
    fn a_read_touches_the_tables_over_it_until_one_has_the_key() {
        let options = Options {
            level0_tables: 100,
            ..Options::default()
        };
        let engine = Engine::open(Env::memory(1), Path::new("/store"), options).unwrap();
        let keyspace = Keyspace::new(1);
        let keys = [["a", "m", "z"], ["a", "n", "z"], ["a", "o", "z"]];
        for (version, keys) in (1..).zip(keys) {
            let mut batch = Batch::new();
            for key in keys {
                batch.put(keyspace, key.as_bytes(), b"v", Version::from_u64(version));
            }
            engine.write(batch, Durability::Synced).unwrap();
            engine.flush().unwrap();
        }
        let core = engine.core();
        let view = core.view.load();
        let moment = Moment::new(Asked::Version(Version::MAX), 3, &*core.env.clock);
        let of = |key: &str| {
            let key = keyspace.internal_key(key.as_bytes());
            let touched = touched(&view, &key, &moment).unwrap();
            (touched.tables, touched.blocks)
        };
        assert_eq!(of("a"), (1, 1));
        // The filters of the newer tables spare the search, one in a hundred aside.
        assert_eq!(of("n"), (2, 1));
        assert_eq!(of("m"), (3, 1));
        assert_eq!(of("0"), (0, 0));
    }
}
