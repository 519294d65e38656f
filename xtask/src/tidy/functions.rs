//! Where functions begin and end, by counting braces in code without comments and literals.

use super::source::{Source, has_word};

/// A function with a body.
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// Its first line, from 0.
    pub(crate) line: usize,
    /// Lines from `fn` to the closing brace.
    pub(crate) length: usize,
}

/// Every function of `source` that has a body, nested ones too.
pub(crate) fn functions(source: &Source) -> Vec<Function> {
    let starts = source
        .code
        .iter()
        .enumerate()
        .filter(|(_, line)| has_word(line, "fn"));
    starts
        .filter_map(|(line, text)| {
            let name = name(text)?;
            let length = length(&source.code[line..], text.find("fn ")?)?;
            Some(Function { name, line, length })
        })
        .collect()
}

/// The name behind `fn`; `None` for the type `fn(…)`.
fn name(line: &str) -> Option<String> {
    let after = &line[line.find("fn ")? + 3..];
    let name: String = after
        .trim_start()
        .chars()
        .take_while(|character| character.is_alphanumeric() || *character == '_')
        .collect();
    (!name.is_empty()).then_some(name)
}

/// Lines up to the brace that closes the body; `None` if a `;` ends the declaration first.
fn length(lines: &[String], from: usize) -> Option<usize> {
    let (mut braces, mut nested) = (0_usize, 0_usize);
    for (line, text) in lines.iter().enumerate() {
        for character in text.chars().skip(if line == 0 { from } else { 0 }) {
            match character {
                '(' | '[' => nested += 1,
                ')' | ']' => nested = nested.saturating_sub(1),
                ';' if braces == 0 && nested == 0 => return None,
                '{' => braces += 1,
                '}' => {
                    braces = braces.saturating_sub(1);
                    if braces == 0 {
                        return Some(line + 1);
                    }
                }
                _ => {}
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::functions;
    use crate::tidy::source::Source;

    #[test]
    fn bodies_are_measured_and_declarations_are_not() {
        let text = "trait T {\n    fn declared(a: [u8; 4]);\n}\nfn one() {}\nfn four(\n    a: u8,\n) {\n}\n";
        let found = functions(&Source::parse("x.rs", text));
        let found: Vec<_> = found
            .iter()
            .map(|one| (one.name.as_str(), one.length))
            .collect();
        assert_eq!(found, [("one", 1), ("four", 4)]);
    }
}
