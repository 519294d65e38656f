//! Making a backup of a folder.
//!
//! A file that the last backup has is not read again where its fingerprint is the same (tables and
//! values are written once); any other goes part by part, and a part that the last backup has at
//! the same place with the same digest is not sent again: so a log that has grown costs its tail.
//!
//! Invariant: memory is bounded by [`PARALLEL_PUTS`] parts.

use crate::manifest::{FileEntry, Manifest, ObjectsPlace, PartEntry};
use crate::place::BackupPlace;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use nokv_env::{EntryKind, File, FileSystem, OpenMode};
use nokv_types::{BlockId, Failure, Reason, SessionId};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes of a part of a file that is written once.
const PART_BYTES: u64 = 16 << 20;
/// Bytes of a part of a file that grows: what of it is sent again, at most.
const GROWING_PART_BYTES: u64 = 1 << 20;
/// Parts that are read and sent at once.
const PARALLEL_PUTS: usize = 4;
/// Bytes of the beginning of a file that its fingerprint covers.
const FINGERPRINT_HEAD_BYTES: u64 = 4 << 10;
/// Bytes of its end: a table has its index and checksums there.
const FINGERPRINT_TAIL_BYTES: u64 = 64 << 10;

/// Hears of each part: its bytes, and whether it was sent.
pub type OnPart = Arc<dyn Fn(u64, bool) + Send + Sync>;

/// A backup without its files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// See [`Manifest::number`].
    pub number: u32,
    /// See [`Manifest::store_id`].
    pub store_id: String,
    /// See [`Manifest::store_format`].
    pub store_format: u32,
    /// See [`Manifest::made_millis`].
    pub made_millis: u64,
    /// See [`Manifest::version`].
    pub version: u64,
    /// See [`Manifest::floor`].
    pub floor: u64,
    /// See [`Manifest::held_from`].
    pub held_from: u64,
    /// See [`Manifest::last_session`].
    pub last_session: u64,
    /// See [`Manifest::objects`].
    pub objects: ObjectsPlace,
}

/// Makes a backup of all files of a folder, which must not change meanwhile; `before` is the last
/// backup, whose parts are shared.
///
/// **Guarantees**: the backup is durable on return; before, it is not there. **Errors**: those of
/// the files and of the object store; parts that were sent are left to [`crate::sweep`].
pub async fn make(
    place: &BackupPlace,
    (files, dir): (&Arc<dyn FileSystem>, &Path),
    head: Head,
    before: Option<&Manifest>,
    on_part: Option<OnPart>,
) -> Result<Manifest, Failure> {
    let known = before.iter().flat_map(|manifest| &manifest.files);
    let known: HashMap<&str, &FileEntry> = known.map(|file| (file.name.as_str(), file)).collect();
    let listed = files
        .list(dir)
        .map_err(|error| failed("list", dir, &error))?;
    let sender = Sender {
        place,
        number: head.number,
        next: AtomicU32::new(0),
        on_part,
    };
    let mut entries = Vec::new();
    for entry in listed {
        // The lock is the store's that will be.
        if entry.kind == EntryKind::File && entry.name != "LOCK" {
            let path = dir.join(&entry.name);
            let known = known.get(entry.name.as_str()).copied();
            entries.push(sender.file(files, path, entry.name, known).await?);
        }
    }
    let manifest = Manifest {
        number: head.number,
        store_id: head.store_id,
        store_format: head.store_format,
        made_millis: head.made_millis,
        version: head.version,
        floor: head.floor,
        held_from: head.held_from,
        last_session: head.last_session,
        objects: head.objects,
        files: entries,
    };
    place.write(&manifest).await?;
    Ok(manifest)
}

struct Sender<'a> {
    place: &'a BackupPlace,
    number: u32,
    next: AtomicU32,
    on_part: Option<OnPart>,
}

impl Sender<'_> {
    async fn file(
        &self,
        files: &Arc<dyn FileSystem>,
        path: PathBuf,
        name: String,
        known: Option<&FileEntry>,
    ) -> Result<FileEntry, Failure> {
        let (opening, named) = (Arc::clone(files), path.clone());
        let for_print = name.clone();
        let (file, bytes, fingerprint) = blocking(move || {
            let open = || {
                let file = opening.open(&named, OpenMode::Read)?;
                let bytes = file.len()?;
                let fingerprint = fingerprint(&*file, &for_print, bytes)?;
                Ok((file, bytes, fingerprint))
            };
            open().map_err(|error| failed("read", &named, &error))
        })
        .await?;
        let is_written_once = is_written_once(&name);
        let same = known.filter(|known| {
            is_written_once && known.fingerprint == fingerprint && known.bytes == bytes
        });
        if let Some(same) = same {
            self.tell(bytes, false);
            return Ok(same.clone());
        }
        let part_bytes = match is_written_once {
            true => PART_BYTES,
            false => GROWING_PART_BYTES,
        };
        let known_parts = known.map_or(&[][..], |known| &known.parts);
        let offsets = (0..bytes.div_ceil(part_bytes)).map(|index| index * part_bytes);
        let mut sending = Vec::new();
        for (index, offset) in offsets.enumerate() {
            let length = part_bytes.min(bytes - offset);
            let source = (Arc::clone(&file), path.clone());
            sending.push(self.part(source, (offset, length), known_parts.get(index)));
        }
        let parts = stream::iter(sending)
            .buffered(PARALLEL_PUTS)
            .try_collect()
            .await?;
        Ok(FileEntry {
            name,
            bytes,
            fingerprint,
            parts,
        })
    }

    async fn part(
        &self,
        (file, path): (Arc<dyn File>, PathBuf),
        (offset, length): (u64, u64),
        known: Option<&PartEntry>,
    ) -> Result<PartEntry, Failure> {
        let (bytes, digest) = read_part(file, path, offset, length).await?;
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        if let Some(known) = known.filter(|part| part.blake3 == digest && part.bytes == length) {
            self.tell(u64::from(length), false);
            return Ok(known.clone());
        }
        let entry = PartEntry {
            backup: self.number,
            sequence: self.next.fetch_add(1, Ordering::Relaxed),
            bytes: length,
            blake3: digest,
        };
        let block = BlockId {
            session: SessionId::new(u64::from(self.number)),
            sequence: entry.sequence,
        };
        self.place.blocks.put(block, bytes).await?;
        self.tell(u64::from(length), true);
        Ok(entry)
    }

    fn tell(&self, bytes: u64, is_sent: bool) {
        if let Some(on_part) = &self.on_part {
            on_part(bytes, is_sent);
        }
    }
}

/// Whether a file of a checkpoint never changes under its name.
fn is_written_once(name: &str) -> bool {
    name.ends_with(".table") || name.ends_with(".vlog")
}

fn fingerprint(file: &dyn File, name: &str, bytes: u64) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(name.as_bytes()).update(&bytes.to_le_bytes());
    let tail = bytes.saturating_sub(FINGERPRINT_TAIL_BYTES);
    for (offset, end) in [(0, bytes.min(FINGERPRINT_HEAD_BYTES)), (tail, bytes)] {
        let length = usize::try_from(end - offset).unwrap_or(0);
        let mut buffer = vec![0; length];
        file.read_exact_at(&mut buffer, offset)?;
        hasher.update(&buffer);
    }
    Ok(hasher.finalize().to_hex().to_string())
}

async fn read_part(
    file: Arc<dyn File>,
    path: PathBuf,
    offset: u64,
    length: u64,
) -> Result<(Bytes, String), Failure> {
    blocking(move || {
        let mut buffer = vec![0; usize::try_from(length).unwrap_or(0)];
        file.read_exact_at(&mut buffer, offset)
            .map_err(|error| failed("read", &path, &error))?;
        let digest = blake3::hash(&buffer).to_hex().to_string();
        Ok((Bytes::from(buffer), digest))
    })
    .await
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(Failure::new(
            Reason::Unavailable,
            "the runtime is shutting down",
        )),
    }
}

pub(crate) fn failed(action: &str, path: &Path, error: &io::Error) -> Failure {
    let reason = match error.kind() {
        io::ErrorKind::StorageFull => Reason::NoSpace,
        io::ErrorKind::PermissionDenied => Reason::PermissionDenied,
        _ => Reason::Io,
    };
    Failure::new(
        reason,
        format!("can't {action} {}: {error}", path.display()),
    )
}
