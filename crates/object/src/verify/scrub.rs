//! Reading everything back: each unit of every body, live or kept, against its checksum.
//!
//! A body is right if each of its units is: how they are put together is in the records of the
//! namespace, which have checksums of their own. A reader of the whole verifies its digest besides.
//!
//! Invariants: a step is bounded by bytes; a unit that several bodies of a step share is read once;
//! neighbours in an object share a GET; what is damaged is fetched again before it is reported.

use crate::{
    BlockStore, Error, blocking, encoding,
    read::{UnitFetch, plan_units},
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use nokv_namespace::{Holder, Namespace, Reference, ReferenceCursor};
use nokv_types::{Encoding, Unit};
use std::collections::{HashMap, HashSet};

/// Most bytes of one step.
pub const SCRUB_BYTES_MAX: u64 = 64 << 20;
/// Records read at once; each has at most 1,024 units.
const PAGE_RECORDS: usize = 64;
/// GETs under way at once.
const PARALLEL_GETS: usize = 4;

/// What one step of reading back found.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ScrubStep {
    /// Bodies, or parts of bodies, that were read.
    pub parts: u64,
    /// Units that were verified.
    pub units: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// What is damaged or missing: the error, and who needs it.
    pub damaged: Vec<(Error, Holder)>,
    /// Where the next step begins; `None` at the end.
    pub next: Option<ReferenceCursor>,
}

/// Reads the next bodies back, from a place on, or from the beginning: about `bytes_max` bytes, at
/// least one record's.
///
/// **Errors**: those of the namespace, and of an object store that can't be reached. What is
/// damaged or missing is no error.
pub async fn scrub(
    namespace: &Namespace,
    blocks: &dyn BlockStore,
    from: Option<ReferenceCursor>,
    bytes_max: u64,
) -> Result<ScrubStep, Error> {
    let bytes_max = bytes_max.min(SCRUB_BYTES_MAX);
    let mut step = ScrubStep {
        next: from,
        ..ScrubStep::default()
    };
    let mut records = 1;
    loop {
        let (asked, from) = (namespace.clone(), step.next.take());
        let page = blocking(move || Ok(asked.references(from.as_ref(), records)?)).await?;
        step.next = page.next;
        read_back(blocks, &page.references, &mut step).await?;
        if step.next.is_none() || step.bytes >= bytes_max {
            return Ok(step);
        }
        // As many more as would fit if they were like those so far.
        let left = bytes_max - step.bytes;
        let average = step.bytes.checked_div(step.parts).unwrap_or(0).max(1);
        let fitting = usize::try_from(left / average).unwrap_or(PAGE_RECORDS);
        records = fitting.clamp(1, PAGE_RECORDS);
    }
}

async fn read_back(
    blocks: &dyn BlockStore,
    references: &[Reference],
    step: &mut ScrubStep,
) -> Result<(), Error> {
    let units: Vec<Unit> = references
        .iter()
        .flat_map(|reference| &reference.extents)
        .map(|extent| extent.unit)
        .collect();
    let fetches = plan_units(units);
    step.bytes += fetches
        .iter()
        .map(|fetch| u64::from(fetch.bytes()))
        .sum::<u64>();
    let run = |fetch: UnitFetch| async move { fetch.run(blocks).await };
    let mut running = stream::iter(fetches)
        .map(run)
        .buffer_unordered(PARALLEL_GETS);
    let mut wrong: HashMap<Unit, Error> = HashMap::new();
    while let Some(found) = running.next().await {
        for (unit, stored) in found {
            step.units += 1;
            match decoded(unit, stored).await {
                Ok(()) => {}
                Err(error @ (Error::DigestMismatch(_) | Error::MissingBlock { .. })) => {
                    wrong.insert(unit, error);
                }
                Err(error) => return Err(error),
            }
        }
    }
    for reference in references {
        step.parts += 1;
        let mut named = HashSet::new();
        for unit in reference.extents.iter().map(|extent| extent.unit) {
            if let Some(error) = wrong.get(&unit).filter(|_| named.insert(unit.block)) {
                step.damaged.push((error.clone(), reference.holder));
            }
        }
    }
    Ok(())
}

/// That a unit whose stored bytes are right can be decoded.
async fn decoded(unit: Unit, stored: Result<Bytes, Error>) -> Result<(), Error> {
    let stored = stored?;
    if unit.encoding == Encoding::Plain {
        return Ok(());
    }
    let plain_bytes = unit.plain_bytes as usize;
    let is_sound =
        blocking(move || Ok(encoding::decode(unit.encoding, &stored, plain_bytes).is_some()));
    match is_sound.await? {
        true => Ok(()),
        false => Err(Error::DigestMismatch(Box::new(crate::Mismatch {
            body: "a body".to_owned(),
            block: Some(unit.block),
            place: String::new(),
            expected: format!("{plain_bytes} bytes as {}", unit.encoding.name()),
            got: "something else".to_owned(),
        }))),
    }
}
