//! What `put` and `get` share: totals, warnings, and what a trailing `/.` means.

use crate::error::Error;
use crate::output::{Output, escape};
use crate::text;
use nokv_client::{GetReport, PutReport, Skipped};
use nokv_env::Env;
use nokv_types::{Failure, Reason};
use serde_json::{Map, json};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// What a transfer did so far.
pub(crate) struct Totals {
    env: Env,
    start: Duration,
    files: u64,
    directories: u64,
    symlinks: u64,
    bytes: u64,
    skipped: u64,
    destinations: Vec<String>,
}

impl Totals {
    /// Nothing yet; the time counts from here.
    pub(crate) fn start() -> Self {
        let env = Env::real();
        let start = env.clock.monotonic();
        let destinations = Vec::new();
        let (files, directories, symlinks, bytes, skipped) = (0, 0, 0, 0, 0);
        Self {
            env,
            start,
            files,
            directories,
            symlinks,
            bytes,
            skipped,
            destinations,
        }
    }

    /// Adds a put.
    pub(crate) fn add_put(&mut self, report: PutReport) {
        self.files += report.file_count;
        self.directories += report.directory_count;
        self.symlinks += report.symlink_count;
        self.bytes += report.bytes;
        self.skipped += report.skipped.len() as u64;
        self.destinations
            .extend(report.destinations.iter().map(ToString::to_string));
    }

    /// Adds a get.
    pub(crate) fn add_get(&mut self, report: GetReport) {
        self.files += report.file_count;
        self.directories += report.directory_count;
        self.symlinks += report.symlink_count;
        self.bytes += report.bytes;
        self.skipped += report.skipped.len() as u64;
        self.destinations
            .push(escape(report.destination.as_os_str().as_bytes()));
    }

    /// Tells the totals; an error when something was skipped, since then the copy is not the whole.
    pub(crate) fn finish(self, output: &Output, verb: &str) -> Result<(), Error> {
        let elapsed = self.env.clock.monotonic().saturating_sub(self.start);
        if output.is_json() {
            let mut object = Map::new();
            let mut insert = |key: &str, value| object.insert(key.to_owned(), value);
            insert("files", json!(self.files));
            insert("directories", json!(self.directories));
            insert("symlinks", json!(self.symlinks));
            insert("bytes", json!(self.bytes));
            insert("skipped", json!(self.skipped));
            insert("seconds", json!(elapsed.as_secs_f64()));
            output.json(object)?;
        } else {
            output.note(&self.summary(verb, elapsed))?;
        }
        if self.skipped > 0 {
            let skipped = text::count(self.skipped, "path was", "paths were");
            let message = format!("{skipped} skipped; everything else is there");
            return Err(Failure::new(Reason::Unsupported, message).into());
        }
        Ok(())
    }

    fn summary(&self, verb: &str, elapsed: Duration) -> String {
        let mut parts = vec![text::count(self.files, "file", "files")];
        if self.directories > 0 {
            parts.push(text::count(self.directories, "directory", "directories"));
        }
        if self.symlinks > 0 {
            parts.push(text::count(self.symlinks, "link", "links"));
        }
        let seconds = elapsed.as_secs_f64();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "a figure for a person"
        )]
        #[expect(clippy::cast_sign_loss, reason = "neither is negative")]
        let rate = (self.bytes as f64 / seconds.max(0.001)) as u64;
        format!(
            "{verb} {}, {} in {seconds:.1} s ({}/s) to {}",
            parts.join(", "),
            text::human_bytes(self.bytes),
            text::human_bytes(rate),
            self.destinations.join(" "),
        )
    }
}

/// Says on standard error what is left out and why.
pub(crate) fn warn(output: &Output, skipped: &Skipped) {
    if output.is_json() {
        return;
    }
    let local = escape(skipped.local.as_os_str().as_bytes());
    // Nobody can be told that standard error is gone.
    drop(writeln!(
        std::io::stderr(),
        "nokv: skipped {local}: {}",
        skipped.why
    ));
}

/// Whether a path means what is in the directory, not the directory: `.`, `x/.`, `..`, `/`.
pub(crate) fn means_contents(path: &Path) -> bool {
    let text = path.as_os_str().as_bytes();
    text == b"." || text.ends_with(b"/.") || path.file_name().is_none()
}

#[cfg(test)]
mod tests {
    use super::means_contents;
    use std::path::Path;

    #[test]
    fn a_dot_at_the_end_means_what_is_inside() {
        for path in [".", "a/.", "..", "/", "/."] {
            assert!(means_contents(Path::new(path)), "{path}");
        }
        for path in ["a", "a/", ".a", "a/.b", "a."] {
            assert!(!means_contents(Path::new(path)), "{path}");
        }
    }
}
