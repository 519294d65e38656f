//! `nokv put`: publishes local files and directories.
//!
//! A path counts as put when its publish is durable; `--verbose` and `--json` tell each at that
//! moment, so that whoever reads along knows what survives a crash.

use crate::arguments::PathArgument;
use crate::error::Error;
use crate::output::{Output, insert_bytes};
use crate::progress::Progress;
use crate::session;
use crate::transfer::{self, Totals};
use nokv_client::{Client, Parents, Placement, Published, PutEvent, PutOptions, WriteOptions};
use nokv_types::NsPath;
use serde_json::Map;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

const EXAMPLES: &str = "\
Examples:
  nokv put model.bin /models/v7.bin           one file
  nokv put ./results /runs/42                 a directory; into /runs/42 if that is there
  nokv put ./results/. /runs/42               what is in the directory goes into /runs/42
  nokv put a.csv b.csv /data                  several into one directory
  tar c src | nokv put - /backup/src.tar      standard input
  nokv put --json ./results /runs/42          one line for each path that is durable";

/// Arguments of `nokv put`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Local files and directories; - is standard input
    #[arg(required = true, num_args = 1.., value_name = "LOCAL")]
    local: Vec<PathBuf>,
    /// Where in the namespace; missing parents are made
    #[arg(value_name = "PATH")]
    path: PathArgument,
    /// Files uploaded at once
    #[arg(short, long, value_name = "NUMBER")]
    jobs: Option<usize>,
    /// Paths made visible together, all or none; 1 to 1024
    #[arg(long, value_name = "NUMBER")]
    batch: Option<usize>,
    /// Print each path as soon as it is durable
    #[arg(short, long)]
    verbose: bool,
}

/// What is told of each published path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Told {
    Nothing,
    Path,
    Json,
}

/// Publishes everything, or fails with what it published so far being whole and visible.
pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let destination = session::path(&arguments.path)?;
    let told = match (output.is_json(), arguments.verbose) {
        (true, _) => Told::Json,
        (false, true) => Told::Path,
        (false, false) => Told::Nothing,
    };
    if arguments.local.iter().any(|local| local.as_os_str() == "-") {
        if arguments.local.len() > 1 {
            return Err(Error::Usage(
                "- is standard input and stands alone".to_owned(),
            ));
        }
        return put_stdin(client, output, &destination, told).await;
    }
    let mut totals = Totals::start();
    let progress = Progress::new(output, "put");
    for (locals, placement) in groups(&arguments) {
        let options = options(&arguments, output, &progress, told, placement);
        let report = client.put_tree(&locals, &destination, options).await;
        if report.is_err() {
            progress.finish();
        }
        totals.add_put(report?);
    }
    progress.finish();
    totals.finish(output, "put")
}

/// What is put in one go: `LOCAL/.` is what is in LOCAL and goes exactly to the destination;
/// everything else goes as with `cp -r`.
fn groups(arguments: &Arguments) -> Vec<(Vec<PathBuf>, Placement)> {
    let (contents, entries): (Vec<_>, Vec<_>) = arguments
        .local
        .iter()
        .cloned()
        .partition(|local| transfer::means_contents(local));
    let ends_in_slash = arguments.path.as_bytes().ends_with(b"/");
    let placement = if arguments.local.len() > 1 || ends_in_slash {
        Placement::Inside
    } else {
        Placement::Auto
    };
    let mut groups: Vec<_> = contents
        .into_iter()
        .map(|local| (vec![local], Placement::Exact))
        .collect();
    if !entries.is_empty() {
        groups.push((entries, placement));
    }
    groups
}

fn options(
    arguments: &Arguments,
    output: &Output,
    progress: &Progress,
    told: Told,
    placement: Placement,
) -> PutOptions {
    let defaults = PutOptions::default();
    let (output, progress) = (output.clone(), progress.clone());
    let on_event = move |event: PutEvent<'_>| match event {
        PutEvent::Found { bytes, .. } => progress.found(bytes),
        PutEvent::Uploaded { bytes, .. } => progress.done(bytes),
        PutEvent::Published { published, bytes } => {
            // A reader that has gone is no reason to stop putting.
            drop(tell(&output, told, published, bytes));
        }
        PutEvent::Skipped(skipped) => progress.suspend(|| transfer::warn(&output, skipped)),
    };
    PutOptions {
        placement,
        parallel: arguments.jobs.unwrap_or(defaults.parallel),
        batch_items: arguments.batch.unwrap_or(defaults.batch_items),
        on_event: Some(Arc::new(on_event)),
    }
}

/// Tells that a path is durable, at once: what is in a buffer when the process dies was not told.
fn tell(output: &Output, told: Told, published: &Published, bytes: u64) -> Result<(), Error> {
    match told {
        Told::Nothing => return Ok(()),
        Told::Path => output.line(output.path(&published.path))?,
        Told::Json => {
            let mut object = Map::new();
            insert_bytes(&mut object, "path", &published.path.to_bytes());
            object.insert("node".to_owned(), published.node.as_u64().into());
            object.insert("generation".to_owned(), published.generation.get().into());
            object.insert("version".to_owned(), published.version.as_u64().into());
            object.insert("bytes".to_owned(), bytes.into());
            output.json(object)?;
        }
    }
    output.flush()
}

async fn put_stdin(
    client: &Client,
    output: &Output,
    destination: &NsPath,
    told: Told,
) -> Result<(), Error> {
    let options = WriteOptions {
        parents: Parents::Create,
        ..WriteOptions::default()
    };
    let published = client
        .write(destination, tokio::io::stdin(), options)
        .await?;
    tell(output, told, &published, 0)
}
