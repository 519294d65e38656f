//! `nokv quota`: limits of what directories may hold.

use crate::arguments::PathArgument;
use crate::error::Error;
use crate::layout::{Align, Table};
use crate::output::{Output, insert_bytes};
use crate::session;
use crate::text;
use nokv_client::{Client, Quota, QuotaCheck, QuotaLimits, QuotaState};
use nokv_types::{Failure, NsPath, Reason};
use serde_json::{Map, Value};

const EXAMPLES: &str = "\
Examples:
  nokv quota set /teams/a --bytes 2TiB        what is below /teams/a may have 2 TiB
  nokv quota set / --inodes 50000000          the whole mount: 50 million names
  nokv quota get /teams/a                     limits and use
  nokv quota ls
  nokv quota check /teams/a                   counts again; exit code 1 if it differs
  nokv quota rm /teams/a";

/// Arguments of `nokv quota`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Limit a directory; what is there counts
    Set(Set),
    /// Show the quota of a directory
    Get(Paths),
    /// List the quotas
    Ls,
    /// Remove the quota of a directory
    Rm(Paths),
    /// Count again what a quota has counted
    Check(Paths),
}

#[derive(clap::Args)]
struct Set {
    /// A directory in the namespace; / is the whole mount
    #[arg(value_name = "PATH")]
    path: PathArgument,
    /// Bytes of files, as 500GB or 2TiB
    #[arg(long, value_name = "SIZE", required_unless_present = "inodes")]
    bytes: Option<bytesize::ByteSize>,
    /// Names: files, directories, links
    #[arg(long, value_name = "COUNT")]
    inodes: Option<u64>,
}

#[derive(clap::Args)]
struct Paths {
    /// Directories in the namespace
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathArgument>,
}

/// Does what is asked and prints the quotas that it is about.
pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    match arguments.action {
        Action::Set(set) => {
            let limits = QuotaLimits {
                bytes: set.bytes.map(|bytes| bytes.as_u64()),
                inodes: set.inodes,
            };
            let path = session::path(&set.path)?;
            print(&[client.set_quota(&path, limits).await?], output)
        }
        Action::Ls => print(&client.quotas().await?, output),
        Action::Get(paths) => {
            let mut quotas = Vec::new();
            for path in &paths.paths {
                quotas.push(client.quota(&session::path(path)?).await?);
            }
            print(&quotas, output)
        }
        Action::Rm(paths) => {
            for path in &paths.paths {
                let removed = client.remove_quota(&session::path(path)?).await?;
                if output.is_json() {
                    output.json(to_json(&removed))?;
                }
            }
            Ok(())
        }
        Action::Check(paths) => {
            for path in &paths.paths {
                let path = session::path(path)?;
                let check = client.check_quota(&path).await?;
                print_check(&path, &check, output)?;
            }
            Ok(())
        }
    }
}

fn print(quotas: &[Quota], output: &Output) -> Result<(), Error> {
    if output.is_json() {
        for quota in quotas {
            output.json(to_json(quota))?;
        }
        return Ok(());
    }
    let mut table = Table::new([Align::Right, Align::Left, Align::Right, Align::Left]);
    for quota in quotas {
        let of = |limit: Option<String>| {
            limit.map_or("of any".to_owned(), |limit| format!("of {limit}"))
        };
        table.push([
            text::human_bytes(quota.usage.bytes),
            of(quota.limits.bytes.map(text::human_bytes)),
            text::count(quota.usage.inodes, "name", "names"),
            of(quota.limits.inodes.map(|limit| limit.to_string())),
        ]);
    }
    for (line, quota) in table.lines().zip(quotas) {
        output.raw(line)?;
        output.raw("  ")?;
        match &quota.path {
            Some(path) => output.raw(output.path(path))?,
            None => output.raw("(in a removed directory)")?,
        }
        if quota.state == QuotaState::Counting {
            output.raw("  (being counted; if nobody does, set it again)")?;
        }
        output.line("")?;
    }
    Ok(())
}

fn to_json(quota: &Quota) -> Map<String, Value> {
    let mut object = Map::new();
    if let Some(path) = &quota.path {
        insert_bytes(&mut object, "path", &path.to_bytes());
    }
    object.insert("bytes".to_owned(), quota.usage.bytes.into());
    object.insert("bytes_limit".to_owned(), quota.limits.bytes.into());
    object.insert("inodes".to_owned(), quota.usage.inodes.into());
    object.insert("inodes_limit".to_owned(), quota.limits.inodes.into());
    let counting = quota.state == QuotaState::Counting;
    object.insert("counting".to_owned(), counting.into());
    object
}

/// **Errors**: `Corrupt` when the counts differ.
fn print_check(path: &NsPath, check: &QuotaCheck, output: &Output) -> Result<(), Error> {
    let agrees = check.counted == check.recounted;
    if output.is_json() {
        let mut object = Map::new();
        insert_bytes(&mut object, "path", &path.to_bytes());
        for (name, usage) in [("counted", check.counted), ("recounted", check.recounted)] {
            let usage = serde_json::json!({"bytes": usage.bytes, "inodes": usage.inodes});
            object.insert(name.to_owned(), usage);
        }
        object.insert("agrees".to_owned(), agrees.into());
        output.json(object)?;
    } else if agrees {
        output.raw(output.path(path))?;
        output.line(format!(
            ": {} bytes, {}, counted right",
            check.counted.bytes,
            text::count(check.counted.inodes, "name", "names")
        ))?;
    }
    if agrees {
        return Ok(());
    }
    Err(Error::Failed(Failure::new(
        Reason::Corrupt,
        format!(
            "the quota of {path} counts {} bytes and {} names, there are {} and {}; set it anew \
             after `nokv quota rm`",
            check.counted.bytes,
            check.counted.inodes,
            check.recounted.bytes,
            check.recounted.inodes
        ),
    )))
}
