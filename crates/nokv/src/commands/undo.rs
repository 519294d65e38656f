//! `nokv undo`: takes back what one command did.

use crate::arguments::StoreArguments;
use crate::describe;
use crate::error::Error;
use crate::output::Output;
use crate::text::count;
use nokv_client::{Client, CommandAnswer};
use nokv_types::Version;
use serde_json::{Map, Value};

const EXAMPLES: &str = "\
Examples:
  nokv undo                                   what the last command changed
  nokv undo 470614586188103681                that of a version, as rm -r or --json tell it
  nokv undo -n                                only says what would be undone

One command is what became visible in one step: a rm -r, a merge, up to 512 files of a put. What
happened elsewhere since stays; what was changed again since is a conflict and stays as it is. An
undo can be undone.";

/// Arguments of `nokv undo`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The version of the command, or last
    #[arg(value_name = "VERSION", default_value = "last", value_parser = which)]
    which: Which,
    /// Change nothing, say what would be undone
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// Which command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Which {
    /// The last one.
    Last,
    /// That of a version.
    Version(Version),
}

fn which(text: &str) -> Result<Which, String> {
    match (text, text.parse()) {
        ("last", _) => Ok(Which::Last),
        (_, Ok(bits)) if bits > 0 => Ok(Which::Version(Version::from_u64(bits))),
        _ => Err("a version is a number, as rm -r or --json tell it; or say last".to_owned()),
    }
}

/// Undoes a command and prints what it had changed.
pub(crate) async fn run(
    arguments: Arguments,
    store: &StoreArguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let version = match arguments.which {
        Which::Last => None,
        Which::Version(version) => Some(version),
    };
    let command = client.command(version).await?;
    if arguments.dry_run {
        print(&command, None, output)?;
        return output.note(&format!("would undo version {}", command.version));
    }
    let undone = client.undo(command.version).await?;
    print(&command, Some(undone.version), output)?;
    let again = store.command(&["undo", &undone.version.to_string()]);
    output.note(&format!(
        "undid version {} ({}); to do it again: {again}",
        command.version,
        count(undone.changes, "change", "changes")
    ))
}

fn print(command: &CommandAnswer, undo: Option<Version>, output: &Output) -> Result<(), Error> {
    if output.is_json() {
        let mut object = Map::new();
        object.insert("undone".to_owned(), command.version.as_u64().into());
        object.insert("version".to_owned(), undo.map(Version::as_u64).into());
        let changes = command.changes.iter();
        let changes = changes.map(|change| Value::Object(describe::change_json(change)));
        object.insert("changes".to_owned(), changes.collect());
        object.insert("change_count".to_owned(), command.change_count.into());
        return output.json(object);
    }
    for change in &command.changes {
        describe::change(change, output)?;
    }
    let unlisted = command.change_count - command.changes.len() as u64;
    if unlisted > 0 {
        output.line(format!("and {unlisted} more"))?;
    }
    Ok(())
}
