//! The store as a whole.

use super::changes;
use super::store::{Inner, on_blocking_thread};
use crate::figures::Value;
use bytes::Bytes;
use nokv_namespace::{Mount, Problem};
use nokv_proto::v1::{self, response::Result as Answer};
use nokv_types::Failure;
use std::sync::atomic::Ordering;

pub(super) fn status(inner: &Inner, ask: v1::StatusRequest) -> Answer {
    let uptime = inner.env.clock.monotonic().saturating_sub(inner.started);
    Answer::Status(v1::StatusResponse {
        store_id: Bytes::copy_from_slice(&inner.store_id),
        server_version: env!("CARGO_PKG_VERSION").to_owned(),
        format_version: inner.identity.format_version,
        objects_url: inner.objects_url.clone(),
        objects_endpoint: inner.identity.objects.endpoint.clone().unwrap_or_default(),
        objects_region: inner.identity.objects.region.clone().unwrap_or_default(),
        uptime_ms: u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX),
        last_version: inner.namespace.read_version().as_u64(),
        process_id: std::process::id(),
        request_count: inner.request_count.load(Ordering::Relaxed),
        figures: if ask.figures {
            figures(inner)
        } else {
            Vec::new()
        },
    })
}

/// The figures by their full names, rounded: for a person.
fn figures(inner: &Inner) -> Vec<v1::Figure> {
    let mut figures = Vec::new();
    let mut push = |name: String, value: f64| {
        let value = value.max(0.0).round() as u64;
        figures.push(v1::Figure { name, value });
    };
    for figure in inner.figures() {
        let name = figure.full_name();
        match &figure.value {
            Value::Counter(count) => push(name, *count as f64),
            Value::Gauge(value) => push(name, *value),
            Value::Latencies(latencies) => {
                push(format!("{name} count"), latencies.count() as f64);
                for (label, quantile) in [("p50", 0.5), ("p99", 0.99)] {
                    let seconds = latencies.quantile(quantile).unwrap_or_default();
                    push(format!("{name} {label}_micros"), seconds * 1e6);
                }
            }
        }
    }
    figures.extend(super::backup::figures(inner));
    figures
}

pub(super) fn list_mounts(inner: &Inner) -> Answer {
    let mounts = inner.namespace.mounts().iter().map(mount).collect();
    Answer::ListMounts(v1::ListMountsResponse { mounts })
}

pub(super) fn create_mount(inner: &Inner, ask: v1::CreateMountRequest) -> Result<Answer, Failure> {
    let context = changes::context(inner, ask.context)?;
    let made = inner.namespace.register_mount(&context, &ask.name)?;
    Ok(Answer::CreateMount(v1::CreateMountResponse {
        mount: Some(mount(&made)),
    }))
}

pub(super) async fn collect(inner: &Inner, ask: v1::CollectRequest) -> Result<Answer, Failure> {
    if ask.abandon_uploads {
        let namespace = inner.namespace.clone();
        on_blocking_thread(move || namespace.abandon_sessions()).await?;
        inner.sessions_seen.lock().clear();
    }
    if ask.end_reads {
        let namespace = inner.namespace.clone();
        on_blocking_thread(move || namespace.end_read_leases()).await?;
    }
    let collected = inner.collect(ask.retention_ms).await?;
    Ok(Answer::Collect(v1::CollectResponse {
        session_count: collected.session_count,
        body_count: collected.body_count,
        object_count: collected.object_count,
        failed_count: collected.failed_count,
    }))
}

pub(super) fn retire_mount(inner: &Inner, ask: v1::RetireMountRequest) -> Result<Answer, Failure> {
    let context = changes::context(inner, ask.context)?;
    let retired = inner.namespace.retire_mount(&context, &ask.name)?;
    inner.hub.close(retired.id);
    Ok(Answer::RetireMount(v1::RetireMountResponse {
        mount: Some(mount(&retired)),
    }))
}

pub(super) fn check(inner: &Inner) -> Result<Answer, Failure> {
    let report = inner.namespace.check()?;
    let problem = |problem: &Problem| v1::Problem {
        kind: format!("{:?}", problem.kind),
        message: problem.message.clone(),
    };
    Ok(Answer::Check(v1::CheckResponse {
        version: report.version.as_u64(),
        nodes: report.nodes,
        entries: report.entries,
        dead_bodies: report.dead_bodies,
        blocks: report.blocks,
        problems: report.problems.iter().map(problem).collect(),
    }))
}

fn mount(mount: &Mount) -> v1::Mount {
    v1::Mount {
        mount: mount.id.get(),
        name: mount.name.clone(),
        root: mount.root.as_u64(),
    }
}
