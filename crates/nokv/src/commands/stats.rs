//! `nokv stats`: what a mount is asked for, how often, and how long it takes.

use crate::error::Error;
use crate::output::Output;
use nokv_env::{Env, OpenMode};
use nokv_types::{Failure, Reason};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  nokv stats /mnt                             since it was mounted
  nokv stats --json /mnt | jq .write.p99_us
  cat /mnt/.nokv/accesslog                    operations as they happen";

/// Most bytes of a control file.
const CONTROL_BYTES_MAX: usize = 1 << 20;

/// Arguments of `nokv stats`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Where it is mounted
    #[arg(value_name = "MOUNTPOINT")]
    mountpoint: PathBuf,
}

/// Prints the operations of a mount, the most frequent first.
pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<(), Error> {
    let text = read_control(&arguments.mountpoint, "stats")?;
    let parsed: Result<Map<String, Value>, _> = serde_json::from_str(&text);
    let stats = parsed.map_err(|error| {
        let shown = arguments.mountpoint.display();
        Failure::new(
            Reason::Io,
            format!("{shown} answers what can't be read: {error}"),
        )
    })?;
    if output.is_json() {
        output.json(stats)?;
        return output.flush();
    }
    let figure = |value: &Value, name: &str| value.get(name).and_then(Value::as_f64).unwrap_or(0.0);
    let mut rows: Vec<_> = stats.iter().collect();
    rows.sort_by(|(_, one), (_, other)| figure(other, "count").total_cmp(&figure(one, "count")));
    output.line(format!(
        "{:<16} {:>10} {:>8} {:>9} {:>8} {:>8}",
        "operation", "count", "failed", "mean us", "p50 <=", "p99 <="
    ))?;
    for (name, value) in rows {
        output.line(format!(
            "{name:<16} {:>10} {:>8} {:>9.1} {:>8} {:>8}",
            figure(value, "count"),
            figure(value, "failed"),
            figure(value, "mean_us"),
            figure(value, "p50_us"),
            figure(value, "p99_us"),
        ))?;
    }
    output.flush()
}

/// What a mount says of itself. **Errors**: `InvalidArgument` when nothing of ours is mounted
/// there.
pub(crate) fn read_control(mountpoint: &Path, name: &str) -> Result<String, Failure> {
    let failed = |error: std::io::Error| {
        let shown = mountpoint.display();
        let flaw = format!("no mount of a namespace answers at {shown}: {error}");
        Failure::new(Reason::InvalidArgument, flaw)
    };
    let path = mountpoint.join(".nokv").join(name);
    let file = Env::real()
        .files
        .open(&path, OpenMode::Read)
        .map_err(failed)?;
    let mut bytes = vec![0; CONTROL_BYTES_MAX];
    let count = file.read_full_at(&mut bytes, 0).map_err(failed)?;
    bytes.truncate(count);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
