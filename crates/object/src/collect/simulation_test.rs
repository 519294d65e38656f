//! Service, clients and a faulty object store together, from a seed: random histories, their
//! checker, and the planted bugs that it must notice.
//!
//! `NOKV_COLLECT_SEEDS=from..to` runs more seeds than the usual few; a failure prints its seed.

use super::{
    simulation::Simulation,
    simulation_clients::Habit,
    world_test::{Checked, Lie, run},
};
use nokv_namespace::Plant;

/// Seeds within which a planted bug must be noticed.
const PLANTED_SEEDS: u64 = 60;
/// Seeds of an ordinary run: some seconds.
const SEEDS: u64 = 24;
const STEPS: usize = 90;

/// What is wrong on purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Bug {
    None,
    Namespace(Plant),
    Collector(Lie),
    Client(Habit),
}

fn history(seed: u64, bug: Bug) -> Checked {
    let (plant, lie, habit) = match bug {
        Bug::None => (None, Lie::None, Habit::Sound),
        Bug::Namespace(plant) => (Some(plant), Lie::None, Habit::Sound),
        Bug::Collector(lie) => (None, lie, Habit::Sound),
        Bug::Client(habit) => (None, Lie::None, habit),
    };
    run(async {
        let mut simulation = Simulation::new(seed, plant, lie, habit);
        let mut outcome = Ok(());
        for _ in 0..STEPS {
            outcome = outcome.and(simulation.step().await);
            if outcome.is_err() {
                break;
            }
        }
        if outcome.is_ok() {
            outcome = simulation.check_the_end().await;
        }
        if outcome.is_err() && bug == Bug::None {
            println!("{}", simulation.trace.join("\n"));
        }
        outcome
    })
}

fn seeds() -> std::ops::Range<u64> {
    let asked = std::env::var("NOKV_COLLECT_SEEDS").ok();
    let Some((from, to)) = asked.as_ref().and_then(|range| range.split_once("..")) else {
        return 0..SEEDS;
    };
    from.parse().expect("a number")..to.parse().expect("a number")
}

#[test]
fn whatever_fails_readers_see_whole_bodies_and_garbage_goes() {
    for seed in seeds() {
        if let Err(flaw) = history(seed, Bug::None) {
            panic!("seed {seed}: {flaw}");
        }
    }
}

#[test]
fn planted_bugs_are_noticed() {
    let bugs = [
        Bug::Namespace(Plant::ForgetPins),
        Bug::Namespace(Plant::ForgetReference),
        Bug::Namespace(Plant::ForgetPlaces),
        Bug::Namespace(Plant::ForgetLeases),
        Bug::Collector(Lie::NothingIsReferenced),
        Bug::Collector(Lie::EverythingIsReferenced),
        Bug::Client(Habit::LedgerAfterUpload),
    ];
    for bug in bugs {
        let noticed = (0..PLANTED_SEEDS).find_map(|seed| {
            let found = std::panic::catch_unwind(|| history(seed, bug));
            found.unwrap_or_else(|_| Err("a panic".to_owned())).err()
        });
        let flaw = noticed.unwrap_or_else(|| panic!("{bug:?} was not noticed"));
        println!("{bug:?}: {flaw}");
    }
    // Planted, and not noticed by as many seeds: what is to be done (issue 5).
    let open = [
        Bug::Namespace(Plant::ForgetSession),
        Bug::Collector(Lie::NothingIsDoomed),
    ];
    println!("not noticed yet: {open:?}");
}
