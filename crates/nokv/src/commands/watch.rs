//! `nokv watch`: what changes, as it changes.

use crate::arguments::PathArgument;
use crate::describe;
use crate::error::Error;
use crate::output::Output;
use crate::session;
use nokv_client::{Change, Client, Cursor, Depth};
use serde_json::Map;

const EXAMPLES: &str = "\
Examples:
  nokv watch /runs                            everything below, from now on
  nokv watch --no-recursive /runs             only the directory and its entries
  nokv watch --json /runs | jq -r .path       one JSON object a line, the first says `ready`
  nokv watch --from 471859200000 /runs        what came after that cursor, then what comes";

/// Arguments of `nokv watch`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A file or directory in the namespace
    #[arg(value_name = "PATH", default_value = "/")]
    path: PathArgument,
    /// Everything below a directory (this is what happens anyway)
    #[arg(short, long, overrides_with = "no_recursive")]
    recursive: bool,
    /// Only the node, and if it is a directory its entries
    #[arg(long)]
    no_recursive: bool,
    /// Go on after this cursor, as an earlier watch printed it in JSON
    #[arg(long, value_name = "CURSOR")]
    from: Option<String>,
    /// End after this many changes
    #[arg(long, value_name = "COUNT")]
    count: Option<u64>,
}

/// Prints each change as a line, until it is interrupted.
pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let path = session::path(&arguments.path)?;
    let depth = match arguments.no_recursive && !arguments.recursive {
        true => Depth::Node,
        false => Depth::Recursive,
    };
    let from = arguments.from.as_deref().map(str::parse).transpose()?;
    let mut watch = client.watch(&path, depth, from).await?;
    if output.is_json() {
        let mut object = Map::new();
        object.insert("event".to_owned(), "ready".into());
        object.insert("cursor".to_owned(), watch.cursor().to_string().into());
        output.json(object)?;
    } else {
        output.note(&format!("watching {path}"))?;
    }
    output.flush()?;
    let mut left = arguments.count;
    while left != Some(0) {
        let change = watch.next().await?;
        print(&change, watch.cursor(), output)?;
        output.flush()?;
        left = left.map(|left| left - 1);
    }
    Ok(())
}

fn print(change: &Change, cursor: Cursor, output: &Output) -> Result<(), Error> {
    if !output.is_json() {
        return describe::change(change, output);
    }
    let mut object = describe::change_json(change);
    object.insert("cursor".to_owned(), cursor.to_string().into());
    output.json(object)
}
