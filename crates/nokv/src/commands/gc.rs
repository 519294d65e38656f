//! `nokv gc`: collects what nothing names any more.

use super::explain;
use crate::arguments::PathArgument;
use crate::error::Error;
use crate::output::Output;
use crate::text::count;
use nokv_client::{Client, CollectRules, Collected, Ongoing};
use serde_json::Map;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  nokv gc                                     what nothing can see any more
  nokv gc --retention 0s                      also what was replaced or removed just now
  nokv gc --retention 0s --end-reads          without waiting for those who may still read it
  nokv gc --abandon-uploads                   also what killed uploads left, without waiting
  nokv gc --dry-run                           what would go, and what keeps the rest
  nokv gc --explain /runs/42/model.bin        what keeps each of its bodies, and until when
  nokv gc --explain 910a2d0000000004/00000000 who is in an object
  nokv gc --json | jq .objects";

/// Arguments of `nokv gc`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Keep what was replaced or removed within this time [default: the store's, an hour]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    retention: Option<Duration>,
    /// End every upload first: only when nobody is uploading; who is must start again
    #[arg(long)]
    abandon_uploads: bool,
    /// End every lease of a read first: only when nobody is reading; who is must start again
    #[arg(long)]
    end_reads: bool,
    /// Say what would go and what stays, and change nothing
    #[arg(long, conflicts_with_all = ["abandon_uploads", "end_reads", "explain"])]
    dry_run: bool,
    /// Say what keeps each body of a file, or each body in an object (as messages name it: 16
    /// hexadecimal digits, a slash, 8 of them), and until when; change nothing
    #[arg(long, value_name = "PATH|OBJECT", conflicts_with_all = ["abandon_uploads", "end_reads"])]
    explain: Option<PathArgument>,
}

/// Runs rounds of collection until one finds nothing more to delete.
pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let retention = arguments
        .retention
        .map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    if let Some(about) = &arguments.explain {
        return explain::run(about, client, output).await;
    }
    if arguments.dry_run {
        let outlook = client.outlook(retention).await?;
        return explain::print_outlook(&outlook, output);
    }
    let ongoing = |ends: bool| if ends { Ongoing::End } else { Ongoing::Respect };
    let rules = CollectRules {
        retention_ms: retention,
        uploads: ongoing(arguments.abandon_uploads),
        reads: ongoing(arguments.end_reads),
    };
    let collected = client.collect_by(rules).await?;
    print(&collected, output)
}

fn print(collected: &Collected, output: &Output) -> Result<(), Error> {
    let Collected {
        session_count,
        body_count,
        object_count,
        failed_count,
    } = *collected;
    if output.is_json() {
        let mut object = Map::new();
        object.insert("objects".to_owned(), object_count.into());
        object.insert("bodies".to_owned(), body_count.into());
        object.insert("sessions".to_owned(), session_count.into());
        object.insert("failed".to_owned(), failed_count.into());
        return output.json(object);
    }
    output.line(format!(
        "deleted {} ({}, {})",
        count(object_count, "object", "objects"),
        count(body_count, "body of the past", "bodies of the past"),
        count(session_count, "abandoned upload", "abandoned uploads"),
    ))?;
    if failed_count > 0 {
        let objects = count(failed_count, "object", "objects");
        output.line(format!(
            "{objects} could not be deleted; the next round tries again"
        ))?;
    }
    Ok(())
}
