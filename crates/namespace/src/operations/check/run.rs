//! The steps of a check.

use super::{Findings, Slice};
use crate::failure::invalid;
use crate::records::{MountRecord, MountState, shard};
use crate::{CheckCursor, CheckReport, CheckStep, Namespace, ProblemKind, RepairAction};
use nokv_engine::KeyRange;
use nokv_types::{Failure, MountId, NodeId, Version};

/// Nodes (or objects) of a step unless told: about 150 MB of memory.
pub const CHECK_NODES_DEFAULT: usize = 1 << 20;

impl Namespace {
    /// Checks that all records fit together; changes nothing, blocks nobody.
    ///
    /// **Errors**: `Corrupt` when a record can't be decoded.
    pub fn check(&self) -> Result<CheckReport, Failure> {
        let mut whole = CheckReport::default();
        let mut cursor = Some(CheckCursor::Start);
        while let Some(at) = cursor {
            let step = self.check_step(at, CHECK_NODES_DEFAULT)?;
            whole.add(step.report);
            cursor = step.next;
        }
        whole.problems.sort();
        Ok(whole)
    }

    /// One step of a check, with about `limit` nodes, branches or objects.
    ///
    /// **Errors**: as [`Self::check`]; `InvalidArgument` for a limit of 0.
    pub fn check_step(&self, cursor: CheckCursor, limit: usize) -> Result<CheckStep, Failure> {
        if limit == 0 {
            return Err(invalid("a step that looks at nothing leads nowhere"));
        }
        let hold = self.hold(self.read_version())?;
        let mut findings = Findings::new(hold.version());
        let next = match cursor {
            CheckCursor::Start => {
                let mounts = self.mounts_at(findings.at)?;
                self.check_topology(&mounts, &mut findings)?;
                self.check_nodes(None, limit, &mut findings)?
            }
            CheckCursor::Nodes(after) => self.check_nodes(Some(after), limit, &mut findings)?,
            CheckCursor::Branches(after) => self.check_branches(after, limit, &mut findings)?,
            CheckCursor::Bodies => self.check_bodies(None, limit, &mut findings)?,
            CheckCursor::Objects(after) => self.check_bodies(Some(after), limit, &mut findings)?,
            CheckCursor::Quotas => {
                self.check_quotas(&mut findings)?;
                None
            }
        };
        findings.report.problems.sort();
        Ok(CheckStep {
            report: findings.report,
            next,
        })
    }

    fn check_nodes(
        &self,
        after: Option<NodeId>,
        limit: usize,
        findings: &mut Findings,
    ) -> Result<Option<CheckCursor>, Failure> {
        let mounts = self.mounts_at(findings.at)?;
        let roots = mounts.iter().map(|(_, root)| *root).collect();
        let mut slice = Slice::load(self, after, limit, findings)?;
        slice.look(self, findings)?;
        slice.judge(self, &roots, findings)?;
        match slice.last {
            Some(last) => Ok(Some(CheckCursor::Nodes(last))),
            None => Ok(Some(CheckCursor::Branches(nokv_types::BranchId::TRUNK))),
        }
    }

    /// The mounts that lived at a version, with their roots.
    pub(super) fn mounts_at(&self, at: Version) -> Result<Vec<(MountId, NodeId)>, Failure> {
        let mut mounts = Vec::new();
        let range = KeyRange::prefix(MountRecord::PREFIX);
        self.each_in((MountRecord::KEYSPACE, range), at, |key, found| {
            let record = MountRecord::decode(&found.value)?;
            if record.state == MountState::Live {
                mounts.push((MountRecord::id(key)?, record.root));
            }
            Ok(())
        })?;
        Ok(mounts)
    }

    /// Every shard knows every mount.
    fn check_topology(
        &self,
        mounts: &[(MountId, NodeId)],
        findings: &mut Findings,
    ) -> Result<(), Failure> {
        for shard in self.shards_at(findings.at)? {
            for (mount, _) in mounts {
                let key = shard::topology(shard, *mount);
                let found = self.engine().get(key.keyspace(), key.bytes(), findings.at);
                if found.map_err(crate::failure::from_engine)?.is_none() {
                    let message = format!("shard {shard} does not know mount {mount}");
                    let action = RepairAction::Topology(shard, *mount);
                    findings.problem(ProblemKind::WrongShard, message, Some(action));
                }
            }
        }
        Ok(())
    }

    /// The shards that there were at a version.
    pub(super) fn shards_at(
        &self,
        at: Version,
    ) -> Result<impl Iterator<Item = nokv_types::ShardId> + use<>, Failure> {
        let key = crate::records::system::shards();
        let found = self.engine().get(key.keyspace(), key.bytes(), at);
        let found = found.map_err(crate::failure::from_engine)?;
        let count = crate::plan::count_shards(found.as_ref(), &key)?;
        Ok((0..count).map(nokv_types::ShardId::new))
    }
}
