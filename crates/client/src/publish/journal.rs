//! The journal of a publish: which files are in the object store.
//!
//! **Shape**: records, one after the other: length of the message u32 and its CRC-32C u32, both
//! big-endian, then the message ([`Record`]). The first names the session; then runs and files.
//! What follows a record that is not whole was never written.
//!
//! Invariants:
//! - a run is on disk before its first number is used; files need not be, since what is forgotten
//!   is only sent again;
//! - one process has it at a time.

use crate::tree::{LocalEntry, local_failure};
use nokv_env::{Env, File, FileLock, OpenMode, is_already_locked};
use nokv_object::crc32c;
use nokv_proto::{FromWire, v1};
use nokv_types::{Body, Failure, Reason, SessionId};
use prost::Message;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Largest journal that is read: some million files.
const JOURNAL_BYTES_MAX: u64 = 1 << 30;
/// Numbers of a session that an attempt has for itself: sixteen million objects.
const RUN_BITS: u32 = 24;
/// Attempts in one session.
const RUNS_MAX: u32 = 1 << (32 - RUN_BITS);

/// One record; exactly one field is set.
#[derive(Clone, PartialEq, Message)]
struct Record {
    /// The upload session.
    #[prost(uint64, optional, tag = "1")]
    session: Option<u64>,
    /// An attempt began: the session's numbers from `run << 24` on are its own.
    #[prost(uint32, optional, tag = "2")]
    run: Option<u32>,
    /// A file whose objects are durable.
    #[prost(message, optional, tag = "3")]
    file: Option<FileRecord>,
}

/// A file as it was when it was uploaded.
#[derive(Clone, PartialEq, Message)]
struct FileRecord {
    /// The local path.
    #[prost(bytes = "vec", tag = "1")]
    local: Vec<u8>,
    /// Bytes.
    #[prost(uint64, tag = "2")]
    size: u64,
    /// Last change of the bytes, nanoseconds since 1970.
    #[prost(sfixed64, tag = "3")]
    mtime: i64,
    /// Last change of the inode.
    #[prost(sfixed64, tag = "4")]
    ctime: i64,
    /// The inode.
    #[prost(uint64, tag = "5")]
    inode: u64,
    /// Its body.
    #[prost(message, optional, tag = "6")]
    body: Option<v1::Body>,
}

/// An open journal.
pub(super) struct Journal {
    path: PathBuf,
    env: Env,
    file: Arc<dyn File>,
    end: u64,
    session: Option<SessionId>,
    run_next: u32,
    files: HashMap<Vec<u8>, FileRecord>,
    _lock: FileLock,
}

impl Journal {
    /// The journal of this name, as an earlier attempt left it, or an empty one. Waits for disks.
    ///
    /// **Errors**: `Busy` while another process has it.
    pub(super) fn open(env: &Env, dir: &Path, name: &str) -> Result<Self, Failure> {
        let path = dir.join(format!("{name}.journal"));
        let failed = |error: std::io::Error| local_failure("write", &path, &error);
        env.files.create_dir_all(dir).map_err(failed)?;
        let lock = env.files.lock(&dir.join(format!("{name}.lock")));
        let lock = lock.map_err(|error| match is_already_locked(&error) {
            true => Failure::new(
                Reason::Busy,
                "another process publishes this; wait for it, or publish to another path",
            ),
            false => failed(error),
        })?;
        let file = env
            .files
            .open(&path, OpenMode::OpenOrCreate)
            .map_err(failed)?;
        let length = file.len().map_err(failed)?.min(JOURNAL_BYTES_MAX);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        file.read_exact_at(&mut bytes, 0).map_err(failed)?;
        let mut journal = Self {
            path,
            env: env.clone(),
            file,
            end: 0,
            session: None,
            run_next: 0,
            files: HashMap::new(),
            _lock: lock,
        };
        journal.replay(&bytes);
        Ok(journal)
    }

    fn replay(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((record, after)) = next_record(rest) {
            self.end += (rest.len() - after.len()) as u64;
            rest = after;
            if let Some(session) = record.session {
                self.session = Some(SessionId::new(session));
            }
            if let Some(run) = record.run {
                self.run_next = run.saturating_add(1);
            }
            if let Some(file) = record.file {
                self.files.insert(file.local.clone(), file);
            }
        }
    }

    /// The session of the earlier attempts, if it has room for another.
    pub(super) fn session(&self) -> Option<SessionId> {
        self.session.filter(|_| self.run_next < RUNS_MAX)
    }

    /// Forgets everything and begins in this session. Waits for disks.
    pub(super) fn begin(&mut self, session: SessionId) -> Result<(), Failure> {
        self.file.set_len(0).map_err(|error| self.failed(&error))?;
        self.end = 0;
        self.files.clear();
        self.run_next = 0;
        self.session = Some(session);
        self.append(&Record {
            session: Some(session.get()),
            ..Record::default()
        })
    }

    /// Begins an attempt; its first number. Waits for disks.
    pub(super) fn next_run(&mut self) -> Result<u32, Failure> {
        let run = self.run_next;
        self.append(&Record {
            run: Some(run),
            ..Record::default()
        })?;
        self.run_next += 1;
        self.file.sync_all().map_err(|error| self.failed(&error))?;
        if let Some(dir) = self.path.parent() {
            let synced = self.env.files.sync_dir(dir);
            synced.map_err(|error| self.failed(&error))?;
        }
        Ok(run << RUN_BITS)
    }

    /// The body that a file was uploaded as, if it has not changed since.
    pub(super) fn find(&self, entry: &LocalEntry, size: u64) -> Option<Body> {
        let record = self.files.get(&local_bytes(entry))?;
        let is_same = record.size == size
            && record.mtime == entry.mtime.get()
            && record.ctime == entry.ctime.get()
            && record.inode == entry.inode;
        let body = record.body.clone().filter(|_| is_same)?;
        Body::from_wire("body", body).ok()
    }

    /// Notes that a file is through.
    pub(super) fn add(&mut self, entry: &LocalEntry, body: &Body) -> Result<(), Failure> {
        let file = FileRecord {
            local: local_bytes(entry),
            size: body.size(),
            mtime: entry.mtime.get(),
            ctime: entry.ctime.get(),
            inode: entry.inode,
            body: Some(body.into()),
        };
        self.append(&Record {
            file: Some(file),
            ..Record::default()
        })
    }

    /// The publish is done, or not to be resumed. What stays is the empty lock.
    pub(super) fn remove(self) {
        if let Err(error) = self.env.files.remove(&self.path) {
            tracing::debug!(%error, "could not remove the journal of a publish");
        }
    }

    fn append(&mut self, record: &Record) -> Result<(), Failure> {
        let message = record.encode_to_vec();
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(message.len() + 8);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&crc32c(&message).to_be_bytes());
        bytes.extend_from_slice(&message);
        let written = self.file.write_at(&bytes, self.end);
        written.map_err(|error| self.failed(&error))?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn failed(&self, error: &std::io::Error) -> Failure {
        local_failure("write", &self.path, error)
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("path", &self.path)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

fn local_bytes(entry: &LocalEntry) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    entry.local.as_os_str().as_bytes().to_vec()
}

/// The record at the front, and what is behind it; `None` when it is not whole.
fn next_record(bytes: &[u8]) -> Option<(Record, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (message, rest) = rest.split_at_checked(length)?;
    if crc32c(message) != u32::from_be_bytes(*sum) {
        return None;
    }
    Some((Record::decode(message).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::What;
    use nokv_types::{Layout, NsPath, TimeNanos};

    fn entry(name: &str) -> LocalEntry {
        LocalEntry {
            local: PathBuf::from(name),
            path: NsPath::root(),
            mode: 0o644,
            mtime: TimeNanos::new(5),
            ctime: TimeNanos::new(6),
            inode: 7,
            what: What::File(3),
        }
    }

    #[test]
    fn what_is_cut_off_is_forgotten_and_numbers_are_never_used_twice() {
        let env = Env::memory(1);
        let dir = Path::new("/journals");
        let open = || Journal::open(&env, dir, "one").expect("opens");
        let body = Body::new(3, None, Layout::Inline("abc".into())).expect("valid");
        let mut journal = open();
        assert_eq!(journal.session(), None);
        journal.begin(SessionId::new(9)).expect("begun");
        assert_eq!(journal.next_run().expect("begun"), 0);
        journal.add(&entry("a"), &body).expect("added");
        let whole = journal.end;
        journal.add(&entry("b"), &body).expect("added");
        let length = journal.end;
        drop(journal);
        for cut in (whole..length).rev() {
            let file = env
                .files
                .open(&dir.join("one.journal"), OpenMode::ReadWrite)
                .expect("there");
            file.set_len(cut).expect("cut");
            let journal = open();
            assert_eq!(journal.session(), Some(SessionId::new(9)));
            assert_eq!(journal.find(&entry("a"), 3), Some(body.clone()));
            assert_eq!(journal.find(&entry("b"), 3), None);
        }
        let mut journal = open();
        assert_eq!(journal.next_run().expect("begun"), 1 << RUN_BITS);
        let mut touched = entry("a");
        touched.ctime = TimeNanos::new(8);
        assert_eq!(journal.find(&touched, 3), None);
        assert_eq!(journal.find(&entry("a"), 4), None);
        drop(journal);
        assert_eq!(open().next_run().expect("begun"), 2 << RUN_BITS);
        open().remove();
        assert_eq!(open().session(), None);
    }
}
