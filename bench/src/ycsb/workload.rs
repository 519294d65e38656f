//! The workloads as data: which share of which operation, over which keys.

use super::engine::Durability;
use super::keys::Shape;
use serde::{Deserialize, Serialize};

/// How a record is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Popularity {
    /// Zipfian 0.99, scattered.
    Zipfian,
    /// The newest are the most popular.
    Latest,
    /// All alike.
    Uniform,
}

/// Percent of each operation; they add up to 100.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mix {
    /// Point reads.
    pub(crate) get: u64,
    /// Overwrites of a whole value.
    pub(crate) update: u64,
    /// New records.
    pub(crate) insert: u64,
    /// Scans: of 1..=100 records from a record (YCSB), or of the 100 children of a directory
    /// (metadata).
    pub(crate) scan: u64,
    /// Read, then overwrite.
    pub(crate) read_modify_write: u64,
}

const NOTHING: Mix = Mix {
    get: 0,
    update: 0,
    insert: 0,
    scan: 0,
    read_modify_write: 0,
};

/// Filling an empty store in batches, or a mix over what is there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Batches of [`super::cell::LOAD_BATCH`] records in hashed order, one writer.
    Load,
    /// Operations one by one.
    Mix(Mix, Popularity),
}

/// A workload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    /// As in the rows and in `--workloads`.
    pub(crate) name: &'static str,
    /// Which keys and values.
    pub(crate) shape: Shape,
    /// What it does.
    pub(crate) kind: Kind,
}

/// A durability under which a workload runs, in which store, for which part of `--ops`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Round {
    /// Of each write.
    pub(crate) durability: Durability,
    /// Synced rounds are shorter: they wait for the disk.
    pub(crate) ops_divisor: u64,
}

const BUFFERED: Round = Round {
    durability: Durability::Buffered,
    ops_divisor: 1,
};
const SYNCED: Round = Round {
    durability: Durability::Synced,
    ops_divisor: 10,
};

const fn mix(name: &'static str, shape: Shape, popularity: Popularity, mix: Mix) -> Workload {
    let total = mix.get + mix.update + mix.insert + mix.scan + mix.read_modify_write;
    assert!(total == 100, "the percentages of a mix add up to 100");
    Workload {
        name,
        shape,
        kind: Kind::Mix(mix, popularity),
    }
}

use Popularity::{Latest, Uniform, Zipfian};
use Shape::{Log, Metadata, Ycsb};

/// Every workload. The order within a store is YCSB's: what inserts comes last.
const WORKLOADS: &[Workload] = &[
    Workload {
        name: "load",
        shape: Ycsb,
        kind: Kind::Load,
    },
    mix(
        "A",
        Ycsb,
        Zipfian,
        Mix {
            get: 50,
            update: 50,
            ..NOTHING
        },
    ),
    mix(
        "B",
        Ycsb,
        Zipfian,
        Mix {
            get: 95,
            update: 5,
            ..NOTHING
        },
    ),
    mix(
        "C",
        Ycsb,
        Zipfian,
        Mix {
            get: 100,
            ..NOTHING
        },
    ),
    mix(
        "F",
        Ycsb,
        Zipfian,
        Mix {
            get: 50,
            read_modify_write: 50,
            ..NOTHING
        },
    ),
    mix(
        "D",
        Ycsb,
        Latest,
        Mix {
            get: 95,
            insert: 5,
            ..NOTHING
        },
    ),
    mix(
        "E",
        Ycsb,
        Zipfian,
        Mix {
            scan: 95,
            insert: 5,
            ..NOTHING
        },
    ),
    mix(
        "append",
        Log,
        Latest,
        Mix {
            insert: 100,
            ..NOTHING
        },
    ),
    Workload {
        name: "meta-load",
        shape: Metadata,
        kind: Kind::Load,
    },
    mix(
        "meta-get",
        Metadata,
        Uniform,
        Mix {
            get: 100,
            ..NOTHING
        },
    ),
    mix(
        "meta-scan",
        Metadata,
        Uniform,
        Mix {
            scan: 100,
            ..NOTHING
        },
    ),
    mix(
        "meta-insert",
        Metadata,
        Uniform,
        Mix {
            insert: 100,
            ..NOTHING
        },
    ),
    mix(
        "meta-mixed",
        Metadata,
        Uniform,
        Mix {
            get: 70,
            scan: 10,
            insert: 20,
            ..NOTHING
        },
    ),
];

/// The stores of a run, each with its workloads in order: a load first.
pub(crate) const STORES: &[&[(&str, Round)]] = &[
    &[
        ("load", BUFFERED),
        ("A", BUFFERED),
        ("B", BUFFERED),
        ("C", BUFFERED),
        ("F", BUFFERED),
        ("D", BUFFERED),
        ("E", BUFFERED),
        ("append", BUFFERED),
        ("A", SYNCED),
        ("append", SYNCED),
    ],
    &[
        ("meta-load", BUFFERED),
        ("meta-get", BUFFERED),
        ("meta-scan", BUFFERED),
        ("meta-insert", BUFFERED),
        ("meta-mixed", BUFFERED),
        ("meta-insert", SYNCED),
    ],
];

/// A workload by name.
pub(crate) fn find(name: &str) -> Option<&'static Workload> {
    WORKLOADS.iter().find(|workload| workload.name == name)
}

/// All names, for messages.
pub(crate) fn names() -> String {
    WORKLOADS
        .iter()
        .map(|workload| workload.name)
        .collect::<Vec<_>>()
        .join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_store_begins_with_its_load_and_names_known_workloads() {
        for store in STORES {
            let kinds: Vec<_> = store
                .iter()
                .map(|(name, _)| find(name).expect("known").kind)
                .collect();
            assert!(matches!(kinds[0], Kind::Load));
            assert!(kinds[1..].iter().all(|kind| matches!(kind, Kind::Mix(..))));
        }
    }
}
