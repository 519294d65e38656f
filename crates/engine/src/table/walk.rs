//! Every block of a table file, from the first byte to the last, however damaged the file is.
//!
//! Purpose: verification and salvage. The index says where blocks lie, where it can be read;
//! between the blocks that it names, and where it can't be read, a block is found by its checksum:
//! blocks lie one behind the other, so its end is the first place where the checksum of all before
//! is right.
//!
//! Invariant: a block is given to the caller only when its checksum is right and it parses; every
//! byte of the file is in a block that was given, in the footer, or in something that is lost.

use std::{collections::BTreeMap, io, path::Path};

use nokv_env::File;

use super::{
    data_block::DataBlock,
    footer::Footer,
    frame,
    index_block::IndexBlock,
    layout::{Content, Handle, PAYLOAD_BYTES_MAX, footer, trailer},
    malformed::Malformed,
    reader::decode_tombstones,
    summary::TableSummary,
};
use crate::{
    Error, bytes_at::u32_at, checksum::Crc32c, compaction::Throttle, tombstones::Tombstones,
};

/// Read at once.
const PIECE_BYTES: usize = 1 << 20;

/// A block that is whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct WalkedBlock {
    pub(crate) content: Content,
    pub(crate) offset: u64,
    pub(crate) bytes: u32,
    /// Entries of a data block; partitions or blocks of an index.
    pub(crate) entry_count: u64,
}

/// Bytes that are no block.
#[derive(Clone, Debug)]
pub(crate) struct Lost {
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    /// What the index says that it was.
    pub(crate) content: Option<Content>,
    pub(crate) error: Error,
}

/// What a walk found beside data blocks.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    pub(crate) blocks: Vec<WalkedBlock>,
    pub(crate) lost: Vec<Lost>,
    /// The properties, where they can be read.
    pub(crate) summary: Option<TableSummary>,
    /// Empty where they can't be read.
    pub(crate) tombstones: Tombstones,
}

/// A data block, and what the index says of it.
pub(crate) struct DataVisit<'a> {
    pub(crate) offset: u64,
    pub(crate) block: &'a DataBlock,
    /// Its partition, and its place there.
    pub(crate) index: Option<(&'a IndexBlock, usize)>,
}

/// Walks over a table; `visit` gets the data blocks in order.
///
/// # Errors
/// `Io` when the file can't be measured; places that can't be read are lost.
pub(crate) fn walk(
    file: &dyn File,
    path: &Path,
    throttle: &dyn Throttle,
    visit: &mut dyn FnMut(DataVisit<'_>),
) -> Result<Walk, Error> {
    let file_bytes = file
        .len()
        .map_err(|error| Error::io("measuring", path, error))?;
    let mut walker = Walker {
        source: Source {
            file,
            file_bytes,
            start: 0,
            piece: Vec::new(),
        },
        path,
        known: BTreeMap::new(),
        partitions: Vec::new(),
        walk: Walk::default(),
    };
    let end = walker.read_index();
    let mut offset = 0;
    while offset < end {
        let next = walker.step(offset, end, visit);
        throttle.take(next - offset);
        offset = next;
    }
    Ok(walker.walk)
}

/// What the index says of a block.
#[derive(Clone, Copy)]
struct Known {
    content: Content,
    bytes: u32,
    /// Partition and place, of a data block.
    place: Option<(usize, usize)>,
}

struct Walker<'a> {
    source: Source<'a>,
    path: &'a Path,
    /// By offset.
    known: BTreeMap<u64, Known>,
    partitions: Vec<IndexBlock>,
    walk: Walk,
}

impl Walker<'_> {
    /// Learns from footer and index what it can; where the blocks end.
    fn read_index(&mut self) -> u64 {
        let file_bytes = self.source.file_bytes;
        let Some(footer_offset) = file_bytes.checked_sub(footer::BYTES as u64) else {
            let found = format!("{file_bytes} bytes");
            self.lose((0, 0), None, Malformed::new("a table with a footer", found));
            return file_bytes;
        };
        let decoded = match self.source.read(footer_offset, footer::BYTES) {
            Ok(bytes) => Footer::decode(bytes, file_bytes),
            Err(error) => Err(unreadable(&error)),
        };
        let footer = match decoded {
            Ok(footer) => footer,
            Err(error) => {
                self.lose((footer_offset, footer::BYTES as u64), None, error);
                return footer_offset;
            }
        };
        self.know(footer.index, Content::Index, None);
        self.know(footer.properties, Content::Properties, None);
        if footer.tombstones.bytes > 0 {
            self.know(footer.tombstones, Content::Tombstones, None);
        }
        // What is wrong with them is said when the walk comes to them.
        if let Ok(top) = self.open_index(Content::Index, footer.index) {
            for number in 0..top.entry_count() {
                if let Ok(handle) = top.handle(number) {
                    self.read_partition(handle);
                }
            }
        }
        footer_offset
    }

    fn read_partition(&mut self, handle: Handle) {
        self.know(handle, Content::Partition, None);
        let Ok(partition) = self.open_index(Content::Partition, handle) else {
            return;
        };
        let number = self.partitions.len();
        for place in 0..partition.entry_count() {
            if let Ok(data) = partition.handle(place) {
                self.know(data, Content::Data, Some((number, place)));
            }
        }
        self.partitions.push(partition);
    }

    fn open_index(&mut self, content: Content, handle: Handle) -> Result<IndexBlock, Malformed> {
        let bytes = self.source.read(handle.offset, handle.bytes as usize);
        let bytes = bytes.map_err(|error| unreadable(&error))?;
        IndexBlock::parse(frame::open_copy(content, bytes, handle.offset)?)
    }

    fn know(&mut self, handle: Handle, content: Content, place: Option<(usize, usize)>) {
        let fits = handle
            .end()
            .is_some_and(|end| end <= self.source.file_bytes)
            && handle.bytes as usize > trailer::BYTES
            && handle.bytes as usize <= PAYLOAD_BYTES_MAX + trailer::BYTES;
        if fits {
            let known = Known {
                content,
                bytes: handle.bytes,
                place,
            };
            self.known.insert(handle.offset, known);
        }
    }

    /// One block, or one place that is lost; where the next begins.
    fn step(&mut self, offset: u64, end: u64, visit: &mut dyn FnMut(DataVisit<'_>)) -> u64 {
        if let Some(known) = self.known.get(&offset).copied() {
            let outcome = self.take(offset, known, visit);
            if let Err(error) = outcome {
                self.lose((offset, known.bytes.into()), Some(known.content), error);
            }
            return offset + u64::from(known.bytes);
        }
        let next = self.known.range(offset..).next();
        let gap_end = next.map_or(end, |(start, _)| *start).min(end);
        if let Some(known) = self.find(offset, gap_end) {
            let outcome = self.take(offset, known, visit);
            if let Err(error) = outcome {
                self.lose((offset, known.bytes.into()), Some(known.content), error);
            }
            return offset + u64::from(known.bytes);
        }
        let error = Malformed::new("a block", "bytes that match no checksum");
        self.lose((offset, gap_end - offset), None, error);
        gap_end
    }

    /// The block that begins here and ends before `end`, by its checksum.
    fn find(&mut self, offset: u64, end: u64) -> Option<Known> {
        let limit = PAYLOAD_BYTES_MAX + trailer::BYTES;
        let length = usize::try_from(end - offset).map_or(limit, |length| length.min(limit));
        let bytes = self.source.read(offset, length).ok()?;
        let (content, length) = find_end(bytes, offset)?;
        Some(Known {
            content,
            bytes: u32::try_from(length).ok()?,
            place: None,
        })
    }

    fn take(
        &mut self,
        offset: u64,
        known: Known,
        visit: &mut dyn FnMut(DataVisit<'_>),
    ) -> Result<(), Malformed> {
        let bytes = self.source.read(offset, known.bytes as usize);
        let bytes = bytes.map_err(|error| unreadable(&error))?;
        let payload = frame::open_copy(known.content, bytes, offset)?;
        let entry_count = match known.content {
            Content::Data => {
                let block = DataBlock::parse(payload)?;
                let entry_count = block.check()?;
                let place = known
                    .place
                    .and_then(|(partition, place)| Some((self.partitions.get(partition)?, place)));
                visit(DataVisit {
                    offset,
                    block: &block,
                    index: place,
                });
                entry_count
            }
            Content::Partition | Content::Index => {
                let index = IndexBlock::parse(payload)?;
                for place in 0..index.entry_count() {
                    index.handle(place)?;
                }
                index.entry_count() as u64
            }
            Content::Tombstones => {
                self.walk.tombstones = decode_tombstones(&payload).ok_or_else(|| {
                    Malformed::new("range tombstones", "bytes that don't parse as such")
                })?;
                self.walk.tombstones.iter().count() as u64
            }
            Content::Properties => {
                let summary = TableSummary::decode(&mut &*payload, self.source.file_bytes)?;
                self.walk.summary = Some(summary);
                0
            }
        };
        self.walk.blocks.push(WalkedBlock {
            content: known.content,
            offset,
            bytes: known.bytes,
            entry_count,
        });
        Ok(())
    }

    fn lose(&mut self, (offset, bytes): (u64, u64), content: Option<Content>, error: Malformed) {
        let error = error.at(self.path, offset);
        self.walk.lost.push(Lost {
            offset,
            bytes,
            content,
            error,
        });
    }
}

fn unreadable(error: &io::Error) -> Malformed {
    Malformed::new("bytes that can be read", error.to_string())
}

/// Where the block at the start of `bytes`, which lie at `offset` of the file, ends: the first
/// place where what follows is its trailer.
fn find_end(bytes: &[u8], offset: u64) -> Option<(Content, usize)> {
    let place = offset.to_le_bytes();
    let mut digest = Crc32c::new();
    let mut fed = 0;
    for (end, tag) in bytes.iter().enumerate().skip(1) {
        let Some(content) = content_of(*tag) else {
            continue;
        };
        // Payload and tag lie side by side and are checksummed as one.
        digest.update(bytes.get(fed..=end)?);
        fed = end + 1;
        let mut candidate = digest;
        candidate.update(&place);
        if u32_at(bytes, end + trailer::CRC)? == candidate.finish() {
            return Some((content, end + trailer::BYTES));
        }
    }
    None
}

/// What a tag says that a block contains; `None` for a byte that is no tag.
fn content_of(tag: u8) -> Option<Content> {
    if tag & 0xF > frame::STORED_MAX {
        return None;
    }
    match tag >> 4 {
        1 => Some(Content::Data),
        2 => Some(Content::Partition),
        3 => Some(Content::Index),
        4 => Some(Content::Tombstones),
        5 => Some(Content::Properties),
        _ => None,
    }
}

/// The file, in pieces.
struct Source<'a> {
    file: &'a dyn File,
    file_bytes: u64,
    start: u64,
    piece: Vec<u8>,
}

impl Source<'_> {
    fn read(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        if self.within(offset, length).is_none() {
            let rest = usize::try_from(self.file_bytes.saturating_sub(offset));
            let wanted = rest.map_or(PIECE_BYTES, |rest| rest.min(PIECE_BYTES));
            // A piece that can't be read as a whole may have a sector that can't.
            if wanted <= length || self.fill(offset, wanted).is_err() {
                self.fill(offset, length)?;
            }
        }
        let range = self.within(offset, length);
        range
            .and_then(|range| self.piece.get(range))
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn within(&self, offset: u64, length: usize) -> Option<std::ops::Range<usize>> {
        let start = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        let end = start.checked_add(length)?;
        (end <= self.piece.len()).then_some(start..end)
    }

    fn fill(&mut self, offset: u64, length: usize) -> io::Result<()> {
        let mut piece = std::mem::take(&mut self.piece);
        piece.resize(length, 0);
        self.file.read_exact_at(&mut piece, offset)?;
        self.piece = piece;
        self.start = offset;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Content, find_end};
    use crate::{Compression, table::frame::Sealer};

    #[test]
    fn a_block_ends_where_its_checksum_says() {
        for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
            for length in [1, 5, 300, 9000_usize] {
                let payload: Vec<u8> = (0..length).map(|n| (n * n % 251) as u8).collect();
                let mut bytes = Vec::new();
                let mut sealer = Sealer::new(compression);
                let own = sealer.seal(Content::Partition, &payload, 77, &mut bytes) as usize;
                let behind = 77 + bytes.len() as u64;
                sealer.seal(Content::Data, &payload, behind, &mut bytes);
                assert_eq!(find_end(&bytes, 77), Some((Content::Partition, own)));
                assert_eq!(find_end(&bytes, 78), None);
            }
        }
    }
}
