//! Ordered iteration at one version over all sources of a view.

use std::sync::Arc;

use bytes::Bytes;
use nokv_env::Clock;
use nokv_types::Version;

use super::{
    source::{Bounds, ScanCover, ScanSource},
    tables::Tables,
    view::View,
};
use crate::{
    Direction, Error, KeyRange, Keyspace, Record, merge::VisibleMerge, moment::Moment,
    table::Table, vlog::ValueFiles,
};

/// The entries of a range, at one version, in order: an iterator of `(user key, record)`.
///
/// **Guarantees**: exactly the entries that were visible at its version when it began, however much
/// is written meanwhile. It holds memtables and tables of that moment until dropped: drop it, or
/// page, when it takes minutes. **Errors**: `Corrupt`, `Io`; after one it ends.
pub struct Scan {
    merge: VisibleMerge<ScanSource, ScanCover>,
    bounds: Bounds,
    values: Arc<ValueFiles>,
    /// A value of the value log that is lent.
    lent: Option<Record>,
    is_done: bool,
}

impl Scan {
    pub(super) fn new(
        view: &View,
        keyspace: Keyspace,
        range: &KeyRange,
        moment: Moment<Arc<dyn Clock>>,
        direction: Direction,
    ) -> Result<Self, Error> {
        let internal = |key: &[u8]| Bytes::copy_from_slice(&keyspace.internal_key(key));
        let end = match range.end() {
            Some(end) => Some(internal(end)),
            None => keyspace
                .get()
                .checked_add(1)
                .map(|next| Bytes::copy_from_slice(&[next])),
        };
        let bounds = Bounds {
            start: internal(range.start()),
            end,
            at: moment.at(),
            direction,
        };
        let is_done = range.end().is_some_and(|end| end <= range.start());
        let (sources, covers) = if is_done {
            (Vec::new(), Vec::new())
        } else {
            (sources(view, &bounds)?, covers(view))
        };
        let limit = match direction {
            Direction::Forward => bounds.end.as_ref().map(|end| end.to_vec()),
            Direction::Reverse => Some(bounds.start.to_vec()),
        };
        Ok(Self {
            merge: VisibleMerge::new((sources, covers), direction, moment, limit),
            bounds,
            values: Arc::clone(&view.values),
            lent: None,
            is_done,
        })
    }
}

/// Newest first.
fn sources(view: &View, bounds: &Bounds) -> Result<Vec<ScanSource>, Error> {
    let memories = view.memories();
    let mut sources: Vec<_> = memories
        .map(|memory| ScanSource::memory(memory, bounds))
        .collect();
    for tables in view.tables.runs() {
        let own = tables_within(tables, bounds);
        if own
            .iter()
            .any(|table| table.summary().version_min <= bounds.at)
        {
            sources.push(ScanSource::tables(own, bounds)?);
        }
    }
    Ok(sources)
}

fn covers(view: &View) -> Vec<ScanCover> {
    // A range tombstone that comes later is of a version that the scan does not see.
    let memories = view.memories().filter(|memory| memory.has_tombstones());
    let memories = memories.cloned().map(ScanCover::Memory);
    let tables: Option<Arc<Tables>> =
        (!view.tables.with_tombstones.is_empty()).then(|| Arc::clone(&view.tables));
    memories.chain(tables.map(ScanCover::Tables)).collect()
}

/// The tables of a sorted run that may have keys of the scan.
fn tables_within<'a>(tables: &'a [Arc<Table>], bounds: &Bounds) -> &'a [Arc<Table>] {
    let start = tables.partition_point(|table| table.summary().largest < bounds.start);
    let end = bounds.end.as_ref().map_or(tables.len(), |end| {
        tables.partition_point(|table| table.summary().smallest.as_slice() < end)
    });
    tables.get(start..end).unwrap_or_default()
}

/// An entry of a [`Scan`], lent until its next step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LentEntry<'a> {
    /// The user key.
    pub key: &'a [u8],
    /// The version that wrote it.
    pub version: Version,
    /// The value.
    pub value: &'a [u8],
}

impl Scan {
    /// The next entry, lent: as [`Iterator::next`] without a copy of the key or a share of the
    /// value, for who takes what it needs on the spot. `None` at the end.
    ///
    /// # Errors
    /// `Corrupt`, `Io`; after one it ends.
    pub fn lend(&mut self) -> Result<Option<LentEntry<'_>>, Error> {
        if self.is_done {
            return Ok(None);
        }
        // Set back below: whatever fails ends the scan.
        self.is_done = true;
        if !self.merge.next()? {
            return Ok(None);
        }
        self.lent = None;
        if self.merge.is_separated()
            && let Some(record) = self.merge.record()
        {
            self.lent = Some(self.values.fetch(self.merge.key(), record)?);
        }
        self.is_done = false;
        let (version, value) = self.merge.lend().unwrap_or_default();
        Ok(Some(LentEntry {
            key: self.merge.key().get(1..).unwrap_or_default(),
            version: Version::from_u64(version),
            value: self.lent.as_ref().map_or(value, |record| &record.value),
        }))
    }

    fn item(&mut self, mut record: Record) -> Result<(Bytes, Record), Error> {
        let key = self.merge.key();
        if self.merge.is_separated() {
            record = self
                .values
                .fetch(key, record)
                .inspect_err(|_| self.is_done = true)?;
        }
        let key = key.get(1..).unwrap_or_default();
        Ok((Bytes::copy_from_slice(key), record))
    }
}

impl Iterator for Scan {
    type Item = Result<(Bytes, Record), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        match self.merge.next() {
            Ok(true) => {
                let record = self.merge.record()?;
                Some(self.item(record))
            }
            Ok(false) => {
                self.is_done = true;
                None
            }
            Err(error) => {
                self.is_done = true;
                Some(Err(error))
            }
        }
    }
}

impl std::fmt::Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan")
            .field("bounds", &self.bounds)
            .finish_non_exhaustive()
    }
}
