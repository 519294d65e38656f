//! What one file must be.
//!
//! A rule never looks at other files. Limits have their reasons in the house style: a file is read
//! whole, a function is seen whole, and what is forbidden here has hurt before.

use super::functions::functions;
use super::source::{Source, has_word};

/// Longest production part of a file, lines.
const FILE_LINES_MAX: usize = 600;
/// Longest test file, lines.
const TEST_FILE_LINES_MAX: usize = 800;
/// Longest tests part inside a file of production code, lines; above it they get a file of their
/// own.
const TEST_PART_LINES_MAX: usize = 150;
/// Longest function, lines.
const FUNCTION_LINES_MAX: usize = 70;
/// Longest line, characters.
const LINE_COLUMNS_MAX: usize = 100;
/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &[
    "utils", "util", "common", "helpers", "helper", "misc", "manager",
];
/// The only crate that may contain `unsafe`; `bench` opens peers that need it, `fuzz` is made by a
/// macro.
const UNSAFE_FOLDERS: &[&str] = &["crates/art/", "bench/", "fuzz/"];

/// A finding: `number` is what the ratchet file exempts.
#[derive(Debug)]
pub(crate) struct Measure {
    /// The rule, one word.
    pub(crate) rule: &'static str,
    /// The file, from the root.
    pub(crate) path: String,
    /// Length in lines, or how many findings the file has.
    pub(crate) number: usize,
    /// What to do, for a person, with the first place.
    pub(crate) advice: String,
}

/// Everything that is wrong with `source`.
pub(crate) fn check(source: &Source) -> Vec<Measure> {
    let mut found = Vec::new();
    sizes(source, &mut found);
    head(source, &mut found);
    names(source, &mut found);
    words(source, &mut found);
    columns(source, &mut found);
    commented_code(source, &mut found);
    found
}

fn report(source: &Source, rule: &'static str, number: usize, advice: String) -> Measure {
    Measure {
        rule,
        path: source.path.clone(),
        number,
        advice,
    }
}

fn sizes(source: &Source, found: &mut Vec<Measure>) {
    let production = source.tests_from;
    let tests = source.lines.len() - production;
    let limit = if source.is_test() {
        TEST_FILE_LINES_MAX
    } else {
        FILE_LINES_MAX
    };
    if production > limit {
        let advice = format!("{production} lines, at most {limit}: split it by type or verb");
        found.push(report(source, "file", production, advice));
    }
    if tests > TEST_PART_LINES_MAX && !source.is_test() {
        let advice = format!(
            "{tests} lines of tests, at most {TEST_PART_LINES_MAX}: move them to a _test.rs beside"
        );
        found.push(report(source, "tests", tests, advice));
    }
    let long = functions(source)
        .into_iter()
        .max_by_key(|function| function.length);
    if let Some(long) = long.filter(|long| long.length > FUNCTION_LINES_MAX) {
        let advice = format!(
            "fn {} at line {} has {} lines, at most {FUNCTION_LINES_MAX}",
            long.name,
            long.line + 1,
            long.length
        );
        found.push(report(source, "function", long.length, advice));
    }
}

fn head(source: &Source, found: &mut Vec<Measure>) {
    let first = source.lines.iter().find(|line| !line.trim().is_empty());
    if !first.is_some_and(|line| line.starts_with("//!")) {
        let advice = "begin it with `//!`: purpose, invariants, what breaks otherwise".to_owned();
        found.push(report(source, "head", 1, advice));
    }
}

fn names(source: &Source, found: &mut Vec<Measure>) {
    let stem = source.path.trim_end_matches(".rs");
    if let Some(name) = stem.split('/').find(|part| EMPTY_NAMES.contains(part)) {
        let advice = format!("`{name}` says nothing: name it after what it is or does");
        found.push(report(source, "name", 1, advice));
    }
    let is_root = source.path.ends_with("/mod.rs") || source.path.ends_with("/lib.rs");
    if is_root {
        let logic = ["fn", "impl", "match"];
        let is_logic = |line: &String| logic.iter().any(|word| has_word(line, word));
        let code = source.code.iter().take(source.tests_from);
        count(
            source,
            "logic",
            "move the logic to a file named after it",
            code,
            is_logic,
            found,
        );
    }
}

fn words(source: &Source, found: &mut Vec<Measure>) {
    let all = || source.code.iter();
    let has = |word: &'static str| move |line: &String| has_word(line, word);
    if !UNSAFE_FOLDERS
        .iter()
        .any(|folder| source.path.starts_with(folder))
    {
        count(
            source,
            "unsafe",
            "only crates/art may",
            all(),
            has("unsafe"),
            found,
        );
    }
    for (word, advice) in [
        ("dbg", "remove it"),
        ("todo", "build it"),
        ("unimplemented", "build it or return a typed error"),
    ] {
        let is_macro = |line: &String| has_word(line, word) && line.contains(&format!("{word}!"));
        count(source, "unfinished", advice, all(), is_macro, found);
    }
    let is_fixme = |line: &String| {
        has_word(line, concat!("FIX", "ME"))
            || has_word(line, concat!("TO", "DO")) && !line.contains(concat!("TO", "DO(#"))
    };
    let advice = "mend it, or name the issue: `TODO(#12)`";
    count(
        source,
        "unfinished",
        advice,
        source.lines.iter(),
        is_fixme,
        found,
    );
    let is_bare_ignore = |line: &String| line.trim() == "#[ignore]";
    count(
        source,
        "ignored",
        "a test that does not run is none",
        all(),
        is_bare_ignore,
        found,
    );
}

fn columns(source: &Source, found: &mut Vec<Measure>) {
    let is_long = |line: &String| {
        let text = line.trim_start();
        let is_comment = text.starts_with("//");
        // What can't be broken: the row of a table, a line with a string (rustfmt's business).
        let is_row = is_comment && text.trim_start_matches(['/', '!', ' ']).starts_with('|');
        let is_string = !is_comment && line.contains('"');
        line.chars().count() > LINE_COLUMNS_MAX && !is_row && !is_string
    };
    let advice = "break it, or run `cargo xtask wrap`";
    count(
        source,
        "columns",
        advice,
        source.lines.iter(),
        is_long,
        found,
    );
}

fn commented_code(source: &Source, found: &mut Vec<Measure>) {
    let openings = [
        "let ", "fn ", "pub ", "use ", "if ", "for ", "return ", "self.", "#[",
    ];
    let is_code = |line: &String| {
        let Some(text) = line.trim_start().strip_prefix("//") else {
            return false;
        };
        let text = text.trim();
        !line.trim_start().starts_with("///")
            && !line.trim_start().starts_with("//!")
            && openings.iter().any(|opening| text.starts_with(opening))
            && (text.ends_with(';') || text.ends_with('{') || text.ends_with(']'))
    };
    let advice = "remove it; history keeps it";
    count(
        source,
        "commented-code",
        advice,
        source.lines.iter(),
        is_code,
        found,
    );
}

/// Adds one measure for all lines that `is_finding` accepts.
fn count<'a>(
    source: &Source,
    rule: &'static str,
    advice: &str,
    lines: impl Iterator<Item = &'a String>,
    is_finding: impl Fn(&String) -> bool,
    found: &mut Vec<Measure>,
) {
    let places: Vec<usize> = lines
        .enumerate()
        .filter(|(_, line)| is_finding(line))
        .map(|(at, _)| at + 1)
        .collect();
    if let Some(first) = places.first() {
        let advice = format!("line {first}: {advice}");
        found.push(report(source, rule, places.len(), advice));
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::source::Source;

    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        check(&Source::parse(path, text))
            .into_iter()
            .map(|measure| measure.rule)
            .collect()
    }

    #[test]
    fn each_rule_bites() {
        let head = "//! x\n";
        let ok: [&str; 0] = [];
        assert_eq!(rules("a/b.rs", "//! x\nfn a() {}\n"), ok);
        assert_eq!(rules("a/b.rs", "fn a() {}\n"), ["head"]);
        assert_eq!(rules("a/utils/b.rs", head), ["name"]);
        assert_eq!(rules("a/mod.rs", "//! x\nfn a() {}\n"), ["logic"]);
        assert_eq!(rules("a/b.rs", "//! x\nunsafe { a() }\n"), ["unsafe"]);
        assert_eq!(rules("crates/art/src/b.rs", "//! x\nunsafe { a() }\n"), ok);
        assert_eq!(
            rules("a/b.rs", concat!("//! x\n", "db", "g!(1)\n")),
            ["unfinished"]
        );
        assert_eq!(
            rules("a/b.rs", concat!("//! x\n// FIX", "ME later\n")),
            ["unfinished"]
        );
        assert_eq!(
            rules("a/b.rs", concat!("//! x\n// TO", "DO(#3) later\n")),
            ok
        );
        assert_eq!(
            rules("a/b.rs", "//! x\n// let a = b;\n"),
            ["commented-code"]
        );
        assert_eq!(
            rules("a/b.rs", "//! x\n// For example, the first one;\n"),
            ok
        );
        assert_eq!(
            rules("a/b.rs", &format!("//! x\n{}\n", "a".repeat(101))),
            ["columns"]
        );
        assert_eq!(
            rules("a/b.rs", &format!("//! x{}", "\n".repeat(601))),
            ["file"]
        );
        let body = "\n".repeat(70);
        assert_eq!(
            rules("a/b.rs", &format!("//! x\nfn a() {{{body}}}\n")),
            ["function"]
        );
        let tests = format!("//! x\n#[cfg(test)]\nmod tests {{{}}}\n", "\n".repeat(150));
        assert_eq!(rules("a/b.rs", &tests), ["tests"]);
    }
}
