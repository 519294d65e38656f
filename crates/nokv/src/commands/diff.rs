//! `nokv diff`: what is different between two directories, or one at two times.

use crate::arguments::PathArgument;
use crate::as_of::{AtArgument, moment};
use crate::error::Error;
use crate::output::{Output, Style, insert_bytes};
use crate::session;
use crate::text;
use nokv_client::{Client, Difference, DifferenceKind};
use nokv_types::NsPath;
use serde_json::Map;
use std::collections::BTreeMap;

const EXAMPLES: &str = "\
Examples:
  nokv diff /data /try                        of a directory and its branch, or any two
  nokv diff /data --at -10m                   what changed in ten minutes
  nokv diff /data --at best --to -1h          between a snapshot and an hour ago
  nokv diff /data /try --at best              both as they were then
  nokv diff --json /data /try | jq -r .path   one JSON object a line

Each line begins with what is different, going from A to B:
  A added  D removed  R renamed  M other content  P other mode, owner or time
  X other extended attributes";

/// Arguments of `nokv diff`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A directory in the namespace
    #[arg(value_name = "A")]
    first: PathArgument,
    /// Another one [default: the same at another time]
    #[arg(value_name = "B")]
    second: Option<PathArgument>,
    #[command(flatten)]
    at: AtArgument,
    /// As of when B is, if not as of --at; now, if there is only A
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    to: Option<String>,
}

/// Prints the differences, in order of paths.
pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let from = session::path(&arguments.first)?;
    let at = arguments.at.moment()?;
    let to_moment = arguments.to.as_deref().map(moment).transpose()?;
    let (to, to_moment) = match &arguments.second {
        Some(second) => (session::path(second)?, to_moment.or_else(|| at.clone())),
        None if at.is_none() => {
            return Err(Error::Usage(
                "with one directory, say of when with --at, and --to if not of now".to_owned(),
            ));
        }
        None => (from.clone(), to_moment),
    };
    let as_of = |moment| match moment {
        Some(moment) => client.as_of(moment),
        None => client.clone(),
    };
    let (mut left, mut right) = (as_of(at), as_of(to_moment));
    let mut counts = BTreeMap::new();
    let mut after = 0;
    loop {
        let page = left.diff(&from, (&right, &to), after).await?;
        for difference in &page.differences {
            *counts.entry(difference.kind).or_insert(0) += 1;
            print(difference, (&from, &to), output)?;
        }
        match page.next {
            Some(next) => after = next,
            None => break,
        }
        (left, right) = (left.at(page.from_version), right.at(page.to_version));
    }
    output.note(&summary(&counts))
}

fn print(
    difference: &Difference,
    (from, to): (&NsPath, &NsPath),
    output: &Output,
) -> Result<(), Error> {
    if output.is_json() {
        return output.json(to_json(difference, (from, to)));
    }
    let (letter, style) = match difference.kind {
        DifferenceKind::Added => ("A", Style::Good),
        DifferenceKind::Removed => ("D", Style::Bad),
        DifferenceKind::Renamed => ("R", Style::Notable),
        DifferenceKind::Modified => ("M", Style::Changed),
        DifferenceKind::Attributes => ("P", Style::Changed),
        DifferenceKind::Xattr => ("X", Style::Changed),
    };
    let (was, is) = (&difference.from, &difference.to);
    let line = match (difference.kind, was, is) {
        (DifferenceKind::Renamed, Some(was), Some(is)) => {
            [shown(was, output), b" -> ".to_vec(), shown(is, output)].concat()
        }
        (_, _, Some(path)) | (_, Some(path), None) => shown(path, output),
        (_, None, None) => format!("node {}", difference.node).into_bytes(),
    };
    output.line(output.styled(style, &[letter.as_bytes(), b"  ", &line].concat()))
}

/// A path below a directory, without the slash that it begins with; the directory itself is `.`.
fn shown(path: &NsPath, output: &Output) -> Vec<u8> {
    let mut shown = output.path(path);
    shown.remove(0);
    match shown.is_empty() {
        true => b".".to_vec(),
        false => shown,
    }
}

fn to_json(
    difference: &Difference,
    (from, to): (&NsPath, &NsPath),
) -> Map<String, serde_json::Value> {
    let mut object = Map::new();
    object.insert("difference".to_owned(), word(difference.kind).into());
    let (was, is) = (&difference.from, &difference.to);
    // What is only in the first has only the path that it had.
    let (path, renamed_from) = match (was, is) {
        (was, Some(is)) => {
            let was = was.as_ref().filter(|was| *was != is);
            (Some((to, is)), was)
        }
        (Some(was), None) => (Some((from, was)), None),
        (None, None) => (None, None),
    };
    if let Some((top, path)) = path {
        insert_bytes(&mut object, "path", &below(top, path));
    }
    if let Some(was) = renamed_from {
        insert_bytes(&mut object, "from", &below(from, was));
    }
    let kind = text::kind(difference.node_kind);
    object.insert("kind".to_owned(), kind.into());
    object.insert("node".to_owned(), difference.node.as_u64().into());
    object
}

/// The whole path of what is at a path from a directory.
fn below(top: &NsPath, path: &NsPath) -> Vec<u8> {
    match (top.is_root(), path.is_root()) {
        (true, _) => path.to_bytes(),
        (false, true) => top.to_bytes(),
        (false, false) => [top.to_bytes(), path.to_bytes()].concat(),
    }
}

const fn word(kind: DifferenceKind) -> &'static str {
    match kind {
        DifferenceKind::Added => "added",
        DifferenceKind::Removed => "removed",
        DifferenceKind::Renamed => "renamed",
        DifferenceKind::Modified => "modified",
        DifferenceKind::Attributes => "attributes",
        DifferenceKind::Xattr => "xattr",
    }
}

fn summary(counts: &BTreeMap<DifferenceKind, u64>) -> String {
    if counts.is_empty() {
        return "no differences".to_owned();
    }
    let parts: Vec<String> = counts
        .iter()
        .map(|(kind, count)| match kind {
            DifferenceKind::Attributes => format!("{count} with other attributes"),
            DifferenceKind::Xattr => format!("{count} with other extended attributes"),
            kind => format!("{count} {}", word(*kind)),
        })
        .collect();
    parts.join(", ")
}
