//! `nokv scrub`: reads everything back.

use crate::error::Error;
use crate::output::Output;
use crate::progress::Progress;
use crate::text::{count, human_bytes};
use nokv_client::{Client, ScrubFinding, ScrubFrom};
use nokv_types::{BlockId, Failure, Reason};
use serde_json::{Map, json};
use std::time::Duration;

/// Bytes of a step: short enough for a bar that moves.
const STEP_BYTES: u64 = 8 << 20;
/// Least bytes of a step, however low the rate.
const STEP_BYTES_MIN: u64 = 64 << 10;

const EXAMPLES: &str = "\
Examples:
  nokv scrub                                  every byte of every body, from where it stopped
  nokv scrub --rate 50MiB                     at 50 MiB a second, beside other work
  nokv scrub --from-start --json | jq -r 'select(.problem) | .file'
  nokv scrub || echo damaged                  exit code 1 when something is";

/// Arguments of `nokv scrub`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Read at most so much in a second
    #[arg(long, value_name = "SIZE")]
    rate: Option<bytesize::ByteSize>,
    /// Begin anew, not where it stopped
    #[arg(long)]
    from_start: bool,
}

/// Reads everything back, and prints what is damaged. **Errors**: `DigestMismatch` when something
/// is.
pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let mut from = match arguments.from_start {
        true => ScrubFrom::Beginning,
        false => ScrubFrom::Kept,
    };
    let rate = arguments.rate.map(|rate| rate.as_u64().max(1));
    let step_bytes = rate.map_or(STEP_BYTES, |rate| rate.clamp(STEP_BYTES_MIN, STEP_BYTES));
    let progress = Progress::new(output, "reading back");
    let (mut known, mut units, mut bytes, mut problems) = (0, 0, 0, 0);
    loop {
        let begun = tokio::time::Instant::now();
        let step = client.scrub(from, step_bytes).await?;
        from = ScrubFrom::Kept;
        progress.found(step.total_bytes.saturating_sub(known));
        // What was read before it was broken off counts as done.
        progress.done(if bytes == 0 {
            step.done_bytes
        } else {
            step.bytes
        });
        known = step.total_bytes.max(known);
        units += step.units;
        bytes += step.bytes;
        problems += step.damaged.len() as u64;
        let mut shown = Ok(());
        progress.suspend(|| shown = step.damaged.iter().try_for_each(|one| print(one, output)));
        shown?;
        if step.is_over {
            break;
        }
        if let Some(rate) = rate {
            let due = Duration::from_millis(step.bytes.saturating_mul(1_000) / rate);
            tokio::time::sleep_until(begun + due).await;
        }
    }
    progress.finish();
    summarize(units, bytes, problems, output)
}

fn print(finding: &ScrubFinding, output: &Output) -> Result<(), Error> {
    let file = match finding.path.is_empty() {
        true => format!("node {}", finding.node),
        false => String::from_utf8_lossy(&finding.path).into_owned(),
    };
    if output.is_json() {
        let mut object = Map::new();
        let block = finding.block.map(|block| BlockId::from(block).to_string());
        object.insert("problem".to_owned(), finding.message.as_str().into());
        object.insert("file".to_owned(), file.into());
        object.insert("node".to_owned(), finding.node.into());
        object.insert("generation".to_owned(), finding.generation.into());
        object.insert("object".to_owned(), json!(block));
        return output.json(object);
    }
    output.line(format!("{file}: {}", finding.message))
}

fn summarize(units: u64, bytes: u64, problems: u64, output: &Output) -> Result<(), Error> {
    if output.is_json() {
        let mut object = Map::new();
        object.insert("units".to_owned(), units.into());
        object.insert("bytes".to_owned(), bytes.into());
        object.insert("problems".to_owned(), problems.into());
        output.json(object)?;
    } else {
        let units = count(units, "unit", "units");
        output.line(format!("read back {units}, {}", human_bytes(bytes)))?;
    }
    if problems == 0 {
        return Ok(());
    }
    let problems = count(problems, "problem", "problems");
    Err(Error::Failed(Failure::new(
        Reason::DigestMismatch,
        format!("{problems}; restore the objects, or the files from copies"),
    )))
}
