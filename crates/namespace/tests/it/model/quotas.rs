//! Random histories under quotas: what fits and what does not is what the model says, and every
//! counter equals a recount and the model.

use super::histories::{Op, Run, op};
use crate::support::{Store, path, reason, shape};
use nokv_namespace::{Durability, Options, QuotaLimits, QuotaState};
use nokv_types::{NsPath, Reason};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Op(Op),
    Set {
        at: Vec<&'static str>,
        bytes: Option<u64>,
        inodes: Option<u64>,
    },
    Remove {
        at: Vec<&'static str>,
    },
    Compare,
    Reopen,
}

fn at() -> impl Strategy<Value = Vec<&'static str>> {
    proptest::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 0..3)
}

fn step() -> impl Strategy<Value = Step> {
    let limit = || proptest::option::of(0..14_u64);
    prop_oneof![
        30 => op().prop_map(Step::Op),
        6 => (at(), limit(), limit())
            .prop_map(|(at, bytes, inodes)| Step::Set { at, bytes, inodes }),
        1 => at().prop_map(|at| Step::Remove { at }),
        2 => Just(Step::Compare),
        1 => Just(Step::Reopen),
    ]
}

fn ns(at: &[&str]) -> NsPath {
    path(&format!("/{}", at.join("/")))
}

fn directory(run: &Run, at: &[&str]) -> Result<usize, Reason> {
    let id = run.model.lookup(at, true)?;
    match run.model.entries(id) {
        Some(_) => Ok(id),
        None => Err(Reason::NotDirectory),
    }
}

fn take(run: &mut Run, step: &Step) {
    match step {
        Step::Op(op) => run.step(op),
        Step::Set { at, bytes, inodes } => {
            let limits = QuotaLimits {
                bytes: *bytes,
                inodes: *inodes,
            };
            let set = run
                .store
                .namespace
                .set_quota(&run.store.context(), &ns(at), limits);
            match directory(run, at) {
                Ok(id) => {
                    let quota = set.expect("set");
                    assert_eq!((quota.limits, quota.state), (limits, QuotaState::Active));
                    run.quotas.insert(id, limits);
                }
                Err(wanted) => assert_eq!(reason(set), wanted),
            }
        }
        Step::Remove { at } => {
            let store = &run.store;
            let removed = store.namespace.remove_quota(&store.context(), &ns(at));
            match directory(run, at) {
                Ok(id) if run.quotas.remove(&id).is_some() => drop(removed.expect("removed")),
                Ok(_) => assert_eq!(reason(removed), Reason::NotFound),
                Err(wanted) => assert_eq!(reason(removed), wanted),
            }
        }
        Step::Compare => compare(run),
        Step::Reopen => {
            run.store.namespace.sync().expect("synced");
            let now = run.store.now();
            let files = std::sync::Arc::new(run.store.files.crash(3));
            run.store = Store::on(files, Options::default());
            let behind = now.saturating_sub(run.store.now());
            run.store
                .clock
                .advance(std::time::Duration::from_millis(behind));
            run.store.durability = Durability::Buffered;
        }
    }
}

/// Every quota holds what the model holds, and all recounts agree.
fn compare(run: &Run) {
    let namespace = &run.store.namespace;
    let verify = || namespace.check().expect("checks").verdict();
    verify().expect("with removed trees not yet taken apart");
    while namespace.reclaim(5).expect("reclaims").more {}
    verify().expect("consistent");
    let quotas = namespace.quotas(run.store.view().mount).expect("listed");
    assert_eq!(quotas.len(), run.quotas.len());
    let mut usages: Vec<_> = quotas
        .iter()
        .map(|quota| (quota.usage.bytes, quota.usage.inodes, quota.limits.bytes))
        .collect();
    let held = |(id, limits): (&usize, &QuotaLimits)| {
        let held = run.model.held(*id);
        (held.0, held.1, limits.bytes)
    };
    let mut wanted: Vec<_> = run.quotas.iter().map(held).collect();
    usages.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(usages, wanted);
    for quota in quotas {
        let check = namespace.check_quota(run.store.view().mount, quota.directory);
        let check = check.expect("recounted");
        assert_eq!(check.counted, check.recounted);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn quotas_hold_what_the_model_holds(
        shape in shape(), steps in proptest::collection::vec(step(), 1..70),
    ) {
        let mut store = Store::with(shape);
        store.durability = Durability::Buffered;
        let mut run = Run::new(store);
        for step in &steps {
            take(&mut run, step);
        }
        compare(&run);
    }
}
