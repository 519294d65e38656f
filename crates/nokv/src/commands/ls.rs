//! `nokv ls`: lists directories.

use crate::arguments::PathArgument;
use crate::as_of::AtArgument;
use crate::describe;
use crate::error::Error;
use crate::layout::{Align, Table, side_by_side};
use crate::output::{Output, Style};
use crate::pages;
use crate::session;
use crate::text;
use nokv_client::{Client, DirEntry, Follow, Node};
use nokv_types::{NodeKind, NsPath, Reason};

const EXAMPLES: &str = "\
Examples:
  nokv ls                                     the root
  nokv ls -l /runs/42                         with kind, size and time
  nokv ls -lh /runs/42                        sizes in KiB, MiB, GiB
  nokv ls -R /runs                            everything below
  nokv ls --at best /runs/42                  as a snapshot shows it; --at -10m: ten minutes ago
  nokv ls --json /runs | jq -r .path          one JSON object a line";

/// Arguments of `nokv ls`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, disable_help_flag = true)]
pub(crate) struct Arguments {
    /// Directories or files in the namespace [default: /]
    #[arg(value_name = "PATH")]
    paths: Vec<PathArgument>,
    /// Long: mode, links, owner, group, size, time
    #[arg(short, long)]
    long: bool,
    /// Everything below, too
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Sizes in KiB, MiB, GiB
    #[arg(short, long)]
    human_readable: bool,
    /// The directory itself, not what is in it
    #[arg(short, long)]
    directory: bool,
    /// Nothing is hidden: names that begin with a dot are always listed
    #[arg(short, long, hide = true)]
    all: bool,
    #[command(flatten)]
    at: AtArgument,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

/// One line of a listing.
struct Row {
    path: NsPath,
    /// The name, or the path as it was asked for.
    label: Vec<u8>,
    node: Node,
    /// Where a symbolic link points; known only when it is shown.
    target: Option<Vec<u8>>,
}

/// Lists files first, then directories, each under its name when there are several.
pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let client = &arguments.at.client(client)?;
    let mut files = Vec::new();
    let mut directories = Vec::new();
    for path in session::paths_or_root(&arguments.paths)? {
        let node = find(&arguments, client, &path).await?;
        if node.attributes.kind == NodeKind::Directory && !arguments.directory {
            directories.push(path);
        } else {
            let label = output.path(&path);
            files.push(row(&arguments, client, output, (path, label, node)).await?);
        }
    }
    let is_headed = arguments.recursive || files.len() + directories.len() > 1;
    let mut is_first = files.is_empty();
    print(&arguments, &files, output)?;
    // The next directory to list is at the end.
    directories.reverse();
    while let Some(path) = directories.pop() {
        if is_headed && !output.is_json() {
            if !is_first {
                output.line("")?;
            }
            let shown = output.path(&path);
            output.line([output.styled(Style::Bold, &shown), b":".to_vec()].concat())?;
        }
        is_first = false;
        let below = list(&arguments, client, output, &path).await?;
        if arguments.recursive {
            directories.extend(below.into_iter().rev());
        }
    }
    Ok(())
}

/// The node that an argument means: through a link to its directory, but a link that leads nowhere
/// is itself.
async fn find(arguments: &Arguments, client: &Client, path: &NsPath) -> Result<Node, Error> {
    if !arguments.directory {
        match client.lookup(path, Follow::Yes).await {
            Err(failure) if matches!(failure.reason(), Reason::NotFound | Reason::SymlinkLoop) => {}
            other => return Ok(other?),
        }
    }
    Ok(client.lookup(path, Follow::No).await?)
}

/// Lists one directory page by page; returns its subdirectories.
async fn list(
    arguments: &Arguments,
    client: &Client,
    output: &Output,
    path: &NsPath,
) -> Result<Vec<NsPath>, Error> {
    let mut below = Vec::new();
    let mut pages = pages::Pages::new(client, path);
    while let Some(entries) = pages.next().await? {
        let mut rows = Vec::with_capacity(entries.len());
        for DirEntry { name, node } in entries {
            let path = path.join(&name)?;
            if node.attributes.kind == NodeKind::Directory {
                below.push(path.clone());
            }
            let label = output.name(&name);
            rows.push(row(arguments, client, output, (path, label, node)).await?);
        }
        print(arguments, &rows, output)?;
    }
    Ok(below)
}

async fn row(
    arguments: &Arguments,
    client: &Client,
    output: &Output,
    (path, label, node): (NsPath, Vec<u8>, Node),
) -> Result<Row, Error> {
    let is_shown = arguments.long || output.is_json();
    let target = if is_shown && node.attributes.kind == NodeKind::Symlink {
        Some(client.read_link(&path).await?.to_vec())
    } else {
        None
    };
    Ok(Row {
        path,
        label,
        node,
        target,
    })
}

fn print(arguments: &Arguments, rows: &[Row], output: &Output) -> Result<(), Error> {
    if output.is_json() {
        for row in rows {
            output.json(describe::json(&row.path, &row.node, row.target.as_deref()))?;
        }
    } else if arguments.long {
        print_long(arguments, rows, output)?;
    } else if let Some(columns) = output.columns() {
        print_short(rows, columns, output)?;
    } else {
        for row in rows {
            output.line(&row.label)?;
        }
    }
    Ok(())
}

fn print_short(rows: &[Row], columns: usize, output: &Output) -> Result<(), Error> {
    let names: Vec<String> = rows
        .iter()
        .map(|row| String::from_utf8_lossy(&row.label).into_owned())
        .collect();
    for cells in side_by_side(&names, columns) {
        for (index, spaces) in cells {
            let style = describe::style(&rows[index].node);
            output.raw(output.styled(style, &rows[index].label))?;
            output.raw(" ".repeat(spaces))?;
        }
        output.line("")?;
    }
    Ok(())
}

fn print_long(arguments: &Arguments, rows: &[Row], output: &Output) -> Result<(), Error> {
    let mut table = Table::new([
        Align::Left,
        Align::Right,
        Align::Right,
        Align::Right,
        Align::Right,
        Align::Left,
    ]);
    for Row { node, .. } in rows {
        let attributes = &node.attributes;
        let size = match attributes.kind {
            // What a directory's size counts is its entries, which looks like bytes beside files.
            NodeKind::Directory => "-".to_owned(),
            _ if arguments.human_readable => text::human_bytes(attributes.size),
            _ => attributes.size.to_string(),
        };
        table.push([
            text::mode(attributes),
            attributes.links.to_string(),
            attributes.uid.to_string(),
            attributes.gid.to_string(),
            size,
            text::minute(attributes.mtime),
        ]);
    }
    for (line, row) in table.lines().zip(rows) {
        output.raw(line)?;
        output.raw(" ")?;
        output.raw(output.styled(describe::style(&row.node), &row.label))?;
        if let Some(target) = &row.target {
            output.raw(" -> ")?;
            output.raw(output.bytes(target))?;
        }
        output.line("")?;
    }
    Ok(())
}
