//! Real input: a tree of over 20,000 real files and checkpoint files of 8 x 256 MiB, put and got
//! back.
//!
//! RSS is the highest resident memory, MiB. Beside each figure stands `cp -r` of the same tree;
//! `diff -r` must find nothing, or there is no figure.

use super::measure::{Cost, nokv, release_binary, run};
use crate::process;
#[path = "../../../crates/nokv/tests/it/weed.rs"]
mod weed;
use anyhow::{Context, Result, bail};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Files that make a tree worth measuring.
const TREE_FILES_MIN: u64 = 20_000;
/// Checkpoint files and their size.
const CHECKPOINTS: u64 = 8;
const CHECKPOINT_BYTES: u64 = 256 << 20;
const CHECKPOINT_BYTES_QUICK: u64 = 16 << 20;

/// What is measured: where the objects are, and what is put.
struct Run {
    binary: PathBuf,
    work: tempfile::TempDir,
    s3: Option<weed::Weed>,
}

/// Prints a row for each tree: size, put, get, `cp -r`, highest memory.
pub(crate) fn real_input(arguments: &[String]) -> Result<()> {
    let has = |option: &str| arguments.iter().any(|argument| argument == option);
    let unknown = arguments
        .iter()
        .find(|argument| !["--s3", "--quick"].contains(&argument.as_str()));
    if let Some(unknown) = unknown {
        bail!("realinput knows --s3 and --quick, not {unknown}");
    }
    let binary = release_binary()?;
    let folder = process::target().join("realinput");
    std::fs::create_dir_all(&folder)?;
    let bytes = if has("--quick") {
        CHECKPOINT_BYTES_QUICK
    } else {
        CHECKPOINT_BYTES
    };
    let checkpoints = make_checkpoints(&folder.join(format!("checkpoints-{bytes}")), bytes)?;
    let tree = real_tree()?;
    println!(
        "{:<14} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "tree", "files", "MiB", "put s", "get s", "cp -r s", "put RSS", "get RSS"
    );
    for (name, source) in [("real tree", &tree), ("checkpoints", &checkpoints)] {
        let run = Run {
            binary: binary.clone(),
            work: tempfile::tempdir_in(&folder)?,
            s3: has("--s3").then(weed::Weed::start),
        };
        run.measure(name, source)?;
    }
    Ok(())
}

impl Run {
    fn measure(&self, name: &str, source: &Path) -> Result<()> {
        let (files, bytes) = count(source)?;
        let (copy, plain) = (
            self.work.path().join("copy"),
            self.work.path().join("plain"),
        );
        let cp = run(Command::new("cp").arg("-r").arg(source).arg(&plain))?;
        std::fs::remove_dir_all(&plain)?;
        let put = run(self.nokv().arg("put").arg(source).arg("/tree"))?;
        let get = run(self.nokv().args(["get", "/tree"]).arg(&copy))?;
        run(Command::new("diff")
            .args(["-r", "--no-dereference"])
            .arg(source)
            .arg(&copy))
        .context("what came back is not what was put")?;
        print_row(name, files, bytes, [put, get, cp]);
        Ok(())
    }

    fn nokv(&self) -> Command {
        let mut command = nokv(&self.binary, self.work.path());
        command
            .args(["--quiet", "--dir"])
            .arg(self.work.path().join("store"));
        if let Some(s3) = &self.s3 {
            command
                .args(["--objects", &format!("s3://{}/real", weed::BUCKET)])
                .args(["--s3-endpoint", &s3.endpoint(), "--s3-region", "us-east-1"])
                .env("AWS_ACCESS_KEY_ID", weed::ACCESS_KEY)
                .env("AWS_SECRET_ACCESS_KEY", weed::SECRET_KEY);
        }
        command
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for a person")]
fn print_row(name: &str, files: u64, bytes: u64, [put, get, cp]: [Cost; 3]) {
    let mib = bytes as f64 / f64::from(1 << 20);
    let seconds = put.wall.as_secs_f64();
    println!(
        "{name:<14} {files:>8} {mib:>9.0} {seconds:>9.2} {:>9.2} {:>9.2} {:>9.0} {:>9.0}",
        get.wall.as_secs_f64(),
        cp.wall.as_secs_f64(),
        put.rss_mib,
        get.rss_mib,
    );
}

/// The sources of every crate that cargo has fetched: real files of real people.
fn real_tree() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    let tree = cargo
        .context("neither CARGO_HOME nor HOME is set")?
        .join("registry/src");
    let (files, _) = count(&tree)?;
    if files < TREE_FILES_MIN {
        bail!(
            "{} has {files} files, not {TREE_FILES_MIN}: build bench/ first",
            tree.display()
        );
    }
    Ok(tree)
}

/// Files and bytes below `folder`.
fn count(folder: &Path) -> Result<(u64, u64)> {
    let (mut files, mut bytes) = (0, 0);
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder)
            .with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                files += 1;
                bytes += entry.path().symlink_metadata()?.len();
            }
        }
    }
    Ok((files, bytes))
}

/// Files of bytes that neither compress nor repeat, kept for the next run.
fn make_checkpoints(folder: &Path, bytes: u64) -> Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    for index in 0..CHECKPOINTS {
        let path = folder.join(format!("checkpoint-{index}.bin"));
        if path
            .metadata()
            .is_ok_and(|metadata| metadata.len() == bytes)
        {
            continue;
        }
        let mut file = BufWriter::with_capacity(1 << 20, std::fs::File::create(&path)?);
        let mut state = index + 1;
        for _ in 0..bytes / 8 {
            // xorshift64: fast, and no compressor finds anything in it.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            file.write_all(&state.to_le_bytes())?;
        }
        file.flush()?;
    }
    Ok(folder.to_path_buf())
}
