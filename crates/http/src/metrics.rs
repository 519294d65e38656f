//! The Prometheus page: OpenMetrics text.
//!
//! Source: OpenMetrics 1.0.

use nokv_server::{Figure, Value};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::fmt;

/// What the page is.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Figures drawn at one moment, those of one name together.
#[derive(Debug)]
struct Drawn(Vec<Figure>);

/// The page of these figures.
pub(crate) fn page(mut figures: Vec<Figure>) -> Result<String, fmt::Error> {
    figures.sort_by_key(|figure| figure.name);
    let mut registry = Registry::with_prefix("nokv");
    registry.register_collector(Box::new(Drawn(figures)));
    let mut page = String::new();
    text::encode(&mut page, &registry)?;
    Ok(page)
}

impl Collector for Drawn {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for family in self.0.chunk_by(|left, right| left.name == right.name) {
            let Some(first) = family.first() else {
                continue;
            };
            let kind = match first.value {
                Value::Counter(_) => MetricType::Counter,
                Value::Gauge(_) => MetricType::Gauge,
                Value::Latencies(_) => MetricType::Histogram,
            };
            let mut family_encoder =
                encoder.encode_descriptor(first.name, first.help, None, kind)?;
            for figure in family {
                if figure.labels.is_empty() {
                    encode(&mut family_encoder, &figure.value)?;
                } else {
                    let mut labelled = family_encoder.encode_family(&figure.labels)?;
                    encode(&mut labelled, &figure.value)?;
                }
            }
        }
        Ok(())
    }
}

fn encode(encoder: &mut MetricEncoder<'_>, value: &Value) -> Result<(), fmt::Error> {
    match value {
        Value::Counter(count) => encoder.encode_counter::<NoLabelSet, _, u64>(count, None),
        Value::Gauge(value) => encoder.encode_gauge(value),
        Value::Latencies(latencies) => {
            let buckets: Vec<_> = latencies.buckets().collect();
            let (sum, count) = (latencies.sum_seconds(), latencies.count());
            encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
        }
    }
}
