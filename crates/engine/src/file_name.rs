//! Names of numbered files: ten digits at least, then the suffix of their kind.
//!
//! Invariant: only a name that the store itself gives is one of its files. `7.table` or `+7.wal`,
//! which somebody put beside them, is neither read nor removed: its number would be that of another
//! file.

use std::path::{Path, PathBuf};

/// The file with this number.
pub(crate) fn numbered_path(dir: &Path, number: u64, suffix: &str) -> PathBuf {
    dir.join(numbered_name(number, suffix))
}

/// Its name.
pub(crate) fn numbered_name(number: u64, suffix: &str) -> String {
    format!("{number:010}{suffix}")
}

/// The number in a name; `None` for a file of another kind, or that somebody else named.
pub(crate) fn number_in(name: &str, suffix: &str) -> Option<u64> {
    let number = name.strip_suffix(suffix)?.parse().ok()?;
    (numbered_name(number, suffix) == name).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::{number_in, numbered_name};

    #[test]
    fn only_names_that_the_store_gives_have_a_number() {
        for number in [0, 7, 9_999_999_999, 10_000_000_000, u64::MAX] {
            let name = numbered_name(number, ".wal");
            assert_eq!(number_in(&name, ".wal"), Some(number));
            assert_eq!(number_in(&name, ".table"), None);
        }
        let foreign = [
            "7.wal",
            "+000000007.wal",
            "00000000007.wal",
            "000000000x.wal",
            ".wal",
            "",
            "0000000007.wal.wal",
            "18446744073709551616.wal",
        ];
        for name in foreign {
            assert_eq!(number_in(name, ".wal"), None, "{name}");
        }
    }
}
