//! Looking at value-log files without opening the store.

use std::path::Path;

use nokv_env::{Env, OpenMode};

use super::{
    entry::{ValueEntry, decode, entry_bytes},
    file::{FileHead, value_path},
    files::list_value_files,
    layout::{ENTRY_HEAD_BYTES, HEAD_BYTES},
    pointer::Pointer,
    refs::ValueRefs,
};
use crate::{
    Error,
    batch::{Operation, Operations},
    manifest::Manifest,
    mark::Promise,
    wal,
};

/// One value-log file, as it is on disk and as the store uses it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ValueFileListing {
    /// The number in its name.
    pub number: u64,
    /// Which part of the keys it has; `None` when its head is damaged.
    pub bucket: Option<u32>,
    /// Its length.
    pub bytes: u64,
    /// Whole entries in it.
    pub entry_count: u64,
    /// Bytes of entries that tables or the log point at.
    pub live_bytes: u64,
    /// Bytes of its whole entries that nothing points at.
    pub dead_bytes: u64,
    /// Where the first bytes are that are no entry, although whole entries follow; a damaged head
    /// is at 0.
    pub first_damage: Option<u64>,
    /// Bytes at its end that are no entry: what a crash tore. Nothing points at them, unless
    /// `live_bytes` says otherwise.
    pub torn_bytes: u64,
}

/// Reads all value-log files of the store in `dir`, which nobody has open, and changes nothing:
/// `vlog::list(&env, dir) -> Result<Vec<ValueFileListing>, Error>`, by number.
///
/// **Guarantees**: damage of a file is told in its listing, not as an error; a damaged log is read
/// as far as it goes.
///
/// # Errors
/// `Io`; `Corrupt`, `Unsupported` when the manifest can't be read.
pub fn list(env: &Env, dir: &Path) -> Result<Vec<ValueFileListing>, Error> {
    let live = live(env, dir)?;
    let found = list_value_files(env.files.as_ref(), dir)?;
    let mut listings = Vec::with_capacity(found.len());
    for (number, _) in found {
        listings.push(list_file(env, dir, number, &live)?);
    }
    Ok(listings)
}

fn live(env: &Env, dir: &Path) -> Result<ValueRefs, Error> {
    let mut live = ValueRefs::default();
    let promise = Promise::load(env, dir)?;
    let Some(state) = Manifest::read_only(env, dir, promise)? else {
        return Ok(live);
    };
    for table in state.levels.iter().flat_map(|tables| tables.values()) {
        live.merge(&table.summary.value_refs);
    }
    let repair = wal::Repair::Forbidden;
    let outcome = wal::recover(env, dir, state.log_start, 0, repair, |_, _, payload| {
        for operation in Operations::new(payload) {
            if let Operation::Entry {
                key, kind, value, ..
            } = operation?
                && let Some(pointer) = Pointer::of(kind, value)
            {
                live.add(&pointer, key.len());
            }
        }
        Ok(())
    });
    match outcome {
        Ok(_) | Err(Error::Corrupt { .. }) => Ok(live),
        Err(error) => Err(error),
    }
}

fn list_file(
    env: &Env,
    dir: &Path,
    number: u64,
    live: &ValueRefs,
) -> Result<ValueFileListing, Error> {
    let path = value_path(dir, number);
    let failed = |error| Error::io("reading", &path, error);
    let file = env.files.open(&path, OpenMode::Read).map_err(failed)?;
    let length = usize::try_from(file.len().map_err(failed)?)
        .map_err(|_| Error::Invalid("a value-log file does not fit in memory".to_owned()))?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0).map_err(failed)?;
    let bucket = FileHead::decode(&bytes, number, &path)?.map(|head| head.bucket);
    let walk = walk(number, &bytes, &mut |_, _| {});
    let live_bytes = live.of(number).bytes;
    let head_damage = bucket.is_none().then_some(0);
    Ok(ValueFileListing {
        number,
        bucket,
        bytes: bytes.len() as u64,
        entry_count: walk.entry_count,
        live_bytes,
        dead_bytes: walk.entry_bytes.saturating_sub(live_bytes),
        first_damage: head_damage.or(walk.first_damage),
        torn_bytes: walk.torn_bytes,
    })
}

/// Whether the head of a file is whole; nothing that is read depends on it.
///
/// # Errors
/// `Io`; `Unsupported`.
pub(crate) fn has_sound_head(env: &Env, dir: &Path, number: u64) -> Result<bool, Error> {
    let path = value_path(dir, number);
    let failed = |error| Error::io("reading", &path, error);
    let file = env.files.open(&path, OpenMode::Read).map_err(failed)?;
    let mut bytes = [0; HEAD_BYTES];
    let count = file.read_at(&mut bytes, 0).map_err(failed)?;
    let read = bytes.get(..count).unwrap_or_default();
    Ok(FileHead::decode(read, number, &path)?.is_some())
}

/// Writes a new head; the bucket that the file had is not known any more, and matters to nobody.
///
/// # Errors
/// `Io`.
pub(crate) fn rewrite_head(env: &Env, dir: &Path, number: u64) -> Result<(), Error> {
    let path = value_path(dir, number);
    let failed = |error| Error::io("writing", &path, error);
    let file = env.files.open(&path, OpenMode::ReadWrite).map_err(failed)?;
    let bucket = 0;
    file.write_at(&FileHead { number, bucket }.encode(), 0)
        .map_err(failed)?;
    file.sync_data().map_err(failed)
}

/// What a walk over a file found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Walk {
    pub(super) entry_count: u64,
    pub(super) entry_bytes: u64,
    pub(super) first_damage: Option<u64>,
    pub(super) torn_bytes: u64,
}

/// Shows every whole entry of the file `number` with its offset; past a damaged place it goes on
/// with the next whole one.
pub(super) fn walk(number: u64, bytes: &[u8], each: &mut dyn FnMut(u64, &ValueEntry<'_>)) -> Walk {
    let mut walk = Walk::default();
    let mut offset = HEAD_BYTES.min(bytes.len());
    let mut damage = None;
    while offset < bytes.len() {
        match bytes.get(offset..).and_then(|rest| decode(number, rest)) {
            Some(entry) => {
                let entry_bytes = entry_bytes(entry.key.len(), entry.stored.len());
                each(offset as u64, &entry);
                walk.entry_count += 1;
                walk.entry_bytes += entry_bytes;
                walk.first_damage = walk.first_damage.or(damage.take());
                damage = None;
                offset += ENTRY_HEAD_BYTES + entry.key.len() + entry.stored.len();
            }
            None => {
                damage = damage.or(Some(offset as u64));
                offset += 1;
            }
        }
    }
    walk.torn_bytes = damage.map_or(0, |start| bytes.len() as u64 - start);
    walk
}
