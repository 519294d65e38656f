//! The catalog of an export: what was asked for, which files are complete, whether all are.
//!
//! | row | at the first place that holds no valid record | decision | why |
//! |---|---|---|---|
//! | a | the end of the file | end | all was read |
//! | b | anything, after a record of the end | `Corrupt` | nothing is written after it |
//! | c | a valid record of a later sequence follows | `Corrupt` | records are synced one by one, so a later one proves this one |
//! | d | other bytes | cut here when the export goes on | the torn tail of a crash: the file it would have named is written again |
//! | e | the head or the scope | `Corrupt` | both are durable before anything else is written |
//!
//! A damaged last record looks like a torn one (row d): then the export is "not complete" and is
//! not ingested, so damage never makes it smaller without a word.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use nokv_env::{Env, File, OpenMode};

use super::layout::{
    CATALOG_BYTES_MAX, CATALOG_NAME, FORMAT_VERSION, HASH_BYTES, HEAD_BYTES, HEAD_CHECKSUM,
    HEAD_FORMAT, HEAD_ID, HEAD_UNUSED, ID_BYTES, KIND_END, KIND_FILE, KIND_SCOPE, MAGIC,
    PAYLOAD_BYTES_MAX, RANGES_MAX, RECORD_CHECKSUM, RECORD_HEAD_BYTES, RECORD_LENGTH,
    RECORD_SEQUENCE,
};
use crate::{
    Error,
    bytes_at::{put_at, u32_at, u64_at},
    checksum::crc32c,
    table::TableSummary,
    varint,
};

/// What an export was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Scope {
    /// The version whose state it is; 0 for entries that were given one by one.
    pub(crate) at: u64,
    /// Internal keys, end exclusive; none for entries that were given one by one.
    pub(crate) ranges: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// One complete file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CatalogFile {
    /// The number in its name.
    pub(crate) number: u64,
    pub(crate) hash: [u8; HASH_BYTES],
    pub(crate) summary: TableSummary,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Entry {
    Scope(Scope),
    File(CatalogFile),
    End { file_count: u64, entry_count: u64 },
}

/// A catalog as read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Catalog {
    id: [u8; ID_BYTES],
    pub(super) scope: Scope,
    pub(super) files: Vec<CatalogFile>,
    pub(super) is_complete: bool,
    /// Where the next record goes.
    offset: u64,
    sequence: u64,
}

impl Catalog {
    /// Reads the catalog of `dir`; `None` when there is none.
    ///
    /// # Errors
    /// `Corrupt` by the table above; `Unsupported`; `Io`.
    pub(super) fn load(env: &Env, dir: &Path) -> Result<Option<Self>, Error> {
        let path = catalog_path(dir);
        let file = match env.files.open(&path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("opening", &path, error)),
        };
        let failed = |error| Error::io("reading", &path, error);
        let length = file.len().map_err(failed)?;
        if length > CATALOG_BYTES_MAX {
            let found = format!("{length} bytes");
            return Err(Error::corrupt(&path, 0, "the catalog of an export", found));
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        file.read_exact_at(&mut bytes, 0).map_err(failed)?;
        Self::parse(&path, &bytes).map(Some)
    }

    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let mut catalog = Self {
            id: decode_head(path, bytes)?,
            offset: HEAD_BYTES as u64,
            ..Self::default()
        };
        let mut rest = bytes.get(HEAD_BYTES..).unwrap_or_default();
        while let Some((sequence, payload)) = decode_record(&catalog.id, rest) {
            if sequence != catalog.sequence || catalog.is_complete {
                break;
            }
            let at = catalog.offset;
            let entry = decode_entry(payload).filter(|entry| catalog.takes(entry));
            let Some(entry) = entry else {
                let found = "one that does not decode or does not fit";
                return Err(Error::corrupt(path, at, "a record of an export", found));
            };
            catalog.take(entry, payload.len());
            rest = rest
                .get(RECORD_HEAD_BYTES + payload.len()..)
                .unwrap_or_default();
        }
        let is_damaged = catalog.sequence == 0
            || (catalog.is_complete && !rest.is_empty())
            || later_record_follows(&catalog.id, rest, catalog.sequence);
        if is_damaged {
            let expected = format!("record {} of an export", catalog.sequence);
            let found = "bytes that fail their checksum, or none";
            return Err(Error::corrupt(path, catalog.offset, expected, found));
        }
        Ok(catalog)
    }

    /// Whether `entry` may come next.
    fn takes(&self, entry: &Entry) -> bool {
        match entry {
            Entry::Scope(_) => self.sequence == 0,
            Entry::File(file) => {
                let is_after = |last: &CatalogFile| {
                    last.number < file.number && last.summary.largest < file.summary.smallest
                };
                self.sequence > 0 && self.files.last().is_none_or(is_after)
            }
            Entry::End {
                file_count,
                entry_count,
            } => {
                let entries: u64 = self.files.iter().map(|f| f.summary.entry_count).sum();
                *file_count == self.files.len() as u64 && *entry_count == entries
            }
        }
    }

    fn take(&mut self, entry: Entry, payload_bytes: usize) {
        match entry {
            Entry::Scope(scope) => self.scope = scope,
            Entry::File(file) => self.files.push(file),
            Entry::End { .. } => self.is_complete = true,
        }
        self.sequence += 1;
        self.offset += (RECORD_HEAD_BYTES + payload_bytes) as u64;
    }
}

/// A catalog that is being written.
pub(super) struct CatalogWriter {
    file: Arc<dyn File>,
    path: PathBuf,
    pub(super) catalog: Catalog,
}

impl CatalogWriter {
    /// Begins the catalog of a new export in `dir`, which is durable with its scope on return.
    ///
    /// # Errors
    /// `Invalid` when the folder has one; `Io`, `Exhausted`.
    pub(super) fn create(env: &Env, dir: &Path, scope: Scope) -> Result<Self, Error> {
        let path = catalog_path(dir);
        let failed = |error: std::io::Error| Error::io("making", &path, error);
        let mut id = [0; ID_BYTES];
        env.random.fill(&mut id);
        let record = encode_record(&id, 0, &Entry::Scope(scope.clone()))?;
        let mut bytes = encode_head(id).to_vec();
        bytes.extend_from_slice(&record);
        // Under its name only when it is whole: a crash leaves no catalog or a good one.
        let next = path.with_extension("next");
        let file = env.files.open(&next, OpenMode::Create).map_err(failed)?;
        file.write_at(&bytes, 0).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        env.files.rename(&next, &path).map_err(failed)?;
        env.files.sync_dir(dir).map_err(failed)?;
        let catalog = Catalog {
            id,
            scope,
            sequence: 1,
            offset: bytes.len() as u64,
            ..Catalog::default()
        };
        Ok(Self {
            file,
            path,
            catalog,
        })
    }

    /// Goes on with a catalog that has no end yet, cutting a torn tail.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn go_on(env: &Env, dir: &Path, catalog: Catalog) -> Result<Self, Error> {
        let path = catalog_path(dir);
        let failed = |error| Error::io("opening", &path, error);
        let file = env.files.open(&path, OpenMode::ReadWrite).map_err(failed)?;
        file.set_len(catalog.offset).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        Ok(Self {
            file,
            path,
            catalog,
        })
    }

    /// Makes a record durable.
    ///
    /// # Errors
    /// `Io`, `Exhausted`: the export can be gone on with from what is durable.
    pub(super) fn add(&mut self, entry: Entry) -> Result<(), Error> {
        let record = encode_record(&self.catalog.id, self.catalog.sequence, &entry)?;
        let failed = |error| Error::io("writing", &self.path, error);
        self.file
            .write_at(&record, self.catalog.offset)
            .map_err(failed)?;
        self.file.sync_data().map_err(failed)?;
        self.catalog.take(entry, record.len() - RECORD_HEAD_BYTES);
        Ok(())
    }
}

pub(super) fn catalog_path(dir: &Path) -> PathBuf {
    dir.join(CATALOG_NAME)
}

pub(super) fn encode_head(id: [u8; ID_BYTES]) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    put_at(&mut head, 0, &MAGIC);
    put_at(&mut head, HEAD_FORMAT, &FORMAT_VERSION.to_le_bytes());
    put_at(&mut head, HEAD_ID, &id);
    let checksum = crc32c(&[head.get(..HEAD_CHECKSUM).unwrap_or_default()]);
    put_at(&mut head, HEAD_CHECKSUM, &checksum.to_le_bytes());
    head
}

fn decode_head(path: &Path, bytes: &[u8]) -> Result<[u8; ID_BYTES], Error> {
    let head = bytes
        .get(..HEAD_CHECKSUM)
        .filter(|head| head.starts_with(&MAGIC));
    let is_sound = |head: &&[u8]| u32_at(bytes, HEAD_CHECKSUM) == Some(crc32c(&[head]));
    let Some(head) = head.filter(is_sound) else {
        let expected = "the head of the catalog of an export";
        return Err(Error::corrupt(path, 0, expected, "other bytes"));
    };
    match u32_at(head, HEAD_FORMAT) {
        Some(FORMAT_VERSION) => {}
        found => {
            return Err(Error::Unsupported {
                file: path.display().to_string(),
                found: found.unwrap_or(0),
                supported: FORMAT_VERSION,
            });
        }
    }
    let id = head.get(HEAD_ID..HEAD_UNUSED);
    Ok(id.and_then(|id| id.try_into().ok()).unwrap_or_default())
}

pub(super) fn encode_record(
    id: &[u8; ID_BYTES],
    sequence: u64,
    entry: &Entry,
) -> Result<Vec<u8>, Error> {
    let mut record = vec![0; RECORD_HEAD_BYTES];
    encode_entry(entry, &mut record);
    let length = record.len() - RECORD_HEAD_BYTES;
    let length = u32::try_from(length)
        .ok()
        .filter(|_| length <= PAYLOAD_BYTES_MAX)
        .ok_or_else(|| Error::Invalid(format!("a scope of {length} bytes: export fewer ranges")))?;
    put_at(&mut record, RECORD_LENGTH, &length.to_le_bytes());
    put_at(&mut record, RECORD_SEQUENCE, &sequence.to_le_bytes());
    let covered = record.get(RECORD_LENGTH..).unwrap_or_default();
    let checksum = crc32c(&[id, covered]);
    put_at(&mut record, RECORD_CHECKSUM, &checksum.to_le_bytes());
    Ok(record)
}

fn decode_record<'a>(id: &[u8; ID_BYTES], bytes: &'a [u8]) -> Option<(u64, &'a [u8])> {
    let length = usize::try_from(u32_at(bytes, RECORD_LENGTH)?).ok()?;
    if length > PAYLOAD_BYTES_MAX {
        return None;
    }
    let covered = bytes.get(RECORD_LENGTH..RECORD_HEAD_BYTES + length)?;
    if crc32c(&[id, covered]) != u32_at(bytes, RECORD_CHECKSUM)? {
        return None;
    }
    Some((
        u64_at(bytes, RECORD_SEQUENCE)?,
        bytes.get(RECORD_HEAD_BYTES..RECORD_HEAD_BYTES + length)?,
    ))
}

/// Row c.
fn later_record_follows(id: &[u8; ID_BYTES], bytes: &[u8], sequence: u64) -> bool {
    let is_later = |rest: &&[u8]| {
        u64_at(rest, RECORD_SEQUENCE).is_some_and(|found| found > sequence && found >> 32 == 0)
    };
    (1..bytes.len())
        .filter_map(|start| bytes.get(start..))
        .filter(is_later)
        .any(|rest| decode_record(id, rest).is_some())
}

fn encode_entry(entry: &Entry, out: &mut Vec<u8>) {
    match entry {
        Entry::Scope(scope) => {
            out.push(KIND_SCOPE);
            varint::put(out, scope.at);
            varint::put(out, scope.ranges.len() as u64);
            for (start, end) in &scope.ranges {
                put_bytes(out, start);
                out.push(u8::from(end.is_some()));
                put_bytes(out, end.as_deref().unwrap_or_default());
            }
        }
        Entry::File(file) => {
            out.push(KIND_FILE);
            varint::put(out, file.number);
            varint::put(out, file.summary.bytes);
            out.extend_from_slice(&file.hash);
            file.summary.encode(out);
        }
        Entry::End {
            file_count,
            entry_count,
        } => {
            out.push(KIND_END);
            varint::put(out, *file_count);
            varint::put(out, *entry_count);
        }
    }
}

pub(super) fn decode_entry(payload: &[u8]) -> Option<Entry> {
    let (kind, mut rest) = payload.split_first()?;
    let entry = match *kind {
        KIND_SCOPE => {
            let at = varint::take(&mut rest)?;
            let count = varint::take(&mut rest).filter(|count| *count <= RANGES_MAX as u64)?;
            let mut ranges = Vec::new();
            for _ in 0..count {
                let start = take_bytes(&mut rest)?;
                let (has_end, behind) = rest.split_first()?;
                rest = behind;
                let end = take_bytes(&mut rest)?;
                ranges.push((start, (*has_end == 1).then_some(end)));
            }
            Entry::Scope(Scope { at, ranges })
        }
        KIND_FILE => {
            let number = varint::take(&mut rest)?;
            let bytes = varint::take(&mut rest)?;
            let (hash, behind) = rest.split_first_chunk::<HASH_BYTES>()?;
            rest = behind;
            let summary = TableSummary::decode(&mut rest, bytes).ok()?;
            let hash = *hash;
            Entry::File(CatalogFile {
                number,
                hash,
                summary,
            })
        }
        KIND_END => Entry::End {
            file_count: varint::take(&mut rest)?,
            entry_count: varint::take(&mut rest)?,
        },
        _ => return None,
    };
    rest.is_empty().then_some(entry)
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    varint::put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn take_bytes(input: &mut &[u8]) -> Option<Vec<u8>> {
    let length = usize::try_from(varint::take(input)?).ok()?;
    let (bytes, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(bytes.to_vec())
}
