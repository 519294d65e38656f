//! Editing a body: a new generation that shares with the one before what the edits leave.
//!
//! Invariant: the edits are applied to the body that the file has when the command is applied. The
//! plan works on the body that it read and the command checks that the file is still the same, so a
//! plan that was overtaken is made again.

use super::attributes::{expect_generation, locate};
use super::read::shown;
use crate::failure::invalid;
use crate::fingerprint::Fingerprint;
use crate::plan::Plan;
use crate::reader::describe;
use crate::records::NodeRecord;
use crate::records::event::EventKind;
use crate::spot::Spot;
use crate::{Context, EDITS_MAX, Edit, EditAt, EditBody, Edited, Follow, Namespace, Target};
use nokv_shard::Counter;
use nokv_types::{
    Draft, DraftError, Extent, Failure, NodeId, NodeKind, Reason, Run, Slice, Version,
};
use std::ops::Range;

impl Namespace {
    /// Edits the body of a file. Follows symbolic links as told.
    ///
    /// **Errors**: as [`Self::lookup`]; `IsDirectory`; `InvalidArgument` (no edits, ranges, no
    /// session for new blocks); `StaleGeneration`; `SessionExpired`; `MissingBlock`; `Unsupported`
    /// where bytes are needed that are not uploaded; `TooLarge`; `QuotaExceeded`.
    pub fn edit_body<'a>(
        &self,
        context: &Context,
        target: impl Into<Target<'a>>,
        follow: Follow,
        edit: EditBody,
    ) -> Result<Edited, Failure> {
        let target = target.into();
        check_count(&edit)?;
        let fingerprint = match context.request {
            None => 0,
            Some(_) => fingerprint(target, follow, &edit),
        };
        let now_millis = self.now_millis();
        self.mutate(context, fingerprint, |plan| {
            for session in &edit.sessions {
                plan.in_session(*session, now_millis)?;
            }
            let (spot, at) = locate(plan, target, follow)?;
            let mut record = checked_file(plan, spot)?;
            expect_generation(&record, edit.expect, target)?;
            plan.compare(record.generation, || shown(target))?;
            let based_on = record.generation;
            let draft = draft(plan, spot, &record, &edit.edits)?;
            let digest = edit
                .digest
                .filter(|(generation, _)| *generation == based_on);
            let body = draft.finish(digest.map(|(_, digest)| digest));
            plan.bury(spot, &record);
            plan.adopt(spot, &mut record, body)?;
            record.mtime = edit.mtime.unwrap_or(context.now);
            record.ctime = context.now;
            plan.announce(EventKind::Published, spot, &record, None, at);
            let node = describe(spot, Version::ZERO, &record, &Counter::default());
            plan.put_node(spot, record)?;
            Ok(Edited {
                version: Version::ZERO,
                node,
                based_on,
            })
        })
    }
}

/// The record of a file; the command rests on it.
fn checked_file(plan: &mut Plan<'_>, spot: Spot) -> Result<NodeRecord, Failure> {
    let record = plan.checked_node(spot)?;
    match record.kind {
        NodeKind::File => Ok(record),
        NodeKind::Directory => Err(Failure::new(
            Reason::IsDirectory,
            format!("node {} is a directory; it has no body", spot.node),
        )),
        _ => Err(invalid(format!("node {} is not a regular file", spot.node))),
    }
}

/// The body after the edits.
fn draft(
    plan: &mut Plan<'_>,
    spot: Spot,
    record: &NodeRecord,
    edits: &[Edit],
) -> Result<Draft, Failure> {
    let before = plan.held_body(spot, record)?;
    let mut draft = Draft::of(&before);
    let mut rest = edits;
    while let Some((edit, others)) = rest.split_first() {
        let runs = leading_runs(rest);
        if runs.len() > 1 {
            draft.write(&runs)?;
            rest = rest.get(runs.len()..).unwrap_or(&[]);
            continue;
        }
        apply(plan, &mut draft, spot, edit)?;
        rest = others;
    }
    Ok(draft)
}

/// The writes at the front that follow each other: one pass over the extents does them all.
fn leading_runs(edits: &[Edit]) -> Vec<Run> {
    let mut end = 0;
    let mut runs = Vec::new();
    for edit in edits {
        match edit {
            Edit::Write {
                at: EditAt::Offset(at),
                length,
                extents,
            } if *at >= end => {
                let Ok(run) = run_at(*at, *length, extents) else {
                    break;
                };
                end = run.range.end;
                runs.push(run);
            }
            _ => break,
        }
    }
    runs
}

/// A write as a run. Fails where it would end behind all offsets.
fn run_at(at: u64, length: u64, extents: &[Extent]) -> Result<Run, DraftError> {
    let end = at.checked_add(length).ok_or(DraftError::TooLarge)?;
    let moved = |extent: &Extent| {
        let body_offset = at.checked_add(extent.body_offset)?;
        Some(Extent {
            body_offset,
            ..*extent
        })
    };
    let extents: Option<Vec<_>> = extents.iter().map(moved).collect();
    Ok(Run {
        range: at..end,
        extents: extents.ok_or(DraftError::TooLarge)?,
    })
}

fn apply(plan: &mut Plan<'_>, draft: &mut Draft, spot: Spot, edit: &Edit) -> Result<(), Failure> {
    let size = draft.size();
    let offset = |at: &EditAt| match at {
        EditAt::Offset(offset) => *offset,
        EditAt::End => size,
    };
    match edit {
        Edit::Write {
            at,
            length,
            extents,
        } => draft.write(&[run_at(offset(at), *length, extents)?])?,
        Edit::WriteInline { at, bytes } => draft.write_inline(offset(at), bytes)?,
        Edit::Punch(range) => draft.punch(range.clone()),
        Edit::Resize(size) => draft.resize(*size)?,
        Edit::Collapse(range) => draft.collapse(range.clone())?,
        Edit::Insert(range) => draft.insert(range.clone())?,
        Edit::Copy { from, range, to } => {
            let slice = copied(plan, draft, spot, *from, range)?;
            paste(draft, slice, range.end - range.start, *to)?;
        }
    }
    Ok(())
}

/// What is in a range of a file, as of before the command; of the edited file: as of now. The node
/// is the one of the branch that the edited file is in, whatever branch the caller speaks of: the
/// two share ids, not bodies.
fn copied(
    plan: &mut Plan<'_>,
    draft: &Draft,
    spot: Spot,
    from: NodeId,
    range: &Range<u64>,
) -> Result<Slice, Failure> {
    let source = spot.with_node(from);
    if source == spot {
        return Ok(draft.slice(range.clone())?);
    }
    let record = checked_file(plan, source)?;
    let body = plan.held_body(source, &record)?;
    Ok(Draft::of(&body).slice(range.clone())?)
}

fn paste(draft: &mut Draft, slice: Slice, length: u64, to: u64) -> Result<(), DraftError> {
    match slice {
        _ if length == 0 => Ok(()),
        Slice::Inline(bytes) => draft.write_inline(to, &bytes),
        Slice::Extents(extents) => draft.write(&[run_at(to, length, &extents)?]),
    }
}

fn check_count(edit: &EditBody) -> Result<(), Failure> {
    match edit.edits.len() {
        0 => Err(invalid("no edits; name at least one")),
        1..=EDITS_MAX => Ok(()),
        count => Err(Failure::new(
            Reason::TooLarge,
            format!("{count} edits are more than the {EDITS_MAX} of one command; split them"),
        )),
    }
}

fn fingerprint(target: Target<'_>, follow: Follow, edit: &EditBody) -> u64 {
    let mut fingerprint = Fingerprint::new("edit_body");
    fingerprint.target(target).debug(&(
        follow,
        &edit.sessions,
        edit.expect,
        &edit.digest,
        edit.mtime,
    ));
    for edit in &edit.edits {
        match edit {
            Edit::Write {
                at,
                length,
                extents,
            } => fingerprint.debug(&(at, length)).extents(extents),
            Edit::WriteInline { at, bytes } => fingerprint.debug(at).bytes(bytes),
            other => fingerprint.debug(other),
        };
    }
    fingerprint.finish()
}
