//! `nokv branch`: writable directories that show another as of a version.

use crate::arguments::PathArgument;
use crate::as_of::AtArgument;
use crate::error::Error;
use crate::layout::{Align, Table};
use crate::output::{Output, Style, insert_bytes};
use crate::session;
use crate::text;
use nokv_client::{Branch, Client};
use serde_json::Map;

const EXAMPLES: &str = "\
Examples:
  nokv branch create /data /try               /try shows /data and is changed on its own
  nokv branch create /data /old --at -10m     /data as it was ten minutes ago
  nokv branch create /data /old --at best     as a snapshot shows it
  nokv branch ls
  nokv diff /data /try                        what is different
  nokv merge /try /data                       what was changed in /try, into /data
  nokv branch rm /try";

/// Arguments of `nokv branch`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Make a branch of a directory, however large, in one step
    Create(Create),
    /// List the branches
    Ls,
    /// Remove branches, with what was changed in them
    Rm(Paths),
}

#[derive(clap::Args)]
struct Create {
    /// The directory to branch
    #[arg(value_name = "SRC")]
    source: PathArgument,
    /// Where the branch is to be: a new name
    #[arg(value_name = "DST")]
    place: PathArgument,
    #[command(flatten)]
    at: AtArgument,
}

#[derive(clap::Args)]
struct Paths {
    /// The branches
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathArgument>,
}

/// Does what is asked and prints the branches that it is about.
pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    match arguments.action {
        Action::Create(create) => {
            let source = session::path(&create.source)?;
            let place = session::path(&create.place)?;
            let moment = create.at.moment()?;
            let made = client
                .create_branch(&source, &place, moment.as_ref())
                .await?;
            print(&[made], output)
        }
        Action::Ls => print(&client.branches().await?, output),
        Action::Rm(paths) => {
            for path in &paths.paths {
                let path = session::path(path)?;
                let removed = client.remove_branch(&path).await?;
                if output.is_json() {
                    let mut object = Map::new();
                    insert_bytes(&mut object, "removed", &path.to_bytes());
                    object.insert("version".to_owned(), removed.version.as_u64().into());
                    output.json(object)?;
                }
            }
            Ok(())
        }
    }
}

fn print(branches: &[Branch], output: &Output) -> Result<(), Error> {
    if output.is_json() {
        for branch in branches {
            output.json(to_json(branch))?;
        }
        return Ok(());
    }
    let mut table = Table::new([Align::Right, Align::Left, Align::Left, Align::Left]);
    for branch in branches {
        table.push([
            branch.id.to_string(),
            text::minute(text::time(branch.created_millis)),
            format!("at {}", branch.base),
            match branch.parent.get() {
                0 => String::new(),
                parent => format!("of {parent}"),
            },
        ]);
    }
    for (line, branch) in table.lines().zip(branches) {
        output.raw(line)?;
        output.raw(" ")?;
        match &branch.path {
            Some(path) => output.line(output.styled(Style::Directory, &output.path(path)))?,
            None => output.line("(in a removed directory)")?,
        }
    }
    Ok(())
}

fn to_json(branch: &Branch) -> Map<String, serde_json::Value> {
    let mut object = Map::new();
    object.insert("branch".to_owned(), branch.id.get().into());
    if let Some(path) = &branch.path {
        insert_bytes(&mut object, "path", &path.to_bytes());
    }
    object.insert("parent".to_owned(), branch.parent.get().into());
    object.insert("base".to_owned(), branch.base.as_u64().into());
    let created = text::rfc3339(text::time(branch.created_millis));
    object.insert("created".to_owned(), created.into());
    object
}
