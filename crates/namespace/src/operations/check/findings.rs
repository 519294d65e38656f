//! What a step finds.

use crate::failure::{contradiction, from_engine, malformed};
use crate::{CheckReport, Namespace, Problem, ProblemKind, Repair, RepairAction};
use bytes::Bytes;
use nokv_engine::{Direction, KeyRange, Keyspace, Record};
use nokv_shard::Key;
use nokv_shard::codec::Malformed;
use nokv_types::{Failure, Version};

/// The findings of a step.
pub(super) struct Findings {
    pub(super) at: Version,
    pub(super) report: CheckReport,
}

impl Findings {
    pub(super) fn new(at: Version) -> Self {
        let report = CheckReport {
            version: at,
            ..CheckReport::default()
        };
        Self { at, report }
    }

    /// Notes a problem, with what would mend it.
    pub(super) fn problem(
        &mut self,
        kind: ProblemKind,
        message: String,
        action: Option<RepairAction>,
    ) {
        let repair = action.map(|action| Repair {
            at: self.at,
            action,
        });
        if self.report.problems.len() < CheckReport::PROBLEMS_MAX {
            self.report.problems.push(Problem {
                kind,
                message,
                repair,
            });
        }
    }
}

impl Namespace {
    /// Visits the records of a range.
    pub(super) fn each_in(
        &self,
        (keyspace, range): (Keyspace, KeyRange),
        at: Version,
        mut visit: impl FnMut(&Bytes, &Record) -> Result<(), Malformed>,
    ) -> Result<(), Failure> {
        let scan = self
            .engine()
            .scan(keyspace, range, at, Direction::Forward)
            .map_err(from_engine)?;
        for item in scan {
            let (key, found) = item.map_err(from_engine)?;
            visit(&key, &found).map_err(|flaw| malformed(&Key::new(keyspace, &key), &flaw))?;
        }
        Ok(())
    }

    /// Visits the records of a family.
    pub(super) fn each(
        &self,
        keyspace: Keyspace,
        at: Version,
        visit: impl FnMut(&Bytes, &Record) -> Result<(), Malformed>,
    ) -> Result<(), Failure> {
        self.each_in((keyspace, KeyRange::all()), at, visit)
    }
}

impl CheckReport {
    /// `Ok` when everything fits. **Errors**: `Corrupt` with the first problem and their number.
    pub fn verdict(&self) -> Result<(), Failure> {
        match self.problems.first() {
            None => Ok(()),
            Some(first) => Err(contradiction(format!(
                "{} problems; the first: {}",
                self.problems.len(),
                first.message
            ))),
        }
    }

    /// Adds what a later step found.
    pub(super) fn add(&mut self, later: Self) {
        self.version = later.version;
        self.nodes += later.nodes;
        self.entries += later.entries;
        self.dead_bodies = self.dead_bodies.max(later.dead_bodies);
        self.blocks += later.blocks;
        self.problems.extend(later.problems);
        self.problems.truncate(Self::PROBLEMS_MAX);
    }
}
