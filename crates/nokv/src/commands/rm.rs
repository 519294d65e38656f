//! `nokv rm`: removes names; what nothing names any more is collected.

use crate::arguments::{PathArgument, StoreArguments};
use crate::error::Error;
use crate::output::{Output, insert_bytes};
use crate::session;
use nokv_client::{Client, Remove, Removed};
use nokv_types::{Failure, NsPath, Reason};
use serde_json::Map;

const EXAMPLES: &str = "\
Examples:
  nokv rm /runs/42/debug.log
  nokv rm -r /runs/42                         a directory with all that is below, in one command;
                                              it says which command brings it back
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
    store: &StoreArguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    for argument in &arguments.paths {
        let path = session::path(argument)?;
        match remove(&arguments, client, &path).await {
            Err(failure) if arguments.force && failure.reason() == Reason::NotFound => {}
            Err(failure) => return Err(failure.into()),
            Ok(removed) => print(&arguments, store, (&path, &removed), output)?,
        }
    }
    Ok(())
}

fn print(
    arguments: &Arguments,
    store: &StoreArguments,
    (path, removed): (&NsPath, &Removed),
    output: &Output,
) -> Result<(), Error> {
    let undo = store.command(&["undo", &removed.version.to_string()]);
    if output.is_json() {
        let mut object = Map::new();
        insert_bytes(&mut object, "removed", &path.to_bytes());
        object.insert("version".to_owned(), removed.version.as_u64().into());
        object.insert("undo".to_owned(), undo.into());
        return output.json(object);
    }
    match arguments.recursive {
        true => output.note(&format!("removed {path}; to bring it back: {undo}")),
        false => Ok(()),
    }
}

async fn remove(arguments: &Arguments, client: &Client, path: &NsPath) -> Result<Removed, Failure> {
    if arguments.recursive {
        return client.remove(path, Remove::Tree).await;
    }
    match client.remove(path, Remove::File).await {
        Err(failure) if failure.reason() != Reason::IsDirectory => Err(failure),
        Err(_) if arguments.empty_directory => client.remove(path, Remove::EmptyDirectory).await,
        Err(_) => Err(Failure::new(
            Reason::IsDirectory,
            format!("{path} is a directory; add -r to remove it with all that is below"),
        )),
        Ok(removed) => Ok(removed),
    }
}
