//! The files of the cache: writing, listing, opening and removing entries.
//!
//! Invariants:
//! - an entry's name appears only after all its bytes, and its checksum file, were written: in this
//!   process and every other a name means a whole entry, up to a power cut or damage, which the
//!   checksums find (nothing is synced: what is lost is fetched again);
//! - a removed entry stays readable for whoever has it open.

use super::{
    layout::{self, Entry},
    opened::{Flaw, Opened},
};
use nokv_env::{Env, OpenMode};
use nokv_types::BlockId;
use std::{
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// The cache's directory, and the part of it that is one store's.
pub(super) struct CacheFiles {
    pub(super) env: Env,
    pub(super) dir: PathBuf,
    store_dir: PathBuf,
    nonce: u64,
    next: AtomicU64,
}

/// The checksum file of the entry at `path`.
pub(super) fn sums_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(layout::SUMS_SUFFIX);
    PathBuf::from(name)
}

impl CacheFiles {
    /// Makes the cache's directory if it is not there.
    ///
    /// **Errors**: those of the device; `InvalidData` when the directory is another layout's or
    /// holds something else.
    pub(super) fn open(env: Env, dir: PathBuf, store: [u8; 16]) -> io::Result<Self> {
        prepare(&env, &dir)?;
        let nonce = env.random.next_u64();
        let store_dir = dir.join(layout::store_name(store));
        Ok(Self {
            env,
            dir,
            store_dir,
            nonce,
            next: AtomicU64::new(0),
        })
    }

    /// The entries of an object, as the directory says now.
    pub(super) fn list(&self, block: BlockId) -> io::Result<Vec<Entry>> {
        let listed = self.env.files.list(&self.block_dir(block));
        let listed = match listed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed?,
        };
        let sound = listed.iter().filter_map(|file| {
            let entry = Entry::parse(&file.name)?;
            (file.size == u64::from(entry.length)).then_some(entry)
        });
        Ok(sound.collect())
    }

    /// Opens an entry, and says that it was used.
    pub(super) fn open_entry(&self, block: BlockId, entry: Entry) -> Result<Opened, Flaw> {
        let path = self.path(block, &entry);
        let opened = Opened::open(&*self.env.files, &path, entry)?;
        self.mark_used(block, &entry);
        Ok(opened)
    }

    pub(super) fn mark_used(&self, block: BlockId, entry: &Entry) {
        if let Err(error) = self.env.files.mark_used(&self.path(block, entry)) {
            tracing::debug!(%error, "could not mark a cache file as used");
        }
    }

    /// Writes an entry; nothing of it is left after an error.
    pub(super) fn write(&self, block: BlockId, entry: &Entry, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(block, entry);
        if entry.has_sums() {
            self.place(&layout::encode_sums(bytes), &sums_path(&path))?;
        }
        let placed = self.place(bytes, &path);
        if placed.is_err() && entry.has_sums() {
            self.remove_file(&sums_path(&path));
        }
        placed
    }

    /// Removes an entry, and its directories if that empties them.
    pub(super) fn remove(&self, block: BlockId, entry: &Entry) {
        remove_entry(&self.env, &self.path(block, entry));
    }

    fn path(&self, block: BlockId, entry: &Entry) -> PathBuf {
        self.block_dir(block).join(entry.name())
    }

    fn block_dir(&self, block: BlockId) -> PathBuf {
        layout::block_dir(&self.store_dir, block)
    }

    /// Writes a file under a temporary name and gives it its own.
    fn place(&self, bytes: &[u8], path: &Path) -> io::Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("{:016x}-{number}", self.nonce);
        let temporary = self.dir.join(layout::TMP_NAME).join(name);
        let written = self.fill(&temporary, bytes);
        let placed = written.and_then(|()| self.name(&temporary, path));
        if placed.is_err() {
            self.remove_file(&temporary);
        }
        placed
    }

    fn fill(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let files = &self.env.files;
        files.open(path, OpenMode::CreateNew)?.write_at(bytes, 0)
    }

    fn name(&self, temporary: &Path, path: &Path) -> io::Result<()> {
        let files = &self.env.files;
        match files.rename(temporary, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => return renamed,
        }
        // The object's first entry; or its directory went with its last one just now.
        if let Some(parent) = path.parent() {
            files.create_dir_all(parent)?;
        }
        files.rename(temporary, path)
    }

    fn remove_file(&self, path: &Path) {
        if let Err(error) = self.env.files.remove(path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::debug!(%error, path = %path.display(), "could not remove a cache file");
        }
    }
}

/// Removes the entry at `path`, and its directories if that empties them. Whether it was there and
/// is gone.
pub(super) fn remove_entry(env: &Env, path: &Path) -> bool {
    let removed = env.files.remove(path);
    if let Err(error) = env.files.remove(&sums_path(path))
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(%error, "could not remove a checksum file of the cache");
    }
    // Object, session, spread, store: as far as they are empty.
    for dir in path.ancestors().skip(1).take(4) {
        if env.files.remove_dir(dir).is_err() {
            break;
        }
    }
    if let Err(error) = &removed
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, path = %path.display(), "could not remove a cache file");
    }
    removed.is_ok()
}

/// Makes the directory and its mark, or finds the mark. The directory is its owner's alone: it
/// holds what others may not read.
fn prepare(env: &Env, dir: &Path) -> io::Result<()> {
    env.files.create_private_dir(dir)?;
    env.files.create_dir_all(&dir.join(layout::TMP_NAME))?;
    let found = read_mark(env, dir)?;
    if found == layout::MARK.as_bytes() {
        return Ok(());
    }
    if layout::MARK.as_bytes().starts_with(&found) || found.iter().all(|byte| *byte == 0) {
        // New, or what a power cut left of it, or somebody does the same now.
        let mark = dir.join(layout::MARK_NAME);
        let file = env.files.open(&mark, OpenMode::OpenOrCreate)?;
        return file.write_at(layout::MARK.as_bytes(), 0);
    }
    let told = format!(
        "{} is a cache of another version; choose another directory, or remove it",
        dir.display()
    );
    Err(io::Error::new(io::ErrorKind::InvalidData, told))
}

/// Whether a directory, which must be there, is a cache of this layout.
pub(super) fn has_mark(env: &Env, dir: &Path) -> io::Result<bool> {
    env.files.metadata(dir)?;
    Ok(read_mark(env, dir)? == layout::MARK.as_bytes())
}

/// The mark, or one byte more; empty when there is none.
fn read_mark(env: &Env, dir: &Path) -> io::Result<Vec<u8>> {
    let file = match env.files.open(&dir.join(layout::MARK_NAME), OpenMode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let mut found = vec![0; layout::MARK.len() + 1];
    let length = file.read_full_at(&mut found, 0)?;
    found.truncate(length);
    Ok(found)
}
