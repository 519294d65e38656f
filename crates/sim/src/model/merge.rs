//! The three-way merge, name by name and node by node.
//!
//! What one side did not change becomes as on the other; what both changed alike is done; the rest
//! is a conflict. Where all conflicts are between contents of nodes, the choice settles them.

use super::layer::{Child, Id, Inode, Layer};
use std::collections::BTreeSet;

/// Who wins a conflict.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    /// Nobody: nothing is merged.
    Fail,
    /// The target.
    Ours,
    /// The branch.
    Theirs,
}

/// What a merge comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Merged {
    /// The tree, if only contents of nodes were in conflict, settled by the choice.
    pub tree: Option<Layer>,
    /// Whether anything was in conflict.
    pub conflicts: bool,
}

fn three<T: Clone>(
    [base, ours, theirs]: [Option<&T>; 3],
    same: impl Fn(&T, &T) -> bool,
) -> Result<Option<T>, ()> {
    let same = |one: Option<&T>, other: Option<&T>| match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => same(one, other),
        _ => false,
    };
    match () {
        () if same(theirs, base) || same(ours, theirs) => Ok(ours.cloned()),
        () if same(ours, base) => Ok(theirs.cloned()),
        () => Err(()),
    }
}

/// The merge of `theirs` into `ours`, which both come from `base`.
#[must_use]
pub fn merge(base: &Layer, ours: &Layer, theirs: &Layer, choice: Choice) -> Merged {
    let mut merged = ours.clone();
    merged.names.clear();
    merged.nodes.clear();
    let mut conflicts = false;
    let mut settled = true;
    let names = [base, ours, theirs].map(|tree| tree.names.keys().cloned());
    for at in names.into_iter().flatten().collect::<BTreeSet<_>>() {
        let sides = [base, ours, theirs].map(|tree| tree.names.get(&at));
        match three(sides, Child::eq) {
            Ok(Some(child)) => drop(merged.names.insert(at, child)),
            Ok(None) => {}
            Err(()) => (conflicts, settled) = (true, false),
        }
    }
    let nodes = [base, ours, theirs].map(|tree| tree.nodes.keys().copied());
    for id in nodes.into_iter().flatten().collect::<BTreeSet<_>>() {
        let sides = [base, ours, theirs].map(|tree| tree.nodes.get(&id));
        let inode = match (three(sides, Inode::same), sides, choice) {
            (Ok(inode), ..) => inode,
            (Err(()), [_, Some(ours), Some(theirs)], _) => {
                conflicts = true;
                match choice {
                    Choice::Fail => None,
                    Choice::Ours => Some(ours.clone()),
                    Choice::Theirs => Some(theirs.clone()),
                }
            }
            (Err(()), ..) => {
                (conflicts, settled) = (true, false);
                None
            }
        };
        if let Some(inode) = inode {
            let inode = settle(ours.nodes.get(&id), inode);
            merged.nodes.insert(id, inode);
        }
    }
    let sound = merged.is_sound();
    conflicts |= settled && !sound;
    let tree = (settled && sound && !(conflicts && choice == Choice::Fail)).then_some(merged);
    Merged { tree, conflicts }
}

/// Generations and times of change go on in the target; what they come to is looked at.
fn settle(ours: Option<&Inode>, merged: Inode) -> Inode {
    let generation = match ours {
        Some(ours) if ours.kind == merged.kind => ours.generation,
        _ => None,
    };
    let mtime = match merged.kind {
        super::Kind::Directory => None,
        _ => merged.mtime,
    };
    Inode {
        ctime: None,
        mtime,
        generation,
        ..merged
    }
}

/// What `theirs` did to names that `ours` left alone, and the other way round: whatever is chosen,
/// a merge that happens keeps the one, and takes the other or has a reason in the tree not to.
#[must_use]
pub fn touched_alone(base: &Layer, ours: &Layer) -> BTreeSet<(Id, String)> {
    let names = [base, ours].map(|tree| tree.names.keys().cloned());
    let all: BTreeSet<_> = names.into_iter().flatten().collect();
    all.into_iter()
        .filter(|at| base.names.get(at) != ours.names.get(at))
        .collect()
}
