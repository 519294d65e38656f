//! `nokv rm`: removes names; what nothing names any more is collected.

use crate::arguments::PathArgument;
use crate::error::Error;
use crate::output::{Output, insert_bytes};
use crate::session;
use nokv_client::{Client, Remove};
use nokv_types::{Failure, NsPath, Reason};
use serde_json::Map;

const EXAMPLES: &str = "\
Examples:
  nokv rm /runs/42/debug.log
  nokv rm -r /runs/42                         a directory with all that is below, in one command
  nokv rm -d /runs/empty                      an empty directory
  nokv rm -f /maybe                           no error if it is not there";

/// Arguments of `nokv rm`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// What to remove
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathArgument>,
    /// Directories with all that is below
    #[arg(short, long, visible_short_alias = 'R')]
    recursive: bool,
    /// Empty directories
    #[arg(short = 'd', long)]
    empty_directory: bool,
    /// No error if it is not there
    #[arg(short, long)]
    force: bool,
}

/// Removes the names in the order given; the first that fails ends it.
pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    for argument in &arguments.paths {
        let path = session::path(argument)?;
        match remove(&arguments, client, &path).await {
            Err(failure) if arguments.force && failure.reason() == Reason::NotFound => {}
            Err(failure) => return Err(failure.into()),
            Ok(()) if output.is_json() => {
                let mut object = Map::new();
                insert_bytes(&mut object, "removed", &path.to_bytes());
                output.json(object)?;
            }
            Ok(()) => {}
        }
    }
    Ok(())
}

async fn remove(arguments: &Arguments, client: &Client, path: &NsPath) -> Result<(), Failure> {
    if arguments.recursive {
        return client.remove(path, Remove::Tree).await.map(drop);
    }
    match client.remove(path, Remove::File).await {
        Err(failure) if failure.reason() != Reason::IsDirectory => Err(failure),
        Err(_) if arguments.empty_directory => {
            client.remove(path, Remove::EmptyDirectory).await.map(drop)
        }
        Err(_) => Err(Failure::new(
            Reason::IsDirectory,
            format!("{path} is a directory; add -r to remove it with all that is below"),
        )),
        Ok(_) => Ok(()),
    }
}
