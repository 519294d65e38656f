//! The differences between two trees.
//!
//! Trees are compared as sets of names: a name is a directory and what it is called there, a node
//! keeps its identity whatever it is called, and a branch shares the identities of its origin. So
//! what moved is told from what was removed and added, and two versions of one directory, a branch
//! and its origin, or two branches are compared by reading what changed ([`super::touched`]).

use super::read::find_spot;
use super::side::{Identity, Side};
use super::touched::Touched;
use crate::failure::invalid;
use crate::records::{NodeRecord, StoredLayout};
use crate::walk::{missing, not_directory};
use crate::{DiffPage, Difference, DifferenceKind, Follow, Namespace, Target, View};
use nokv_types::{Failure, Name, NodeId, NodeKind, NsPath};
use std::collections::{BTreeMap, BTreeSet};

type At = (NodeId, Name);

impl Namespace {
    /// Up to `limit` differences of the directory `to` from the directory `from`, leaving out the
    /// first `after`. Reads what changed between the two when they are versions or branches of one
    /// directory and the log still has it; else both.
    ///
    /// **Errors**: as [`Self::lookup`]; `NotDirectory`; `InvalidArgument` for two mounts or no
    /// limit; `TooLarge` for more than [`crate::DIFFERENCES_MAX`] names to compare.
    pub fn diff<'a>(
        &self,
        from: (&View, Target<'a>),
        to: (&View, Target<'a>),
        after: u64,
        limit: usize,
    ) -> Result<DiffPage, Failure> {
        if from.0.mount != to.0.mount || limit == 0 {
            return Err(invalid(
                "directories of one mount are compared, at least one difference at a time",
            ));
        }
        self.read(from.0, |reader, root| {
            let mut left = side(reader, root, from.1)?;
            self.read(to.0, |reader, root| {
                let mut right = side(reader, root, to.1)?;
                let touched = self.touched_between(from.0.mount, &left, &right)?;
                let all = compare(&mut left, &mut right, touched)?;
                let skip = usize::try_from(after).unwrap_or(usize::MAX);
                let left_over = all.len().saturating_sub(skip) > limit;
                let differences: Vec<_> = all.into_iter().skip(skip).take(limit).collect();
                let next = after.saturating_add(differences.len() as u64);
                Ok(DiffPage {
                    from_version: left.reader.at,
                    to_version: right.reader.at,
                    differences,
                    next: left_over.then_some(next),
                })
            })
        })
    }
}

fn side<'a>(
    mut reader: crate::reader::Reader<'a>,
    root: crate::spot::Spot,
    target: Target<'_>,
) -> Result<Side<'a>, Failure> {
    let spot = find_spot(&mut reader, root, target, Follow::Yes)?;
    let shown = || super::read::shown(target);
    match reader.node_record(spot)? {
        None => Err(missing(&shown())),
        Some(found) if found.record.is_directory() => Ok(Side::new(reader, spot)),
        Some(_) => Err(not_directory(&shown())),
    }
}

/// The names of one node on both sides, as far as they were touched.
#[derive(Default)]
struct Names {
    kind: Option<NodeKind>,
    left: Vec<At>,
    right: Vec<At>,
    /// A name that is the same on both sides.
    both: Option<At>,
}

/// All differences, in order of paths.
pub(super) fn compare(
    left: &mut Side<'_>,
    right: &mut Side<'_>,
    mut touched: Touched,
) -> Result<Vec<Difference>, Failure> {
    expand(left, right, &mut touched)?;
    let mut names: BTreeMap<Identity, Names> = BTreeMap::new();
    for (directory, name) in &touched.entries {
        let before = left.child(*directory, name)?;
        let now = right.child(*directory, name)?;
        let before = before.map(|child| (left.identity(&child), child.kind));
        let now = now.map(|child| (right.identity(&child), child.kind));
        let at = || (*directory, name.clone());
        if let (Some((before, kind)), Some((now, _))) = (before, now)
            && before == now
        {
            let names = names.entry(now).or_default();
            (names.kind, names.both) = (Some(kind), Some(at()));
            continue;
        }
        if let Some((identity, kind)) = before {
            let names = names.entry(identity).or_default();
            names.kind = Some(kind);
            names.left.push(at());
        }
        if let Some((identity, kind)) = now {
            let names = names.entry(identity).or_default();
            names.kind = Some(kind);
            names.right.push(at());
        }
    }
    let mut differences = Vec::new();
    for (identity, names) in &names {
        of_names(left, right, *identity, names, &mut differences)?;
    }
    of_nodes(left, right, &touched.nodes, &names, &mut differences)?;
    differences.sort_by(|one, other| {
        let key = |difference: &Difference| {
            let path = difference.to.as_ref().or(difference.from.as_ref()).cloned();
            (path, difference.kind, difference.from.clone())
        };
        key(one).cmp(&key(other))
    });
    Ok(differences)
}

/// Takes in all that is below directories which only one side has: nothing else says that it came
/// or went.
fn expand(left: &mut Side<'_>, right: &mut Side<'_>, touched: &mut Touched) -> Result<(), Failure> {
    let entries: Vec<At> = touched.entries.iter().cloned().collect();
    expand_side(left, right, &entries, touched)?;
    expand_side(right, left, &entries, touched)
}

fn expand_side(
    one: &mut Side<'_>,
    other: &mut Side<'_>,
    entries: &[At],
    touched: &mut Touched,
) -> Result<(), Failure> {
    let mut seen = BTreeSet::new();
    for (directory, name) in entries {
        let Some(child) = one.child(*directory, name)? else {
            continue;
        };
        let alone = child.is_directory()
            && child.spot.same_chain(&one.root)
            && other.path_of(child.node())?.is_none();
        if alone && seen.insert(child.node()) {
            one.walk(child.node(), |directory, name, _| {
                touched.entry(directory, name)
            })?;
        }
    }
    Ok(())
}

fn of_names(
    left: &mut Side<'_>,
    right: &mut Side<'_>,
    identity: Identity,
    names: &Names,
    differences: &mut Vec<Difference>,
) -> Result<(), Failure> {
    let mut paths = (Vec::new(), Vec::new());
    for (directory, name) in &names.left {
        paths.0.extend(left.path(*directory, name)?);
    }
    for (directory, name) in &names.right {
        paths.1.extend(right.path(*directory, name)?);
    }
    paths.0.sort();
    paths.1.sort();
    for index in 0..paths.0.len().max(paths.1.len()) {
        let (from, to) = (paths.0.get(index).cloned(), paths.1.get(index).cloned());
        let kind = match (&from, &to) {
            (Some(_), Some(_)) => DifferenceKind::Renamed,
            (Some(_), None) => DifferenceKind::Removed,
            _ => DifferenceKind::Added,
        };
        differences.push(Difference {
            kind,
            node: identity.0,
            node_kind: names.kind.unwrap_or(NodeKind::Directory),
            from,
            to,
        });
    }
    Ok(())
}

/// Differences of nodes that both sides have.
fn of_nodes(
    left: &mut Side<'_>,
    right: &mut Side<'_>,
    nodes: &BTreeSet<NodeId>,
    names: &BTreeMap<Identity, Names>,
    differences: &mut Vec<Difference>,
) -> Result<(), Failure> {
    let mut unplaced: BTreeMap<NodeId, Vec<Difference>> = BTreeMap::new();
    for node in nodes {
        let (before, now) = (left.spot(*node), right.spot(*node));
        let (before, now) = match (
            left.reader.node_record(before)?,
            right.reader.node_record(now)?,
        ) {
            (Some(before), Some(now)) => (before.record, now.record),
            _ => continue,
        };
        let kinds = different(left, right, *node, &before, &now)?;
        if kinds.is_empty() {
            continue;
        }
        let (from, to) = places(left, right, *node, &now, names)?;
        let found: Vec<_> = kinds
            .into_iter()
            .map(|kind| Difference {
                kind,
                node: *node,
                node_kind: now.kind,
                from: from.clone(),
                to: to.clone(),
            })
            .collect();
        match (from, to) {
            (Some(_), Some(_)) => differences.extend(found),
            // Directories say where they are: this one is in one tree at most.
            _ if now.is_directory() => {}
            _ if names.contains_key(&(*node, None)) => {}
            _ => {
                unplaced.insert(*node, found);
            }
        }
    }
    find_places(right, unplaced, differences)
}

/// Where a node is on both sides, as far as that is known.
fn places(
    left: &mut Side<'_>,
    right: &mut Side<'_>,
    node: NodeId,
    record: &NodeRecord,
    names: &BTreeMap<Identity, Names>,
) -> Result<(Option<NsPath>, Option<NsPath>), Failure> {
    if record.is_directory() {
        return Ok((left.path_of(node)?, right.path_of(node)?));
    }
    let Some(names) = names.get(&(node, None)) else {
        return Ok((None, None));
    };
    let first = |side: &mut Side<'_>, at: Option<&At>| match names.both.as_ref().or(at) {
        None => Ok(None),
        Some((directory, name)) => side.path(*directory, name),
    };
    let (from, to) = (names.left.first(), names.right.first());
    Ok((first(left, from)?, first(right, to)?))
}

/// Files that were changed by node, not by name: only reading the tree says what they are called.
fn find_places(
    right: &mut Side<'_>,
    mut unplaced: BTreeMap<NodeId, Vec<Difference>>,
    differences: &mut Vec<Difference>,
) -> Result<(), Failure> {
    if unplaced.is_empty() {
        return Ok(());
    }
    let mut found = Vec::new();
    right.walk(right.root.node, |directory, name, child| {
        if let Some(changed) = unplaced.remove(&child.node()) {
            found.push((directory, name.clone(), changed));
        }
        Ok(())
    })?;
    for (directory, name, changed) in found {
        let path = right.path(directory, &name)?;
        differences.extend(changed.into_iter().map(|difference| Difference {
            from: path.clone(),
            to: path.clone(),
            ..difference
        }));
    }
    Ok(())
}

/// In what a node differs.
fn different(
    left: &Side<'_>,
    right: &Side<'_>,
    node: NodeId,
    before: &NodeRecord,
    now: &NodeRecord,
) -> Result<Vec<DifferenceKind>, Failure> {
    let mut kinds = Vec::new();
    if !same_body(before, now) {
        kinds.push(DifferenceKind::Modified);
    }
    // Another body has another time of change as a matter of course.
    let mtime = kinds.is_empty() && !now.is_directory() && before.mtime != now.mtime;
    let owner = |record: &NodeRecord| (record.mode, record.uid, record.gid);
    if owner(before) != owner(now) || mtime {
        kinds.push(DifferenceKind::Attributes);
    }
    if before.xattrs > 0 || now.xattrs > 0 {
        let all = |side: &Side<'_>| -> Result<Vec<_>, Failure> {
            let spot = side.spot(node);
            let names = side.reader.xattr_names(spot)?;
            names
                .into_iter()
                .map(|name| {
                    let value = side.reader.xattr(spot, &name)?;
                    Ok((name, value))
                })
                .collect()
        };
        if all(left)? != all(right)? {
            kinds.push(DifferenceKind::Xattr);
        }
    }
    Ok(kinds)
}

/// Whether two records of one node have the same body.
pub(super) fn same_body(before: &NodeRecord, now: &NodeRecord) -> bool {
    let (one, other) = (&before.body, &now.body);
    if one.size != other.size {
        return false;
    }
    match (&one.layout, &other.layout) {
        (StoredLayout::Chunked(_), StoredLayout::Chunked(_)) => match (one.digest, other.digest) {
            (Some(one), Some(other)) => one == other,
            _ => (before.generation, before.birth) == (now.generation, now.birth),
        },
        (one, other) => one == other,
    }
}
