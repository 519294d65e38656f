//! Nodes without a name: files that are open while their last name goes, or that never had one.
//!
//! Such a node has no links and a record in its family; it counts against no quota (names count)
//! and is read and written by its id as any other. It goes when nobody has it open any more.

use super::state::Plan;
use crate::records::NodeRecord;
use crate::records::nameless::{self, NamelessRecord, Origin};
use crate::spot::Spot;
use crate::walk::missing;
use nokv_shard::{Check, Write};
use nokv_types::{ClientId, Failure, NodeKind};

impl Plan<'_> {
    /// What becomes of a node that was read checked and that loses its last name: it goes, and its
    /// body is put to death; a file that somebody may have open stays.
    pub(crate) fn lose_last_name(
        &mut self,
        spot: Spot,
        record: &mut NodeRecord,
    ) -> Result<(), Failure> {
        if record.kind == NodeKind::File && self.going.may_be_open(spot) {
            record.ctime = self.context.now;
            self.put_node(spot, record.clone())?;
            self.keep_nameless(spot, Origin::Unlinked);
            return Ok(());
        }
        self.bury(spot, record);
        self.drop_node(spot)
    }

    /// Has a node stay without a name.
    fn keep_nameless(&mut self, spot: Spot, origin: Origin) {
        let record = NamelessRecord {
            origin,
            mount: self.context.mount,
        };
        let key = nameless::key(spot.node, spot.branch);
        self.writes.push(Write::Put(key, record.encode()));
        self.nameless.kept.push((spot.branch, spot.node));
    }

    /// Makes a node without a name, open by a session.
    pub(crate) fn add_nameless(
        &mut self,
        spot: Spot,
        mut record: NodeRecord,
        client: ClientId,
    ) -> Result<(), Failure> {
        self.writable(spot)?;
        record.links = 0;
        self.insert_fresh(spot, record);
        self.keep_nameless(spot, Origin::Unnamed);
        self.opens(spot, client);
        Ok(())
    }

    /// Says that a session has the node that is made open, from the first moment on.
    pub(crate) fn opens(&mut self, spot: Spot, client: ClientId) {
        self.nameless.opened = Some((client, (spot.branch, spot.node)));
    }

    /// Demands that a node without links may get a name: one that never had any.
    pub(crate) fn may_be_named(&mut self, spot: Spot) -> Result<(), Failure> {
        let key = nameless::key(spot.node, spot.branch);
        let found = self.reader.stored(&key)?;
        let record = found
            .map(|found| NamelessRecord::decode(&found.value))
            .transpose()
            .map_err(|flaw| crate::failure::malformed(&key, &flaw))?;
        match record {
            Some(record) if record.origin == Origin::Unnamed => {
                self.forget_nameless(spot);
                Ok(())
            }
            _ => Err(missing(&format!("a name of node {}", spot.node))),
        }
    }

    /// The node has a name again, or goes.
    pub(crate) fn forget_nameless(&mut self, spot: Spot) {
        let key = nameless::key(spot.node, spot.branch);
        self.writes.push(Write::Delete(key));
        self.nameless.ended.push((spot.branch, spot.node));
    }

    /// Takes a node without a name away, unless somebody has it open or it has a name; then only
    /// what the record says is put right.
    pub(crate) fn reclaim_nameless(&mut self, spot: Spot) -> Result<(), Failure> {
        let key = nameless::key(spot.node, spot.branch);
        if self.reader.stored(&key)?.is_none() {
            self.nameless.ended.push((spot.branch, spot.node));
            return Ok(());
        }
        self.checks.push(Check::UnchangedSince(key, self.reader.at));
        let looked = self.reader.look_node(spot)?;
        let is_nameless = looked
            .found
            .as_ref()
            .is_some_and(|found| found.record.links == 0 && !found.record.is_directory());
        if is_nameless {
            if self.going.may_be_open(spot) {
                return Ok(());
            }
            let record = self.checked_node(spot)?;
            self.bury(spot, &record);
            self.drop_node(spot)?;
        }
        self.forget_nameless(spot);
        Ok(())
    }
}
