//! The JSON page: the same figures, with latencies summed up.

use nokv_server::{Figure, Latencies, Value};
use serde_json::{Map, Value as Json, json};

/// The figures as an object from full names to values.
pub(crate) fn page(figures: &[Figure]) -> Json {
    let mut page = Map::new();
    for figure in figures {
        let value = match &figure.value {
            Value::Counter(count) => json!(count),
            Value::Gauge(value) => json!(value),
            Value::Latencies(latencies) => summary(latencies),
        };
        page.insert(figure.full_name(), value);
    }
    Json::Object(page)
}

fn summary(latencies: &Latencies) -> Json {
    let count = latencies.count();
    let mean = (count > 0).then(|| latencies.sum_seconds() / count as f64);
    json!({
        "count": count,
        "mean": mean,
        "p50": latencies.quantile(0.5),
        "p90": latencies.quantile(0.9),
        "p99": latencies.quantile(0.99),
        "p999": latencies.quantile(0.999),
    })
}
