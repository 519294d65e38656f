//! Reads of the namespace.

use super::call::Caller;
use super::store::Inner;
use crate::wire;
use nokv_namespace::{LeaseKeeping, READ_LEASE_MS_DEFAULT, View};
use nokv_proto::v1::{self, response::Result as Answer};
use nokv_proto::{invalid, name_from_wire};
use nokv_types::{Body, Failure, Layout, Reason, SnapshotName};
use prost::Message;

/// Entries of a page when the caller leaves it to the server.
pub(super) const PAGE_ENTRIES_DEFAULT: u32 = 1024;
/// Most entries of a page: with names of 255 bytes it stays below half a frame.
pub(super) const PAGE_ENTRIES_MAX: u32 = 16_384;
/// Most files of a read plan.
pub(super) const PLAN_ITEMS_MAX: usize = 1024;
/// Bytes at which a read plan's answer is full: half a frame, so that one more body of some hundred
/// thousand extents fits.
const PLAN_BYTES_FULL: usize = nokv_proto::FRAME_BYTES_MAX / 2;

/// Entries that a page gets for the limit that was asked for.
pub(super) fn page_limit(limit: u32) -> usize {
    let limit = if limit == 0 {
        PAGE_ENTRIES_DEFAULT
    } else {
        limit
    };
    limit.min(PAGE_ENTRIES_MAX) as usize
}

pub(super) fn lookup(inner: &Inner, ask: v1::LookupRequest) -> Result<Answer, Failure> {
    let target = wire::target("target", ask.target)?;
    let follow = wire::follow(ask.follow)?;
    let node = inner
        .namespace
        .lookup(&view(inner, ask.view)?, &target, follow)?;
    Ok(Answer::Lookup(v1::LookupResponse {
        node: Some(wire::node_to_wire(&node)),
    }))
}

pub(super) fn read_dir(inner: &Inner, ask: v1::ReadDirRequest) -> Result<Answer, Failure> {
    let target = wire::target("target", ask.target)?;
    let after = match ask.after.is_empty() {
        true => None,
        false => Some(name_from_wire(ask.after)?),
    };
    let view = view(inner, ask.view)?;
    let limit = page_limit(ask.limit);
    let page = inner
        .namespace
        .read_dir_plus(&view, &target, after.as_ref(), limit)?;
    Ok(Answer::ReadDir(wire::page_to_wire(&page)))
}

pub(super) fn read_names(inner: &Inner, ask: v1::ReadNamesRequest) -> Result<Answer, Failure> {
    let target = wire::target("target", ask.target)?;
    let after = match ask.after.is_empty() {
        true => None,
        false => Some(name_from_wire(ask.after)?),
    };
    let view = view(inner, ask.view)?;
    let limit = page_limit(ask.limit);
    let page = inner
        .namespace
        .read_dir(&view, &target, after.as_ref(), limit)?;
    Ok(Answer::ReadNames(wire::names_page_to_wire(&page)))
}

pub(super) fn read_version(inner: &Inner) -> Answer {
    let version = inner.namespace.read_version().as_u64();
    Answer::ReadVersion(v1::ReadVersionResponse { version })
}

pub(super) fn read_link(inner: &Inner, ask: v1::ReadLinkRequest) -> Result<Answer, Failure> {
    let link = wire::target("target", ask.target)?;
    let target = inner.namespace.read_link(&view(inner, ask.view)?, &link)?;
    Ok(Answer::ReadLink(v1::ReadLinkResponse { target }))
}

pub(super) fn usage(inner: &Inner, ask: v1::UsageRequest) -> Result<Answer, Failure> {
    let target = wire::target("target", ask.target)?;
    let usage = inner.namespace.usage(&view(inner, ask.view)?, &target)?;
    Ok(Answer::Usage(v1::UsageResponse {
        version: usage.version.as_u64(),
        bytes: usage.bytes,
        files: usage.files,
        directories: usage.directories,
    }))
}

pub(super) fn read_plan(
    inner: &Inner,
    ask: v1::ReadPlanRequest,
    caller: &Caller,
) -> Result<Answer, Failure> {
    let count = ask.targets.len();
    if count == 0 {
        return Err(invalid("targets", "is empty; ask for at least one file"));
    }
    if count > PLAN_ITEMS_MAX {
        return Err(Failure::new(
            Reason::TooLarge,
            format!("read plan of {count} files is over {PLAN_ITEMS_MAX}; ask in parts"),
        ));
    }
    if !ask.ranges.is_empty() && ask.ranges.len() != count {
        let flaw = format!(
            "are {} for {count} targets; give none or all",
            ask.ranges.len()
        );
        return Err(invalid("ranges", flaw));
    }
    let view = view(inner, ask.view)?;
    let mut ranges = ask.ranges.iter();
    // Before anything is read, so that it covers what is.
    let leased_until_ms = lease(inner, &view, ask.lease_ms, caller)?;
    let mut results = Vec::with_capacity(count);
    let mut bytes = 0;
    for target in ask.targets {
        let result = plan_one(inner, &view, target, ranges.next());
        bytes += result.encoded_len();
        if bytes > PLAN_BYTES_FULL && !results.is_empty() {
            break;
        }
        results.push(result);
    }
    Ok(Answer::ReadPlan(v1::ReadPlanResponse {
        results,
        leased_until_ms,
    }))
}

/// Keeps what a plan of a view names for whoever gets it.
fn lease(inner: &Inner, view: &View, lease_ms: u32, caller: &Caller) -> Result<u64, Failure> {
    let lease_ms = match lease_ms {
        0 => READ_LEASE_MS_DEFAULT,
        lease_ms => lease_ms.into(),
    };
    let keeping = match caller {
        Caller::Embedded => LeaseKeeping::InProcess,
        Caller::Local { .. } | Caller::Network(_) => LeaseKeeping::AcrossRestarts,
    };
    match inner.namespace.lease_read(view.at, lease_ms, keeping) {
        // Each file says so.
        Err(failure) if failure.reason() == Reason::Compacted => Ok(0),
        leased => leased,
    }
}

fn plan_one(
    inner: &Inner,
    view: &View,
    target: v1::Target,
    range: Option<&v1::PlanRange>,
) -> v1::ReadPlanResult {
    let found =
        wire::target("target", Some(target)).and_then(|target| inner.namespace.body(view, &target));
    match found {
        Ok((node, body)) => v1::ReadPlanResult {
            failure: None,
            node: Some(wire::node_to_wire(&node)),
            body: Some(match range {
                Some(range) => (&shown(body, range)).into(),
                None => (&body).into(),
            }),
        },
        Err(failure) => v1::ReadPlanResult {
            failure: Some(failure.into()),
            node: None,
            body: None,
        },
    }
}

/// The body with only those extents that show bytes of a range.
fn shown(body: Body, range: &v1::PlanRange) -> Body {
    let Layout::Extents(extents) = body.layout() else {
        return body;
    };
    let end = match range.length {
        0 => u64::MAX,
        length => range.offset.saturating_add(length),
    };
    let first = extents.partition_point(|extent| extent.end() <= range.offset);
    let rest = extents.iter().skip(first);
    let kept = rest.take_while(|extent| extent.body_offset < end).copied();
    Body::new(body.size(), body.digest(), Layout::Extents(kept.collect()))
        .expect("some extents of a body are in order and fit it")
}

/// The view of a request, with the default mount in the place of 0, and the version of a snapshot
/// in the place of its name: looked up in every call, so that none reads it after its lease.
pub(super) fn view(inner: &Inner, message: Option<v1::View>) -> Result<View, Failure> {
    let name = message.as_ref().map_or("", |view| view.snapshot.as_str());
    let name = match name {
        "" => None,
        name => Some(SnapshotName::parse(name)?),
    };
    let mut view = wire::view(message);
    view.mount = inner.mount_or_default(view.mount);
    if let Some(name) = name {
        let snapshot = inner.namespace.snapshot(view.mount, &name)?;
        if view.at.is_some_and(|at| at != snapshot.at) {
            return Err(invalid("view.at", "is not the version of the snapshot"));
        }
        // The branch stays as asked for: paths are of the mount, also of what is in a branch.
        view.at = Some(snapshot.at);
    }
    Ok(view)
}
