//! What everybody who keeps a namespace is asked, and the names that the questions use.

use crate::harness::Random;
use anyhow::Result;

/// Components of a looked-up path.
pub(crate) const LOOKUP_DEPTH: usize = 8;
/// Files that lookups choose from; their directories form chains of seven.
pub(crate) const LOOKUP_FILES: u64 = 10_000;
/// Directories that creating callers spread over.
pub(crate) const CREATE_DIRECTORIES: u64 = 64;
/// Files of one batched create.
pub(crate) const BATCH_FILES: u64 = 1_000;

/// A system under test. A method that a system does not offer is an error, and the run does not ask
/// for it.
pub(crate) trait Subject: Send + Sync {
    /// Makes the directories of [`create_path`].
    fn prepare_create(&self) -> Result<()>;
    /// Makes one empty file that is not there.
    fn create(&self, caller: u32, index: u64) -> Result<()>;
    /// Makes [`BATCH_FILES`] files from `first` on, all or nothing where the system can.
    fn create_batch(&self, first: u64) -> Result<()>;
    /// Makes the files of [`lookup_path`].
    fn prepare_lookup(&self) -> Result<()>;
    /// Resolves one path and returns its attributes' size field, which is 0.
    fn lookup(&self, index: u64) -> Result<u64>;
    /// Makes a directory of so many entries.
    fn prepare_list(&self, entries: u64) -> Result<()>;
    /// Lists it with attributes; the number of entries.
    fn list(&self) -> Result<u64>;
    /// CPU seconds used and peak MiB of processes beside this one.
    fn beside(&self) -> Result<(f64, f64)> {
        Ok((0.0, 0.0))
    }
}

/// The directory and the name of a created file.
pub(crate) fn create_path(caller: u32, index: u64) -> (u64, String) {
    let directory = (u64::from(caller) * 7 + index) % CREATE_DIRECTORIES;
    (directory, format!("file-{caller:02}-{index:010}"))
}

/// The components of a looked-up path: a thousand leaf directories, seven deep.
pub(crate) fn lookup_path(index: u64) -> [String; LOOKUP_DEPTH] {
    let digit = |power: u32| index / 10u64.pow(power) % 10;
    [
        "projects".into(),
        format!("team-{}", digit(0)),
        format!("run-{}", digit(1)),
        format!("stage-{}", digit(2)),
        "output".into(),
        "checkpoints".into(),
        "final".into(),
        format!("model-{index:06}.safetensors"),
    ]
}

/// The name of entry `index` of the listed directory.
pub(crate) fn list_name(index: u64) -> String {
    format!("entry-{index:012}")
}

/// A file to look up.
pub(crate) fn choose_lookup(random: &mut Random) -> u64 {
    random.below(LOOKUP_FILES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_caller_makes_its_own_files() {
        let mut seen = BTreeSet::new();
        for caller in 0..16 {
            for index in 0..500 {
                assert!(seen.insert(create_path(caller, index)), "{caller} {index}");
            }
        }
    }

    #[test]
    fn lookups_reach_a_thousand_leaf_directories() {
        let leaves: BTreeSet<_> = (0..LOOKUP_FILES)
            .map(|index| lookup_path(index)[..7].join("/"))
            .collect();
        assert_eq!(leaves.len(), 1_000);
    }
}
