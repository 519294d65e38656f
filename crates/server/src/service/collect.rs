//! What becomes of bodies: explanations, the check that they are there, reading them back.

use super::store::{Inner, on_blocking_thread};
use crate::wire;
use bytes::Bytes;
use nokv_namespace::{
    About, Explanation, Follow, Holder, Keeper, Namespace, ReferenceCursor, SessionLife, View,
};
use nokv_object::{BodyCheck, Error, Finding, FindingKind};
use nokv_proto::invalid;
use nokv_proto::v1::{self, response::Result as Answer};
use nokv_types::{BlockId, Failure, SessionId};
use std::sync::Arc;

/// Objects of one step of a check: some seconds of listings.
const CHECK_OBJECTS: u64 = 10_000;
/// Bytes of one step of reading back, unless told: a tenth of a second or so.
const SCRUB_BYTES_DEFAULT: u64 = 8 << 20;
/// Orphans deleted by one request.
const ORPHANS_MAX: usize = 1_000;
/// Counters read at once.
const PAGE_RECORDS: usize = 4_096;

pub(super) fn explain(inner: &Inner, ask: v1::ExplainRequest) -> Result<Answer, Failure> {
    let (about, place) = match ask.block {
        Some(block) => {
            let block = BlockId::from(block);
            (About::Object(block), inner.blocks.place(block))
        }
        None => {
            let view = super::reads::view(inner, ask.view)?;
            let view = View { at: None, ..view };
            let target = wire::target("target", ask.target)?;
            let node = inner.namespace.lookup(&view, &target, Follow::Yes)?;
            (About::File(node.id), String::new())
        }
    };
    let explanation = inner.namespace.explain(about)?;
    Ok(Answer::Explain(explained(explanation, place)))
}

fn explained(explanation: Explanation, place: String) -> v1::ExplainResponse {
    let (session, session_ms) = match explanation.session {
        None => ("", 0),
        Some(SessionLife::Open(until)) => ("open", until),
        Some(SessionLife::Closed(due)) => ("closed", due),
        Some(SessionLife::Finished) => ("finished", 0),
        Some(SessionLife::Unknown) => ("unknown", 0),
    };
    let bodies = explanation
        .bodies
        .into_iter()
        .map(|body| v1::ExplainedBody {
            node: body.holder.node.as_u64(),
            branch: body.holder.branch.get(),
            generation: body.holder.generation.get(),
            path: body
                .path
                .map(|path| path.to_bytes().into())
                .unwrap_or_default(),
            keepers: body.keepers.into_iter().map(keeper).collect(),
            blocks: body.blocks.into_iter().map(Into::into).collect(),
        });
    v1::ExplainResponse {
        version: explanation.version.as_u64(),
        place,
        used_bytes: explanation.used.map_or(0, |used| used.bytes),
        object_bytes: explanation.used.map_or(0, |used| used.end),
        session: session.to_owned(),
        session_ms,
        doomed: explanation.is_doomed,
        bodies: bodies.collect(),
        more: explanation.more,
    }
}

fn keeper(keeper: Keeper) -> v1::Keeper {
    let (kind, name, until_ms) = match keeper {
        Keeper::Newest => ("newest", String::new(), 0),
        Keeper::Retention(until) => ("retention", String::new(), until),
        Keeper::Snapshot(name, until) => ("snapshot", name.to_string(), until.unwrap_or(0)),
        Keeper::Branch(branch) => ("branch", branch.to_string(), 0),
        Keeper::Reads(until) => ("reads", String::new(), until),
        Keeper::Nothing => ("nothing", String::new(), 0),
    };
    v1::Keeper {
        kind: kind.to_owned(),
        name,
        until_ms,
    }
}

pub(super) fn outlook(inner: &Inner, ask: &v1::OutlookRequest) -> Result<Answer, Failure> {
    let outlook = inner.namespace.outlook(ask.retention_ms)?;
    Ok(Answer::Outlook(v1::OutlookResponse {
        due_bodies: outlook.due.bodies,
        due_bytes: outlook.due.bytes,
        retained_bodies: outlook.retained.bodies,
        retained_bytes: outlook.retained.bytes,
        pinned_bodies: outlook.pinned.bodies,
        pinned_bytes: outlook.pinned.bytes,
        leased_bodies: outlook.leased.bodies,
        leased_bytes: outlook.leased.bytes,
        doomed_objects: outlook.doomed_objects,
        due_sessions: outlook.due_sessions,
    }))
}

pub(super) async fn check_bodies(
    inner: &Inner,
    ask: v1::CheckBodiesRequest,
) -> Result<Answer, Failure> {
    let after = ask.after_session.map(SessionId::new);
    // What was listed for the step before, if this goes on with it.
    let kept = inner.body_check.lock().take();
    let mut check = match kept.filter(|kept| kept.is_at(after) && after.is_some()) {
        Some(kept) => kept,
        None => BodyCheck::new(inner.namespace.clone(), Arc::clone(&inner.blocks), after),
    };
    let page = check.step(CHECK_OBJECTS).await?;
    if page.next.is_some() {
        *inner.body_check.lock() = Some(check);
    }
    Ok(Answer::CheckBodies(v1::CheckBodiesResponse {
        findings: page.findings.into_iter().map(finding).collect(),
        objects: page.objects,
        bytes: page.bytes,
        left: page.left,
        next_session: page.next.map(SessionId::get),
    }))
}

fn finding(finding: Finding) -> v1::BodyFinding {
    let (kind, got_bytes) = match finding.kind {
        FindingKind::Missing => ("missing", 0),
        FindingKind::Short { got } => ("short", got),
        FindingKind::Orphan => ("orphan", finding.bytes),
        FindingKind::Unknown => ("unknown", finding.bytes),
    };
    v1::BodyFinding {
        block: Some(finding.block.into()),
        kind: kind.to_owned(),
        bytes: finding.bytes,
        got_bytes,
        place: finding.place,
    }
}

pub(super) async fn delete_orphans(
    inner: &Inner,
    ask: v1::DeleteOrphansRequest,
) -> Result<Answer, Failure> {
    if ask.blocks.len() > ORPHANS_MAX {
        let count = ask.blocks.len();
        return Err(invalid(
            "blocks",
            format!("are {count}, over {ORPHANS_MAX}"),
        ));
    }
    let blocks: Vec<BlockId> = ask.blocks.into_iter().map(BlockId::from).collect();
    let deleted = nokv_object::delete_orphans(&inner.namespace, &*inner.blocks, &blocks).await?;
    Ok(Answer::DeleteOrphans(v1::DeleteOrphansResponse { deleted }))
}

/// Where the reading back of a store is, as it is kept in it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct ScrubPlace {
    done_bytes: u64,
    total_bytes: u64,
    from: Option<ReferenceCursor>,
}

impl ScrubPlace {
    fn read(namespace: &Namespace) -> Result<Option<Self>, Failure> {
        let Some(bytes) = namespace.scrub_place()? else {
            return Ok(None);
        };
        let word = |at: usize| {
            let bytes = bytes.get(at..at + 8)?;
            Some(u64::from_be_bytes(bytes.try_into().ok()?))
        };
        Ok(word(0).zip(word(8)).map(|(done_bytes, total_bytes)| Self {
            done_bytes,
            total_bytes,
            from: (bytes.len() > 16).then(|| ReferenceCursor::from_bytes(bytes.slice(16..))),
        }))
    }

    fn encode(&self) -> Bytes {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&self.done_bytes.to_be_bytes());
        bytes.extend_from_slice(&self.total_bytes.to_be_bytes());
        if let Some(from) = &self.from {
            bytes.extend_from_slice(from.as_bytes());
        }
        bytes.into()
    }
}

/// Bytes that bodies need in all.
fn needed_bytes(namespace: &Namespace) -> Result<u64, Failure> {
    let (mut total, mut after) = (0, None);
    loop {
        let page = namespace.objects(after, PAGE_RECORDS)?;
        total += page.iter().map(|object| object.bytes).sum::<u64>();
        after = page.last().map(|object| object.block);
        if page.len() < PAGE_RECORDS {
            return Ok(total);
        }
    }
}

pub(super) async fn scrub(inner: &Inner, ask: v1::ScrubRequest) -> Result<Answer, Failure> {
    let namespace = inner.namespace.clone();
    let mut place = on_blocking_thread(move || {
        let kept = ScrubPlace::read(&namespace)?.filter(|_| !ask.restart);
        match kept {
            Some(kept) => Ok(kept),
            None => Ok(ScrubPlace {
                total_bytes: needed_bytes(&namespace)?,
                ..ScrubPlace::default()
            }),
        }
    })
    .await?;
    let bytes_max = match ask.bytes_max {
        0 => SCRUB_BYTES_DEFAULT,
        bytes_max => bytes_max,
    };
    let from = place.from.take();
    let step = nokv_object::scrub(&inner.namespace, &*inner.blocks, from, bytes_max).await?;
    place.done_bytes += step.bytes;
    place.from = step.next;
    let is_over = place.from.is_none();
    let namespace = inner.namespace.clone();
    let kept = (!is_over).then(|| place.encode());
    let damaged = on_blocking_thread(move || {
        namespace.remember_scrub(kept)?;
        let damaged = step.damaged.into_iter();
        let damaged = damaged.map(|(error, holder)| damage(&namespace, &error, holder));
        damaged.collect::<Result<Vec<_>, Failure>>()
    });
    Ok(Answer::Scrub(v1::ScrubResponse {
        bytes: step.bytes,
        done_bytes: place.done_bytes,
        total_bytes: place.total_bytes.max(place.done_bytes),
        damaged: damaged.await?,
        units: step.units,
        is_over,
    }))
}

fn damage(
    namespace: &Namespace,
    error: &Error,
    holder: Holder,
) -> Result<v1::ScrubFinding, Failure> {
    let block = match error {
        Error::MissingBlock { block, .. } => Some(*block),
        Error::DigestMismatch(mismatch) => mismatch.block,
        _ => None,
    };
    let path = namespace.path_of_file(holder.node)?;
    Ok(v1::ScrubFinding {
        block: block.map(Into::into),
        message: error.to_string(),
        path: path.map(|path| path.to_bytes().into()).unwrap_or_default(),
        node: holder.node.as_u64(),
        generation: holder.generation.get(),
    })
}
