//! A fetch through the cache: what is at hand, then what is on disk, then one GET for the rest.
//!
//! Invariants:
//! - only verified units are kept, in runs without gaps;
//! - who leads some units and follows others fetches first and waits then, so readers never wait
//!   for each other in a circle.

use super::{
    fetch::{Fetcher, NameOf, Whole, Wholes, cut_wanted},
    options::Keep,
    plan::{Fetch, Part},
};
use crate::{
    BlockCache, Error,
    cache::{Follow, Lead, Turn},
};
use bytes::Bytes;
use nokv_types::Encoding;
use std::{ops::Range, sync::Arc};

/// The wanted bytes of each part so far.
type Found = Vec<Option<Result<Bytes, Error>>>;

/// The wanted bytes of each part, or what is wrong with it.
pub(super) async fn fetch_each(
    fetcher: &Fetcher,
    cache: &Arc<BlockCache>,
    fetch: &Fetch,
    name_of: NameOf<'_>,
) -> Vec<Result<Bytes, Error>> {
    let ready = |part: &Part| cache.ready(&part.unit, &part.wanted).map(Ok);
    let mut found: Found = fetch.parts.iter().map(ready).collect();
    if cache.has_disk() && found.iter().any(Option::is_none) {
        look_on_disk(cache, fetch, &mut found).await;
    }
    while found.iter().any(Option::is_none) {
        let (leads, follows) = take_turns(cache, fetch, &found);
        if !leads.is_empty() {
            lead(fetcher, cache, fetch, name_of, leads, &mut found).await;
        }
        for (index, follow) in follows {
            let (Some(part), Some(slot)) = (fetch.parts.get(index), found.get_mut(index)) else {
                continue;
            };
            // Without an answer the leader was dropped: another turn.
            *slot = follow.wait().await.map(|plain| match plain {
                Ok(plain) => Ok(cut_wanted(&plain, part)),
                Err(error) => Err(error.for_body(&name_of(index).to_string())),
            });
        }
    }
    let known = |slot: Option<_>| slot.expect("the loop ends when all are known");
    found.into_iter().map(known).collect()
}

/// Reads what is on disk on a thread that may wait.
async fn look_on_disk(cache: &Arc<BlockCache>, fetch: &Fetch, found: &mut Found) {
    let missing: Vec<(usize, Part)> = missing(fetch, found)
        .map(|(index, part)| (index, part.clone()))
        .collect();
    let cache = Arc::clone(cache);
    let looked = crate::blocking(move || {
        let look = |(index, part): (usize, Part)| {
            let bytes = cache.look_on_disk(&part.unit, &part.wanted)?;
            Some((index, bytes))
        };
        Ok(missing.into_iter().filter_map(look).collect::<Vec<_>>())
    });
    // A runtime that is shutting down finds nothing on disk.
    for (index, bytes) in looked.await.unwrap_or_default() {
        if let Some(slot) = found.get_mut(index) {
            *slot = Some(Ok(bytes));
        }
    }
}

fn missing<'a>(
    fetch: &'a Fetch,
    found: &'a Found,
) -> impl Iterator<Item = (usize, &'a Part)> + use<'a> {
    let parts = fetch.parts.iter().enumerate().zip(found);
    parts.filter_map(|(part, slot)| slot.is_none().then_some(part))
}

type Turns = (Vec<(usize, Lead)>, Vec<(usize, Follow)>);

fn take_turns(cache: &BlockCache, fetch: &Fetch, found: &Found) -> Turns {
    let (mut leads, mut follows) = (Vec::new(), Vec::new());
    for (index, part) in missing(fetch, found) {
        match cache.turn(&part.unit) {
            Turn::Lead(lead) => leads.push((index, lead)),
            Turn::Follow(follow) => follows.push((index, follow)),
        }
    }
    (leads, follows)
}

/// Fetches the units that are ours, keeps them and tells the followers.
async fn lead(
    fetcher: &Fetcher,
    cache: &Arc<BlockCache>,
    fetch: &Fetch,
    name_of: NameOf<'_>,
    leads: Vec<(usize, Lead)>,
    found: &mut Found,
) {
    let part = |index: &usize| fetch.parts.get(*index).cloned();
    let indexes: Vec<usize> = leads.iter().map(|(index, _)| *index).collect();
    let parts: Vec<Part> = indexes.iter().filter_map(part).collect();
    let Some(ours) = Fetch::around(parts) else {
        return;
    };
    let plain = match at_hand(cache, &ours) {
        Some(plain) => plain,
        None => {
            let name = |at: usize| name_of(indexes.get(at).copied().unwrap_or(0));
            let got = fetcher.wholes(&ours, &name).await;
            keep_on_disk(cache, &ours, &got);
            if fetcher.keep == Keep::Near {
                keep_in_memory(cache, &ours, &got);
            }
            let plain = |whole: Result<Whole, Error>| whole.map(|whole| whole.plain);
            got.wholes.into_iter().map(plain).collect()
        }
    };
    for (((index, lead), part), plain) in leads.into_iter().zip(&ours.parts).zip(plain) {
        if let Some(slot) = found.get_mut(index) {
            *slot = Some(plain.clone().map(|plain| cut_wanted(&plain, part)));
        }
        lead.land(plain);
    }
}

/// What another leader has just brought, between our look and our turn.
fn at_hand(cache: &BlockCache, fetch: &Fetch) -> Option<Vec<Result<Bytes, Error>>> {
    let plain = |part: &Part| cache.in_memory(&part.unit).map(Ok);
    fetch.parts.iter().map(plain).collect()
}

/// Keeps on disk what was verified.
fn keep_on_disk(cache: &BlockCache, fetch: &Fetch, got: &Wholes) {
    cache.count_misses(got.wholes.len());
    if cache.has_disk() {
        for (start, stored) in verified_runs(fetch, got) {
            cache.keep_on_disk(fetch.block, start, stored);
        }
    }
}

/// What was verified, as stored: neighbours that came with the GET as one run.
pub(super) fn verified_runs(fetch: &Fetch, got: &Wholes) -> Vec<(u32, Bytes)> {
    let (mut runs, mut run) = (Vec::new(), None);
    let cut = |run: Range<u32>| (run.start, cut_run(fetch, got, &run));
    for (part, whole) in fetch.parts.iter().zip(&got.wholes) {
        let range = part.unit.object_range();
        match whole {
            Ok(whole) if whole.is_of_get => runs.extend(extend(&mut run, &range).map(cut)),
            Ok(whole) => runs.push((range.start, whole.stored.clone())),
            Err(_) => {}
        }
    }
    runs.extend(run.map(cut));
    runs
}

/// Keeps in memory what was verified: neighbours that are stored plainly as one run.
fn keep_in_memory(cache: &BlockCache, fetch: &Fetch, got: &Wholes) {
    let mut run = None;
    let keep = |run: Range<u32>| {
        cache.keep_run_in_memory(fetch.block, run.start, cut_run(fetch, got, &run));
    };
    for (part, whole) in fetch.parts.iter().zip(&got.wholes) {
        let Ok(whole) = whole else { continue };
        if whole.is_of_get && part.unit.encoding == Encoding::Plain {
            extend(&mut run, &part.unit.object_range())
                .into_iter()
                .for_each(&keep);
        } else {
            cache.keep_in_memory(&part.unit, whole.plain.clone());
        }
    }
    run.into_iter().for_each(&keep);
}

/// Takes a range into the run, or starts another with it and gives back the one that ended.
fn extend(run: &mut Option<Range<u32>>, range: &Range<u32>) -> Option<Range<u32>> {
    match run {
        // Several parts may be of one unit.
        Some(run) if range.start <= run.end => {
            run.end = run.end.max(range.end);
            None
        }
        _ => run.replace(range.clone()),
    }
}

/// A run out of what the GET brought.
fn cut_run(fetch: &Fetch, got: &Wholes, run: &Range<u32>) -> Bytes {
    let bytes = got.bytes.clone().unwrap_or_default();
    let at = |offset: u32| (offset.saturating_sub(fetch.range.start) as usize).min(bytes.len());
    let slice = bytes.slice(at(run.start)..at(run.end));
    // A small run must not hold a large answer in memory.
    match slice.len() < bytes.len() / 2 {
        true => Bytes::copy_from_slice(&slice),
        false => slice,
    }
}
