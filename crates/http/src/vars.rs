//! `/debug/vars`: four groups of counters under names that dashboards of earlier systems know.
//!
//! Where a name can't stand for anything here, it is 0: one process has no remote stores and no
//! observer that could drop events, a watcher is never dropped for being slow, and all mounts are
//! in memory.

use nokv_server::{Figure, Value};
use serde_json::{Value as Json, json};
use std::collections::HashMap;

/// The four groups.
pub(crate) fn page(figures: &[Figure]) -> Json {
    let by_name: HashMap<_, _> = figures
        .iter()
        .filter_map(|figure| match figure.value {
            Value::Counter(count) => Some((figure.name, count)),
            Value::Gauge(value) => Some((figure.name, value as u64)),
            Value::Latencies(_) => None,
        })
        .collect();
    let get = |name: &str| by_name.get(name).copied().unwrap_or_default();
    json!({
        "nokv_fsmeta_executor": {
            "txn_retries_total": get("plan_retries"),
            "txn_retry_exhausted_total": get("plan_exhausted"),
        },
        "nokv_fsmeta_watch": {
            "subscribers": get("watchers"),
            "regions": 1,
            "recent_events": get("watch_late"),
            "events_total": get("watch_events"),
            "delivered_total": get("watch_delivered"),
            "dropped_total": 0,
            "overflow_total": 0,
            "remote_stores": 0,
            "apply_observer_dropped_events_total": 0,
        },
        "nokv_fsmeta_quota": {
            "checks_total": get("quota_checks"),
            "rejects_total": get("quota_rejects"),
            "cache_hits_total": get("quota_hits"),
            "cache_misses_total": get("quota_misses"),
            "fence_updates_total": get("quota_fences"),
            "usage_mutations_total": get("quota_charges"),
        },
        "nokv_fsmeta_mount": {
            "cache_hits_total": get("mount_hits"),
            "cache_misses_total": 0,
            "admission_rejects_total": get("mount_rejects"),
        },
    })
}
