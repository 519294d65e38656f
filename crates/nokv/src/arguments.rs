//! The command line as clap parses it: global options and the list of commands.
//!
//! Each command has its own arguments, examples and code in `commands/`.

use crate::commands::{
    admin, backup, branch, cache, cat, completions, diff, du, dump, fsck, gc, get, init, link,
    load, ls, merge, mkdir, mount, mounts, mv, put, quota, restore, restore_store, rm, scrub,
    sessions, snapshot, stat, stats, status, tree, umount, undo, up, warmup, watch,
};
use crate::commands::{placement, publish, shards};
use crate::output::{Color, Format, Verbosity};
use clap::parser::ValueSource;
use clap::{Args, Parser, Subcommand};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const ABOUT: &str = "\
A namespace for artifacts: checkpoints, datasets, logs and reports as one versioned tree over an object store.";

const EXAMPLES: &str = "\
Examples:
  nokv up                              start a store and serve it
  nokv put ./results /runs/42          publish a directory
  nokv ls -l /runs/42                  see it
  nokv cat /runs/42/metrics.json       read a file
  nokv get /runs/42 ./copy             get it back, bit for bit

`nokv COMMAND --help` has examples for each command.

Which store: if a server has the directory open, commands talk to that server; otherwise they
open the store themselves. Where the objects are is told once, to `up` or `init`; the store
remembers. S3 credentials come from the environment, the usual AWS files, or a file; never from
an option, because every user of the machine sees the options of running programs.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.";

/// The whole command line.
#[derive(Parser)]
#[command(name = "nokv", version, about = ABOUT, after_help = EXAMPLES)]
#[command(disable_help_subcommand = true, arg_required_else_help = true)]
#[command(max_term_width = 100, propagate_version = false)]
pub(crate) struct Arguments {
    /// Options of every command.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Args)]
pub(crate) struct Global {
    /// Where the store is and how to reach it.
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// Answer in JSON, one value a line; errors too
    #[arg(long, global = true, help_heading = "Output")]
    json: bool,
    /// Print answers and errors only: no progress, no summaries
    #[arg(short, long, global = true, help_heading = "Output")]
    quiet: bool,
    /// When to use colours: auto, always, never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    #[arg(
        help_heading = "Output",
        hide_possible_values = true,
        hide_default_value = true
    )]
    pub(crate) color: Color,
}

impl Global {
    /// The form of answers.
    pub(crate) fn format(&self) -> Format {
        if self.json {
            Format::Json
        } else {
            Format::Text
        }
    }

    /// What is told beside answers.
    pub(crate) fn verbosity(&self) -> Verbosity {
        if self.quiet {
            Verbosity::Quiet
        } else {
            Verbosity::Normal
        }
    }
}

/// Which store, and where its objects are.
#[derive(Args, Clone)]
#[command(next_help_heading = "Store")]
pub(crate) struct StoreArguments {
    /// The store's directory [default: ~/.local/share/nokv]
    #[arg(
        long,
        global = true,
        env = "NOKV_DIR",
        value_name = "DIR",
        hide_env_values = true
    )]
    pub(crate) dir: Option<PathBuf>,
    /// Talk to the server at HOST:PORT instead
    #[arg(
        long,
        global = true,
        env = "NOKV_SERVER",
        value_name = "ADDR",
        hide_env_values = true
    )]
    pub(crate) server: Option<String>,
    /// The namespace of the store [default: default]
    #[arg(
        long,
        global = true,
        env = "NOKV_MOUNT",
        value_name = "NAME",
        hide_env_values = true
    )]
    pub(crate) mount: Option<String>,
    /// Where the objects are: file:///path, s3://bucket/prefix, memory:
    #[arg(
        long,
        global = true,
        env = "NOKV_OBJECTS",
        value_name = "URL",
        hide_env_values = true
    )]
    pub(crate) objects: Option<String>,
    /// S3 endpoint, if it is not AWS
    #[arg(long, global = true, env = "AWS_ENDPOINT_URL", value_name = "URL")]
    #[arg(hide_env_values = true)]
    pub(crate) s3_endpoint: Option<String>,
    /// S3 region
    #[arg(
        long,
        global = true,
        env = "AWS_REGION",
        value_name = "REGION",
        hide_env_values = true
    )]
    pub(crate) s3_region: Option<String>,
    /// S3 access key id; or set AWS_ACCESS_KEY_ID
    #[arg(long, global = true, value_name = "ID")]
    pub(crate) s3_access_key_id: Option<String>,
    /// File with the S3 secret; or set AWS_SECRET_ACCESS_KEY
    // The secret itself is no option: every user of the machine sees the options of running
    // programs.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) s3_secret_access_key_file: Option<PathBuf>,
    /// Where this machine keeps blocks, shared by all processes; `none` for nowhere [default:
    /// ~/.cache/nokv, unless the objects are local]
    #[arg(
        long,
        global = true,
        env = "NOKV_CACHE_DIR",
        value_name = "DIR",
        hide_env_values = true,
        help_heading = "Cache"
    )]
    pub(crate) cache_dir: Option<PathBuf>,
    /// Most bytes in it, as 100GiB [default: a tenth of the disk]
    #[arg(
        long,
        global = true,
        env = "NOKV_CACHE_SIZE",
        value_name = "SIZE",
        hide_env_values = true,
        help_heading = "Cache"
    )]
    pub(crate) cache_size: Option<bytesize::ByteSize>,
    /// The options above that stand on the command line, as they would stand there again.
    #[arg(skip)]
    typed: Vec<OsString>,
}

/// The options of [`StoreArguments`] by their ids, which are their names but for `_`.
const STORE_OPTIONS: [&str; 8] = [
    "dir",
    "server",
    "mount",
    "objects",
    "s3_endpoint",
    "s3_region",
    "s3_access_key_id",
    "s3_secret_access_key_file",
];

impl StoreArguments {
    /// Settles which of `--dir` and `--server` counts: what stands on the command line beats the
    /// environment.
    ///
    /// **Errors**: both stand on the command line.
    pub(crate) fn settle(mut self, matches: &clap::ArgMatches) -> Result<Self, String> {
        let is_typed = |id| source(matches, id) == Some(ValueSource::CommandLine);
        match (is_typed("dir"), is_typed("server")) {
            (true, true) => return Err("--dir and --server name two stores; give one".to_owned()),
            (true, false) => self.server = None,
            _ => {}
        }
        for id in STORE_OPTIONS.into_iter().filter(|id| is_typed(id)) {
            let value = self.value(id).map(OsStr::to_owned);
            self.typed
                .push(format!("--{}", id.replace('_', "-")).into());
            self.typed.extend(value);
        }
        Ok(self)
    }

    fn value(&self, id: &str) -> Option<&OsStr> {
        match id {
            "dir" => self.dir.as_deref().map(Path::as_os_str),
            "server" => self.server.as_deref().map(OsStr::new),
            "mount" => self.mount.as_deref().map(OsStr::new),
            "objects" => self.objects.as_deref().map(OsStr::new),
            "s3_endpoint" => self.s3_endpoint.as_deref().map(OsStr::new),
            "s3_region" => self.s3_region.as_deref().map(OsStr::new),
            "s3_access_key_id" => self.s3_access_key_id.as_deref().map(OsStr::new),
            _ => self
                .s3_secret_access_key_file
                .as_deref()
                .map(Path::as_os_str),
        }
    }

    /// A command for the same store, as it can be pasted into a shell.
    pub(crate) fn command(&self, words: &[&str]) -> String {
        let typed = self.typed.iter().map(|word| quoted(word.as_bytes()));
        let words = words.iter().map(|word| quoted(word.as_bytes()));
        let all = ["nokv".to_owned()].into_iter().chain(typed).chain(words);
        all.collect::<Vec<_>>().join(" ")
    }
}

/// A word as a shell reads it back, on one line whatever is in it.
fn quoted(word: &[u8]) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(byte);
    match std::str::from_utf8(word) {
        Ok(text) if !text.is_empty() && word.iter().all(is_plain) => text.to_owned(),
        Ok(text) if !text.chars().any(char::is_control) => {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
        // Every byte that could steer a terminal, or end the quotes, by its number.
        _ => {
            let byte = |byte: &u8| match byte {
                byte if is_plain(byte) || *byte == b' ' => char::from(*byte).to_string(),
                byte => format!("\\x{byte:02x}"),
            };
            format!("$'{}'", word.iter().map(byte).collect::<String>())
        }
    }
}

/// Where an option's value comes from; global options may stand before or after the command.
fn source(matches: &clap::ArgMatches, id: &str) -> Option<ValueSource> {
    let here = matches.value_source(id);
    let below = matches
        .subcommand()
        .and_then(|(_, below)| below.value_source(id));
    [here, below].into_iter().flatten().max()
}

/// Everything that `nokv` does.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Start a store and serve it; make it if there is none
    Up(up::Arguments),
    /// Serve a store, without a welcome
    Serve(up::Arguments),
    /// Make a store without starting it
    Init(init::Arguments),
    /// Publish files and directories
    #[command(visible_alias = "put-artifact")]
    Put(put::Arguments),
    /// Make a file or directory visible at once, all or nothing, and move a pointer to it
    Publish(publish::Arguments),
    /// Get files and directories back
    Get(get::Arguments),
    /// Write files to standard output
    Cat(cat::Arguments),
    /// List directories
    Ls(ls::Arguments),
    /// Show all that is known of a file or directory
    Stat(stat::Arguments),
    /// Make directories
    Mkdir(mkdir::Arguments),
    /// Move or rename
    Mv(mv::Arguments),
    /// Remove files and directories
    Rm(rm::Arguments),
    /// Make hard and symbolic links
    Ln(link::Arguments),
    /// Sum up sizes
    Du(du::Arguments),
    /// Draw a directory as a tree
    Tree(tree::Arguments),
    /// Keep a directory as it is under a name
    Snapshot(snapshot::Arguments),
    /// Change a copy of a directory on its own
    Branch(branch::Arguments),
    /// Show what is different between two directories, or two times
    Diff(diff::Arguments),
    /// Bring the changes of a branch into what it was made from
    Merge(merge::Arguments),
    /// Check that the records of the namespace fit together
    Fsck(fsck::Arguments),
    /// Show the shards of the store, or add some
    Shards(shards::Arguments),
    /// Choose in which shards new directories are made
    Placement(placement::Arguments),
    /// Put the past back in place
    Restore(restore::Arguments),
    /// Take back what a command did
    Undo(undo::Arguments),
    /// Limit what directories may hold
    Quota(quota::Arguments),
    /// Make and end namespaces of the store
    Mounts(mounts::Arguments),
    /// Show and end clients that have files open or hold locks
    Sessions(sessions::Arguments),
    /// Tell what changes, as it changes
    Watch(watch::Arguments),
    /// Write a directory, as it is or was, into a file
    Dump(dump::Arguments),
    /// Bring back what dump has written
    Load(load::Arguments),
    /// Mount the namespace as a file system
    Mount(mount::Arguments),
    /// End a mount
    Umount(umount::Arguments),
    /// Show what a mount is doing
    Stats(stats::Arguments),
    /// Copy the metadata to an object store, once or continuously
    Backup(backup::Arguments),
    /// Bring a store back from its backup
    RestoreStore(restore_store::Arguments),
    /// Collect what nothing names any more
    Gc(gc::Arguments),
    /// Bring files into the cache of this machine before they are read
    Warmup(warmup::Arguments),
    /// Look at, verify and shrink the cache of this machine
    Cache(cache::Arguments),
    /// Read every body back, and verify it
    Scrub(scrub::Arguments),
    /// Show how the store is
    Status(status::Arguments),
    /// Look at the files of a stopped store; verify and repair them
    Admin(admin::Arguments),
    /// Print a completion script for a shell
    Completions(completions::Arguments),
}

/// A path in the namespace as it stands on the command line: any bytes.
pub(crate) type PathArgument = OsString;

#[cfg(test)]
mod tests {
    use super::{Arguments, quoted};
    use clap::{CommandFactory, FromArgMatches};

    #[test]
    fn commands_for_the_same_store_can_be_pasted() {
        let line = ["nokv", "--s3-region", "it's", "rm", "--dir", "/a b", "/x"];
        let matches = Arguments::command().get_matches_from(line);
        let arguments = Arguments::from_arg_matches(&matches).expect("right");
        let store = arguments.global.store.settle(&matches).expect("one store");
        let command = store.command(&["undo", "7"]);
        assert_eq!(command, r"nokv --dir '/a b' --s3-region 'it'\''s' undo 7");
        assert_eq!(quoted(b"\xff\n'"), r"$'\xff\x0a\x27'");
        assert_eq!(quoted(b""), "''");
    }

    #[test]
    fn no_option_means_two_things() {
        Arguments::command().debug_assert();
    }
}
