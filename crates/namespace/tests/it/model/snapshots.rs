//! Random histories with snapshots, collection and power cuts: what a snapshot shows equals what
//! the model was when it was taken, whatever happened since.

use super::histories::{Op, Run, op};
use super::state::Model;
use crate::support::{Store, path, reason, shape};
use nokv_namespace::{Durability, NewSnapshot, Options};
use nokv_types::{Reason, SnapshotName, Version};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug)]
enum Step {
    Op(Op),
    Take { name: u8, lease: bool },
    TakePast { name: u8, back: usize },
    Drop { name: u8 },
    Wait,
    Collect,
    Crash { seed: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..4_u8;
    prop_oneof![
        20 => op().prop_filter("pages end when their version is given up", |op| {
            !matches!(op, Op::BeginPage { .. } | Op::NextPage)
        }).prop_map(Step::Op),
        4 => (name.clone(), any::<bool>()).prop_map(|(name, lease)| Step::Take { name, lease }),
        2 => (name.clone(), 0..6_usize).prop_map(|(name, back)| Step::TakePast { name, back }),
        2 => name.prop_map(|name| Step::Drop { name }),
        1 => Just(Step::Wait),
        3 => Just(Step::Collect),
        1 => any::<u64>().prop_map(|seed| Step::Crash { seed }),
    ]
}

/// What the model knows of a snapshot.
struct Taken {
    at: Version,
    model: Model,
    end: Option<u64>,
}

struct World {
    run: Run,
    options: Options,
    taken: BTreeMap<u8, Taken>,
}

impl World {
    fn name(name: u8) -> SnapshotName {
        SnapshotName::parse(&format!("s{name}")).expect("a valid name")
    }

    fn now(&self) -> u64 {
        self.run.store.now()
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Op(op) => self.run.step(op),
            Step::Take { name, lease } => {
                let lease_ms = lease.then_some(100_000);
                let model = self.run.history.last().expect("the first").1.clone();
                self.take(*name, None, lease_ms, &model);
            }
            Step::TakePast { name, back } => {
                let index = self.run.history.len().saturating_sub(1 + back);
                let (at, model) = self.run.history[index].clone();
                self.take(*name, Some(at), None, &model);
            }
            Step::Drop { name } => self.drop_one(*name),
            Step::Wait => self.run.store.clock.advance(Duration::from_secs(60)),
            Step::Collect => self.run.store.collect_all(),
            Step::Crash { seed } => {
                self.run.store.namespace.sync().expect("synced");
                let now = Duration::from_millis(self.now());
                let files = Arc::new(self.run.store.files.crash(*seed));
                let durability = self.run.store.durability;
                self.run.store = Store::on(files, self.options.clone());
                let began = Duration::from_millis(self.now());
                self.run.store.clock.advance(now.saturating_sub(began));
                self.run.store.durability = durability;
            }
        }
    }

    fn take(&mut self, name: u8, at: Option<Version>, lease_ms: Option<u64>, model: &Model) {
        let store = &self.run.store;
        let new = NewSnapshot {
            name: Self::name(name),
            at,
            lease_ms,
        };
        let made = store
            .namespace
            .create_snapshot(&store.context(), &path("/"), new);
        if self.taken.contains_key(&name) {
            let wanted = match (&made, at) {
                // Both are true; which is said is not promised.
                (Err(failure), Some(_)) if failure.reason() == Reason::Compacted => return,
                _ => Reason::AlreadyExists,
            };
            assert_eq!(reason(made), wanted);
            return;
        }
        match made {
            Ok(snapshot) => {
                assert!(at.is_none_or(|at| at == snapshot.at));
                let end = lease_ms.map(|lease_ms| self.now() + lease_ms);
                let (at, model) = (snapshot.at, model.clone());
                self.taken.insert(name, Taken { at, model, end });
            }
            Err(failure) => {
                let at = at.expect("the newest can always be taken");
                assert_eq!(failure.reason(), Reason::Compacted);
                assert!(at < self.run.store.namespace.floor());
                assert!(self.taken.values().all(|taken| {
                    taken.at != at || taken.end.is_some_and(|end| end <= self.now())
                }));
            }
        }
    }

    fn drop_one(&mut self, name: u8) {
        let store = &self.run.store;
        let removed = store
            .namespace
            .remove_snapshot(&store.context(), &Self::name(name));
        match self.taken.remove(&name) {
            Some(taken) => assert_eq!(removed.expect("there").at, taken.at),
            None => assert_eq!(reason(removed), Reason::NotFound),
        }
    }

    fn compare(&mut self) {
        let now = self.now();
        for (name, taken) in &self.taken {
            let store = &self.run.store;
            let found = store
                .namespace
                .snapshot(store.view().mount, &Self::name(*name));
            if taken.end.is_some_and(|end| end <= now) {
                assert_eq!(reason(found), Reason::SnapshotExpired);
                continue;
            }
            assert_eq!(found.expect("live").at, taken.at);
            self.run.compare(taken.at, &taken.model);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn snapshots_show_what_the_model_was(
        shape in shape(), steps in proptest::collection::vec(step(), 1..60),
    ) {
        let mut options = shape;
        options.engine.memtable_bytes = nokv_engine::Options::MEMTABLE_BYTES_MIN;
        options.engine.segment_bytes = nokv_engine::Options::MEMTABLE_BYTES_MIN as u64;
        options.engine.level0_tables = 2;
        let mut store = Store::with(options.clone());
        store.durability = Durability::Buffered;
        let mut world = World {
            run: Run::new(store),
            options,
            taken: BTreeMap::new(),
        };
        for step in &steps {
            world.step(step);
            if matches!(step, Step::Collect | Step::Crash { .. }) {
                world.compare();
            }
        }
        world.run.store.collect_all();
        world.compare();
        world.run.store.namespace.check().expect("checks").verdict().expect("consistent");
    }
}
