//! What a subtree holds.

use super::read::{existing, find_spot};
use crate::reader::Reader;
use crate::spot::Spot;
use crate::{Follow, Namespace, Target, Usage, View};
use nokv_types::{BranchId, Failure, NodeId, NodeKind};
use rustc_hash::FxHashSet;

/// Entries read at a time: bounds memory, not the answer.
const STEP_ENTRIES: usize = 4096;

impl Namespace {
    /// What a subtree holds; reads all of it. Does not follow symbolic links.
    ///
    /// **Errors**: as [`Self::lookup`].
    pub fn usage<'a>(&self, view: &View, target: impl Into<Target<'a>>) -> Result<Usage, Failure> {
        self.read(view, |reader, root| count(reader, root, target.into()))
    }
}

fn count(mut reader: Reader<'_>, root: Spot, target: Target<'_>) -> Result<Usage, Failure> {
    let spot = find_spot(&mut reader, root, target, Follow::No)?;
    let top = existing(&reader, spot)?;
    let mut usage = Usage {
        version: reader.at,
        ..Usage::default()
    };
    if top.attributes.kind != NodeKind::Directory {
        usage.files = 1;
        usage.bytes = top.attributes.size;
        return Ok(usage);
    }
    let mut pending = vec![spot];
    let mut linked: FxHashSet<(BranchId, NodeId)> = FxHashSet::default();
    while let Some(directory) = pending.pop() {
        usage.directories += 1;
        let mut after = None;
        loop {
            let found = reader.entries(directory, after.as_ref(), STEP_ENTRIES)?;
            let full = found.len() == STEP_ENTRIES;
            after = found.last().map(|(name, _)| name.clone());
            let (directories, files): (Vec<_>, Vec<_>) = found
                .into_iter()
                .map(|(_, entry)| entry)
                .partition(|entry| entry.is_directory());
            pending.extend(directories.into_iter().map(|entry| entry.spot));
            for node in reader.children(directory, &files)? {
                if node.attributes.links > 1 && !linked.insert((node.branch, node.id)) {
                    continue;
                }
                usage.files += 1;
                usage.bytes = usage.bytes.saturating_add(node.attributes.size);
            }
            if !full {
                break;
            }
        }
    }
    Ok(usage)
}
