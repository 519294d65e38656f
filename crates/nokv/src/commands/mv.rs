//! `nokv mv`: moves or renames, in one command whatever is below.

use crate::arguments::PathArgument;
use crate::error::Error;
use crate::output::{Output, insert_bytes};
use crate::session;
use nokv_client::{Client, Follow, RenameMode};
use nokv_types::{Failure, NodeKind, NsPath, Reason};
use serde_json::Map;

const EXAMPLES: &str = "\
Examples:
  nokv mv /runs/42 /runs/best                 rename; into /runs/best if that is a directory
  nokv mv /a.txt /b.txt /archive              several into a directory
  nokv mv -n /draft.md /final.md              never replace
  nokv mv -T /staging /live                   the name itself: replaces an empty directory
  nokv mv --exchange /staging /live           the two change places";

/// Arguments of `nokv mv`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// What to move
    #[arg(required = true, num_args = 1.., value_name = "FROM")]
    from: Vec<PathArgument>,
    /// Where to
    #[arg(value_name = "TO")]
    to: PathArgument,
    /// Fail if TO exists
    #[arg(short, long)]
    no_clobber: bool,
    /// TO is the new name, never a directory to move into
    #[arg(short = 'T', long)]
    no_target_directory: bool,
    /// FROM and TO change places
    #[arg(long, conflicts_with = "no_clobber")]
    exchange: bool,
}

/// Moves the names in the order given; the first that fails ends it.
pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let to = session::path(&arguments.to)?;
    let into = if arguments.no_target_directory || arguments.exchange {
        false
    } else {
        is_directory(client, &to).await?
    };
    if arguments.from.len() > 1 && !into {
        return Err(Error::Usage(format!(
            "{to} is no directory to move several into"
        )));
    }
    let mode = match (arguments.exchange, arguments.no_clobber) {
        (true, _) => RenameMode::Exchange,
        (false, true) => RenameMode::NoReplace,
        (false, false) => RenameMode::Plain,
    };
    for argument in &arguments.from {
        let from = session::path(argument)?;
        let to = match (into, from.last()) {
            (true, Some(name)) => to.join(name)?,
            _ => to.clone(),
        };
        client.rename(&from, &to, mode).await?;
        if output.is_json() {
            let mut object = Map::new();
            insert_bytes(&mut object, "from", &from.to_bytes());
            insert_bytes(&mut object, "to", &to.to_bytes());
            output.json(object)?;
        }
    }
    Ok(())
}

/// Whether `path` leads to a directory, through links too.
async fn is_directory(client: &Client, path: &NsPath) -> Result<bool, Failure> {
    match client.lookup(path, Follow::Yes).await {
        Ok(node) => Ok(node.attributes.kind == NodeKind::Directory),
        Err(failure) if failure.reason() == Reason::NotFound => Ok(false),
        Err(failure) => Err(failure),
    }
}
