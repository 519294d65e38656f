//! `nokv fsck`: whether the records of the namespace fit together.

use crate::error::Error;
use crate::output::Output;
use crate::text::count;
use nokv_client::{Checked, Client};
use nokv_types::{Failure, Reason};
use serde_json::Map;

const EXAMPLES: &str = "\
Examples:
  nokv fsck                                   counts everything again, while the store is in use
  nokv fsck --json | jq -r .problem           one problem a line, then a summary
  nokv fsck || echo damaged                   exit code 1 when something does not fit";

/// Arguments of `nokv fsck`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {}

/// Prints what does not fit, then what was counted. **Errors**: `Corrupt` when something does not.
pub(crate) async fn run(client: &Client, output: &Output) -> Result<(), Error> {
    let checked = client.check().await?;
    for (kind, message) in &checked.problems {
        if output.is_json() {
            let mut object = Map::new();
            object.insert("problem".to_owned(), kind.as_str().into());
            object.insert("message".to_owned(), message.as_str().into());
            output.json(object)?;
        } else {
            output.line(format!("{kind}: {message}"))?;
        }
    }
    summarize(&checked, output)?;
    if checked.problems.is_empty() {
        return Ok(());
    }
    let problems = count(checked.problems.len() as u64, "problem", "problems");
    Err(Error::Failed(Failure::new(
        Reason::Corrupt,
        format!("{problems}; restore the store's directory from a copy, or report this"),
    )))
}

fn summarize(checked: &Checked, output: &Output) -> Result<(), Error> {
    if output.is_json() {
        let mut object = Map::new();
        object.insert("version".to_owned(), checked.version.as_u64().into());
        object.insert("nodes".to_owned(), checked.nodes.into());
        object.insert("entries".to_owned(), checked.entries.into());
        object.insert("dead_bodies".to_owned(), checked.dead_bodies.into());
        object.insert("blocks".to_owned(), checked.blocks.into());
        object.insert("problems".to_owned(), checked.problems.len().into());
        return output.json(object);
    }
    output.line(format!(
        "checked {}, {}, {}, {}",
        count(checked.nodes, "node", "nodes"),
        count(checked.entries, "entry", "entries"),
        count(checked.blocks, "block", "blocks"),
        count(
            checked.dead_bodies,
            "body of the past",
            "bodies of the past"
        ),
    ))
}
