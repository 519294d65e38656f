//! `nokv get`: files and directories back, bit for bit.

use crate::arguments::PathArgument;
use crate::as_of::AtArgument;
use crate::error::Error;
use crate::output::Output;
use crate::progress::Progress;
use crate::session;
use crate::transfer::{self, Totals};
use nokv_client::{Client, Existing, GetEvent, GetOptions, Placement};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const EXAMPLES: &str = "\
Examples:
  nokv get /runs/42 ./copy                    a directory; into ./copy if that is there
  nokv get /runs/42/metrics.json .            a file into this directory
  nokv get /runs/42/. ./copy                  what is in the directory goes into ./copy";

/// Arguments of `nokv get`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Where in the namespace
    #[arg(value_name = "PATH")]
    path: PathArgument,
    /// Local file or directory
    #[arg(value_name = "LOCAL")]
    local: PathBuf,
    /// Fail if a local file is in the way, instead of replacing it
    #[arg(short, long)]
    no_clobber: bool,
    #[command(flatten)]
    at: AtArgument,
}

/// Writes everything below the path, or fails with what it wrote so far being whole.
pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let client = &arguments.at.client(client)?;
    let path = session::path(&arguments.path)?;
    let is_contents = path.is_root() || transfer::means_contents(Path::new(&arguments.path));
    let mut totals = Totals::start();
    let progress = Progress::new(output, "get");
    let (shown, warned) = (progress.clone(), output.clone());
    let on_event = move |event: GetEvent<'_>| match event {
        GetEvent::Found { bytes, .. } => shown.found(bytes),
        GetEvent::Written { bytes, .. } => shown.done(bytes),
        GetEvent::Skipped(skipped) => shown.suspend(|| transfer::warn(&warned, skipped)),
    };
    let options = GetOptions {
        placement: if is_contents {
            Placement::Exact
        } else {
            Placement::Auto
        },
        existing: if arguments.no_clobber {
            Existing::Refuse
        } else {
            Existing::Replace
        },
        on_event: Some(Arc::new(on_event)),
    };
    let report = client.get_tree(&path, &arguments.local, options).await;
    progress.finish();
    totals.add_get(report?);
    totals.finish(output, "got")
}
