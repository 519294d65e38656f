//! `nokv watch`: what changes, as it changes.

use crate::arguments::PathArgument;
use crate::error::Error;
use crate::output::{Output, Style, insert_bytes};
use crate::session;
use crate::text;
use nokv_client::{Change, ChangeKind, ChangedPlace, Client, Cursor, Depth};
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
    let word = word(change.kind);
    if output.is_json() {
        return output.json(to_json(change, cursor, word));
    }
    let styled = output.styled(Style::Bold, format!("{word:<16}").as_bytes());
    output.raw(styled)?;
    let shown = |place: &ChangedPlace| match &place.path {
        Some(path) => output.path(path),
        None => output.name(&place.name),
    };
    let line = match (&change.from, &change.to) {
        (Some(from), Some(to)) => [shown(from), b" -> ".to_vec(), shown(to)].concat(),
        (Some(place), None) | (None, Some(place)) => shown(place),
        (None, None) => format!("node {}", change.node).into_bytes(),
    };
    output.line(line)
}

fn to_json(change: &Change, cursor: Cursor, word: &str) -> Map<String, serde_json::Value> {
    let mut object = Map::new();
    object.insert("event".to_owned(), word.into());
    for (key, place) in [("from", &change.from), ("path", &change.to)] {
        // What was removed has only the name that it had.
        let key = match (key, &change.to) {
            ("from", None) => "path",
            _ => key,
        };
        if let Some(path) = place.as_ref().and_then(|place| place.path.as_ref()) {
            insert_bytes(&mut object, key, &path.to_bytes());
        }
    }
    object.insert("kind".to_owned(), text::kind(change.node_kind).into());
    object.insert("node".to_owned(), change.node.as_u64().into());
    object.insert("generation".to_owned(), change.generation.get().into());
    object.insert("size".to_owned(), change.size.into());
    object.insert("version".to_owned(), change.version.as_u64().into());
    object.insert("cursor".to_owned(), cursor.to_string().into());
    object
}

const fn word(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Created => "created",
        ChangeKind::Removed => "removed",
        ChangeKind::Renamed => "renamed",
        ChangeKind::Exchanged => "exchanged",
        ChangeKind::Published => "published",
        ChangeKind::Attributes => "attributes",
        ChangeKind::Xattr => "xattr",
        ChangeKind::Snapshot => "snapshot",
        ChangeKind::SnapshotRemoved => "snapshot-removed",
        ChangeKind::Branched => "branched",
        ChangeKind::Quota => "quota",
    }
}
