//! `nokv placement`: in which shards new directories are made.

use crate::arguments::PathArgument;
use crate::error::Error;
use crate::output::{Output, insert_bytes};
use crate::session;
use nokv_client::{Client, ShardPlacement as Placement};
use nokv_types::NsPath;
use serde_json::{Map, Value};

const EXAMPLES: &str = "\
Examples:
  nokv placement get /runs                    where it is, and where new directories in it go
  nokv placement set /runs spread             all over the shards, by their names
  nokv placement set /logs least-loaded       to the shard that was written to least lately
  nokv placement set /runs/42 parent          with their parent
  nokv placement unset /runs                  where the mount says
  nokv placement mount default spread         what a mount says";

/// Arguments of `nokv placement`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Show where directories go that are made in one
    Get(Paths),
    /// Set it for a directory; directories made in it get it too
    Set(Set),
    /// Leave it to the mount again
    Unset(Paths),
    /// Set it for what says nothing, in a mount
    Mount(Mount),
}

#[derive(clap::Args)]
struct Paths {
    /// Directories in the namespace
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathArgument>,
}

#[derive(clap::Args)]
struct Set {
    /// A directory in the namespace
    #[arg(value_name = "PATH")]
    path: PathArgument,
    /// Where
    #[arg(value_name = "WHERE")]
    to: Where,
}

#[derive(clap::Args)]
struct Mount {
    /// The name of the mount
    #[arg(value_name = "MOUNT")]
    name: String,
    /// Where
    #[arg(value_name = "WHERE")]
    to: Where,
}

/// A placement on the command line.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Where {
    /// With the parent
    Parent,
    /// By a hash of parent and name
    Spread,
    /// Where least was written lately
    LeastLoaded,
}

impl From<Where> for Placement {
    fn from(to: Where) -> Self {
        match to {
            Where::Parent => Self::Parent,
            Where::Spread => Self::Spread,
            Where::LeastLoaded => Self::LeastLoaded,
        }
    }
}

const fn word(placement: Placement) -> &'static str {
    match placement {
        Placement::Parent => "parent",
        Placement::Spread => "spread",
        Placement::LeastLoaded => "least-loaded",
    }
}

/// Does what is asked.
pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    match arguments.action {
        Action::Get(paths) => {
            for path in &paths.paths {
                print(&session::path(path)?, client, output).await?;
            }
            Ok(())
        }
        Action::Set(set) => {
            let path = session::path(&set.path)?;
            client.set_placement(&path, Some(set.to.into())).await?;
            print(&path, client, output).await
        }
        Action::Unset(paths) => {
            for path in &paths.paths {
                let path = session::path(path)?;
                client.set_placement(&path, None).await?;
                print(&path, client, output).await?;
            }
            Ok(())
        }
        Action::Mount(mount) => {
            let placement = mount.to.into();
            client.set_mount_placement(&mount.name, placement).await?;
            let word = word(placement);
            output.note(&format!("new directories of {} go: {word}", mount.name))
        }
    }
}

async fn print(path: &NsPath, client: &Client, output: &Output) -> Result<(), Error> {
    let placed = client.placement(path).await?;
    if output.is_json() {
        let mut object = Map::new();
        insert_bytes(&mut object, "path", path.to_string().as_bytes());
        object.insert("shard".to_owned(), placed.shard.get().into());
        let own = placed.own.map_or(Value::Null, |own| word(own).into());
        object.insert("own".to_owned(), own);
        object.insert("effective".to_owned(), word(placed.effective).into());
        return output.json(object);
    }
    let whose = match placed.own {
        Some(_) => "its own",
        None => "the mount's",
    };
    let (shard, word) = (placed.shard, word(placed.effective));
    let line = format!("shard {shard}  {word} ({whose})  ");
    output.line([line.as_bytes(), &output.path(path)].concat())
}
