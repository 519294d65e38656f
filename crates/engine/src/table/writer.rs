//! Writes one table file, front to back.
//!
//! Invariants:
//! - entries come in order, range tombstones in any order; nothing is read back;
//! - a file is a table only with its footer, which is written last, and [`TableWriter::finish`]
//!   returns only after a sync: whoever puts the table in the manifest then may rely on it (the
//!   directory is the caller's to sync).

use std::{cmp::Ordering, path::Path, sync::Arc};

use nokv_env::File;

use super::{
    data_builder::DataBuilder,
    filter,
    footer::Footer,
    frame::Sealer,
    garbage::Span,
    index_builder::{Bounds, IndexBuilder},
    layout::{BLOCK_BYTES_MAX, Content, Handle, PARTITION_BYTES, PAYLOAD_BYTES_MAX, footer},
    summary::TableSummary,
};
use crate::{
    Compression, Error,
    entry::{EntryKind, RangeTombstone},
    varint,
    vlog::Pointer,
};

/// Blocks are handed to the file in pieces of about this size: few system calls, little memory.
const WRITE_BYTES: usize = 1 << 20;

/// How a table is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TableOptions {
    /// Payload of a data block, at most [`BLOCK_BYTES_MAX`]; an entry larger than that gets a
    /// block of its own.
    pub(crate) block_bytes: usize,
    /// Payload of an index partition with its filter.
    pub(crate) partition_bytes: usize,
    pub(crate) compression: Compression,
}

impl Default for TableOptions {
    fn default() -> Self {
        Self {
            block_bytes: 8 << 10,
            partition_bytes: PARTITION_BYTES,
            compression: Compression::Lz4,
        }
    }
}

/// A table being written.
pub(crate) struct TableWriter {
    file: Arc<dyn File>,
    path: Arc<Path>,
    options: TableOptions,
    sealer: Sealer,
    block: DataBuilder,
    last_key: Vec<u8>,
    /// Version and content bytes of the last entry.
    last: Option<(u64, u64)>,
    partition: IndexBuilder,
    top: IndexBuilder,
    tombstones: Vec<RangeTombstone>,
    summary: TableSummary,
    /// Sealed and not yet given to the file.
    pending: Vec<u8>,
    written_bytes: u64,
}

impl TableWriter {
    /// Begins a table in an empty file; `path` is for messages.
    pub(crate) fn new(file: Arc<dyn File>, path: &Path, mut options: TableOptions) -> Self {
        options.block_bytes = options.block_bytes.min(BLOCK_BYTES_MAX);
        Self {
            file,
            path: path.into(),
            options,
            sealer: Sealer::new(options.compression),
            block: DataBuilder::default(),
            last_key: Vec::new(),
            last: None,
            partition: IndexBuilder::default(),
            top: IndexBuilder::default(),
            tombstones: Vec::new(),
            summary: TableSummary::default(),
            pending: Vec::new(),
            written_bytes: 0,
        }
    }

    /// Adds an entry, which must be after the last one: key ascending, then version descending.
    ///
    /// # Errors
    /// I/O. The table is then of no use.
    pub(crate) fn add(
        &mut self,
        key: &[u8],
        version: u64,
        kind: EntryKind,
        value: &[u8],
    ) -> Result<(), Error> {
        let order = match self.last {
            Some(_) => self.last_key.as_slice().cmp(key),
            None => Ordering::Less,
        };
        let last_version = self.last.map(|(version, _)| version);
        let is_after = match order {
            Ordering::Less => true,
            Ordering::Equal => last_version.is_some_and(|last| version < last),
            Ordering::Greater => false,
        };
        assert!(is_after, "entries of a table are added in order, each once");
        let entry_bytes = key.len() + value.len();
        if !self.block.is_empty()
            && self.block.byte_count() + entry_bytes > self.options.block_bytes
        {
            self.finish_block()?;
        }
        let is_new_key = order == Ordering::Less;
        self.account((key, is_new_key), version, kind, value);
        let is_partition_new = self.partition.hash_count() == 0;
        if is_new_key || is_partition_new {
            self.partition.add_hash(filter::hash(key));
        }
        self.block.add(key, version, kind, value);
        Ok(())
    }

    /// Adds a range tombstone: see [`crate::entry::RangeTombstone`].
    pub(crate) fn add_range_tombstone(&mut self, start: &[u8], end: &[u8], version: u64) {
        if start < end {
            self.summary.widen(start, end, version);
            self.summary.range_tombstone_count += 1;
            self.tombstones.push(RangeTombstone {
                start: start.to_vec(),
                end: end.to_vec(),
                version,
            });
        }
    }

    /// The last entry is hidden, from version `until` on, by a range tombstone of this table or one
    /// below it.
    pub(crate) fn note_garbage(&mut self, from: u64, until: u64, bytes: u64) {
        self.summary.garbage.add(Span { from, until, bytes });
    }

    /// About the length of the file if it ended now.
    pub(crate) fn byte_count(&self) -> u64 {
        let open = self.block.byte_count() + self.partition.byte_count();
        self.offset() + open as u64
    }

    /// Writes what is left and syncs the file.
    ///
    /// # Errors
    /// I/O. The file must then be removed.
    pub(crate) fn finish(mut self) -> Result<TableSummary, Error> {
        self.finish_block()?;
        self.close_key();
        if let Some((version, _)) = self.last {
            self.summary.widen(&self.last_key, &self.last_key, version);
        }
        self.finish_partition()?;
        let mut payload = Vec::new();
        self.top.finish(&mut payload);
        self.summary.index_bytes += payload.len() as u64;
        let index = self.write_block(Content::Index, &payload)?;
        let tombstones = self.write_tombstones()?;
        payload.clear();
        self.summary.encode(&mut payload);
        let properties = self.write_block(Content::Properties, &payload)?;
        self.summary.bytes = self.offset() + footer::BYTES as u64;
        let file_bytes = self.summary.bytes;
        let footer = Footer {
            index,
            tombstones,
            properties,
            file_bytes,
        };
        self.pending.extend_from_slice(&footer.encode());
        self.write_pending()?;
        self.file
            .sync_data()
            .map_err(|error| Error::io("sync the table", &self.path, error))?;
        Ok(self.summary)
    }

    /// Counts an entry.
    fn account(
        &mut self,
        (key, is_new_key): (&[u8], bool),
        version: u64,
        kind: EntryKind,
        value: &[u8],
    ) {
        let mut bytes = (key.len() + value.len()) as u64;
        if let Some(pointer) = Pointer::of(kind, value) {
            self.summary.value_refs.add(&pointer, key.len());
            // What a compaction frees when it drops the entry is the value, not the pointer.
            bytes += u64::from(pointer.stored_bytes);
        }
        let expires_at = kind.expires_at(value).map(|at| at.max(version));
        let newer = self.last.map(|(newer, _)| newer).filter(|_| !is_new_key);
        if is_new_key {
            self.close_key();
            self.summary.key_count += 1;
        }
        if let Some(until) = [newer, expires_at].into_iter().flatten().min() {
            self.summary.garbage.add(Span {
                from: version,
                until,
                bytes,
            });
        }
        // Keys ascend, so only the first and (in `finish`) the last can widen the keys: no copy for
        // those between.
        if self.summary.entry_count == 0 {
            self.summary.widen(key, key, version);
        } else {
            self.summary.version_min = self.summary.version_min.min(version);
            self.summary.version_max = self.summary.version_max.max(version);
        }
        if is_new_key {
            self.last_key.clear();
            self.last_key.extend_from_slice(key);
        }
        let is_tombstone = kind == EntryKind::Delete;
        self.summary.entry_count += 1;
        self.summary.tombstone_count += u64::from(is_tombstone);
        self.summary.content_bytes += bytes;
        // A deletion that turns out to be the oldest entry of its key hides nothing here.
        self.last = Some((version, if is_tombstone { bytes } else { 0 }));
    }

    /// The last key is complete: a deletion as its oldest entry can go from the lowest level.
    fn close_key(&mut self) {
        if let Some((version, bytes)) = self.last.filter(|(_, bytes)| *bytes > 0) {
            self.summary.garbage.add(Span {
                from: version,
                until: version,
                bytes,
            });
        }
    }

    fn finish_block(&mut self) -> Result<(), Error> {
        let Some(last_version) = self.block.last_version() else {
            return Ok(());
        };
        let bounds = Bounds::of(self.block.first_key(), self.block.last_key(), last_version);
        let offset = self.offset();
        let payload = self.block.finish();
        let bytes = self
            .sealer
            .seal(Content::Data, payload, offset, &mut self.pending);
        self.summary.data_block_count += 1;
        self.partition.add(bounds, Handle { offset, bytes });
        if self.pending.len() >= WRITE_BYTES {
            self.write_pending()?;
        }
        if self.partition.byte_count() >= self.options.partition_bytes {
            self.finish_partition()?;
        }
        Ok(())
    }

    fn finish_partition(&mut self) -> Result<(), Error> {
        let Some(bounds) = self.partition.bounds() else {
            return Ok(());
        };
        let mut payload = Vec::with_capacity(self.partition.byte_count());
        let filter_bytes = self.partition.finish(&mut payload) as u64;
        self.summary.filter_bytes += filter_bytes;
        self.summary.index_bytes += payload.len() as u64 - filter_bytes;
        let handle = self.write_block(Content::Partition, &payload)?;
        self.top.add(bounds, handle);
        Ok(())
    }

    fn write_tombstones(&mut self) -> Result<Handle, Error> {
        if self.tombstones.is_empty() {
            return Ok(Handle::default());
        }
        let mut payload = Vec::new();
        for tombstone in join(std::mem::take(&mut self.tombstones)) {
            // Where nothing is below, it can go when the horizon has passed it and no pin sees what
            // it hides.
            let (from, until) = (self.summary.version_min, tombstone.version);
            let bytes = (tombstone.start.len() + tombstone.end.len()) as u64;
            self.summary.garbage.add(Span { from, until, bytes });
            self.summary.content_bytes += bytes;
            for key in [&tombstone.start, &tombstone.end] {
                varint::put(&mut payload, key.len() as u64);
                payload.extend_from_slice(key);
            }
            varint::put(&mut payload, tombstone.version);
        }
        if payload.len() > PAYLOAD_BYTES_MAX {
            let problem =
                "more range tombstones than a table can hold: delete fewer, larger ranges";
            return Err(Error::Invalid(problem.to_owned()));
        }
        self.write_block(Content::Tombstones, &payload)
    }

    fn write_block(&mut self, content: Content, payload: &[u8]) -> Result<Handle, Error> {
        let offset = self.offset();
        let bytes = self
            .sealer
            .seal(content, payload, offset, &mut self.pending);
        if self.pending.len() >= WRITE_BYTES {
            self.write_pending()?;
        }
        Ok(Handle { offset, bytes })
    }

    /// Where the next block will lie.
    fn offset(&self) -> u64 {
        self.written_bytes + self.pending.len() as u64
    }

    fn write_pending(&mut self) -> Result<(), Error> {
        self.file
            .write_at(&self.pending, self.written_bytes)
            .map_err(|error| Error::io("write the table", &self.path, error))?;
        self.written_bytes += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }
}

/// Ranges of the same version that touch or overlap, as one: outputs of a compaction get them cut.
fn join(mut ranges: Vec<RangeTombstone>) -> Vec<RangeTombstone> {
    ranges.sort_by(|a, b| (a.version, &a.start).cmp(&(b.version, &b.start)));
    ranges.dedup_by(|next, joined| {
        let joins = next.version == joined.version && next.start <= joined.end;
        if joins && next.end > joined.end {
            joined.end = std::mem::take(&mut next.end);
        }
        joins
    });
    ranges.sort();
    ranges
}
