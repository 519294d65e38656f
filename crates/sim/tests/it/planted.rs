//! Negative tests: what finds bugs is shown to find them. Each planted bug must be noticed within
//! the number of seeds that stands beside it.

use nokv_sim::{Plant, simulate};

fn check(plant: Plant, within: u64, invariants: &[&str]) {
    // Seed 396 tells model and store apart without any plant (see `seeds.rs`).
    for seed in (0..within).filter(|seed| *seed != 396) {
        if let (_, Some(found)) = simulate(seed, Some(plant)) {
            let invariant = found.violation.invariant;
            assert!(
                invariants.contains(&invariant),
                "{plant:?} was noticed as {found}"
            );
            return;
        }
    }
    panic!("{plant:?} was not noticed within {within} seeds");
}

#[test]
fn commands_that_check_nothing_are_noticed() {
    check(
        Plant::SkipChecks,
        20,
        &["linearizable", "equals-the-model", "consistent"],
    );
}

#[test]
fn a_dropped_event_is_noticed() {
    check(Plant::DropEvent, 40, &["watch-equals-changes"]);
}

#[test]
fn a_pruned_pinned_version_is_noticed() {
    check(
        Plant::PrunePinned,
        1000,
        &[
            "equals-the-model",
            "repeatable-reads",
            "readable",
            "snapshots",
        ],
    );
}

#[test]
fn an_overshot_quota_is_noticed() {
    check(Plant::OvershootQuota, 600, &["quota-never-overshot"]);
}

#[test]
fn a_merge_that_takes_the_wrong_side_is_noticed() {
    check(
        Plant::MergeWrongSide,
        1000,
        &[
            "equals-the-model",
            "merge-three-way",
            "merge-overwrites-nothing",
        ],
    );
}

#[test]
fn a_forgotten_request_is_noticed() {
    check(Plant::ForgetRequests, 60, &["applied-once", "linearizable"]);
}

#[test]
fn a_sync_that_was_left_out_is_noticed() {
    check(
        Plant::SkipSync,
        100,
        &["prefix-recovery", "equals-the-model"],
    );
}
