//! What is moved: a real tree, copied so that it cannot change meanwhile, and generated checkpoint
//! files.

use crate::harness::Random;
use anyhow::{Context, Result};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Bytes written at once when generating.
const CHUNK_BYTES: usize = 1 << 20;
/// Files of a directory in the generated tree.
const GENERATED_FILES_PER_DIRECTORY: u64 = 40;
/// Median and largest size of a generated file, as in a tree of source packages.
const GENERATED_BYTES_MEDIAN: f64 = 4_000.0;
const GENERATED_BYTES_MAX: f64 = 2_000_000.0;
/// Spread of the generated sizes: the logarithm of the size is uniform over median ± this many
/// powers of e.
const GENERATED_SPREAD: f64 = 3.0;

/// A directory to be moved.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    /// As in the workload's name.
    pub(crate) name: &'static str,
    /// Where it lies.
    pub(crate) dir: PathBuf,
    /// Files in it.
    pub(crate) files: u64,
    /// Bytes in it.
    pub(crate) bytes: u64,
}

/// Copies regular files from `source` in sorted order until `files` are there; generates the rest.
///
/// The remark says how many are real.
pub(crate) fn real_tree(
    source: Option<&Path>,
    files: u64,
    dir: PathBuf,
) -> Result<(Input, String)> {
    let mut input = Input {
        name: "tree",
        dir,
        files: 0,
        bytes: 0,
    };
    let mut remark = String::from("tree: generated");
    if let Some(source) = source {
        let target = input.dir.join("real");
        copy_up_to(source, &target, files, &mut input)
            .with_context(|| format!("copy {}", source.display()))?;
        remark = format!("tree: {} real files from {}", input.files, source.display());
    }
    generate_up_to(files, &mut input)?;
    let mib = input.bytes as f64 / (1 << 20) as f64;
    Ok((
        input.clone(),
        format!("{remark}; {} files, {mib:.0} MiB in all", input.files),
    ))
}

fn copy_up_to(source: &Path, target: &Path, files: u64, input: &mut Input) -> Result<()> {
    std::fs::create_dir_all(target)?;
    let mut entries = std::fs::read_dir(source)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        if input.files == files {
            return Ok(());
        }
        let kind = entry.file_type()?;
        let target = target.join(entry.file_name());
        if kind.is_dir() {
            copy_up_to(&entry.path(), &target, files, input)?;
        } else if kind.is_file() {
            input.bytes += std::fs::copy(entry.path(), target)?;
            input.files += 1;
        }
    }
    Ok(())
}

fn generate_up_to(files: u64, input: &mut Input) -> Result<()> {
    let mut random = Random::new(files);
    while input.files < files {
        let number = input.files;
        let dir = input.dir.join(format!(
            "made/{:04}",
            number / GENERATED_FILES_PER_DIRECTORY
        ));
        std::fs::create_dir_all(&dir)?;
        let exponent = (random.unit() * 2.0 - 1.0) * GENERATED_SPREAD;
        let bytes = (GENERATED_BYTES_MEDIAN * exponent.exp()).min(GENERATED_BYTES_MAX) as u64;
        write_random(
            &dir.join(format!("file-{number:06}.bin")),
            bytes,
            &mut random,
        )?;
        input.bytes += bytes;
        input.files += 1;
    }
    Ok(())
}

/// `files` files of `file_bytes` random bytes each.
pub(crate) fn checkpoint(files: u64, file_bytes: u64, dir: PathBuf) -> Result<Input> {
    std::fs::create_dir_all(&dir)?;
    for number in 0..files {
        let path = dir.join(format!("shard-{number:05}-of-{files:05}.bin"));
        write_random(&path, file_bytes, &mut Random::new(number + 1))?;
    }
    Ok(Input {
        name: "checkpoint",
        dir,
        files,
        bytes: files * file_bytes,
    })
}

fn write_random(path: &Path, bytes: u64, random: &mut Random) -> Result<()> {
    let mut file =
        std::fs::File::create(path).with_context(|| format!("create {}", path.display()))?;
    let mut chunk = vec![0; CHUNK_BYTES.min(bytes as usize)];
    let mut left = bytes;
    while left > 0 {
        let length = left.min(chunk.len() as u64) as usize;
        random.fill(&mut chunk[..length]);
        file.write_all(&chunk[..length])?;
        left -= length as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_has_the_asked_number_of_files_real_ones_first() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let source = dir.path().join("source");
        std::fs::create_dir_all(source.join("a")).expect("mkdir");
        for name in ["a/1", "a/2", "b"] {
            std::fs::write(source.join(name), name).expect("write");
        }
        std::os::unix::fs::symlink("b", source.join("link")).expect("symlink");
        let (input, _) =
            real_tree(Some(&source), 2, dir.path().join("two")).expect("a part of the source");
        assert_eq!((input.files, input.bytes), (2, 6));
        let (input, remark) =
            real_tree(Some(&source), 10, dir.path().join("ten")).expect("and generated ones");
        assert_eq!(input.files, 10);
        assert!(remark.contains("3 real files"), "{remark}");
        assert!(!input.dir.join("real/link").exists());
    }
}
