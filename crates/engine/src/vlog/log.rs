//! The value log of a store that is open for writing: where values are appended.
//!
//! Two sets of heads, one file for each bucket of keys: writers have one, compactions that move
//! live values out of a file have the other, so that what has survived long does not lie between
//! what was just written, and neither waits for the other.
//!
//! Invariants:
//! - a value is in its file, and its file in the view, before anything that points at it is written
//!   or visible; it is counted in the memtable before its file can be sealed;
//! - a file is not continued after the store was closed: what is at its end was perhaps torn.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use nokv_env::Env;
use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    entry::ValueEntry,
    file::ValueFile,
    head::{Group, Head},
    open_files::OpenFiles,
    pointer::Pointer,
    separate::rewrite,
    unsynced::Unsynced,
};
use crate::{Error, Options};

/// What the store does when values are appended.
pub(crate) trait Observer: Sync {
    /// A file was made: from now on views have it.
    fn add_file(&self, file: Arc<ValueFile>);
    /// A value of a key of this length will be written: its file must not be taken for garbage.
    fn note(&self, pointer: &Pointer, key_bytes: usize);
}

/// The value log.
pub(crate) struct ValueLog {
    env: Env,
    dir: PathBuf,
    open: Arc<OpenFiles>,
    separation_bytes: Option<usize>,
    file_bytes: u64,
    next_number: AtomicU64,
    heads: Mutex<Vec<Option<Head>>>,
    pub(super) relocation_heads: Vec<Mutex<Option<Head>>>,
    unsynced: Arc<Unsynced>,
    /// Files that are in no view from now on; removed when the last that holds them lets go.
    doomed: Mutex<Vec<Arc<ValueFile>>>,
}

impl ValueLog {
    pub(crate) fn new(
        (env, dir): (&Env, &Path),
        options: &Options,
        open: Arc<OpenFiles>,
        next_number: u64,
    ) -> Self {
        let heads = || 0..options.value_buckets.max(1);
        Self {
            env: env.clone(),
            dir: dir.to_owned(),
            open,
            separation_bytes: options.value_separation_bytes,
            file_bytes: options.value_file_bytes,
            next_number: AtomicU64::new(next_number),
            heads: Mutex::new(heads().map(|_| None).collect()),
            relocation_heads: heads().map(|_| Mutex::new(None)).collect(),
            unsynced: Arc::new(Unsynced::new(env, dir.to_owned())),
            doomed: Mutex::default(),
        }
    }

    /// What the log must sync before it promises records.
    pub(crate) fn unsynced(&self) -> &Arc<Unsynced> {
        &self.unsynced
    }

    /// Makes the names of files durable.
    ///
    /// # Errors
    /// What the device says.
    pub(super) fn sync_names(&self) -> Result<(), Error> {
        let synced = self.env.files.sync_dir(&self.dir);
        synced.map_err(|error| Error::io("syncing", &self.dir, error))
    }

    /// The size from which on a batch with such a value needs [`ValueLog::separate`].
    pub(crate) fn separation_bytes(&self) -> usize {
        self.separation_bytes.unwrap_or(usize::MAX)
    }

    /// Appends the large values of the payloads and returns the payloads with pointers instead.
    ///
    /// **Concurrency**: the caller holds the commit lock.
    ///
    /// # Errors
    /// `Exhausted`, `Io`: the payloads were not written; what was of the values is garbage.
    pub(crate) fn separate<'a>(
        &self,
        payloads: &[&'a [u8]],
        observer: &dyn Observer,
    ) -> Result<Vec<Cow<'a, [u8]>>, Error> {
        let mut heads = self.heads.lock();
        let mut groups: Vec<Option<Group<'a>>> = heads.iter().map(|_| None).collect();
        let mut rewritten = Vec::with_capacity(payloads.len());
        for payload in payloads {
            let separated = rewrite(payload, self.separation_bytes(), &mut |entry| {
                self.plan((&mut heads, &mut groups), entry, observer)
            })?;
            rewritten.push(separated);
        }
        for (slot, group) in heads.iter_mut().zip(&groups) {
            let (Some(head), Some(group)) = (slot.as_mut(), group) else {
                continue;
            };
            match head.write(group) {
                Ok(()) => self.unsynced.note(&head.file, &head.handle),
                Err(error) => {
                    abandon(slot, &error);
                    return Err(error);
                }
            }
        }
        Ok(rewritten)
    }

    fn plan<'a>(
        &self,
        (heads, groups): (&mut [Option<Head>], &mut [Option<Group<'a>>]),
        entry: ValueEntry<'a>,
        observer: &dyn Observer,
    ) -> Result<Pointer, Error> {
        let bucket = bucket_of(entry.key, heads.len());
        let (Some(slot), Some(group)) = (heads.get_mut(bucket), groups.get_mut(bucket)) else {
            return Err(Error::Invalid("a store without buckets".to_owned()));
        };
        // Looked at once for a group, so that a group is one write.
        if group.is_none()
            && slot
                .as_ref()
                .is_none_or(|head| head.is_full(self.file_bytes))
        {
            *slot = None;
            *slot = Some(self.create(bucket, observer)?);
        }
        let Some(head) = slot else {
            return Err(Error::Closed);
        };
        let pointer = head.plan(group.get_or_insert_with(|| head.begin()), entry);
        observer.note(&pointer, entry.key.len());
        Ok(pointer)
    }

    /// A new file; readers know it before anything points at it.
    fn create(&self, bucket: usize, observer: &dyn Observer) -> Result<Head, Error> {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let bucket = u32::try_from(bucket).unwrap_or(u32::MAX);
        let head = Head::create((&self.env, &self.dir), &self.open, number, bucket)?;
        self.unsynced.note_name();
        observer.add_file(Arc::clone(&head.file));
        Ok(head)
    }

    /// Appends a value that a compaction moves; the head's file and handle are the caller's to
    /// sync, the file is held for it.
    pub(super) fn append_relocated(
        &self,
        slot: &mut Option<Head>,
        entry: ValueEntry<'_>,
        observer: &dyn Observer,
    ) -> Result<Pointer, Error> {
        if slot
            .as_ref()
            .is_none_or(|head| head.is_full(self.file_bytes))
        {
            *slot = None;
            let bucket = bucket_of(entry.key, self.relocation_heads.len());
            *slot = Some(self.create(bucket, observer)?);
        }
        let Some(head) = slot else {
            return Err(Error::Closed);
        };
        let mut group = head.begin();
        let pointer = head.plan(&mut group, entry);
        if let Err(error) = head.write(&group) {
            abandon(slot, &error);
            return Err(error);
        }
        Ok(pointer)
    }

    /// Ends the files that are appended to, so that all of them are sealed.
    ///
    /// **Concurrency**: the caller holds the commit lock.
    pub(crate) fn seal(&self) {
        for slot in &mut *self.heads.lock() {
            *slot = None;
        }
        for slot in &self.relocation_heads {
            *slot.lock() = None;
        }
    }

    /// Files that no view will have any more.
    pub(crate) fn doom(&self, files: Vec<Arc<ValueFile>>) {
        self.doomed.lock().extend(files);
    }

    /// Gives the doomed files that nobody holds any more to `remove`.
    pub(crate) fn sweep(&self, remove: &dyn Fn(&Path)) {
        let mut doomed = self.doomed.lock();
        doomed.retain(|file| {
            // No view has it, so nobody can begin to hold it.
            if Arc::strong_count(file) > 1 {
                return true;
            }
            remove(file.path());
            false
        });
    }
}

/// After a failed write: a full device is no reason to begin another file, any other failure is.
fn abandon(slot: &mut Option<Head>, error: &Error) {
    if !matches!(error, Error::Exhausted { .. }) {
        *slot = None;
    }
}

/// Which part of the keys a key belongs to.
pub(super) fn bucket_of(key: &[u8], count: usize) -> usize {
    let count = u64::try_from(count).unwrap_or(1).max(1);
    usize::try_from(xxh3_64(key) % count).unwrap_or(0)
}
