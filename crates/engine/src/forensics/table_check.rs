//! One table: every block, and whether blocks, index, filters, properties and manifest agree.

use std::path::Path;

use nokv_env::File;

use super::{
    damage::Damage,
    value_check::{LostValue, check_value},
};
use crate::{
    Error,
    compaction::Throttle,
    entry::EntryKind,
    table::{BlockCursor, Content, DataVisit, TableSummary, Walk, hash, walk},
    vlog::ValueFiles,
};

/// Damage of one table that is told one by one; more of the same helps nobody.
const DAMAGES_MAX: usize = 1000;

/// What a check of a table found.
#[derive(Debug, Default)]
pub(super) struct TableCheck {
    pub(super) damages: Vec<Damage>,
    /// What its whole blocks have.
    pub(super) entry_count: u64,
    /// Values that can't be read; the table itself may be whole.
    pub(super) lost_values: Vec<LostValue>,
    /// Values that were read, and their bytes.
    pub(super) values: (u64, u64),
    pub(super) walk: Walk,
}

/// Reads a table in full; `listed` is what the manifest says of it.
///
/// # Errors
/// `Io` when the file can't be measured.
pub(super) fn check_table(
    file: &dyn File,
    path: &Path,
    listed: Option<&TableSummary>,
    (throttle, files): (&dyn Throttle, &ValueFiles),
) -> Result<TableCheck, Error> {
    let mut tally = Tally {
        path,
        files,
        lost_values: Vec::new(),
        values: (0, 0),
        damages: Vec::new(),
        counted: TableSummary::default(),
        last: None,
        smallest: None,
    };
    let walk = walk(file, path, throttle, &mut |visit| tally.take(&visit))?;
    let mut damages: Vec<Damage> = walk
        .lost
        .iter()
        .map(|lost| Damage::of(&lost.error, path))
        .collect();
    damages.append(&mut tally.damages);
    if damages.is_empty() {
        tally.compare(&walk, listed, &mut damages);
    }
    damages.truncate(DAMAGES_MAX);
    Ok(TableCheck {
        damages,
        entry_count: tally.counted.entry_count,
        lost_values: tally.lost_values,
        values: tally.values,
        walk,
    })
}

/// What the entries add up to.
struct Tally<'a> {
    path: &'a Path,
    files: &'a ValueFiles,
    damages: Vec<Damage>,
    lost_values: Vec<LostValue>,
    values: (u64, u64),
    counted: TableSummary,
    /// Key and version of the last entry.
    last: Option<(Vec<u8>, u64)>,
    smallest: Option<Vec<u8>>,
}

impl Tally<'_> {
    fn take(&mut self, visit: &DataVisit<'_>) {
        let mut cursor = BlockCursor::default();
        cursor.enter(visit.block.clone());
        let mut outcome = cursor.seek_to_first();
        while outcome.is_ok() && cursor.is_valid() {
            let (key, version, kind) = (cursor.key(), cursor.version(), cursor.kind());
            match check_value(self.files, (key, version), (kind, cursor.value())) {
                Ok(0) => {}
                Ok(bytes) => self.values = (self.values.0 + 1, self.values.1 + bytes),
                Err(lost) => self.lost_values.push(lost),
            }
            self.take_entry(visit, key, version, kind);
            outcome = cursor.next();
        }
        if let Err(error) = outcome {
            let error = error.at(self.path, visit.offset);
            self.damages.push(Damage::of(&error, self.path));
        }
    }

    fn take_entry(&mut self, visit: &DataVisit<'_>, key: &[u8], version: u64, kind: EntryKind) {
        let is_new_key = self.last.as_ref().is_none_or(|(last, _)| last != key);
        let is_after = self.last.as_ref().is_none_or(|(last, before)| {
            last.as_slice() < key || (!is_new_key && version < *before)
        });
        if !is_after {
            self.tell(visit.offset, "an entry above all before", "one below");
        }
        if is_new_key && !is_indexed(visit, key) {
            let expected = "a key that index and filter know";
            self.tell(visit.offset, expected, "one that they don't");
        }
        let counted = &mut self.counted;
        if counted.entry_count == 0 {
            self.smallest = Some(key.to_vec());
            (counted.version_min, counted.version_max) = (version, version);
        }
        counted.entry_count += 1;
        counted.key_count += u64::from(is_new_key);
        counted.tombstone_count += u64::from(kind == EntryKind::Delete);
        counted.version_min = counted.version_min.min(version);
        counted.version_max = counted.version_max.max(version);
        match &mut self.last {
            Some((last, before)) => {
                if is_new_key {
                    last.clear();
                    last.extend_from_slice(key);
                }
                *before = version;
            }
            None => self.last = Some((key.to_vec(), version)),
        }
    }

    fn tell(&mut self, offset: u64, expected: &str, found: &str) {
        if self.damages.len() < DAMAGES_MAX {
            self.damages
                .push(Damage::new(self.path, offset, expected, found));
        }
    }

    /// Whether the whole is what properties and manifest say.
    fn compare(&self, walk: &Walk, listed: Option<&TableSummary>, damages: &mut Vec<Damage>) {
        let mut tell = |expected: String, found: String| {
            damages.push(Damage::new(self.path, 0, expected, found));
        };
        let Some(stored) = &walk.summary else {
            tell("the properties of a table".to_owned(), "none".to_owned());
            return;
        };
        if let Some(listed) = listed.filter(|listed| *listed != stored) {
            tell(
                format!("the table that the manifest describes ({})", brief(listed)),
                brief(stored),
            );
        }
        let counted = &self.counted;
        let numbers = [
            ("entries", stored.entry_count, counted.entry_count),
            ("keys", stored.key_count, counted.key_count),
            ("deletions", stored.tombstone_count, counted.tombstone_count),
        ];
        for (what, stored, counted) in numbers {
            if stored != counted {
                tell(format!("{stored} {what}"), counted.to_string());
            }
        }
        let within = counted.entry_count == 0
            || (self.smallest.as_ref() >= Some(&stored.smallest)
                && self.last.as_ref().map(|(last, _)| last) <= Some(&stored.largest)
                && stored.version_min <= counted.version_min
                && counted.version_max <= stored.version_max);
        if !within {
            let found = "entries outside of them".to_owned();
            tell(
                "entries within the bounds of the properties".to_owned(),
                found,
            );
        }
    }
}

/// Whether bounds and filter of the block's partition let a reader find the key.
fn is_indexed(visit: &DataVisit<'_>, key: &[u8]) -> bool {
    let Some((partition, place)) = visit.index else {
        return true;
    };
    let outside = partition.is_above(place, key).unwrap_or(true)
        || partition.is_below(place, key).unwrap_or(true);
    !outside && partition.may_contain(hash(key))
}

fn brief(summary: &TableSummary) -> String {
    format!(
        "{} bytes, {} entries, versions {} to {}",
        summary.bytes, summary.entry_count, summary.version_min, summary.version_max
    )
}

/// The word for what a block contains.
pub(super) const fn content_name(content: Content) -> &'static str {
    match content {
        Content::Data => "data",
        Content::Partition => "partition",
        Content::Index => "index",
        Content::Tombstones => "range tombstones",
        Content::Properties => "properties",
    }
}
