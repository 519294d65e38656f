//! `nokv backup`: copies of the metadata in an object store, that a store comes back from.

use crate::error::Error;
use crate::layout::{Align, Table};
use crate::output::Output;
use crate::text::{count, human_bytes, minute, time};
use nokv_client::{Backup, Client, KeepBackups, MadeBackup};
use nokv_types::{Failure, Reason};
use serde_json::Map;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  nokv backup                                 once, beside the bodies
  nokv backup --to s3://other/nokv            somewhere else
  nokv backup --every 1h --keep 48 --keep-for 30d
  nokv backup --follow 10s --keep 6           a loss costs ten seconds at most
  nokv backup ls
  nokv backup verify
  nokv backup rm 7

`nokv restore-store` brings the store back. Bodies are not copied: they are in the object store,
and what a backup needs of them is not deleted while the backup is kept.";

/// Arguments of `nokv backup`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = false)]
pub(crate) struct Arguments {
    /// What to do; a backup unless told
    #[command(subcommand)]
    action: Option<Action>,
    /// Where backups are [default: below the URL of the bodies, in backups]
    #[arg(long, visible_alias = "from", value_name = "URL", global = true)]
    to: Option<String>,
    /// Make one backup and end (what happens unless told)
    #[arg(long, conflicts_with_all = ["every", "follow"])]
    once: bool,
    /// Make one after each of these times, until stopped
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    every: Option<Duration>,
    /// Go on without a pause for as long as a loss may cost; tell when it is exceeded
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, conflicts_with = "every")]
    follow: Option<Duration>,
    /// Keep the newest so many
    #[arg(long, value_name = "NUMBER")]
    keep: Option<u32>,
    /// Keep those younger than this
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    keep_for: Option<Duration>,
}

/// What is done with backups.
#[derive(clap::Subcommand)]
enum Action {
    /// List backups
    Ls,
    /// Remove one, and what no other needs
    Rm {
        /// Its number
        #[arg(value_name = "NUMBER")]
        number: u32,
    },
    /// Read every byte of one
    Verify {
        /// Its number; the newest unless told
        #[arg(value_name = "NUMBER")]
        number: Option<u32>,
    },
}

/// Does it. **Errors**: those of the place; `Corrupt` when a backup that was verified is damaged.
pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let url = arguments.to.as_deref();
    match &arguments.action {
        Some(Action::Ls) => list(client.backups(url).await?, output),
        Some(Action::Rm { number }) => {
            let (objects, bytes) = client.remove_backup(url, *number).await?;
            output.note(&format!(
                "removed backup {number}: {}, {}",
                count(objects, "object", "objects"),
                human_bytes(bytes)
            ))
        }
        Some(Action::Verify { number }) => verify(url, *number, client, output).await,
        None => make(&arguments, client, output).await,
    }
}

async fn make(arguments: &Arguments, client: &Client, output: &Output) -> Result<(), Error> {
    let url = arguments.to.as_deref();
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let keep = KeepBackups {
        count: arguments.keep,
        age_ms: arguments.keep_for.map(millis),
    };
    let Some(pause) = arguments.every.or(arguments.follow) else {
        return told(&client.make_backup(url, keep).await?, output);
    };
    // Half of the target for the pause: the other half is what a backup may take.
    let pause = match arguments.follow {
        Some(target) => target / 2,
        None => pause,
    };
    loop {
        match client.make_backup(url, keep).await {
            Ok(made) => {
                told(&made, output)?;
                let took = Duration::from_millis(made.lag_ms) + pause;
                if arguments.follow.is_some_and(|target| took > target) {
                    output.note(&format!(
                        "behind: a loss now costs up to {}",
                        humantime::format_duration(took)
                    ))?;
                }
            }
            Err(failure) if failure.is_retryable() => {
                output.note(&format!("this backup failed, the next may not: {failure}"))?;
            }
            Err(failure) => return Err(failure.into()),
        }
        output.flush()?;
        tokio::time::sleep(pause).await;
    }
}

fn told(made: &MadeBackup, output: &Output) -> Result<(), Error> {
    let MadeBackup {
        backup, sent_bytes, ..
    } = made;
    if output.is_json() {
        let mut object = to_json(backup);
        object.insert("sent_bytes".to_owned(), (*sent_bytes).into());
        object.insert("removed".to_owned(), made.removed.clone().into());
        object.insert("lag_ms".to_owned(), made.lag_ms.into());
        object.insert("place".to_owned(), made.place.as_str().into());
        return output.json(object);
    }
    output.line(format!(
        "backup {} in {}: version {}, {} in {}, {} sent in {} ms",
        backup.number,
        made.place,
        backup.version,
        human_bytes(backup.byte_count),
        count(backup.file_count, "file", "files"),
        human_bytes(*sent_bytes),
        made.lag_ms,
    ))?;
    for number in &made.removed {
        output.note(&format!("removed backup {number}"))?;
    }
    Ok(())
}

fn list(backups: Vec<Backup>, output: &Output) -> Result<(), Error> {
    if output.is_json() {
        return backups
            .iter()
            .try_for_each(|backup| output.json(to_json(backup)));
    }
    let mut table = Table::new([Align::Right, Align::Left, Align::Right, Align::Left]);
    for backup in backups {
        let what = match backup.flaw.as_str() {
            "" => format!("version {}", backup.version),
            flaw => flaw.to_owned(),
        };
        table.push([
            backup.number.to_string(),
            minute(time(backup.made_millis)),
            human_bytes(backup.byte_count),
            what,
        ]);
    }
    table.lines().try_for_each(|line| output.line(line))
}

async fn verify(
    url: Option<&str>,
    number: Option<u32>,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let (backup, flaws) = client.verify_backup(url, number).await?;
    for flaw in &flaws {
        if output.is_json() {
            let mut object = Map::new();
            object.insert("file".to_owned(), flaw.file.as_str().into());
            object.insert("offset".to_owned(), flaw.offset.into());
            object.insert("flaw".to_owned(), flaw.message.as_str().into());
            output.json(object)?;
        } else {
            output.line(format!(
                "{}, offset {}: {}",
                flaw.file, flaw.offset, flaw.message
            ))?;
        }
    }
    if flaws.is_empty() {
        return match output.is_json() {
            true => output.json(to_json(&backup)),
            false => output.line(format!(
                "backup {} is whole: {} in {}",
                backup.number,
                human_bytes(backup.byte_count),
                count(backup.file_count, "file", "files")
            )),
        };
    }
    let flaws = count(flaws.len() as u64, "part", "parts");
    Err(Error::Failed(Failure::new(
        Reason::Corrupt,
        format!("{flaws} of backup {} can't be restored", backup.number),
    )))
}

fn to_json(backup: &Backup) -> Map<String, serde_json::Value> {
    let mut object = Map::new();
    object.insert("backup".to_owned(), backup.number.into());
    object.insert("made_ms".to_owned(), backup.made_millis.into());
    object.insert("version".to_owned(), backup.version.as_u64().into());
    object.insert("bytes".to_owned(), backup.byte_count.into());
    object.insert("files".to_owned(), backup.file_count.into());
    if !backup.flaw.is_empty() {
        object.insert("flaw".to_owned(), backup.flaw.as_str().into());
    }
    object
}
