//! No orphan files: each source file is named by a `mod` line of its parent, or nobody compiles it.

use super::source::{Source, has_word};
use std::collections::BTreeMap;

/// Roots that cargo finds by itself.
const ROOTS: &[&str] = &["main.rs", "lib.rs", "build.rs"];
/// Folders whose files are each a root.
const ROOT_FOLDERS: &[&str] = &["bin", "examples", "benches", "fuzz_targets"];

/// The files that no module names, each a line for a person.
pub(crate) fn orphans(sources: &[Source]) -> Vec<String> {
    let by_path: BTreeMap<&str, &Source> = sources
        .iter()
        .map(|source| (source.path.as_str(), source))
        .collect();
    sources
        .iter()
        .filter(|source| !is_root(&source.path) && !is_named(&source.path, &by_path))
        .map(|source| format!("{}: no module names it; nobody compiles it", source.path))
        .collect()
}

fn is_root(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    let file = parts.next().unwrap_or_default();
    let folder = parts.next().unwrap_or_default();
    ROOTS.contains(&file) || ROOT_FOLDERS.contains(&folder)
}

fn is_named(path: &str, by_path: &BTreeMap<&str, &Source>) -> bool {
    let stem = path.trim_end_matches(".rs").trim_end_matches("/mod");
    let Some((folder, module)) = stem.rsplit_once('/') else {
        return true;
    };
    let parents = [
        format!("{folder}/mod.rs"),
        format!("{folder}/lib.rs"),
        format!("{folder}/main.rs"),
        format!("{folder}.rs"),
    ];
    let declaration = format!("mod {module}");
    parents
        .iter()
        .filter_map(|parent| by_path.get(parent.as_str()))
        .any(|parent| {
            let mut lines = parent.code.iter();
            lines.any(|line| has_word(line, &declaration)) || names_by_path(parent, path)
        })
}

/// Whether `parent` names the file by `#[path = "…"]`.
fn names_by_path(parent: &Source, path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or_default();
    parent
        .lines
        .iter()
        .any(|line| line.contains("#[path") && line.contains(file))
}

#[cfg(test)]
mod tests {
    use super::orphans;
    use crate::tidy::source::Source;

    #[test]
    fn a_file_that_nobody_names_is_found() {
        let file = |path: &str, text: &str| Source::parse(path, text);
        let sources = [
            file("a/src/lib.rs", "mod b;\nmod c;"),
            file("a/src/b.rs", ""),
            file("a/src/c/mod.rs", "mod d;"),
            file("a/src/c/d.rs", ""),
            file("a/src/c/e.rs", ""),
        ];
        assert_eq!(orphans(&sources).len(), 1);
    }
}
