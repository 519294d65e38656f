//! `nokv status`: how the store is.

use crate::error::Error;
use crate::output::{Output, Style};
use crate::text;
use nokv_client::{Access, Client, Status};
use nokv_types::TimeNanos;
use serde_json::{Map, Value};
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  nokv status
  nokv status --json | jq .version";

/// The figures that are shown; JSON has all.
const HEADLINES: [&str; 11] = [
    "backup_number",
    "backup_version",
    "backup_lag_ms",
    "mounts",
    "watchers",
    "memtable_bytes",
    "log_file_bytes",
    "table_live_bytes",
    "value_bytes",
    "cache_bytes",
    "level0_depth",
];

/// Arguments of `nokv status`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {}

/// Prints what the store says of itself.
pub(crate) async fn run(client: &Client, output: &Output) -> Result<(), Error> {
    let status = client.status().await?;
    let reached = match client.access() {
        Access::Embedded => "open in this process".to_owned(),
        Access::Socket(path) => format!("through {}", path.display()),
        Access::Network(address) => format!("through {address}"),
    };
    if output.is_json() {
        return output.json(to_json(&status, reached));
    }
    let line = |label: &str, value: &str| {
        output.raw(output.styled(Style::Dim, format!("{label:>18}").as_bytes()))?;
        output.line(format!("  {value}"))
    };
    line("store", &status.store_id)?;
    line("reached", &reached)?;
    line("objects", &status.objects_url)?;
    line("version", &version(&status))?;
    line(
        "server",
        &format!("{}, process {}", status.server_version, status.process_id),
    )?;
    line("format", &status.format_version.to_string())?;
    let uptime = Duration::from_secs(status.uptime_ms / 1000);
    line("up", &humantime::format_duration(uptime).to_string())?;
    line("requests", &status.request_count.to_string())?;
    for (name, value) in &status.figures {
        if HEADLINES.contains(&name.as_str()) {
            line(&name.replace('_', " "), &figure(name, *value))?;
        }
    }
    Ok(())
}

/// The newest commit, and when it was.
fn version(status: &Status) -> String {
    let version = status.last_version;
    let nanos = i64::try_from(version.millis())
        .unwrap_or(i64::MAX)
        .saturating_mul(1_000_000);
    format!("{version} ({})", text::minute(TimeNanos::new(nanos)))
}

/// A figure's value, by the unit at the end of its name.
fn figure(name: &str, value: u64) -> String {
    if name.ends_with("_bytes") {
        text::human_bytes(value)
    } else {
        value.to_string()
    }
}

fn to_json(status: &Status, reached: String) -> Map<String, Value> {
    let mut object = Map::new();
    let mut insert = |key: &str, value: Value| object.insert(key.to_owned(), value);
    insert("store", status.store_id.clone().into());
    insert("reached", reached.into());
    insert("objects", status.objects_url.clone().into());
    insert("version", status.last_version.as_u64().into());
    insert("server_version", status.server_version.clone().into());
    insert("format_version", status.format_version.into());
    insert("process_id", status.process_id.into());
    insert("uptime_ms", status.uptime_ms.into());
    insert("request_count", status.request_count.into());
    let figures: Map<String, Value> = status
        .figures
        .iter()
        .map(|(name, value)| (name.clone(), (*value).into()))
        .collect();
    insert("figures", figures.into());
    object
}
