//! Branches, differences, merges.

use super::changes::context;
use super::reads::view;
use super::store::Inner;
use crate::wire;
use nokv_proto::v1::{self, response::Result as Answer};
use nokv_types::{Failure, MountId, Version};

/// Differences of a page when the caller leaves it to the server; and at most. A page is also cut
/// where it would not fit a frame.
const DIFFERENCES_PAGE: u32 = 65_536;

pub(super) fn create(inner: &Inner, ask: v1::CreateBranchRequest) -> Result<Answer, Failure> {
    let context = context(inner, ask.context)?;
    let source = wire::target("source", ask.source)?;
    let place = wire::place("place", ask.place)?;
    let at = version_of(inner, context.mount, ask.moment)?;
    let branch = inner
        .namespace
        .create_branch(&context, &source, &place, at)?;
    Ok(Answer::Branch(v1::BranchResponse {
        branch: Some(wire::branch_to_wire(&branch)),
    }))
}

pub(super) fn remove(inner: &Inner, ask: v1::RemoveBranchRequest) -> Result<Answer, Failure> {
    let context = context(inner, ask.context)?;
    let place = wire::place("place", ask.place)?;
    let removed = inner.namespace.remove_branch(&context, &place)?;
    Ok(Answer::Remove(v1::RemoveResponse {
        version: removed.version.as_u64(),
        node: removed.node.as_u64(),
    }))
}

pub(super) fn list(inner: &Inner, ask: v1::ListBranchesRequest) -> Result<Answer, Failure> {
    let mount = inner.mount_or_default(MountId::new(ask.mount));
    let branches = inner.namespace.branches(mount)?;
    let branches = branches.iter().map(wire::branch_to_wire).collect();
    Ok(Answer::ListBranches(v1::ListBranchesResponse { branches }))
}

pub(super) fn diff(inner: &Inner, ask: v1::DiffRequest) -> Result<Answer, Failure> {
    let (from, to) = (wire::target("from", ask.from)?, wire::target("to", ask.to)?);
    let from_view = view(inner, ask.from_view)?;
    let to_view = view(inner, ask.to_view)?;
    let limit = match ask.limit {
        0 => DIFFERENCES_PAGE,
        limit => limit.min(DIFFERENCES_PAGE),
    };
    let page = inner.namespace.diff(
        (&from_view, (&from).into()),
        (&to_view, (&to).into()),
        ask.after,
        limit as usize,
    )?;
    Ok(Answer::Diff(wire::diff_page_to_wire(&page, ask.after)))
}

pub(super) fn merge(inner: &Inner, mut ask: v1::MergeRequest) -> Result<Answer, Failure> {
    let context = context(inner, ask.context.take())?;
    let source = wire::target("source", ask.source.take())?;
    let target = wire::target("target", ask.target.take())?;
    let on_conflict = wire::on_conflict(ask.on_conflict)?;
    let run = wire::merge_run(&ask);
    let merged = inner
        .namespace
        .merge(&context, &source, &target, on_conflict, run)?;
    Ok(Answer::Merge(wire::merged_to_wire(&merged)))
}

/// The version of a moment; `None` for now. **Errors**: those of a read at it.
pub(super) fn version_of(
    inner: &Inner,
    mount: MountId,
    moment: Option<v1::Moment>,
) -> Result<Option<Version>, Failure> {
    let moment = moment.unwrap_or_default();
    let view = view(
        inner,
        Some(v1::View {
            mount: mount.get(),
            branch: 0,
            at: moment.at,
            snapshot: moment.snapshot,
        }),
    )?;
    Ok(view.at)
}
