//! The state of a store at one version, as table files.
//!
//! Decision: an export is the state at one version (what a scan there shows), not the history below
//! it: deletions and older versions have no meaning to a store that is to hold that state, and the
//! files are as small as they can be. Each record keeps its version.

use std::path::Path;

use nokv_types::Version;

use super::{
    catalog::{Catalog, Scope},
    layout::RANGES_MAX,
    sink::{Export, SinkOptions, TableSink},
};
use crate::{Direction, Engine, Error, KeyRange, Keyspace, keyspace::InternalRange};

/// What is exported, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExportOptions {
    /// In order of keyspace and key, not overlapping.
    pub ranges: Vec<(Keyspace, KeyRange)>,
    /// The version whose state it is. Must be above the retention horizon, or a pin, until the
    /// export is complete. [`Version::MAX`] for the newest; an export that goes on keeps the one
    /// that it began with.
    pub at: Version,
    /// How files are written.
    pub sink: SinkOptions,
}

impl ExportOptions {
    /// The newest state of one range.
    #[must_use]
    pub fn range(keyspace: Keyspace, range: KeyRange) -> Self {
        Self {
            ranges: vec![(keyspace, range)],
            at: Version::MAX,
            sink: SinkOptions::default(),
        }
    }
}

impl Engine {
    /// Writes what a scan of the ranges shows into `dir` as table files with a catalog.
    ///
    /// **Guarantees**: durable on return. Called again after a crash or a failure, it goes on
    /// behind the last complete file; called again after it was complete, it does nothing. A
    /// folder with an export of something else is refused.
    ///
    /// # Errors
    /// `Invalid`: ranges out of order, another export in `dir`, a version that retention does not
    /// keep. `Corrupt`, `Io`, `Exhausted`.
    pub fn export(&self, options: &ExportOptions, dir: &Path) -> Result<Export, Error> {
        let env = self.env();
        let ranges = internal_ranges(&options.ranges)?;
        let found = Catalog::load(env, dir)?;
        let at = match &found {
            Some(catalog) if options.at == Version::MAX => catalog.scope.at,
            _ => self.last_version().min(options.at).as_u64(),
        };
        let scope = Scope { at, ranges };
        let (sink, after) = match found {
            Some(catalog) if catalog.scope != scope => {
                return Err(Error::Invalid(format!(
                    "{} holds an export of other ranges or another version",
                    dir.display()
                )));
            }
            Some(catalog) if catalog.is_complete => return Ok(Export::of(&catalog)),
            Some(catalog) => {
                let after = catalog
                    .files
                    .last()
                    .map(|file| file.summary.largest.clone());
                let sink = TableSink::go_on(env, dir, options.sink, catalog)?;
                (sink, after)
            }
            None => (TableSink::begin(env, dir, options.sink, scope)?, None),
        };
        self.fill((sink, after), options, Version::from_u64(at))
    }

    fn fill(
        &self,
        (mut sink, after): (TableSink, Option<Vec<u8>>),
        options: &ExportOptions,
        at: Version,
    ) -> Result<Export, Error> {
        for (keyspace, range) in &options.ranges {
            let mut rest = range.clone();
            if let Some((space, key)) = after.as_deref().and_then(<[u8]>::split_first) {
                if *space > keyspace.get() {
                    continue;
                }
                if *space == keyspace.get() {
                    rest = rest.after(key);
                }
            }
            let scan = self.scan(*keyspace, rest, at, Direction::Forward)?;
            // Asked when the scan holds what it reads: from here on compaction takes nothing away.
            self.check_retained(at)?;
            for item in scan {
                let (key, record) = item?;
                sink.put_record((*keyspace, &key), &record)?;
            }
        }
        sink.finish()
    }
}

/// The ranges as internal keys, if they are in order.
fn internal_ranges(ranges: &[(Keyspace, KeyRange)]) -> Result<Vec<InternalRange>, Error> {
    if ranges.len() > RANGES_MAX {
        return Err(Error::Invalid(format!(
            "an export of {} ranges; at most {RANGES_MAX}",
            ranges.len()
        )));
    }
    let internal: Vec<InternalRange> = ranges
        .iter()
        .map(|(keyspace, range)| keyspace.internal_range(range))
        .collect();
    let is_in_order = internal.windows(2).all(|pair| match pair {
        [(_, Some(end)), (start, _)] => end <= start,
        _ => false,
    });
    if !is_in_order && internal.len() > 1 {
        let message = "the ranges of an export are in order and do not overlap";
        return Err(Error::Invalid(message.to_owned()));
    }
    Ok(internal)
}
