//! `nokv warmup`: files into the cache of this machine, before they are read.

use crate::arguments::PathArgument;
use crate::as_of::AtArgument;
use crate::error::Error;
use crate::output::{Output, insert_bytes};
use crate::progress::Progress;
use crate::session;
use crate::text::{count, human_bytes};
use nokv_client::{Client, WarmEvent, WarmOptions, WarmReport};
use nokv_types::{Failure, Reason};
use serde_json::Map;
use std::sync::Arc;

const EXAMPLES: &str = "\
Examples:
  nokv warmup /datasets/imagenet              before a training job starts
  nokv warmup --jobs 64 /models/a /models/b   more fetches at once
  nokv warmup --at 2h /runs/42                as it was two hours ago
  nokv warmup --json /models | jq .fetched_bytes

What is in the cache already is not fetched again. The cache is shared by all processes of
this machine that use the same --cache-dir.";

/// Arguments of `nokv warmup`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Files and directories in the namespace
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathArgument>,
    /// Fetches under way at once
    #[arg(short, long, value_name = "COUNT", default_value_t = 16)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    #[command(flatten)]
    at: AtArgument,
}

/// Fetches what is missing and tells what was done. Fails if a file could not be warmed; the others
/// are.
pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let client = &arguments.at.client(client)?;
    let paths: Result<Vec<_>, _> = arguments.paths.iter().map(session::path).collect();
    let progress = Progress::new(output, "warm");
    let (shown, told) = (progress.clone(), output.clone());
    let on_event = move |event: WarmEvent<'_>| match event {
        WarmEvent::Found { bytes } => shown.found(bytes),
        WarmEvent::Warmed { bytes } => shown.done(bytes),
        WarmEvent::Failed { path, failure } => shown.suspend(|| {
            let failed = if told.is_json() {
                let mut object = Map::new();
                insert_bytes(&mut object, "path", &path.to_bytes());
                object.insert("failed".to_owned(), failure.to_string().into());
                told.json(object)
            } else {
                told.note(&format!("{path}: {failure}"))
            };
            // A closed output ends the command at its next line.
            drop(failed);
        }),
    };
    let options = WarmOptions {
        parallel: arguments.jobs.into(),
        on_event: Some(Arc::new(on_event)),
    };
    let report = client.warm(&paths?, options).await;
    progress.finish();
    print(report?, output)
}

fn print(report: WarmReport, output: &Output) -> Result<(), Error> {
    if output.is_json() {
        let mut object = Map::new();
        object.insert("files".to_owned(), report.file_count.into());
        object.insert("bytes".to_owned(), report.bytes.into());
        object.insert("fetched_bytes".to_owned(), report.fetched_bytes.into());
        object.insert("failed".to_owned(), report.failed_count.into());
        output.json(object)?;
    } else {
        output.line(format!(
            "{} in the cache, {}; {} fetched",
            count(report.file_count, "file", "files"),
            human_bytes(report.bytes),
            human_bytes(report.fetched_bytes),
        ))?;
    }
    if report.failed_count == 0 {
        return Ok(());
    }
    let files = count(report.failed_count, "file is", "files are");
    Err(Error::Failed(Failure::new(
        Reason::Io,
        format!("{files} not in the cache"),
    )))
}
