//! Whether a tree came back bit for bit.

use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes compared at once.
const CHUNK_BYTES: usize = 1 << 20;

/// **Errors**: the first difference in the set of files or in their bytes.
pub(crate) fn compare(expected: &Path, got: &Path) -> Result<()> {
    let (left, right) = (files(expected)?, files(got)?);
    if let Some(path) = left.keys().find(|path| !right.contains_key(*path)) {
        bail!("{} did not come back", path.display());
    }
    if let Some(path) = right.keys().find(|path| !left.contains_key(*path)) {
        bail!("{} was never there", path.display());
    }
    for (path, length) in left {
        ensure!(
            right.get(&path) == Some(&length),
            "{} has another length",
            path.display()
        );
        same_bytes(&expected.join(&path), &got.join(&path))
            .with_context(|| format!("compare {}", path.display()))?;
    }
    Ok(())
}

fn files(root: &Path) -> Result<BTreeMap<PathBuf, u64>> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root.to_path_buf()];
    while let Some(dir) = pending.pop() {
        for entry in std::fs::read_dir(&dir).with_context(|| format!("list {}", dir.display()))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                pending.push(entry.path());
            } else {
                let path = entry.path().strip_prefix(root)?.to_path_buf();
                found.insert(path, entry.metadata()?.len());
            }
        }
    }
    Ok(found)
}

fn same_bytes(left: &Path, right: &Path) -> Result<()> {
    let (mut left, mut right) = (std::fs::File::open(left)?, std::fs::File::open(right)?);
    let (mut expected, mut got) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
    loop {
        let length = left.read(&mut expected)?;
        if length == 0 {
            return Ok(());
        }
        right.read_exact(&mut got[..length])?;
        ensure!(expected[..length] == got[..length], "the bytes differ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_difference_is_found() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (left, right) = (dir.path().join("left"), dir.path().join("right"));
        let write = |path: &str, bytes: &[u8]| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
            std::fs::write(path, bytes).expect("write");
        };
        write("left/a/b", b"same");
        write("right/a/b", b"same");
        compare(&left, &right).expect("equal");
        write("right/a/b", b"sane");
        assert!(compare(&left, &right).is_err(), "a byte");
        write("right/a/b", b"same!");
        assert!(compare(&left, &right).is_err(), "a length");
        write("right/a/b", b"same");
        write("right/extra", b"");
        assert!(compare(&left, &right).is_err(), "a file too many");
        std::fs::remove_file(right.join("extra")).expect("remove");
        std::fs::remove_file(right.join("a/b")).expect("remove");
        assert!(compare(&left, &right).is_err(), "a file too few");
    }
}
