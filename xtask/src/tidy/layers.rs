//! Which crate may use which: imports go down the list in ARCHITECTURE.md, never up.
//!
//! Development dependencies count too: a test that reaches up would make the lower crate wait for
//! the upper one.

use anyhow::{Context, Result, bail};
use std::path::Path;

/// The crates of the list, lowest first.
pub(crate) fn read(architecture: &str) -> Result<Vec<String>> {
    let block = architecture
        .split_once("```layers\n")
        .and_then(|(_, rest)| rest.split_once("```"))
        .map(|(block, _)| block)
        .context("ARCHITECTURE.md has no ```layers block")?;
    let layers: Vec<String> = block
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    if layers.is_empty() {
        bail!("the ```layers block of ARCHITECTURE.md is empty");
    }
    Ok(layers)
}

/// Every way in which the crates break the order, each a line for a person.
pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let architecture = std::fs::read_to_string(root.join("ARCHITECTURE.md"))
        .context("cannot read ARCHITECTURE.md")?;
    let layers = read(&architecture)?;
    let mut flaws = Vec::new();
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(root.join("crates"))? {
        folders.push(entry?.file_name().to_string_lossy().into_owned());
    }
    folders.sort();
    for folder in &folders {
        let manifest = std::fs::read_to_string(root.join("crates").join(folder).join("Cargo.toml"))
            .with_context(|| format!("crates/{folder} has no Cargo.toml"))?;
        flaws.extend(flaws_of(&layers, folder, &manifest));
    }
    for layer in layers.iter().filter(|layer| !folders.contains(layer)) {
        flaws.push(format!(
            "ARCHITECTURE.md: layer {layer} has no folder crates/{layer}"
        ));
    }
    Ok(flaws)
}

fn flaws_of(layers: &[String], folder: &str, manifest: &str) -> Vec<String> {
    let Some(level) = layers.iter().position(|layer| layer == folder) else {
        return vec![format!(
            "crates/{folder}: not in the layers of ARCHITECTURE.md"
        )];
    };
    let allowed = &layers[..level];
    manifest
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nokv-"))
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|used| !allowed.iter().any(|layer| layer == used))
        .map(|used| format!("crates/{folder}: may not use nokv-{used}; imports go down only"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{flaws_of, read};

    #[test]
    fn an_import_upwards_is_a_flaw() {
        let layers = read("x\n```layers\ntypes\nenv\nart\n```\n").expect("a list");
        assert_eq!(layers, ["types", "env", "art"]);
        assert!(flaws_of(&layers, "art", "nokv-env.workspace = true\n").is_empty());
        assert_eq!(
            flaws_of(&layers, "env", "nokv-art = { path = \"x\" }\n").len(),
            1
        );
        assert_eq!(
            flaws_of(&layers, "env", "nokv-env.workspace = true\n").len(),
            1
        );
        assert_eq!(flaws_of(&layers, "new", "").len(), 1);
    }
}
