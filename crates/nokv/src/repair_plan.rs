//! A plan of repairs in a file.
//!
//! **Shape**: JSON Lines. First `{"plan": 1, "store": ID}`; then a line for each problem
//! (`problem`, `message`, and where it can be mended `action`, in words, and `repair`, in base64,
//! what the server is sent back); after each step of the check `{"cursor": TEXT}`; last
//! `{"done": true}`.
//!
//! Invariants:
//! - a plan that is not finished has the name `FILE.partial`, and is gone on with from its last
//!   cursor: what follows that is found again;
//! - only a finished plan is applied, and only to the store that it was made for.

use crate::local_file;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use nokv_types::{Failure, Reason};
use serde_json::{Map, Value, json};
use std::ffi::OsString;
use std::io::{BufRead, BufWriter, Write};
use std::path::{Path, PathBuf};

/// The one format so far.
const FORMAT: u64 = 1;

/// One problem, with what mends it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Planned {
    pub(crate) kind: String,
    pub(crate) message: String,
    /// In words; empty: nothing says how.
    pub(crate) action: String,
    /// What the server is sent back.
    pub(crate) repair: Bytes,
}

/// A plan that is finished.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Plan {
    pub(crate) store: String,
    pub(crate) planned: Vec<Planned>,
}

/// What a check that was stopped had found.
pub(crate) struct Before {
    pub(crate) planned: Vec<Planned>,
    pub(crate) cursor: String,
}

/// A plan in the making.
pub(crate) struct Writing {
    file: local_file::Output,
    writer: BufWriter<Box<dyn Write + Send>>,
    before: Option<Before>,
    path: PathBuf,
}

/// The lines of a file, as far as they are whole.
#[derive(Default)]
struct Lines {
    store: Option<String>,
    planned: Vec<Planned>,
    /// The last cursor, and how many problems came before it.
    marked: Option<(String, usize)>,
    done: bool,
}

impl Plan {
    /// Reads a plan. **Errors**: `InvalidArgument` when it is none, or is not finished.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let lines = Lines::read(path)?;
        match (lines.store, lines.done) {
            (Some(store), true) => Ok(Self {
                store,
                planned: lines.planned,
            }),
            _ => Err(Failure::new(
                Reason::InvalidArgument,
                format!(
                    "{} is no finished plan; make one with fsck --plan",
                    path.display()
                ),
            )),
        }
    }
}

impl Writing {
    /// Begins a plan, or goes on with one that was stopped.
    pub(crate) fn begin(path: &Path, store: &str) -> Result<Self, Failure> {
        let mut partial = OsString::from(path);
        partial.push(".partial");
        let before = match local_file::is_standard(path) {
            true => None,
            false => Lines::read(Path::new(&partial)).ok(),
        };
        let before = before.filter(|lines| lines.store.as_deref() == Some(store));
        let before = before.and_then(Lines::before);
        let file = local_file::Output::create(path)?;
        let writer = file.writer();
        let mut writing = Self {
            file,
            writer,
            before: None,
            path: path.to_owned(),
        };
        writing.line(&json!({ "plan": FORMAT, "store": store }))?;
        if let Some(before) = before {
            for planned in &before.planned {
                writing.add(planned)?;
            }
            writing.mark(&before.cursor)?;
            writing.before = Some(before);
        }
        Ok(writing)
    }

    /// What was found before it was stopped.
    pub(crate) fn take_before(&mut self) -> Option<Before> {
        self.before.take()
    }

    /// Adds a problem.
    pub(crate) fn add(&mut self, planned: &Planned) -> Result<(), Failure> {
        let mut line = Map::new();
        let mut put = |key: &str, value: &str| {
            line.insert(key.to_owned(), value.into());
        };
        put("problem", &planned.kind);
        put("message", &planned.message);
        if !planned.repair.is_empty() {
            put("action", &planned.action);
            put("repair", &STANDARD.encode(&planned.repair));
        }
        self.line(&Value::Object(line))
    }

    /// Notes that all before a cursor is in the plan.
    pub(crate) fn mark(&mut self, cursor: &str) -> Result<(), Failure> {
        self.line(&json!({ "cursor": cursor }))?;
        self.writer.flush().map_err(|error| self.failed(&error))
    }

    /// Ends the plan: it has its name then.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.line(&json!({ "done": true }))?;
        self.writer.flush().map_err(|error| self.failed(&error))?;
        drop(self.writer);
        self.file.finish().map(drop)
    }

    fn line(&mut self, value: &Value) -> Result<(), Failure> {
        writeln!(self.writer, "{value}").map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &std::io::Error) -> Failure {
        let path = self.path.display();
        Failure::new(Reason::Io, format!("can't write {path}: {error}"))
    }
}

impl Lines {
    fn read(path: &Path) -> Result<Self, Failure> {
        let mut lines = Self::default();
        for line in local_file::open(path)?.reader.lines() {
            let parsed = line.ok().and_then(|line| serde_json::from_str(&line).ok());
            // A last line that was cut off, at the latest.
            let Some(Value::Object(line)) = parsed else {
                break;
            };
            if !lines.take(&line) {
                break;
            }
        }
        Ok(lines)
    }

    /// Takes a line; whether it is one of a plan.
    fn take(&mut self, line: &Map<String, Value>) -> bool {
        let text = |key: &str| line.get(key).and_then(Value::as_str).map(str::to_owned);
        if let Some(format) = line.get("plan") {
            self.store = text("store").filter(|_| *format == FORMAT);
            return self.store.is_some();
        }
        if let Some(cursor) = text("cursor") {
            self.marked = Some((cursor, self.planned.len()));
            return true;
        }
        if line.contains_key("done") {
            self.done = true;
            return true;
        }
        let (Some(kind), Some(message)) = (text("problem"), text("message")) else {
            return false;
        };
        let repair = STANDARD.decode(text("repair").unwrap_or_default());
        let Ok(repair) = repair else { return false };
        self.planned.push(Planned {
            kind,
            message,
            action: text("action").unwrap_or_default(),
            repair: repair.into(),
        });
        true
    }

    /// What a check goes on from.
    fn before(mut self) -> Option<Before> {
        let (cursor, count) = self.marked?;
        self.planned.truncate(count);
        Some(Before {
            planned: self.planned,
            cursor,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(message: &str, repair: &'static [u8]) -> Planned {
        Planned {
            kind: "WrongCount".to_owned(),
            message: message.to_owned(),
            action: if repair.is_empty() { "" } else { "mend" }.to_owned(),
            repair: Bytes::from_static(repair),
        }
    }

    #[test]
    fn a_plan_that_was_stopped_goes_on_from_its_last_cursor() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("plan");
        let mut writing = Writing::begin(&path, "s").expect("begun");
        let (one, two) = (planned("one", b"\x00\xff"), planned("two", b""));
        writing.add(&one).expect("written");
        writing.mark("nodes:5").expect("marked");
        writing.add(&two).expect("written");
        drop(writing);
        assert!(Plan::read(&path).is_err(), "it is not finished");
        let mut writing = Writing::begin(&path, "s").expect("begun");
        let before = writing.take_before().expect("gone on with");
        assert_eq!(
            (before.cursor.as_str(), &before.planned[..]),
            ("nodes:5", &[one.clone()][..])
        );
        writing.add(&two).expect("written");
        writing.finish().expect("finished");
        let plan = Plan::read(&path).expect("finished");
        assert_eq!((plan.store.as_str(), plan.planned), ("s", vec![one, two]));
        assert!(
            Writing::begin(&path, "s")
                .expect("begun")
                .take_before()
                .is_none()
        );
    }

    #[test]
    fn a_plan_of_another_store_is_not_gone_on_with() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("plan");
        Writing::begin(&path, "s")
            .expect("begun")
            .mark("quotas")
            .expect("marked");
        assert!(
            Writing::begin(&path, "t")
                .expect("begun")
                .take_before()
                .is_none()
        );
    }
}
