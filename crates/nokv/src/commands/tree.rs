//! `nokv tree`: a directory drawn as a tree.

use crate::arguments::PathArgument;
use crate::as_of::AtArgument;
use crate::describe;
use crate::error::Error;
use crate::output::{Output, Style};
use crate::session;
use crate::text;
use nokv_client::{Client, DirEntry};
use nokv_types::{NodeKind, NsPath};

const EXAMPLES: &str = "\
Examples:
  nokv tree                                   the whole namespace
  nokv tree -L 2 /runs                        two levels
  nokv tree -d /runs                          directories only
  nokv tree -s /runs/42                       with sizes";

/// Arguments of `nokv tree`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A directory in the namespace
    #[arg(value_name = "PATH", default_value = "/")]
    path: PathArgument,
    /// How many levels
    #[arg(short = 'L', long, value_name = "LEVELS")]
    levels: Option<usize>,
    /// Directories only
    #[arg(short, long)]
    dirs_only: bool,
    /// With sizes
    #[arg(short, long)]
    size: bool,
    #[command(flatten)]
    at: AtArgument,
}

/// What was drawn.
#[derive(Default)]
struct Totals {
    directories: u64,
    files: u64,
    bytes: u64,
}

/// A directory that is being drawn: what is left of it, and what stands before its lines.
struct Level {
    path: NsPath,
    entries: std::vec::IntoIter<DirEntry>,
    prefix: String,
}

/// Draws the tree. Recursion is a stack of our own: a tree may be 2,048 levels deep.
pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let client = &arguments.at.client(client)?;
    let path = session::path(&arguments.path)?;
    if !output.is_json() {
        let shown = output.path(&path);
        output.line(output.styled(Style::Directory, &shown))?;
    }
    let mut totals = Totals::default();
    let mut levels = vec![open(&arguments, client, path, String::new()).await?];
    while let Some(level) = levels.last_mut() {
        let Some(entry) = level.entries.next() else {
            levels.pop();
            continue;
        };
        let is_last = level.entries.len() == 0;
        let path = level.path.join(&entry.name)?;
        if output.is_json() {
            output.json(describe::json(&path, &entry.node, None))?;
        } else {
            let branch = if is_last { "└── " } else { "├── " };
            output.raw(format!("{}{branch}", level.prefix))?;
            output.line(label(&arguments, &entry, output))?;
        }
        totals.add(&entry);
        let is_directory = entry.node.attributes.kind == NodeKind::Directory;
        let prefix = format!("{}{}", level.prefix, if is_last { "    " } else { "│   " });
        if is_directory && arguments.levels.is_none_or(|most| levels.len() < most) {
            levels.push(open(&arguments, client, path, prefix).await?);
        }
    }
    summarize(&arguments, &totals, output)
}

async fn open(
    arguments: &Arguments,
    client: &Client,
    path: NsPath,
    prefix: String,
) -> Result<Level, Error> {
    let mut entries = client.read_dir_all(&path).await?.entries;
    if arguments.dirs_only {
        entries.retain(|entry| entry.node.attributes.kind == NodeKind::Directory);
    }
    Ok(Level {
        path,
        entries: entries.into_iter(),
        prefix,
    })
}

fn label(arguments: &Arguments, entry: &DirEntry, output: &Output) -> Vec<u8> {
    let mut label = output.styled(describe::style(&entry.node), &output.name(&entry.name));
    if arguments.size && entry.node.attributes.kind == NodeKind::File {
        let size = format!("  {}", text::human_bytes(entry.node.attributes.size));
        label.extend(output.styled(Style::Dim, size.as_bytes()));
    }
    label
}

fn summarize(arguments: &Arguments, totals: &Totals, output: &Output) -> Result<(), Error> {
    if output.is_json() || output.is_quiet() {
        return Ok(());
    }
    let directories = text::count(totals.directories, "directory", "directories");
    let files = text::count(totals.files, "file", "files");
    output.line("")?;
    match (arguments.dirs_only, arguments.size) {
        (true, _) => output.line(directories),
        (false, false) => output.line(format!("{directories}, {files}")),
        (false, true) => {
            let bytes = text::human_bytes(totals.bytes);
            output.line(format!("{directories}, {files}, {bytes}"))
        }
    }
}

impl Totals {
    fn add(&mut self, entry: &DirEntry) {
        if entry.node.attributes.kind == NodeKind::Directory {
            self.directories += 1;
        } else {
            self.files += 1;
            self.bytes += entry.node.attributes.size;
        }
    }
}
