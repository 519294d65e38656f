//! Crates that must not be built, as `deny.toml` lists them, checked without cargo-deny.

use crate::process;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::path::Path;

/// The banned crates that this workspace builds, each a line for a person.
pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let rules = std::fs::read_to_string(root.join("deny.toml")).context("cannot read deny.toml")?;
    let tree = process::output(
        "cargo",
        &[
            "tree",
            "--workspace",
            "--prefix=none",
            "--edges=normal,build",
            "--format={p}",
        ],
    )?;
    let built: BTreeSet<&str> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    Ok(banned(&rules)
        .filter(|name| built.contains(name))
        .map(|name| {
            format!("Cargo.lock: {name} is banned by deny.toml; see `cargo tree -i {name}`")
        })
        .collect())
}

/// The names in the `deny` list: entries are written `{ crate = "name", … }`.
fn banned(rules: &str) -> impl Iterator<Item = &str> {
    rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("{ crate = \""))
        .filter_map(|rest| rest.split('"').next())
}

#[cfg(test)]
mod tests {
    use super::banned;

    #[test]
    fn the_deny_list_is_read() {
        let rules = "deny = [\n  { crate = \"ring\", reason = \"x\" },\n]\n";
        assert_eq!(banned(rules).collect::<Vec<_>>(), ["ring"]);
    }
}
