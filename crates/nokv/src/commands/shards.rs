//! `nokv shards`: the shards of the store, and more of them.

use crate::error::Error;
use crate::layout::{Align, Table};
use crate::output::Output;
use crate::text::{count, human_bytes};
use nokv_client::{Client, ShardStatus};
use serde_json::Map;

const EXAMPLES: &str = "\
Examples:
  nokv shards                                 each with its commands and its log
  nokv shards add 4                           four in all; the store is used meanwhile
  nokv placement set /runs spread             new directories below /runs go all over them";

/// Arguments of `nokv shards`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Raise the number of shards
    Add(Add),
}

#[derive(clap::Args)]
struct Add {
    /// How many there shall be in all
    #[arg(value_name = "COUNT")]
    count: u16,
}

/// Prints the shards.
pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let shards = match arguments.action {
        None => client.shards().await?,
        Some(Action::Add(add)) => client.add_shards(add.count).await?,
    };
    print(&shards, output)
}

fn print(shards: &[ShardStatus], output: &Output) -> Result<(), Error> {
    if output.is_json() {
        for shard in shards {
            let mut object = Map::new();
            object.insert("shard".to_owned(), shard.shard.get().into());
            object.insert("commands".to_owned(), shard.commands.into());
            object.insert("version".to_owned(), shard.version.as_u64().into());
            object.insert("log_bytes".to_owned(), shard.log_bytes.into());
            output.json(object)?;
        }
        return Ok(());
    }
    let mut table = Table::new([Align::Right, Align::Right, Align::Left]);
    for shard in shards {
        table.push([
            format!("shard {}", shard.shard),
            count(shard.commands, "command", "commands"),
            format!("{} logged", human_bytes(shard.log_bytes)),
        ]);
    }
    for line in table.lines() {
        output.line(line)?;
    }
    Ok(())
}
