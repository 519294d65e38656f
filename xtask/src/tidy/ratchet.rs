//! The exemptions: `rule path number` a line. They may only shrink.
//!
//! An entry that allows more than there is, or what is no longer there, is an error: whoever
//! improves a file also lowers its entry, and nobody can use the slack.

use super::rules::Measure;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;

/// Allowed numbers by rule and file.
pub(crate) struct Ratchet(BTreeMap<(String, String), usize>);

impl Ratchet {
    /// Parses the file; `#` begins a comment.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut allowed = BTreeMap::new();
        for line in text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let parts: Vec<&str> = line.split_whitespace().collect();
            let [rule, path, number] = parts[..] else {
                bail!("xtask/tidy.ratchet: `{line}` is not `rule path number`");
            };
            let number = number
                .parse()
                .with_context(|| format!("xtask/tidy.ratchet: `{line}` ends in no number"))?;
            if allowed
                .insert((rule.to_owned(), path.to_owned()), number)
                .is_some()
            {
                bail!("xtask/tidy.ratchet: {rule} {path} stands there twice");
            }
        }
        Ok(Self(allowed))
    }

    /// What is left of `measures` after the exemptions, and what is wrong with the exemptions.
    pub(crate) fn apply(mut self, measures: &[Measure]) -> Vec<String> {
        let mut flaws = Vec::new();
        for measure in measures {
            let Measure {
                rule,
                path,
                number,
                advice,
            } = measure;
            match self.0.remove(&((*rule).to_owned(), path.clone())) {
                None => flaws.push(format!("{path}: {rule}: {advice}")),
                Some(allowed) if allowed < *number => {
                    flaws.push(format!(
                        "{path}: {rule}: {advice} ({number}, exempt {allowed})"
                    ));
                }
                Some(allowed) if allowed > *number => flaws.push(format!(
                    "xtask/tidy.ratchet: {rule} {path} allows {allowed}, needs {number}: lower it"
                )),
                Some(_) => {}
            }
        }
        for ((rule, path), _) in self.0 {
            flaws.push(format!(
                "xtask/tidy.ratchet: {rule} {path} is no longer needed: remove it"
            ));
        }
        flaws
    }
}

#[cfg(test)]
mod tests {
    use super::{Measure, Ratchet};

    fn flaws(ratchet: &str, number: usize) -> usize {
        let measure = Measure {
            rule: "file",
            path: "a.rs".to_owned(),
            number,
            advice: String::new(),
        };
        Ratchet::parse(ratchet)
            .expect("a list")
            .apply(&[measure])
            .len()
    }

    #[test]
    fn an_exemption_fits_exactly_or_is_an_error() {
        assert_eq!(flaws("", 700), 1);
        assert_eq!(flaws("# why\nfile a.rs 700", 700), 0);
        assert_eq!(flaws("file a.rs 699", 700), 1);
        assert_eq!(flaws("file a.rs 701", 700), 1);
        assert_eq!(flaws("file a.rs 700\nfile b.rs 700", 700), 1);
        assert!(Ratchet::parse("file a.rs").is_err());
    }
}
