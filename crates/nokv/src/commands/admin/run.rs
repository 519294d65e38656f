//! The command line of `nokv admin`, and which folder it is about.

use std::path::{Path, PathBuf};

use nokv_engine::forensics::StoppedStore;
use nokv_env::Env;
use nokv_types::{Failure, Reason};

use super::{list, mend};
use crate::arguments::StoreArguments;
use crate::error::Error;
use crate::output::Output;
use crate::session;

const EXAMPLES: &str = "\
Examples:
  nokv admin stats --dir /srv/store            sums up what is on disk
  nokv admin verify --dir /srv/store           reads every byte; exit code 1 when one is damaged
  nokv admin wal --from 4000 --limit 20        records of the log, with their operations
  nokv admin tables --level 0                  the tables of a level
  nokv admin tables --blocks 17                the blocks of a table
  nokv admin repair                            shows what a repair would do, and what is lost
  nokv admin repair --apply                    does it; what is replaced goes to lost+found

The store must be stopped. DIR is the store's directory, or that of its metadata (DIR/meta).
Exit codes: 0 all is well, 1 damage was found or the command failed, 2 wrong usage.";

/// Name of the metadata's folder in that of a store.
const META_NAME: &str = "meta";

/// Arguments of `nokv admin`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Arguments {
    /// What to look at.
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Sum up what is on disk
    Stats,
    /// List manifests and their edits
    Manifest,
    /// List segments of the log, or its records
    Wal(WalArguments),
    /// List tables, or the blocks of one
    Tables(TablesArguments),
    /// List files of the value log
    Vlog,
    /// Read every byte and tell all damage
    Verify(VerifyArguments),
    /// Show what a repair would do, or do it
    Repair(RepairArguments),
}

/// Arguments of `nokv admin wal`.
#[derive(clap::Args)]
pub(super) struct WalArguments {
    /// List records instead of segments
    #[arg(long)]
    pub(super) records: bool,
    /// List records from this sequence on
    #[arg(long, value_name = "SEQUENCE")]
    pub(super) from: Option<u64>,
    /// List at most so many records [default: 100]
    #[arg(long, value_name = "COUNT")]
    pub(super) limit: Option<usize>,
}

/// Arguments of `nokv admin tables`.
#[derive(clap::Args)]
pub(super) struct TablesArguments {
    /// Only this level
    #[arg(long, value_name = "LEVEL", conflicts_with = "blocks")]
    pub(super) level: Option<usize>,
    /// The blocks of the table with this number
    #[arg(long, value_name = "NUMBER")]
    pub(super) blocks: Option<u64>,
}

/// Arguments of `nokv admin verify`.
#[derive(clap::Args)]
pub(super) struct VerifyArguments {
    /// Read at most so much in a second: 50MiB
    #[arg(long, value_name = "BYTES")]
    pub(super) rate: Option<bytesize::ByteSize>,
}

/// Arguments of `nokv admin repair`.
#[derive(clap::Args)]
pub(super) struct RepairArguments {
    /// Only show the plan: this is the default
    #[arg(long, conflicts_with = "apply")]
    dry_run: bool,
    /// Do what the plan says
    #[arg(long)]
    pub(super) apply: bool,
}

/// Runs `nokv admin`.
pub(crate) fn run(
    arguments: &Arguments,
    store: &StoreArguments,
    output: &Output,
) -> Result<(), Error> {
    if store.server.is_some() {
        let message = "`nokv admin` reads files: give --dir DIR of a stopped store, not a server";
        return Err(Error::Usage(message.to_owned()));
    }
    let dir = engine_dir(&session::store_dir(store)?);
    let stopped = StoppedStore::open(Env::real(), &dir).map_err(failure)?;
    match &arguments.command {
        Command::Stats => list::stats(&stopped, output),
        Command::Manifest => list::manifest(&stopped, output),
        Command::Wal(arguments) => list::wal(&stopped, arguments, output),
        Command::Tables(arguments) => list::tables(&stopped, arguments, output),
        Command::Vlog => list::values(&dir, output),
        Command::Verify(arguments) => mend::verify(&stopped, arguments, output),
        Command::Repair(arguments) => mend::repair(&stopped, arguments, output),
    }
}

/// The folder of the metadata: in that of a store, or itself.
fn engine_dir(dir: &Path) -> PathBuf {
    let meta = dir.join(META_NAME);
    if meta.is_dir() { meta } else { dir.to_owned() }
}

/// What the engine says, for the user.
pub(super) fn failure(error: nokv_engine::Error) -> Error {
    let reason = match &error {
        nokv_engine::Error::Corrupt { .. } => Reason::Corrupt,
        nokv_engine::Error::NotFound { .. } => Reason::NotFound,
        nokv_engine::Error::Busy { dir } => {
            let message = format!("the store {dir} is in use: stop its server first");
            return Error::Failed(Failure::new(Reason::Busy, message));
        }
        nokv_engine::Error::Invalid(_) => Reason::InvalidArgument,
        _ => Reason::Io,
    };
    Error::Failed(Failure::new(reason, error.to_string()))
}
