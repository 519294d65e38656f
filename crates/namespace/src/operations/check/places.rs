//! What the entries that lead to a node say of it, and whether its parents end.

use super::nodes::{Entries, miscounted};
use super::{Findings, Seen, Slice};
use crate::spot::Spot;
use crate::{EntryAt, Namespace, ProblemKind, RepairAction};
use nokv_types::{Failure, NodeId, NodeKind};
use rustc_hash::FxHashSet;
use std::collections::BTreeSet;

impl Slice {
    /// Says what does not fit, when everything was looked at.
    pub(super) fn judge(
        &mut self,
        namespace: &Namespace,
        roots: &FxHashSet<NodeId>,
        findings: &mut Findings,
    ) -> Result<(), Failure> {
        self.dangling(findings);
        for (directory, counted) in std::mem::take(&mut self.directories) {
            if counted != Entries::default() && !self.orphans.contains(&directory) {
                miscounted(directory, &Entries::default(), &counted, findings);
            }
        }
        for (node, seen) in &self.nodes {
            if seen.xattrs != seen.xattrs_found {
                let message = format!(
                    "node {node} counts {} extended attributes, has {}",
                    seen.xattrs, seen.xattrs_found
                );
                let action = RepairAction::Xattrs {
                    node: *node,
                    branch: nokv_types::BranchId::TRUNK,
                    count: seen.xattrs_found,
                };
                findings.problem(ProblemKind::WrongXattrs, message, Some(action));
            }
            let is_nameless = seen.entries == 0
                && seen.links == 0
                && !seen.is_directory()
                && self.nameless.contains(node);
            if !roots.contains(node) && !is_nameless {
                place(*node, seen, findings);
            }
        }
        self.circles(namespace, findings)
    }

    /// Entries that lead to nothing, and directories that have entries and no record: often the
    /// two sides of one loss.
    fn dangling(&mut self, findings: &mut Findings) {
        let mut lost = std::mem::take(&mut self.lost);
        for (entry, node, kind) in std::mem::take(&mut self.dangling) {
            let message = format!("{entry} leads to node {node}, which does not exist");
            let action = match kind == NodeKind::Directory && lost.remove(&node) {
                true => RepairAction::Recreate {
                    directory: node,
                    entry: Some(entry),
                },
                false => RepairAction::Unname(entry),
            };
            findings.problem(ProblemKind::DanglingEntry, message, Some(action));
        }
        for directory in lost {
            let message = format!("directory {directory} has entries and does not exist");
            // A node of another kind is in the way.
            let free = !self.nodes.contains_key(&directory);
            let action = free.then_some(RepairAction::Recreate {
                directory,
                entry: None,
            });
            findings.problem(ProblemKind::DanglingEntry, message, action);
        }
    }

    /// Directories whose parents do not end.
    fn circles(&self, namespace: &Namespace, findings: &mut Findings) -> Result<(), Failure> {
        let at = findings.at;
        let reader = crate::reader::Reader {
            at,
            moves: None,
            ..namespace.newest_reader()
        };
        let parent = |node: NodeId| -> Result<Option<EntryAt>, Failure> {
            if let Some(seen) = self.nodes.get(&node) {
                return Ok(seen.place.clone());
            }
            let found = reader.node_record(Spot::trunk(node, at))?;
            Ok(found
                .and_then(|found| found.record.place)
                .map(|place| EntryAt {
                    directory: place.parent,
                    name: place.name,
                }))
        };
        let (mut ends, mut flaws) = (FxHashSet::default(), Vec::new());
        for (start, _) in self.nodes.iter().filter(|(_, seen)| seen.is_directory()) {
            let (mut trail, mut current) = (Vec::new(), *start);
            let mut on_trail = FxHashSet::default();
            while !ends.contains(&current) && on_trail.insert(current) {
                trail.push(current);
                match parent(current)? {
                    Some(place) => current = place.directory,
                    None => break,
                }
            }
            let circle = trail.iter().position(|node| *node == current);
            // The last one walked to is on the trail: a circle, unless it is where it ended.
            if let Some(begin) = circle
                && !ends.contains(&current)
                && parent(current)?.is_some()
            {
                let members: BTreeSet<_> = trail.iter().skip(begin).collect();
                flaws.extend(members.first().map(|first| **first));
            }
            ends.extend(trail);
        }
        for node in flaws {
            let message = format!("directory {node} is inside of itself");
            let action = RepairAction::Attach {
                node,
                instead_of: parent(node)?,
            };
            // Told once, by the step that has it.
            if self.nodes.contains_key(&node) {
                findings.problem(ProblemKind::WrongPlace, message, Some(action));
            }
        }
        Ok(())
    }
}

/// Whether a node that is no root is where its record says, as often as it says.
fn place(node: NodeId, seen: &Seen, findings: &mut Findings) {
    if seen.entries == 0 {
        let message = format!("no entry leads to node {node}");
        let action = RepairAction::Attach {
            node,
            instead_of: None,
        };
        return findings.problem(ProblemKind::Unreachable, message, Some(action));
    }
    if seen.is_directory() {
        return directory(node, seen, findings);
    }
    let names = || RepairAction::Links {
        node,
        names: match seen.names.is_empty() {
            true => seen.home.map(|home| (home, 1)).into_iter().collect(),
            false => seen.names.iter().map(|(at, count)| (*at, *count)).collect(),
        },
    };
    if seen.links != seen.entries {
        let message = format!(
            "node {node} counts {} names, has {}",
            seen.links, seen.entries
        );
        findings.problem(ProblemKind::WrongLinks, message, Some(names()));
    } else if seen.links == 1 && !seen.confirmed {
        let message = format!("node {node} is not in the directory that its record says");
        findings.problem(ProblemKind::WrongPlace, message, Some(names()));
    } else if seen.names_wrong || seen.links > 1 && seen.names_right != seen.names.len() {
        let message = format!("node {node} does not know its names");
        findings.problem(ProblemKind::WrongLinks, message, Some(names()));
    }
}

/// A directory has one name, the one that its record says.
fn directory(node: NodeId, seen: &Seen, findings: &mut Findings) {
    let mut others = seen.others.iter().cloned();
    if !seen.confirmed
        && let Some(entry) = others.next()
    {
        let message = format!("directory {node} is not where its record says");
        let action = RepairAction::Place {
            directory: node,
            entry,
        };
        findings.problem(ProblemKind::WrongPlace, message, Some(action));
    }
    for entry in others {
        let message = format!("directory {node} has a second name, {entry}");
        let action = RepairAction::SecondName(entry);
        findings.problem(ProblemKind::WrongPlace, message, Some(action));
    }
}
