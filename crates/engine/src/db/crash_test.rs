//! Power cuts at every sync, at writes, with random unsynced parts lost: nothing synced is lost,
//! nothing is torn. And planted bugs, which this must notice.
//!
//! `NOKV_CRASH_SEEDS=from..to` runs more seeds than the usual few; a failure prints its seed.

use nokv_env::{Operation, Outcome, Rule, Trigger};

use crate::{
    plant::{Plant, with_planted},
    testing::{Run, seeds},
};

/// Operations of a run.
const STEPS: u64 = 100;

/// Seeds within which a planted bug must be noticed.
const PLANTED_SEEDS: u64 = 30;

#[test]
fn a_power_cut_at_any_moment_loses_nothing_synced_and_tears_nothing() {
    let (seeds, mut cuts) = (seeds(3), 0);
    println!("seeds {seeds:?}");
    for seed in seeds {
        cuts += Run::new(seed, Vec::new())
            .go(STEPS)
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    println!("{cuts} power cuts");
    assert!(cuts > 500, "{cuts} power cuts");
}

/// The first seed whose run goes wrong.
fn first_failure(mut run: impl FnMut(u64) -> Result<u64, String>) -> Option<(u64, String)> {
    (0..PLANTED_SEEDS).find_map(|seed| run(seed).err().map(|error| (seed, error)))
}

fn assert_noticed(what: &str, found: Option<(u64, String)>) {
    let (seed, error) = found.unwrap_or_else(|| panic!("{what}: not noticed"));
    let error: String = error.chars().take(160).collect();
    println!("{what}: seed {seed}: {error}");
}

#[test]
fn a_planted_bug_is_noticed() {
    let plants = [
        Plant::SkipLogSync,
        Plant::SkipValueSync,
        Plant::SkipLogChecksum,
        Plant::ReleaseLogFirst,
        Plant::ForgetPins,
    ];
    for plant in plants {
        let found = first_failure(|seed| {
            with_planted(plant, Err("a panic".to_owned()), || {
                Run::new(seed, Vec::new()).go(STEPS)
            })
        });
        assert_noticed(&format!("{plant:?}"), found);
    }
}

/// Each file that is synced is synced for a reason.
#[test]
fn a_sync_that_lies_is_noticed_for_every_kind_of_file() {
    let file_syncs = [Operation::SyncData, Operation::SyncAll];
    let kinds: [(&str, &[Operation]); 6] = [
        (".wal", &file_syncs),
        (".table", &file_syncs),
        (".vlog", &file_syncs),
        (".manifest", &file_syncs),
        ("CURRENT.next", &file_syncs),
        (DIR_NAME, &[Operation::SyncDir]),
    ];
    for (path, operations) in kinds {
        let rule = Rule {
            operations: operations.to_vec(),
            path_contains: path.to_owned(),
            trigger: Trigger::From(1),
            outcome: Outcome::LostSync,
        };
        let found = first_failure(|seed| Run::new(seed, vec![rule.clone()]).go(STEPS));
        assert_noticed(path, found);
    }
}

const DIR_NAME: &str = crate::testing::DIR;
