//! Standard output: text for a person or a pipe, or one JSON value a line.
//!
//! - On a terminal, names are escaped, so that none can break a line or steer the terminal. Into a
//!   pipe or file go the raw bytes, so that `nokv ls | xargs` meets the names as they are.
//! - In JSON a name or path is `"path": "…"` when it is UTF-8, else `"path_bytes": "<base64>"`:
//!   nothing is lost.
//! - When the reader has gone (`nokv cat x | head`), [`Closed`] ends the program quietly.

use crate::error::Error;
use base64::Engine as _;
use nokv_types::{Name, NsPath};
use serde_json::{Map, Value};
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes gathered before they are written: one system call for a few hundred lines.
const BUFFER_BYTES: usize = 64 << 10;

/// When to colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What the output is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    /// Text.
    Text,
    /// One JSON value a line.
    Json,
}

/// Who hears about what went well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verbosity {
    /// Only answers and errors.
    Quiet,
    /// Also progress and summaries.
    Normal,
}

/// A style of the terminal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    /// As it is.
    Plain,
    /// Less important.
    Dim,
    /// A heading.
    Bold,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A file that may be executed.
    Executable,
    /// A pipe, socket or device.
    Special,
    /// What came or went well.
    Good,
    /// What went, or is in the way.
    Bad,
    /// What became another.
    Changed,
    /// What is to be seen beside these.
    Notable,
}

impl Style {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Dim => "\x1b[2m",
            Self::Bold => "\x1b[1m",
            Self::Directory => "\x1b[1;34m",
            Self::Symlink => "\x1b[36m",
            Self::Executable => "\x1b[32m",
            Self::Special | Self::Changed => "\x1b[33m",
            Self::Good => "\x1b[32m",
            Self::Bad => "\x1b[31m",
            Self::Notable => "\x1b[36m",
        }
    }
}

/// Standard output of the program; clones write to the same buffer.
#[derive(Clone)]
pub(crate) struct Output {
    stdout: Arc<Mutex<BufWriter<Stdout>>>,
    format: Format,
    verbosity: Verbosity,
    is_terminal: bool,
    is_colored: bool,
}

impl Output {
    /// Standard output as the global options want it.
    pub(crate) fn new(format: Format, verbosity: Verbosity, color: Color) -> Self {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        let is_colored = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none(),
        };
        let stdout = Arc::new(Mutex::new(BufWriter::with_capacity(BUFFER_BYTES, stdout)));
        Self {
            stdout,
            format,
            verbosity,
            is_terminal,
            is_colored,
        }
    }

    /// Whether answers are JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether progress and summaries are unwanted.
    pub(crate) fn is_quiet(&self) -> bool {
        self.verbosity == Verbosity::Quiet
    }

    /// Columns of the terminal; `None` when this is none.
    pub(crate) fn columns(&self) -> Option<usize> {
        let (_, columns) = console::Term::stdout()
            .size_checked()
            .filter(|_| self.is_terminal)?;
        Some(columns.into())
    }

    /// Writes `bytes` and a line end.
    pub(crate) fn line(&self, bytes: impl AsRef<[u8]>) -> Result<(), Error> {
        self.raw(bytes)?;
        self.raw(b"\n")
    }

    /// Writes `bytes` as they are.
    pub(crate) fn raw(&self, bytes: impl AsRef<[u8]>) -> Result<(), Error> {
        self.stdout()
            .write_all(bytes.as_ref())
            .map_err(Error::from_stdout)
    }

    /// Writes one JSON value as a line.
    pub(crate) fn json(&self, value: Map<String, Value>) -> Result<(), Error> {
        self.line(Value::Object(value).to_string())
    }

    /// Hands everything to the reader.
    pub(crate) fn flush(&self) -> Result<(), Error> {
        self.stdout().flush().map_err(Error::from_stdout)
    }

    fn stdout(&self) -> MutexGuard<'_, BufWriter<Stdout>> {
        // A panic elsewhere left the buffer as it was after some whole write.
        self.stdout.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line about what went well, on standard error; nothing when quiet or JSON.
    pub(crate) fn note(&self, text: &str) -> Result<(), Error> {
        if self.is_quiet() || self.is_json() {
            return Ok(());
        }
        self.flush()?;
        // Nobody can be told that standard error is gone.
        writeln!(io::stderr(), "{text}").or(Ok(()))
    }

    /// A path as this output shows it.
    pub(crate) fn path(&self, path: &NsPath) -> Vec<u8> {
        if self.is_terminal {
            path.to_string().into_bytes()
        } else {
            path.to_bytes()
        }
    }

    /// A name as this output shows it.
    pub(crate) fn name(&self, name: &Name) -> Vec<u8> {
        self.bytes(name.as_bytes())
    }

    /// Bytes that are no valid name (a symlink's target) as this output shows them.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        if self.is_terminal {
            escape(bytes).into_bytes()
        } else {
            bytes.to_vec()
        }
    }

    /// `text` in a style, if this output has colours.
    pub(crate) fn styled(&self, style: Style, text: &[u8]) -> Vec<u8> {
        if !self.is_colored || style == Style::Plain || text.is_empty() {
            return text.to_vec();
        }
        [style.code().as_bytes(), text, b"\x1b[0m"].concat()
    }
}

/// Adds `bytes` to a JSON object under `key`, or under `key_bytes` in base64 when they are no
/// UTF-8.
pub(crate) fn insert_bytes(object: &mut Map<String, Value>, key: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => object.insert(key.to_owned(), text.into()),
        Err(_) => object.insert(
            format!("{key}_bytes"),
            base64::engine::general_purpose::STANDARD
                .encode(bytes)
                .into(),
        ),
    };
}

/// Bytes for a terminal: UTF-8 as it is, control characters and other bytes escaped.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{escape, insert_bytes};
    use serde_json::{Map, json};

    #[test]
    fn json_loses_no_byte() {
        let mut object = Map::new();
        insert_bytes(&mut object, "path", "/ä\n".as_bytes());
        insert_bytes(&mut object, "name", b"\xff");
        assert_eq!(json!(object), json!({"path": "/ä\n", "name_bytes": "/w=="}));
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        assert_eq!(escape(b"a\x1b[2J\xff\n"), "a\\u{1b}[2J\\xff\\n");
    }
}
