//! `nokv mounts`: the namespaces of a store.

use crate::error::Error;
use crate::layout::{Align, Table};
use crate::output::Output;
use nokv_client::{Client, Mount};
use serde_json::{Map, Value};

const EXAMPLES: &str = "\
Examples:
  nokv mounts register team-a                 a namespace of its own in the same store
  nokv --mount team-a put ./results /runs/42  every command takes --mount, or NOKV_MOUNT
  nokv mounts ls
  nokv mounts retire team-a --yes             ends it, with everything in it, for good

Each mount has its own root, quotas, snapshots and branches; objects and server are shared. A store
has the mount \"default\" from the start.";

/// Arguments of `nokv mounts`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Make mounts
    Register(Names),
    /// List the mounts
    Ls,
    /// End mounts with everything in them, for good: nothing brings it back
    Retire(Retire),
}

#[derive(clap::Args)]
struct Names {
    /// Names: letters, digits, -, _ and .
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

#[derive(clap::Args)]
struct Retire {
    #[command(flatten)]
    names: Names,
    /// Yes, all that is in them
    #[arg(long)]
    yes: bool,
}

/// Does what is asked and prints the mounts that it is about.
pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    match arguments.action {
        Action::Ls => print(&client.mounts().await?, output),
        Action::Register(names) => {
            for name in &names.names {
                let mount = client.create_mount(name).await?;
                tell(&mount, "registered", output)?;
            }
            Ok(())
        }
        Action::Retire(Retire { names, yes: false }) => Err(Error::Usage(format!(
            "this removes all that is in {}, and nothing brings it back; repeat it with --yes",
            names.names.join(", ")
        ))),
        Action::Retire(Retire { names, yes: true }) => {
            for name in &names.names {
                let mount = client.retire_mount(name).await?;
                tell(
                    &mount,
                    "retired; what it held is collected from now on",
                    output,
                )?;
            }
            Ok(())
        }
    }
}

fn tell(mount: &Mount, what: &str, output: &Output) -> Result<(), Error> {
    match output.is_json() {
        true => output.json(to_json(mount)),
        false => output.line(format!("{}: {what}", mount.name)),
    }
}

fn print(mounts: &[Mount], output: &Output) -> Result<(), Error> {
    if output.is_json() {
        for mount in mounts {
            output.json(to_json(mount))?;
        }
        return Ok(());
    }
    let mut table = Table::new([Align::Left, Align::Right]);
    for mount in mounts {
        table.push([mount.name.clone(), mount.id.to_string()]);
    }
    for line in table.lines() {
        output.line(line)?;
    }
    Ok(())
}

fn to_json(mount: &Mount) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("name".to_owned(), mount.name.clone().into());
    object.insert("mount".to_owned(), mount.id.get().into());
    object.insert("root".to_owned(), mount.root.as_u64().into());
    object
}
