//! `nokv du`: sums of sizes.

use crate::arguments::PathArgument;
use crate::as_of::AtArgument;
use crate::error::Error;
use crate::output::{Output, insert_bytes};
use crate::session;
use crate::text;
use nokv_client::{Client, Follow, Usage};
use nokv_types::{NodeKind, NsPath};
use serde_json::Map;

const EXAMPLES: &str = "\
Examples:
  nokv du /runs                               each directory directly below, then the sum
  nokv du -s /runs                            only the sum
  nokv du -h /runs                            sizes in KiB, MiB, GiB
  nokv du --json -s / | jq .bytes";

/// Arguments of `nokv du`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, disable_help_flag = true)]
pub(crate) struct Arguments {
    /// Files or directories in the namespace [default: /]
    #[arg(value_name = "PATH")]
    paths: Vec<PathArgument>,
    /// Sizes in KiB, MiB, GiB
    #[arg(short, long)]
    human_readable: bool,
    /// Only the sum of each PATH
    #[arg(short, long)]
    summarize: bool,
    #[command(flatten)]
    at: AtArgument,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

/// Prints the sums; for a directory those of its subdirectories first.
pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let client = &arguments.at.client(client)?;
    for path in session::paths_or_root(&arguments.paths)? {
        let mut rows = Vec::new();
        let node = client.lookup(&path, Follow::No).await?;
        if !arguments.summarize && node.attributes.kind == NodeKind::Directory {
            for entry in client.read_dir_all(&path).await?.entries {
                if entry.node.attributes.kind == NodeKind::Directory {
                    let below = path.join(&entry.name)?;
                    rows.push((client.usage(&below).await?, below));
                }
            }
        }
        rows.push((client.usage(&path).await?, path));
        print(&arguments, &rows, output)?;
    }
    Ok(())
}

fn print(arguments: &Arguments, rows: &[(Usage, NsPath)], output: &Output) -> Result<(), Error> {
    let size = |usage: &Usage| {
        if arguments.human_readable {
            text::human_bytes(usage.bytes)
        } else {
            usage.bytes.to_string()
        }
    };
    let width = rows
        .iter()
        .map(|(usage, _)| size(usage).len())
        .max()
        .unwrap_or(0);
    for (usage, path) in rows {
        if output.is_json() {
            let mut object = Map::new();
            insert_bytes(&mut object, "path", &path.to_bytes());
            object.insert("bytes".to_owned(), usage.bytes.into());
            object.insert("files".to_owned(), usage.files.into());
            object.insert("directories".to_owned(), usage.directories.into());
            output.json(object)?;
        } else {
            output.raw(format!("{:>width$}  ", size(usage)))?;
            output.line(output.path(path))?;
        }
    }
    Ok(())
}
