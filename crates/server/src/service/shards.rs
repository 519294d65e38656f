//! Shards, placement, and the check in steps.

use super::changes::context;
use super::reads::view;
use super::store::Inner;
use crate::wire;
use bytes::Bytes;
use nokv_namespace::{
    CHECK_NODES_DEFAULT, CheckCursor, CheckReport, Problem, Repair, RepairAction, Repaired,
};
use nokv_proto::v1::{self, response::Result as Answer};
use nokv_types::{Failure, Reason, Version};

pub(super) fn list(inner: &Inner) -> Answer {
    let shards = inner.namespace.shards();
    Answer::Shards(v1::ShardsResponse {
        shards: shards.iter().map(wire::shard_to_wire).collect(),
    })
}

pub(super) fn add(inner: &Inner, ask: v1::AddShardsRequest) -> Result<Answer, Failure> {
    // One that is no 16-bit number is over the limit too.
    let count = u16::try_from(ask.count).unwrap_or(u16::MAX);
    inner.namespace.add_shards(count)?;
    Ok(list(inner))
}

pub(super) fn placement(inner: &Inner, ask: v1::GetPlacementRequest) -> Result<Answer, Failure> {
    let directory = wire::target("directory", ask.directory)?;
    let placed = inner
        .namespace
        .placement(&view(inner, ask.view)?, &directory)?;
    Ok(Answer::Placement(wire::placed_to_wire(&placed)))
}

pub(super) fn place(inner: &Inner, ask: v1::SetPlacementRequest) -> Result<Answer, Failure> {
    let context = context(inner, ask.context)?;
    let directory = wire::target("directory", ask.directory)?;
    let placement = wire::placement(ask.placement)?;
    let changed = inner
        .namespace
        .set_placement(&context, &directory, placement)?;
    Ok(super::changes::changed(changed))
}

pub(super) fn place_mount(
    inner: &Inner,
    ask: &v1::SetMountPlacementRequest,
) -> Result<Answer, Failure> {
    let placement = wire::placement(ask.placement)?.unwrap_or_default();
    inner.namespace.set_mount_placement(&ask.mount, placement)?;
    Ok(Answer::SetMountPlacement(v1::SetMountPlacementResponse {}))
}

pub(super) fn check_step(inner: &Inner, ask: &v1::CheckStepRequest) -> Result<Answer, Failure> {
    let cursor = match ask.cursor.is_empty() {
        true => CheckCursor::Start,
        false => ask.cursor.parse()?,
    };
    let limit = match usize::try_from(ask.limit) {
        Ok(0) | Err(_) => CHECK_NODES_DEFAULT,
        Ok(limit) => limit.min(CHECK_NODES_DEFAULT),
    };
    let step = inner.namespace.check_step(cursor, limit)?;
    let report = step.report;
    let findings = report.problems.iter().map(finding).collect();
    Ok(Answer::CheckStep(v1::CheckStepResponse {
        version: report.version.as_u64(),
        nodes: report.nodes,
        entries: report.entries,
        dead_bodies: report.dead_bodies,
        blocks: report.blocks,
        findings,
        next: step.next.map_or_else(String::new, |next| next.to_string()),
    }))
}

fn finding(problem: &Problem) -> v1::Finding {
    let repair = problem.repair.as_ref();
    v1::Finding {
        kind: format!("{:?}", problem.kind),
        message: problem.message.clone(),
        repair: repair.map_or_else(Bytes::new, Repair::encode),
        action: repair.map_or_else(String::new, ToString::to_string),
    }
}

pub(super) fn repair(inner: &Inner, ask: v1::RepairRequest) -> Result<Answer, Failure> {
    if ask.repairs.len() > CheckReport::PROBLEMS_MAX {
        return Err(Failure::new(
            Reason::TooLarge,
            format!(
                "{} repairs at once are over {}; send them in parts",
                ask.repairs.len(),
                CheckReport::PROBLEMS_MAX
            ),
        ));
    }
    let context = context(inner, ask.context)?;
    let repairs = ask.repairs.iter().map(|repair| Repair::decode(repair));
    let mut repairs = repairs.collect::<Result<Vec<_>, _>>()?;
    let asked = repairs.len();
    // What was mended elsewhere may count in a quota now.
    repairs.push(Repair {
        at: Version::ZERO,
        action: RepairAction::CountQuotas,
    });
    let done = inner.namespace.repair(&context, &repairs)?;
    let version = |done: &Repaired| match done {
        Repaired::Applied(version) => version.as_u64(),
        Repaired::Moved => 0,
    };
    let versions = done.iter().take(asked).map(version).collect();
    Ok(Answer::Repair(v1::RepairResponse { versions }))
}
