//! The bytes of one file: as seen now, as certain after a power cut, and the changes between.
//!
//! Invariant: applying all of `unsynced` to `durable` gives `live`, unless dirty pages were dropped
//! ([`Inode::drop_unsynced`]): then `live` is what the cache still shows.

use crate::SeededRandom;

/// What a disk writes as a whole: a power cut tears a write between sectors, never inside one.
pub const SECTOR_BYTES: usize = 512;

/// One change of a file that was not synced yet.
#[derive(Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    SetLen(usize),
}

/// How much of the unsynced changes of a file a crash leaves.
enum Survival {
    Nothing,
    Everything,
    /// This many changes, the last of them torn.
    Prefix(usize),
    /// Each sector by itself.
    Sectors,
}

#[derive(Clone, Default)]
pub(super) struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

impl Inode {
    /// A file whose bytes are certain, as after a crash.
    fn settled(bytes: Vec<u8>) -> Self {
        Self {
            durable: bytes.clone(),
            live: bytes,
            unsynced: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    pub(super) fn read(&self, buffer: &mut [u8], offset: usize) -> usize {
        let rest = self.live.get(offset..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(rest) {
            *to = *from;
        }
        count
    }

    /// How many bytes a write of `count` at `offset` adds to the length.
    pub(super) fn growth(&self, offset: usize, count: usize) -> usize {
        (offset + count).saturating_sub(self.live.len())
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: usize) {
        write_into(&mut self.live, bytes, offset);
        self.unsynced.push(Change::Write {
            offset,
            bytes: bytes.to_vec(),
        });
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.live.resize(len, 0);
        self.unsynced.push(Change::SetLen(len));
    }

    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            apply(&mut self.durable, &change);
        }
    }

    /// The changes will never become durable, though they are read.
    pub(super) fn drop_unsynced(&mut self) {
        self.unsynced.clear();
    }

    /// The file after a power cut.
    pub(super) fn crashed(&self, random: &SeededRandom) -> Self {
        if self.unsynced.is_empty() {
            return Self::settled(self.durable.clone());
        }
        let survival = match random.below(4) {
            0 => Survival::Nothing,
            1 => Survival::Everything,
            2 => Survival::Prefix(1 + random.below(self.unsynced.len() as u64) as usize),
            _ => Survival::Sectors,
        };
        let mut bytes = self.durable.clone();
        match survival {
            Survival::Nothing => {}
            Survival::Everything => {
                for change in &self.unsynced {
                    apply(&mut bytes, change);
                }
            }
            Survival::Prefix(count) => {
                let last = count.saturating_sub(1);
                for change in self.unsynced.iter().take(last) {
                    apply(&mut bytes, change);
                }
                if let Some(change) = self.unsynced.get(last) {
                    apply_torn(&mut bytes, change, random);
                }
            }
            Survival::Sectors => {
                for change in &self.unsynced {
                    apply_sectors(&mut bytes, change, random);
                }
            }
        }
        Self::settled(bytes)
    }
}

fn write_into(target: &mut Vec<u8>, bytes: &[u8], offset: usize) {
    let end = offset + bytes.len();
    if target.len() < end {
        target.resize(end, 0);
    }
    if let Some(place) = target.get_mut(offset..end) {
        place.copy_from_slice(bytes);
    }
}

fn apply(target: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { offset, bytes } => write_into(target, bytes, *offset),
        Change::SetLen(len) => target.resize(*len, 0),
    }
}

/// A prefix of the write, cut where a sector of the disk ends.
fn apply_torn(target: &mut Vec<u8>, change: &Change, random: &SeededRandom) {
    match change {
        Change::Write { offset, bytes } => {
            let cut = offset + random.below(bytes.len() as u64 + 1) as usize;
            let kept = (cut - cut % SECTOR_BYTES)
                .saturating_sub(*offset)
                .min(bytes.len());
            if kept > 0 {
                write_into(target, bytes.get(..kept).unwrap_or_default(), *offset);
            }
        }
        Change::SetLen(_) => {}
    }
}

/// Each sector of the write survives by itself; so does a change of length.
fn apply_sectors(target: &mut Vec<u8>, change: &Change, random: &SeededRandom) {
    match change {
        Change::Write { offset, bytes } => {
            let mut start = 0;
            while start < bytes.len() {
                let to_boundary = SECTOR_BYTES - (offset + start) % SECTOR_BYTES;
                let end = (start + to_boundary).min(bytes.len());
                if random.below(2) == 0 {
                    let sector = bytes.get(start..end).unwrap_or_default();
                    write_into(target, sector, offset + start);
                }
                start = end;
            }
        }
        Change::SetLen(len) => {
            if random.below(2) == 0 {
                target.resize(*len, 0);
            }
        }
    }
}
