//! `nokv load`: what `nokv dump` has written, back into a namespace.

use crate::arguments::PathArgument;
use crate::error::Error;
use crate::local_file;
use crate::output::{Output, insert_bytes};
use crate::progress::Progress;
use crate::session;
use crate::text::{count, human_bytes};
use nokv_client::{Client, LoadEvent};
use serde_json::Map;
use std::path::PathBuf;
use std::sync::Arc;

const EXAMPLES: &str = "\
Examples:
  nokv load runs.dump /runs-of-then           a place that is free
  nokv load all.dump /                        into an empty namespace
  ssh host nokv dump --with-bodies -o - | nokv load - /from-host

All of it appears at once when the dump was read to its end, or nothing does.";

/// Arguments of `nokv load`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The dump, of either form; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where to put it: free, or the empty root
    #[arg(value_name = "PATH")]
    path: PathArgument,
}

/// Loads the dump. **Errors**: those of the dump, with the offset; those of the place.
pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let place = session::path(&arguments.path)?;
    let input = local_file::open(&arguments.file)?;
    let progress = Progress::new(output, "load");
    progress.found(input.bytes.unwrap_or(0));
    let shown = progress.clone();
    let on_event = Arc::new(move |LoadEvent::Read(bytes)| shown.done(bytes));
    let name = arguments.file.display().to_string();
    let loaded = client
        .load(input.reader, &name, &place, Some(on_event))
        .await;
    progress.finish();
    let report = loaded?;
    if output.is_json() {
        let mut object = Map::new();
        insert_bytes(&mut object, "path", &place.to_bytes());
        insert_bytes(&mut object, "dumped_path", &report.head.path);
        object.insert(
            "dumped_version".to_owned(),
            report.head.version.as_u64().into(),
        );
        object.insert("nodes".to_owned(), report.node_count.into());
        object.insert("data_bytes".to_owned(), report.data_bytes.into());
        return output.json(object);
    }
    output.note(&format!(
        "loaded {} to {} ({} of bodies came along)",
        count(report.node_count, "node", "nodes"),
        place,
        human_bytes(report.data_bytes),
    ))
}
