//! Power cuts: what is found after one is a prefix of the history that holds everything
//! acknowledged as synced.

use super::histories::{Op, Run, op};
use crate::support::{Store, shape};
use nokv_env::MemoryFileSystem;
use nokv_namespace::{Durability, Options};
use nokv_types::Version;
use proptest::prelude::*;
use std::sync::Arc;

/// The files as a power cut left them, and what must be in them.
struct Image {
    files: MemoryFileSystem,
    synced: Version,
    newest: Version,
}

fn steps() -> impl Strategy<Value = Vec<(Op, bool, Option<u64>)>> {
    let cut = proptest::option::weighted(0.2, any::<u64>());
    proptest::collection::vec((op(), proptest::bool::weighted(0.3), cut), 1..60)
}

/// Runs a history and cuts the power here and there, the last time at the end.
fn images(run: &mut Run, steps: &[(Op, bool, Option<u64>)]) -> Vec<Image> {
    let mut synced = run.store.namespace.read_version();
    let mut images = Vec::new();
    for (op, sync, cut) in steps {
        run.store.durability = if *sync {
            Durability::Synced
        } else {
            Durability::Buffered
        };
        let before = run.store.namespace.read_version();
        run.step(op);
        let newest = run.store.namespace.read_version();
        let acknowledged = *sync && !matches!(op, Op::Reclaim { .. });
        if acknowledged && newest > before {
            synced = newest;
        }
        if let Some(seed) = cut {
            images.push(Image {
                files: run.store.files.crash(*seed),
                synced,
                newest,
            });
        }
    }
    let newest = run.store.namespace.read_version();
    images.push(Image {
        files: run.store.files.crash(0),
        synced,
        newest,
    });
    images
}

fn check_history(options: &Options, steps: &[(Op, bool, Option<u64>)]) {
    let mut run = Run::new(Store::with(options.clone()));
    let images = images(&mut run, steps);
    let history = run.history.clone();
    for image in images {
        run.store = Store::on(Arc::new(image.files), options.clone());
        let found = run.store.namespace.read_version();
        assert!(
            found >= image.synced,
            "synced {:?} is lost, found {found:?}",
            image.synced
        );
        assert!(found <= image.newest, "{found:?} was never written");
        let (_, model) = history
            .iter()
            .rev()
            .find(|(version, _)| *version <= found)
            .expect("the first");
        run.compare(found, model);
        run.store
            .namespace
            .check()
            .expect("checks")
            .verdict()
            .expect("consistent");
        run.store.durability = Durability::Synced;
        run.store.mkdir("/after").expect("goes on");
        assert!(run.store.stat("/after").is_ok());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_power_cut_leaves_a_prefix_with_all_that_was_synced(shape in shape(), steps in steps()) {
        check_history(&shape, &steps);
    }

    #[test]
    fn and_so_with_tables(shape in shape(), steps in steps()) {
        let mut options = shape;
        options.engine.memtable_bytes = nokv_engine::Options::MEMTABLE_BYTES_MIN;
        options.engine.segment_bytes = nokv_engine::Options::MEMTABLE_BYTES_MIN as u64;
        check_history(&options, &steps);
    }
}
