//! An open table: point lookups, and the blocks that cursors walk over.
//!
//! Invariants: a table never changes, so it needs no lock; it keeps its top index and its range
//! tombstones in memory (a few KiB for 64 MiB of data, counted by the cache), index partitions as
//! far as the cache's budget lets it, and reads everything else through the cache; bytes whose
//! checksum is wrong are [`Error::Corrupt`] with file and offset, never data.

use std::{
    fmt,
    ops::Deref,
    path::Path,
    sync::{Arc, OnceLock, atomic::AtomicBool},
};

use nokv_env::File;

use super::{
    data_block::{DataBlock, Search},
    filter,
    footer::Footer,
    frame,
    index_block::IndexBlock,
    layout::{Content, Handle, PAYLOAD_BYTES_MAX, footer, trailer},
    malformed::Malformed,
    partition::Partition,
    payload::{BlockSlice, Payload},
    read_ahead::{ReadAhead, piece_bytes},
    summary::TableSummary,
};
use crate::{
    Error,
    cache::{BlockCache, FillCache, PartitionKey},
    entry::{EntryKind, RangeTombstone},
    tombstones::Tombstones,
    varint,
};

/// A key to look up in several tables: its filter hash is computed once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LookupKey<'a> {
    key: &'a [u8],
    hash: u64,
}

impl<'a> LookupKey<'a> {
    /// For an internal key (with the byte of its keyspace).
    pub(crate) fn new(key: &'a [u8]) -> Self {
        Self {
            key,
            hash: filter::hash(key),
        }
    }
}

/// What a point lookup found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct TableEntry {
    pub(crate) version: u64,
    pub(crate) kind: EntryKind,
    /// A slice of the block; holds it in memory.
    pub(crate) value: BlockSlice,
}

/// An open table.
///
/// **Concurrency**: any number of threads.
pub(crate) struct Table {
    pub(super) file: Arc<dyn File>,
    path: Arc<Path>,
    /// Distinguishes its blocks in the cache.
    id: u64,
    cache: Arc<BlockCache>,
    summary: TableSummary,
    tombstones: Tombstones,
    top: IndexBlock,
    /// The partitions that the budget lets the table keep, by their place in the top index: read
    /// once, then found without a lookup in the cache.
    pinned: Box<[OnceLock<Arc<Partition>>]>,
    /// What of it the cache counts, whatever is read.
    memory_bytes: usize,
    /// Whether a block was met that is not stored plain.
    pub(super) is_compressed: AtomicBool,
}

impl Table {
    /// Opens the table in `file`; `id` is never given to another table of the same cache.
    ///
    /// # Errors
    /// `Corrupt` when the file is no complete table; I/O.
    pub(crate) fn open(
        file: Arc<dyn File>,
        path: &Path,
        id: u64,
        cache: Arc<BlockCache>,
    ) -> Result<Self, Error> {
        let file_bytes = file
            .len()
            .map_err(|error| Error::io("measure the table", path, error))?;
        let Some(footer_offset) = file_bytes.checked_sub(footer::BYTES as u64) else {
            let found = format!("{file_bytes} bytes");
            return Err(Error::corrupt(path, 0, "a table with a footer", found));
        };
        let mut bytes = [0; footer::BYTES];
        file.read_exact_at(&mut bytes, footer_offset)
            .map_err(|error| Error::io("read the footer of the table", path, error))?;
        let footer =
            Footer::decode(&bytes, file_bytes).map_err(|error| error.at(path, footer_offset))?;
        let mut table = Self {
            file,
            path: path.into(),
            id,
            cache,
            summary: TableSummary {
                bytes: file_bytes,
                ..TableSummary::default()
            },
            tombstones: Tombstones::new(),
            top: IndexBlock::default(),
            pinned: Box::default(),
            memory_bytes: 0,
            is_compressed: AtomicBool::new(false),
        };
        let payload = table.read_block(Content::Index, footer.index, None)?;
        table.top =
            IndexBlock::parse(payload).map_err(|error| table.damaged(footer.index, error))?;
        table.pinned = (0..table.top.entry_count())
            .map(|_| OnceLock::new())
            .collect();
        let payload = table.read_block(Content::Properties, footer.properties, None)?;
        table.summary = TableSummary::decode(&mut &*payload, file_bytes)
            .map_err(|error| table.damaged(footer.properties, error))?;
        if footer.tombstones.bytes > 0 {
            let payload = table.read_block(Content::Tombstones, footer.tombstones, None)?;
            table.tombstones = decode_tombstones(&payload).ok_or_else(|| {
                let error = Malformed::new("range tombstones", "bytes that don't parse as such");
                table.damaged(footer.tombstones, error)
            })?;
        }
        table.memory_bytes = table.measure();
        table.cache.add_table(table.memory_bytes);
        Ok(table)
    }

    /// Its memory without partitions and blocks.
    fn measure(&self) -> usize {
        let path = self.path.as_os_str().len();
        let keys = self.summary.smallest.len() + self.summary.largest.len();
        size_of::<Self>()
            + size_of_val(&*self.pinned)
            + self.top.payload().byte_count()
            + self.tombstones.byte_count()
            + path
            + keys
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn summary(&self) -> &TableSummary {
        &self.summary
    }

    /// The range tombstones of the table. They hide entries of *older* sources too, and are not
    /// applied by [`Table::get`] nor by cursors: the reader of all sources does that.
    pub(crate) fn range_tombstones(&self) -> &Tombstones {
        &self.tombstones
    }

    /// The newest entry of `key` at or below `at`, a deletion too.
    ///
    /// Reads at most one partition and one data block when the key is here, and in 99 of 100 cases
    /// no data block when it isn't.
    ///
    /// # Errors
    /// `Corrupt`; I/O.
    #[inline]
    pub(crate) fn get(&self, key: &LookupKey<'_>, at: u64) -> Result<Option<TableEntry>, Error> {
        if at < self.summary.version_min {
            return Ok(None);
        }
        let first = self.sound(self.top.seek(key.key, at))?;
        for index in first..self.top.entry_count() {
            // Of the first, its filter and its index say as much.
            if index > first && self.sound(self.top.is_above(index, key.key))? {
                break;
            }
            let partition = self.partition(index, FillCache::Yes)?;
            if !partition.index.may_contain(key.hash) {
                continue;
            }
            match self.get_in_partition(&partition, index, key.key, at)? {
                Progress::Done(entry) => return Ok(entry),
                Progress::GoesOn => {}
            }
        }
        Ok(None)
    }

    /// Whether [`Table::get`] searches a data block for the key: its filter does not exclude it.
    ///
    /// # Errors
    /// `Corrupt`; I/O.
    pub(crate) fn may_contain(&self, key: &LookupKey<'_>, at: u64) -> Result<bool, Error> {
        let index = self.sound(self.top.seek(key.key, at))?;
        if at < self.summary.version_min || index >= self.top.entry_count() {
            return Ok(false);
        }
        let partition = self.partition(index, FillCache::Yes)?;
        Ok(partition.index.may_contain(key.hash))
    }

    fn get_in_partition(
        &self,
        partition: &Partition,
        index: usize,
        key: &[u8],
        at: u64,
    ) -> Result<Progress, Error> {
        let damaged = |error| self.partition_damaged(index, error);
        let first = partition.index.seek(key, at).map_err(damaged)?;
        for place in first..partition.index.entry_count() {
            let entry = partition.index.entry(place).map_err(damaged)?;
            if partition.index.is_entry_above(&entry, key) {
                return Ok(Progress::Done(None));
            }
            let handle = entry.handle;
            let block = self.data_block(partition, place, handle)?;
            match block
                .search(key, at)
                .map_err(|error| self.damaged(handle, error))?
            {
                Search::Found(entry) => {
                    return Ok(Progress::Done(Some(TableEntry {
                        version: entry.version,
                        kind: entry.kind,
                        value: block.into_value(&entry),
                    })));
                }
                Search::Absent => return Ok(Progress::Done(None)),
                Search::End => {}
            }
        }
        Ok(Progress::GoesOn)
    }

    /// Reads every block past the cache and checks it: checksums, order of entries, counts, bounds.
    ///
    /// # Errors
    /// `Corrupt` at the first damage; I/O.
    pub(crate) fn verify(&self) -> Result<u64, Error> {
        let (mut entry_count, mut ahead) = (0, ReadAhead::new(piece_bytes(1)));
        for index in 0..self.top.entry_count() {
            let handle = self.partition_handle(index)?;
            let payload = self.read_block(Content::Partition, handle, None)?;
            let partition = IndexBlock::parse(payload);
            let partition = partition.map_err(|error| self.damaged(handle, error))?;
            for place in 0..partition.entry_count() {
                let data = partition
                    .handle(place)
                    .map_err(|error| self.damaged(handle, error))?;
                let block = self.data_block_ahead(data, &mut ahead)?;
                entry_count += block.check().map_err(|error| self.damaged(data, error))?;
            }
        }
        if entry_count != self.summary.entry_count {
            let expected = format!("{} entries in all", self.summary.entry_count);
            return Err(Error::corrupt(
                &self.path,
                0,
                expected,
                entry_count.to_string(),
            ));
        }
        Ok(entry_count)
    }

    /// Keys that cut the table into pieces of about the same size, ascending: where its partitions
    /// begin.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(crate) fn piece_starts(&self) -> Result<Vec<Vec<u8>>, Error> {
        let places = 0..self.top.entry_count();
        places
            .map(|index| self.sound(self.top.lower(index)))
            .collect()
    }

    /// Figures of the cache that the table reads through.
    #[cfg(test)]
    pub(crate) fn cache_figures(&self) -> crate::cache::CacheFigures {
        self.cache.figures()
    }

    /// The top index: one entry for each partition.
    pub(super) fn top(&self) -> &IndexBlock {
        &self.top
    }

    pub(super) fn partition_handle(&self, index: usize) -> Result<Handle, Error> {
        self.sound(self.top.handle(index))
    }

    /// The partition at a place of the top index.
    #[inline]
    pub(super) fn partition(
        &self,
        index: usize,
        fill: FillCache,
    ) -> Result<PartitionRef<'_>, Error> {
        match self.pinned.get(index).and_then(OnceLock::get) {
            Some(partition) => Ok(PartitionRef::Pinned(partition)),
            None => self.load_partition(index, fill).map(PartitionRef::Loaded),
        }
    }

    /// Keeps it if the budget allows that, else it goes through the cache.
    fn load_partition(&self, index: usize, fill: FillCache) -> Result<Arc<Partition>, Error> {
        let key = PartitionKey {
            table: self.id,
            place: u32::try_from(index).expect("a table has fewer than 2^32 blocks"),
        };
        if let Some(partition) = self.cache.get(key, fill) {
            return Ok(partition);
        }
        let handle = self.partition_handle(index)?;
        let payload = self.read_block(Content::Partition, handle, None)?;
        let block = IndexBlock::parse(payload).map_err(|error| self.damaged(handle, error))?;
        let frames = self.cache.frames(key, block.entry_count());
        let partition = Arc::new(Partition::new(block, frames));
        if fill == FillCache::No {
            return Ok(partition);
        }
        self.cache.count_miss();
        if let Some(place) = self.pinned.get(index)
            && self.cache.pin(&partition)
        {
            if let Err(partition) = place.set(Arc::clone(&partition)) {
                // Somebody else was first.
                self.cache.unpin(&partition);
            }
        } else {
            self.cache.insert(key, Arc::clone(&partition));
        }
        Ok(partition)
    }

    /// The block at a place of a partition, where the index says that it lies.
    #[inline]
    pub(super) fn data_block(
        &self,
        partition: &Partition,
        place: usize,
        handle: Handle,
    ) -> Result<DataBlock, Error> {
        match partition.frames.get(place) {
            Some(payload) => self.parse_data(handle, payload),
            None => self.load_data_block(partition, place, handle),
        }
    }

    /// As [`Table::data_block`], for a scan, which will want the next ones too.
    #[inline]
    pub(super) fn data_block_of_scan(
        &self,
        partition: &Partition,
        place: usize,
        handle: Handle,
    ) -> Result<DataBlock, Error> {
        if let Some(payload) = partition.frames.get(place) {
            return self.parse_data(handle, payload);
        }
        match self.load_around(partition, place, handle)? {
            Some(block) => Ok(block),
            None => self.load_data_block(partition, place, handle),
        }
    }

    fn load_data_block(
        &self,
        partition: &Partition,
        place: usize,
        handle: Handle,
    ) -> Result<DataBlock, Error> {
        let spare = partition.frames.spare(place, handle.bytes as usize);
        let payload = self.read_block(Content::Data, handle, spare)?;
        let block = self.parse_data(handle, payload.clone())?;
        partition.frames.put(place, payload);
        Ok(block)
    }

    /// As [`Table::data_block`], through a reader that reads ahead and leaves the cache as it is.
    pub(super) fn data_block_ahead(
        &self,
        handle: Handle,
        ahead: &mut ReadAhead,
    ) -> Result<DataBlock, Error> {
        self.check_handle(handle)?;
        let bytes = ahead
            .read(&*self.file, self.summary.bytes, handle)
            .map_err(|error| Error::io("read the table", &self.path, error))?;
        let payload = frame::open_copy(Content::Data, bytes, handle.offset)
            .map_err(|error| self.damaged(handle, error))?;
        self.parse_data(handle, payload)
    }

    #[inline]
    pub(super) fn parse_data(&self, handle: Handle, payload: Payload) -> Result<DataBlock, Error> {
        DataBlock::parse(payload).map_err(|error| self.damaged(handle, error))
    }

    fn check_handle(&self, handle: Handle) -> Result<(), Error> {
        let fits = handle.end().is_some_and(|end| end <= self.summary.bytes)
            && handle.bytes as usize <= PAYLOAD_BYTES_MAX + trailer::BYTES;
        if fits {
            return Ok(());
        }
        let found = format!("{} bytes at {}", handle.bytes, handle.offset);
        Err(self.damaged(handle, Malformed::new("a block within the file", found)))
    }

    /// Reads a block from the file, into memory that is to spare if there is some, and proves it.
    pub(super) fn read_block(
        &self,
        content: Content,
        handle: Handle,
        spare: Option<Payload>,
    ) -> Result<Payload, Error> {
        self.check_handle(handle)?;
        let read = |bytes: &mut [u8]| self.file.read_exact_at(bytes, handle.offset);
        let block = match spare {
            Some(spare) => spare.reread(handle.bytes as usize, read),
            None => Payload::read(handle.bytes as usize, read),
        };
        let block = block.map_err(|error| {
            if error.kind() == std::io::ErrorKind::UnexpectedEof {
                let found = "the end of the file";
                return self.damaged(handle, Malformed::new("a whole block", found));
            }
            Error::io("read the table", &self.path, error)
        })?;
        frame::open(content, block, handle.offset).map_err(|error| self.damaged(handle, error))
    }

    /// The error for a block.
    #[cold]
    pub(super) fn damaged(&self, handle: Handle, error: Malformed) -> Error {
        error.at(&self.path, handle.offset)
    }

    /// The error for a partition.
    #[cold]
    pub(super) fn partition_damaged(&self, index: usize, error: Malformed) -> Error {
        self.damaged(self.top.handle(index).unwrap_or_default(), error)
    }

    /// An answer of the top index.
    pub(super) fn sound<T>(&self, answer: Result<T, Malformed>) -> Result<T, Error> {
        answer.map_err(|error| {
            error.at(
                &self.path,
                self.summary.bytes.saturating_sub(footer::BYTES as u64),
            )
        })
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        let kept = self.pinned.iter().filter_map(OnceLock::get);
        kept.for_each(|partition| self.cache.unpin(partition));
        self.cache.remove_table(self.memory_bytes);
    }
}

/// A partition, kept by the table or held by this.
pub(super) enum PartitionRef<'a> {
    Pinned(&'a Arc<Partition>),
    Loaded(Arc<Partition>),
}

impl PartitionRef<'_> {
    /// A share of it.
    pub(super) fn into_owned(self) -> Arc<Partition> {
        match self {
            Self::Pinned(partition) => Arc::clone(partition),
            Self::Loaded(partition) => partition,
        }
    }
}

impl Deref for PartitionRef<'_> {
    type Target = Partition;

    #[inline]
    fn deref(&self) -> &Partition {
        match self {
            Self::Pinned(partition) => partition,
            Self::Loaded(partition) => partition,
        }
    }
}

/// Whether a lookup is over.
enum Progress {
    Done(Option<TableEntry>),
    /// The key may go on in the next partition.
    GoesOn,
}

pub(super) fn decode_tombstones(mut payload: &[u8]) -> Option<Tombstones> {
    let mut tombstones = Tombstones::new();
    while !payload.is_empty() {
        let start = take_key(&mut payload)?;
        let end = take_key(&mut payload)?;
        let version = varint::take(&mut payload)?;
        if start >= end {
            return None;
        }
        tombstones.add(RangeTombstone {
            start: start.to_vec(),
            end: end.to_vec(),
            version,
        });
    }
    Some(tombstones)
}

fn take_key<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(varint::take(bytes)?).ok()?;
    let (key, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(key)
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("path", &self.path)
            .field("id", &self.id)
            .field("summary", &self.summary)
            .finish_non_exhaustive()
    }
}
