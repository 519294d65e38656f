//! All entries of a cache directory, of every store: for counting, evicting, listing and checking.
//!
//! Invariants:
//! - only what has the shape of one of our names is ever touched;
//! - files that come and go while the scan runs are no errors.

use super::{
    choose::Candidate,
    files::sums_path,
    layout::{self, Entry},
};
use crate::store::key;
use nokv_env::{DirEntry, EntryKind, Env};
use nokv_types::BlockId;
use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

/// Temporary files older than this were left by a process that died.
const TEMPORARY_NS_MAX: u64 = 3_600 * 1_000_000_000;

/// One entry that a scan found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) store: String,
    pub(super) block: BlockId,
    pub(super) entry: Entry,
    /// Its length on disk, which is another than it should be after a power cut.
    pub(super) size: u64,
}

impl Found {
    /// What the choice needs to know.
    pub(super) fn candidate(&self, env: &Env) -> Candidate {
        let times = env.files.metadata(&self.path);
        let (written_ns, used_ns) = times.map_or((0, 0), |it| (it.written_ns, it.used_ns));
        Candidate {
            cost: self.entry.cost(),
            written_ns,
            used_ns,
        }
    }
}

/// What is in a cache directory.
#[derive(Default)]
pub(super) struct Scan {
    pub(super) entries: Vec<Found>,
    /// Checksum files whose entries are not there, and files that are cut.
    pub(super) leftovers: Vec<PathBuf>,
}

/// Goes through a cache directory.
///
/// **Errors**: the directory itself can't be listed.
pub(super) fn scan(env: &Env, dir: &Path) -> io::Result<Scan> {
    let mut scan = Scan::default();
    for store in directories(env.files.list(dir)?) {
        if layout::is_store_name(&store) {
            let path = dir.join(&store);
            scan.store(env, &store, &path);
        }
    }
    Ok(scan)
}

impl Scan {
    fn store(&mut self, env: &Env, store: &str, dir: &Path) {
        for spread in list_dirs(env, dir) {
            let spread = dir.join(spread);
            for session in list_dirs(env, &spread) {
                let Some(id) = key::parse_session(&session) else {
                    continue;
                };
                let session = spread.join(session);
                for object in list_dirs(env, &session) {
                    let Some(sequence) = key::parse_sequence(&object) else {
                        continue;
                    };
                    let block = BlockId {
                        session: id,
                        sequence,
                    };
                    self.object(env, store, block, &session.join(object));
                }
            }
        }
    }

    fn object(&mut self, env: &Env, store: &str, block: BlockId, dir: &Path) {
        let listed = list(env, dir);
        let names: BTreeSet<&str> = listed.iter().map(|file| file.name.as_str()).collect();
        for file in &listed {
            let path = dir.join(&file.name);
            if let Some(name) = file.name.strip_suffix(layout::SUMS_SUFFIX) {
                if Entry::parse(name).is_some() && !names.contains(name) {
                    self.leftovers.push(path);
                }
            } else if let Some(entry) = Entry::parse(&file.name) {
                self.entries.push(Found {
                    path,
                    store: store.to_owned(),
                    block,
                    entry,
                    size: file.size,
                });
            }
        }
    }
}

/// Removes what processes that died have left: old temporary files, checksum files without an
/// entry.
pub(super) fn sweep(env: &Env, dir: &Path, scan: &Scan) {
    let now = u64::try_from(env.clock.now_nanos()).unwrap_or(0);
    let is_old = |path: &Path| {
        let written = env.files.metadata(path).map(|it| it.written_ns);
        written.is_ok_and(|written| now.saturating_sub(written) > TEMPORARY_NS_MAX)
    };
    let tmp = dir.join(layout::TMP_NAME);
    let temporary = list(env, &tmp).into_iter().map(|file| tmp.join(file.name));
    // An entry's checksum file comes a moment before the entry.
    let orphans = scan
        .leftovers
        .iter()
        .filter(|path| !has_entry(env, path))
        .cloned();
    for path in temporary.chain(orphans).filter(|path| is_old(path)) {
        if let Err(error) = env.files.remove(&path) {
            tracing::debug!(%error, "could not remove a leftover of the cache");
        }
    }
}

fn has_entry(env: &Env, sums: &Path) -> bool {
    let entry = sums.with_extension("");
    sums_path(&entry) == sums && env.files.exists(&entry).unwrap_or(true)
}

fn list(env: &Env, dir: &Path) -> Vec<DirEntry> {
    match env.files.list(dir) {
        Ok(listed) => listed,
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(%error, dir = %dir.display(), "can't list a part of the cache");
            }
            Vec::new()
        }
    }
}

fn list_dirs(env: &Env, dir: &Path) -> Vec<String> {
    directories(list(env, dir))
}

fn directories(listed: Vec<DirEntry>) -> Vec<String> {
    let dirs = listed
        .into_iter()
        .filter(|entry| entry.kind == EntryKind::Directory);
    dirs.map(|entry| entry.name).collect()
}
