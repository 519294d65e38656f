//! All rules over all files.

use super::source::Source;
use super::{banned, layers, modules, ratchet::Ratchet, rules};
use crate::process;
use anyhow::{Context, Result, bail};
use std::path::Path;

/// Where the project's own sources are.
const FOLDERS: &[&str] = &["crates", "xtask", "bench", "fuzz"];
/// ARCHITECTURE.md is a map: longer, nobody reads it.
const ARCHITECTURE_LINES_MAX: usize = 300;

/// Checks the checkout; the error counts what is wrong, the lines above it say what.
pub(crate) fn run() -> Result<()> {
    let root = process::root();
    let sources = sources(&root)?;
    let exemptions = std::fs::read_to_string(root.join("xtask/tidy.ratchet"))
        .context("cannot read xtask/tidy.ratchet")?;
    let measures: Vec<_> = sources.iter().flat_map(rules::check).collect();
    let mut flaws = Ratchet::parse(&exemptions)?.apply(&measures);
    flaws.extend(layers::check(&root)?);
    flaws.extend(modules::orphans(&sources));
    flaws.extend(banned::check(&root)?);
    flaws.extend(map_length(&root)?);
    for flaw in &flaws {
        println!("{flaw}");
    }
    if !flaws.is_empty() {
        bail!("tidy: {} findings", flaws.len());
    }
    println!("xtask: tidy: {} files in order", sources.len());
    Ok(())
}

fn map_length(root: &Path) -> Result<Option<String>> {
    let lines = std::fs::read_to_string(root.join("ARCHITECTURE.md"))?
        .lines()
        .count();
    Ok((lines > ARCHITECTURE_LINES_MAX)
        .then(|| format!("ARCHITECTURE.md: {lines} lines, at most {ARCHITECTURE_LINES_MAX}")))
}

/// Every `.rs` file below [`FOLDERS`], build output left out.
fn sources(root: &Path) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    let mut folders: Vec<String> = FOLDERS.iter().map(|name| (*name).to_owned()).collect();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(root.join(&folder)) else {
            continue;
        };
        for entry in entries {
            let entry = entry?;
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() && !path.ends_with("/target") {
                folders.push(path);
            } else if path.ends_with(".rs") {
                sources.push(Source::read(root, &path)?);
            }
        }
    }
    sources.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(sources)
}
