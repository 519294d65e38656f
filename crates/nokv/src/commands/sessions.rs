//! `nokv sessions`: clients that have files open or hold locks.

use crate::error::Error;
use crate::layout::{Align, Table};
use crate::output::Output;
use nokv_client::{Client, ClientPhase, ClientSession};
use nokv_types::ClientId;
use serde_json::{Map, Value};

const EXAMPLES: &str = "\
Examples:
  nokv sessions ls                            who has files open or may hold locks
  nokv sessions end 4294967296007             ends one: its locks are given to others

A session ends by itself when its client does not renew it. End one by hand only when its client is
gone or must be cut off: what it had open and removed meanwhile is lost to it.";

/// Arguments of `nokv sessions`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// List the sessions
    Ls,
    /// End sessions with all that they have
    End(Numbers),
}

#[derive(clap::Args)]
struct Numbers {
    /// Numbers, as ls shows them
    #[arg(required = true, value_name = "SESSION")]
    numbers: Vec<u64>,
}

/// Does what is asked.
pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    match arguments.action {
        Action::Ls => print(&client.client_sessions().await?, output),
        Action::End(numbers) => {
            for number in numbers.numbers {
                client.close_client_session(ClientId::new(number)).await?;
            }
            Ok(())
        }
    }
}

fn print(sessions: &[ClientSession], output: &Output) -> Result<(), Error> {
    if output.is_json() {
        for session in sessions {
            output.json(to_json(session))?;
        }
        return Ok(());
    }
    let mut table = Table::new([Align::Left, Align::Right, Align::Right, Align::Left]);
    for session in sessions {
        table.push([
            session.id.to_string(),
            format!("{} open", session.open_count),
            format!("{} s left", session.left_ms / 1000),
            match session.phase {
                ClientPhase::Live => String::new(),
                ClientPhase::Unannounced => "not back since the restart".to_owned(),
            },
        ]);
    }
    for (line, session) in table.lines().zip(sessions) {
        output.raw(line)?;
        output.raw("  ")?;
        output.line(crate::output::escape(session.label.as_bytes()))?;
    }
    Ok(())
}

fn to_json(session: &ClientSession) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("session".to_owned(), session.id.get().into());
    object.insert("label".to_owned(), session.label.clone().into());
    object.insert("ttl_ms".to_owned(), session.ttl_ms.into());
    object.insert("left_ms".to_owned(), session.left_ms.into());
    object.insert("open_count".to_owned(), session.open_count.into());
    let announced = session.phase == ClientPhase::Live;
    object.insert("announced".to_owned(), announced.into());
    object
}
