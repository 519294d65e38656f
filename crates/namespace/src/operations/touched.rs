//! What may be different between two trees that share layers, without reading what they share.
//!
//! Two chains of one directory differ in the records of layers that only one of them has, and in
//! what happened in a shared layer between the two versions: a branch's own records say the first,
//! the log says the second for the trunk. Where neither can say it, both trees are read whole.

use super::side::Side;
use super::watch::decode_events;
use crate::failure::{from_shard, malformed};
use crate::layers::Layer;
use crate::records::{ENTRY, EntryRecord, NODE, XATTR, spot_at};
use crate::{DIFFERENCES_MAX, Namespace};
use nokv_engine::Keyspace;
use nokv_shard::Key;
use nokv_types::{BranchId, Failure, MountId, Name, NodeId, Reason, Version};
use std::collections::BTreeSet;

/// Commands of the log that are read at a time.
const LOG_STEP: usize = 1024;

/// Keys that may be different.
#[derive(Default)]
pub(super) struct Touched {
    pub(super) nodes: BTreeSet<NodeId>,
    pub(super) entries: BTreeSet<(NodeId, Name)>,
}

impl Touched {
    pub(super) fn entry(&mut self, directory: NodeId, name: &Name) -> Result<(), Failure> {
        self.entries.insert((directory, name.clone()));
        if self.entries.len() > DIFFERENCES_MAX {
            return Err(Failure::new(
                Reason::TooLarge,
                format!("more than {DIFFERENCES_MAX} names to compare; compare parts"),
            ));
        }
        Ok(())
    }

    fn whole(&mut self, side: &Side<'_>) -> Result<(), Failure> {
        side.walk(side.root.node, |directory, name, child| {
            self.nodes.insert(child.node());
            self.entry(directory, name)
        })
    }
}

impl Namespace {
    /// What may be different between two trees.
    pub(super) fn touched_between(
        &self,
        mount: MountId,
        left: &Side<'_>,
        right: &Side<'_>,
    ) -> Result<Touched, Failure> {
        let mut touched = Touched::default();
        touched.nodes.insert(left.root.node);
        if left.root.node == right.root.node
            && self.touched_in_layers(mount, left, right, &mut touched)?
        {
            return Ok(touched);
        }
        touched.whole(left)?;
        touched.whole(right)?;
        Ok(touched)
    }

    /// Whether layers and log said all.
    fn touched_in_layers(
        &self,
        mount: MountId,
        left: &Side<'_>,
        right: &Side<'_>,
        touched: &mut Touched,
    ) -> Result<bool, Failure> {
        let lefts = left.reader.layers(left.root)?;
        let rights = right.reader.layers(right.root)?;
        for (layers, others) in [(&lefts, &rights), (&rights, &lefts)] {
            for layer in layers {
                let shared = others.iter().find(|other| other.branch == layer.branch);
                match shared {
                    Some(other) if other.at == layer.at => {}
                    _ if layer.branch != BranchId::TRUNK => self.own_records(*layer, touched)?,
                    Some(other) => {
                        let (since, until) = (layer.at.min(other.at), layer.at.max(other.at));
                        if !self.logged(mount, since, until, touched)? {
                            return Ok(false);
                        }
                    }
                    None => return Ok(false),
                }
            }
        }
        Ok(true)
    }

    /// The keys that a branch has records of.
    pub(super) fn own_records(&self, layer: Layer, touched: &mut Touched) -> Result<(), Failure> {
        let mut each = |keyspace: Keyspace| -> Result<(), Failure> {
            for item in self.branch_records(keyspace, layer)? {
                let (key, _) = item?;
                let flaw = |flaw| malformed(&Key::new(keyspace, &key), &flaw);
                let (node, _) = spot_at(&key, 0).map_err(flaw)?;
                match keyspace == ENTRY {
                    true => touched.entry(node, &EntryRecord::name(&key).map_err(flaw)?)?,
                    false => {
                        touched.nodes.insert(node);
                    }
                }
            }
            Ok(())
        };
        [NODE, ENTRY, XATTR].into_iter().try_for_each(&mut each)
    }

    /// What the log says of the trunk between two versions; `false` when it is no longer retained.
    fn logged(
        &self,
        mount: MountId,
        since: Version,
        until: Version,
        touched: &mut Touched,
    ) -> Result<bool, Failure> {
        let mut after = since;
        while after < until {
            let page = self.shard().log_after(after, LOG_STEP);
            let Some(page) = page.map_err(from_shard)? else {
                return Ok(false);
            };
            for record in &page.records {
                if record.version > until {
                    return Ok(true);
                }
                let events = decode_events(&record.events)?;
                let Some(events) = events.filter(|events| events.mount == mount) else {
                    continue;
                };
                let here = |branch| branch == BranchId::TRUNK;
                for event in events.events.into_iter().filter(|event| here(event.branch)) {
                    touched.nodes.insert(event.node);
                    for (directory, name) in [event.from, event.to].into_iter().flatten() {
                        touched.entry(directory, &name)?;
                    }
                }
            }
            if page.through <= after {
                break;
            }
            after = page.through;
        }
        Ok(true)
    }
}
