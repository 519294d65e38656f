//! One Rust source file: its lines, and the same lines with comments and literals blanked out.
//!
//! Rules that look for words look at `code`, so a word in a comment or a string is no finding. Both
//! texts have the same lines, so a line number means the same in either.

use anyhow::{Context, Result};
use std::path::Path;

/// A file as the rules see it.
pub(crate) struct Source {
    /// Path from the root of the checkout, with `/`.
    pub(crate) path: String,
    /// The lines as they are.
    pub(crate) lines: Vec<String>,
    /// The lines with comments and literals blanked out.
    pub(crate) code: Vec<String>,
    /// The first line of the in-file tests; the number of lines if there are none.
    pub(crate) tests_from: usize,
}

impl Source {
    /// Reads the file at `path` from the root of the checkout.
    pub(crate) fn read(root: &Path, path: &str) -> Result<Self> {
        let text = std::fs::read_to_string(root.join(path))
            .with_context(|| format!("{path} is no readable UTF-8 file"))?;
        Ok(Self::parse(path, &text))
    }

    /// Parses `text` as the file at `path`.
    pub(crate) fn parse(path: &str, text: &str) -> Self {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let mut code: Vec<String> = blank(text).lines().map(str::to_owned).collect();
        code.resize(lines.len(), String::new());
        let tests_from = code
            .windows(2)
            .position(|pair| {
                pair[0].trim() == "#[cfg(test)]"
                    && pair[1].trim_start().starts_with("mod ")
                    && pair[1].contains('{')
            })
            .unwrap_or(lines.len());
        Self {
            path: path.to_owned(),
            lines,
            code,
            tests_from,
        }
    }

    /// Whether the whole file is tests.
    pub(crate) fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("_test.rs")
    }
}

/// Whether `word` stands in `line` with no identifier character beside it.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// `text` with the inside of comments and literals replaced by spaces; line ends stay.
fn blank(text: &str) -> String {
    let mut rest = text;
    let mut code = String::with_capacity(text.len());
    while let Some(first) = rest.chars().next() {
        let bytes = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => string(rest, 1),
            'b' | 'c' if rest[1..].starts_with('"') => string(rest, 2),
            'r' | 'b' | 'c' if !code.ends_with(is_identifier) => raw_string(rest),
            '\'' => character(rest),
            _ => 0,
        };
        if bytes == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            let (token, after) = rest.split_at(bytes);
            code.extend(
                token
                    .chars()
                    .map(|character| if character == '\n' { '\n' } else { ' ' }),
            );
            rest = after;
        }
    }
    code
}

fn is_identifier(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Bytes of the block comment that `text` begins with; they nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// Bytes of the string whose content begins at `from`.
fn string(text: &str, from: usize) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(from) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Bytes of the raw string that `text` begins with; 0 if it is none.
fn raw_string(text: &str) -> usize {
    let Some(after) = text
        .strip_prefix("br")
        .or_else(|| text.strip_prefix("cr"))
        .or_else(|| text.strip_prefix('r'))
    else {
        return 0;
    };
    let hashes = after.bytes().take_while(|byte| *byte == b'#').count();
    if !after[hashes..].starts_with('"') {
        return 0;
    }
    let start = text.len() - after.len() + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    text[start..]
        .find(&end)
        .map_or(text.len(), |at| start + at + end.len())
}

/// Bytes of the character literal that `text` begins with; 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match characters.next() {
        Some((_, '\\')) => {
            characters.next();
            characters
                .find(|(_, one)| *one == '\'')
                .map_or(0, |(at, _)| at + 1)
        }
        Some(_) => match characters.next() {
            Some((at, '\'')) => at + 1,
            _ => 0,
        },
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::{Source, blank, has_word};

    #[test]
    fn comments_and_literals_are_blank_and_code_stays() {
        let check = |text: &str, code: &str| assert_eq!(blank(text), code, "{text}");
        check("a // b\nc", "a     \nc");
        check("a /* b /* c */ d */ e", "a                   e");
        check(r#"f("u\"{") + 1"#, "f(      ) + 1");
        check(r##"r#"a"b"# + for"##, "         + for");
        check("'{' 'x: &'a T '\\''", "    'x: &'a T     ");
        check("bar\"x\"", "bar   ");
    }

    #[test]
    fn words_are_whole() {
        assert!(has_word("unsafe {", "unsafe"));
        assert!(!has_word("forbid(unsafe_code)", "unsafe"));
    }

    #[test]
    fn the_tests_part_begins_at_its_attribute() {
        let source = Source::parse("x.rs", "//! x\nfn a() {}\n#[cfg(test)]\nmod tests {\n}\n");
        assert_eq!(source.tests_from, 2);
        let source = Source::parse("x.rs", "//! x\n#[cfg(test)]\nmod x_test;\nfn a() {}\n");
        assert_eq!(source.tests_from, 4);
    }
}
