//! `nokv restore`: the past, put back in place.

use crate::arguments::{PathArgument, StoreArguments};
use crate::as_of::moment;
use crate::error::Error;
use crate::output::{Output, insert_bytes};
use crate::session;
use nokv_client::Client;
use serde_json::Map;

const EXAMPLES: &str = "\
Examples:
  nokv restore /data --at -10m                as it was ten minutes ago
  nokv restore /data/model.bin --at best      one file, as a snapshot shows it
  nokv diff /data --at -10m                   look first: what changed since then
  nokv undo                                   take the restore back

In one step, however large. What is there now goes as if removed: undo brings it back.";

/// Arguments of `nokv restore`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Files or directories in the namespace; need not be there now
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathArgument>,
    /// As of when: a snapshot's name, a version, or a time such as 2026-11-21T09:30:00Z,
    /// '10m ago', -10m
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true, required = true)]
    at: String,
}

/// Restores the paths in the order given; the first that fails ends it.
pub(crate) async fn run(
    arguments: Arguments,
    store: &StoreArguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let at = moment(&arguments.at)?;
    for path in &arguments.paths {
        let path = session::path(path)?;
        let restored = client.restore(&path, &at).await?;
        let undo = store.command(&["undo", &restored.version.to_string()]);
        if output.is_json() {
            let mut object = Map::new();
            insert_bytes(&mut object, "restored", &path.to_bytes());
            object.insert("version".to_owned(), restored.version.as_u64().into());
            object.insert("node".to_owned(), restored.node.as_u64().into());
            let branch = restored.branch.map(|branch| branch.get());
            object.insert("branch".to_owned(), branch.into());
            object.insert("undo".to_owned(), undo.into());
            output.json(object)?;
        } else {
            output.note(&format!("restored {path}; to take it back: {undo}"))?;
        }
    }
    Ok(())
}
