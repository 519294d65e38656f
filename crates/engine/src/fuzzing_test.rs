//! Every fuzz target over its corpus (testdata/fuzz), the golden files of all formats, changed
//! copies of both, and arbitrary bytes.

use std::path::PathBuf;

use nokv_env::{EntryKind, Env, OpenMode};
use proptest::prelude::*;

use crate::fuzzing::TARGETS;

/// Changed copies of each sample are made from its first bytes only: the rest of a golden table is
/// blocks like the first.
const SAMPLE_BYTES_MAX: usize = 4096;

/// The files of a folder of testdata; none when there is no such folder.
fn samples(folder: &str) -> Vec<Vec<u8>> {
    let dir: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../testdata", folder]
        .iter()
        .collect();
    let files = Env::real().files;
    let entries = files.list(&dir).unwrap_or_default();
    let read = |name: &String| {
        let file = files.open(&dir.join(name), OpenMode::Read).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    };
    let is_file = |entry: &&nokv_env::DirEntry| entry.kind == EntryKind::File;
    entries
        .iter()
        .filter(is_file)
        .map(|entry| read(&entry.name))
        .collect()
}

#[test]
fn every_target_answers_its_corpus_and_the_golden_files() {
    let golden = samples("format");
    assert!(golden.len() > 4);
    for (name, target) in TARGETS {
        let corpus = samples(&format!("fuzz/{name}"));
        assert!(!corpus.is_empty(), "{name} has no corpus");
        for sample in corpus.iter().chain(&golden) {
            target(sample);
            // A file may also end, or begin, anywhere.
            for length in (0..sample.len().min(200)).step_by(7) {
                target(&sample[..length]);
                target(&sample[length..]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_target_answers_changed_samples(
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6),
        place: prop::sample::Index,
    ) {
        let golden = samples("format");
        for (name, target) in TARGETS {
            let mut all = samples(&format!("fuzz/{name}"));
            all.extend_from_slice(&golden);
            let mut sample = place.get(&all).clone();
            sample.truncate(SAMPLE_BYTES_MAX);
            for (at, byte) in &changes {
                let length = sample.len().max(1);
                if let Some(slot) = sample.get_mut(at % length) {
                    *slot = *byte;
                }
            }
            target(&sample);
        }
    }

    #[test]
    fn every_target_answers_any_bytes(bytes: Vec<u8>) {
        for (_, target) in TARGETS {
            target(&bytes);
        }
    }
}
