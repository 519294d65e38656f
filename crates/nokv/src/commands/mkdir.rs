//! `nokv mkdir`: makes directories.

use crate::arguments::PathArgument;
use crate::describe;
use crate::error::Error;
use crate::output::Output;
use crate::session;
use nokv_client::{Client, Parents};

/// Largest permission bits: read, write, execute for three, and the three special bits.
const MODE_MAX: u32 = 0o7777;

const EXAMPLES: &str = "\
Examples:
  nokv mkdir /runs
  nokv mkdir -p /runs/42/logs                 parents too; an existing directory is fine
  nokv mkdir -m 700 /private";

/// Arguments of `nokv mkdir`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Directories to make
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathArgument>,
    /// Make missing parents; an existing directory is no error
    #[arg(short, long)]
    parents: bool,
    /// Permissions, octal
    #[arg(short, long, value_name = "MODE", default_value = "755", value_parser = parse_mode)]
    mode: u32,
}

fn parse_mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= MODE_MAX => Ok(mode),
        _ => Err("permissions are octal digits, at most 7777".to_owned()),
    }
}

/// Makes the directories in the order given; the first that fails ends it.
pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let parents = if arguments.parents {
        Parents::Create
    } else {
        Parents::Required
    };
    for argument in &arguments.paths {
        let path = session::path(argument)?;
        let changed = client.make_dir(&path, arguments.mode, parents).await?;
        if output.is_json() {
            output.json(describe::json(&path, &changed.node, None))?;
        }
    }
    Ok(())
}
