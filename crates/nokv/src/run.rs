//! From the process's start to its exit code: parse, reach the store, run, close.
//!
//! Ctrl-C drops the command, which cancels what is under way, and still closes the store, so that
//! an open upload session ends now instead of by its timeout. A second Ctrl-C ends the process at
//! once.

use crate::arguments::{Arguments, Command, StoreArguments};
use crate::commands::{
    admin, backup, branch, cache, cat, completions, diff, du, dump, fsck, gc, get, init, link,
    load, ls, merge, mkdir, mount, mounts, mv, put, quota, restore, restore_store, rm, scrub,
    sessions, snapshot, stat, stats, status, tree, umount, undo, up, warmup, watch,
};
use crate::commands::{placement, publish, shards};
use crate::error::Error;
use crate::output::Output;
use crate::session;
use clap::{CommandFactory, FromArgMatches};
use nokv_client::{Client, Create};
use nokv_types::{Failure, Reason};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    let matches = Arguments::command().get_matches_from(words());
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let format = arguments.global.format();
    let output = Output::new(format, arguments.global.verbosity(), arguments.global.color);
    let outcome = arguments
        .global
        .store
        .clone()
        .settle(&matches)
        .map_err(Error::Usage)
        .and_then(|store| start(arguments.command, &store, &output));
    // What a failed command printed before it failed is still an answer.
    let flushed = output.flush();
    match outcome.and(flushed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(format),
    }
}

/// The command line; called as `mount.nokv`, that of the mount that it asks for.
pub(crate) fn words() -> Vec<OsString> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let called = words.first().map(Path::new).and_then(Path::file_name);
    match called {
        Some(name) if name == "mount.nokv" => mount::helper(words.get(1..).unwrap_or_default()),
        _ => words,
    }
}

fn start(command: Command, store: &StoreArguments, output: &Output) -> Result<(), Error> {
    if let Command::Completions(arguments) = command {
        return completions::run(&arguments, output);
    }
    if let Command::Cache(arguments) = command {
        return cache::run(&arguments, store, output);
    }
    if let Command::Admin(arguments) = command {
        return admin::run(&arguments, store, output);
    }
    if let Command::Stats(arguments) = command {
        return stats::run(&arguments, output);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Reason::Io, format!("cannot start threads: {error}")))?;
    let outcome = runtime.block_on(run(command, store, output));
    // A read of standard input can't be cancelled: don't wait for it.
    runtime.shutdown_background();
    outcome
}

async fn run(command: Command, store: &StoreArguments, output: &Output) -> Result<(), Error> {
    match command {
        Command::Up(arguments) => up::run(arguments, up::Welcome::Full, store, output).await,
        Command::Serve(arguments) => up::run(arguments, up::Welcome::Brief, store, output).await,
        Command::Init(arguments) => init::run(&arguments, store, output).await,
        Command::Mount(arguments) => mount::run(arguments, store, output).await,
        Command::Umount(arguments) => umount::run(arguments, output).await,
        Command::RestoreStore(arguments) => {
            tokio::select! {
                outcome = restore_store::run(arguments, store, output) => outcome,
                _ = tokio::signal::ctrl_c() => Err(Error::Interrupted),
            }
        }
        command => {
            let client = session::connect(store, creates(&command)).await?;
            let outcome = tokio::select! {
                outcome = in_mount(command, store, &client, output) => outcome,
                _ = tokio::signal::ctrl_c() => Err(Error::Interrupted),
            };
            let closed = client.close().await;
            outcome.and(closed.map_err(Error::from))
        }
    }
}

/// Whether a command that finds no store makes one. A command that only reads does not: its answer
/// would be about a store that nobody has.
fn creates(command: &Command) -> Create {
    match command {
        Command::Put(_) | Command::Publish(_) | Command::Mkdir(_) | Command::Load(_) => {
            Create::IfMissing
        }
        _ => Create::Never,
    }
}

/// Runs a command in the mount that the options name; one that is about the store runs anyway.
async fn in_mount(
    command: Command,
    store: &StoreArguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let of_store = matches!(
        command,
        Command::Mounts(_)
            | Command::Sessions(_)
            | Command::Status(_)
            | Command::Gc(_)
            | Command::Fsck(_)
    );
    match &store.mount {
        Some(name) if !of_store => {
            let client = session::in_mount(client, name).await?;
            with_client(command, store, &client, output).await
        }
        _ => with_client(command, store, client, output).await,
    }
}

async fn with_client(
    command: Command,
    store: &StoreArguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    match command {
        Command::Put(arguments) => put::run(arguments, client, output).await,
        Command::Publish(arguments) => publish::run(arguments, client, output).await,
        Command::Get(arguments) => get::run(arguments, client, output).await,
        Command::Cat(arguments) => cat::run(arguments, client, output).await,
        Command::Ls(arguments) => ls::run(arguments, client, output).await,
        Command::Stat(arguments) => stat::run(arguments, client, output).await,
        Command::Mkdir(arguments) => mkdir::run(arguments, client, output).await,
        Command::Mv(arguments) => mv::run(arguments, client, output).await,
        Command::Rm(arguments) => rm::run(arguments, store, client, output).await,
        Command::Ln(arguments) => link::run(arguments, client, output).await,
        Command::Du(arguments) => du::run(arguments, client, output).await,
        Command::Tree(arguments) => tree::run(arguments, client, output).await,
        Command::Snapshot(arguments) => snapshot::run(arguments, client, output).await,
        Command::Branch(arguments) => branch::run(arguments, client, output).await,
        Command::Diff(arguments) => diff::run(arguments, client, output).await,
        Command::Merge(arguments) => merge::run(arguments, client, output).await,
        Command::Fsck(arguments) => fsck::run(arguments, client, output).await,
        Command::Shards(arguments) => shards::run(arguments, client, output).await,
        Command::Placement(arguments) => placement::run(arguments, client, output).await,
        Command::Restore(arguments) => restore::run(arguments, store, client, output).await,
        Command::Undo(arguments) => undo::run(arguments, store, client, output).await,
        Command::Mounts(arguments) => mounts::run(arguments, client, output).await,
        Command::Sessions(arguments) => sessions::run(arguments, client, output).await,
        Command::Quota(arguments) => quota::run(arguments, client, output).await,
        Command::Watch(arguments) => watch::run(arguments, client, output).await,
        Command::Dump(arguments) => dump::run(arguments, client, output).await,
        Command::Load(arguments) => load::run(arguments, client, output).await,
        Command::Backup(arguments) => backup::run(arguments, client, output).await,
        Command::Scrub(arguments) => scrub::run(arguments, client, output).await,
        Command::Gc(arguments) => gc::run(arguments, client, output).await,
        Command::Warmup(arguments) => warmup::run(arguments, client, output).await,
        Command::Status(_) => status::run(client, output).await,
        Command::Up(_)
        | Command::Serve(_)
        | Command::Init(_)
        | Command::Mount(_)
        | Command::Umount(_)
        | Command::Stats(_)
        | Command::RestoreStore(_)
        | Command::Admin(_)
        | Command::Cache(_)
        | Command::Completions(_) => {
            unreachable!("these need no client")
        }
    }
}
