//! `nokv snapshot`: names for a directory as of a version.

use crate::arguments::PathArgument;
use crate::as_of::AtArgument;
use crate::error::Error;
use crate::layout::{Align, Table};
use crate::output::{Output, insert_bytes};
use crate::session;
use crate::text;
use nokv_client::{Client, Lease, NewSnapshot, Snapshot, SnapshotState};
use nokv_types::{AsOf, SnapshotName};
use serde_json::Map;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  nokv snapshot create /runs/42 best          keeps /runs/42 as it is now, until it is removed
  nokv snapshot create / nightly --lease 7d   for a week, unless it is renewed
  nokv snapshot create /runs before --at -10m what was ten minutes ago
  nokv snapshot ls
  nokv snapshot renew nightly --lease 7d
  nokv snapshot rm best
  nokv ls --at best /runs/42                  every command that reads takes --at";

/// Arguments of `nokv snapshot`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Give a directory as it is, or was, a name
    Create(Create),
    /// List the snapshots
    Ls,
    /// Let a snapshot live longer; never shorter
    Renew(Renew),
    /// Remove snapshots
    Rm(Names),
}

#[derive(clap::Args)]
struct Create {
    /// A directory in the namespace
    #[arg(value_name = "PATH")]
    path: PathArgument,
    /// A letter, then letters, digits, '-', '_' or '.'
    #[arg(value_name = "NAME", value_parser = name)]
    name: SnapshotName,
    /// How long it lives, as 12h or 7d [default: until it is removed]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    lease: Option<Duration>,
    #[command(flatten)]
    at: AtArgument,
}

#[derive(clap::Args)]
struct Renew {
    /// The snapshot
    #[arg(value_name = "NAME", value_parser = name)]
    name: SnapshotName,
    /// From now, as 12h or 7d
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    #[arg(required_unless_present = "permanent")]
    lease: Option<Duration>,
    /// Until it is removed
    #[arg(long, conflicts_with = "lease")]
    permanent: bool,
}

#[derive(clap::Args)]
struct Names {
    /// The snapshots
    #[arg(required = true, value_name = "NAME", value_parser = name)]
    names: Vec<SnapshotName>,
}

fn name(text: &str) -> Result<SnapshotName, String> {
    SnapshotName::parse(text).map_err(|failure| failure.message().to_owned())
}

/// Does what is asked and prints the snapshots that it is about.
pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    match arguments.action {
        Action::Create(create) => {
            let made = make(create, client).await?;
            print(&[made], output)
        }
        Action::Ls => print(&client.snapshots().await?, output),
        Action::Renew(renew) => {
            let renewed = client
                .renew_snapshot(&renew.name, renew.lease.map(millis))
                .await?;
            print(&[renewed], output)
        }
        Action::Rm(names) => {
            for name in names.names {
                let removed = client.remove_snapshot(&name).await?;
                if output.is_json() {
                    output.json(to_json(&removed))?;
                }
            }
            Ok(())
        }
    }
}

async fn make(create: Create, client: &Client) -> Result<Snapshot, Error> {
    let at = match create.at.moment()? {
        None => None,
        Some(AsOf::Version(version)) => Some(version),
        Some(AsOf::Snapshot(name)) => {
            let other = client.snapshots().await?;
            let other = other.into_iter().find(|snapshot| snapshot.name == name);
            let missing = || Error::Usage(format!("snapshot {name} does not exist"));
            Some(other.ok_or_else(missing)?.at)
        }
    };
    let new = NewSnapshot {
        name: create.name,
        at,
        lease_ms: create.lease.map(millis),
    };
    let path = session::path(&create.path)?;
    Ok(client.create_snapshot(&path, &new).await?)
}

fn millis(time: Duration) -> u64 {
    // A lease of no time is refused by the server; 0 would say "permanent" to it.
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}

fn print(snapshots: &[Snapshot], output: &Output) -> Result<(), Error> {
    if output.is_json() {
        for snapshot in snapshots {
            output.json(to_json(snapshot))?;
        }
        return Ok(());
    }
    let mut table = Table::new([Align::Left, Align::Left, Align::Left, Align::Right]);
    for snapshot in snapshots {
        let until = match (snapshot.state, snapshot.lease) {
            (SnapshotState::Live, Lease::Permanent) => "permanent".to_owned(),
            (SnapshotState::Live, Lease::Until(end)) => format!("until {}", minute(end)),
            (SnapshotState::Expired, _) => "expired".to_owned(),
        };
        table.push([
            snapshot.name.to_string(),
            minute(snapshot.created_millis),
            until,
            snapshot.at.to_string(),
        ]);
    }
    for (line, snapshot) in table.lines().zip(snapshots) {
        output.raw(line)?;
        output.raw(" ")?;
        output.line(output.path(&snapshot.path))?;
    }
    Ok(())
}

fn to_json(snapshot: &Snapshot) -> Map<String, serde_json::Value> {
    let mut object = Map::new();
    object.insert("snapshot".to_owned(), snapshot.name.as_str().into());
    insert_bytes(&mut object, "path", &snapshot.path.to_bytes());
    object.insert("version".to_owned(), snapshot.at.as_u64().into());
    let created = text::rfc3339(text::time(snapshot.created_millis));
    object.insert("created".to_owned(), created.into());
    let expires = match snapshot.lease {
        Lease::Permanent => serde_json::Value::Null,
        Lease::Until(end) => text::rfc3339(text::time(end)).into(),
    };
    object.insert("expires".to_owned(), expires);
    let expired = snapshot.state == SnapshotState::Expired;
    object.insert("expired".to_owned(), expired.into());
    object
}

fn minute(millis: u64) -> String {
    text::minute(text::time(millis))
}
