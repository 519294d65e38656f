//! `nokv stat`: all that is known of a node.

use crate::arguments::PathArgument;
use crate::as_of::AtArgument;
use crate::describe;
use crate::error::Error;
use crate::output::{Output, Style};
use crate::session;
use crate::text;
use nokv_client::{Client, Follow, Node};
use nokv_types::{Body, Extent, Generation, Layout, NodeKind, NsPath};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const EXAMPLES: &str = "\
Examples:
  nokv stat /runs/42/model.bin
  nokv stat --json /runs/42/model.bin | jq -r .digest
  nokv stat -L /runs/latest                   what a symbolic link leads to";

/// Arguments of `nokv stat`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Files or directories in the namespace
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathArgument>,
    /// Follow symbolic links
    #[arg(short = 'L', long)]
    dereference: bool,
    #[command(flatten)]
    at: AtArgument,
}

/// What is shown of one path.
struct Found {
    path: NsPath,
    node: Node,
    target: Option<Vec<u8>>,
    body: Option<Body>,
}

/// Prints each node as a block of lines, or as a JSON object.
pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let client = &arguments.at.client(client)?;
    let follow = if arguments.dereference {
        Follow::Yes
    } else {
        Follow::No
    };
    for (index, argument) in arguments.paths.iter().enumerate() {
        let found = find(client, session::path(argument)?, follow).await?;
        if output.is_json() {
            output.json(to_json(&found))?;
        } else {
            if index > 0 {
                output.line("")?;
            }
            print(&found, output)?;
        }
    }
    Ok(())
}

async fn find(client: &Client, path: NsPath, follow: Follow) -> Result<Found, Error> {
    let node = client.lookup(&path, follow).await?;
    let (mut target, mut body) = (None, None);
    match node.attributes.kind {
        NodeKind::Symlink => target = Some(client.read_link(&path).await?.to_vec()),
        NodeKind::File => body = Some(client.body(&path).await?.1),
        _ => {}
    }
    Ok(Found {
        path,
        node,
        target,
        body,
    })
}

fn to_json(found: &Found) -> Map<String, Value> {
    let mut object = describe::json(&found.path, &found.node, found.target.as_deref());
    let attributes = &found.node.attributes;
    object.insert("atime".to_owned(), text::rfc3339(attributes.atime).into());
    object.insert("btime".to_owned(), text::rfc3339(attributes.btime).into());
    match found.body.as_ref().map(Body::layout) {
        Some(Layout::Inline(_)) => {
            object.insert("stored".to_owned(), "inline".into());
        }
        Some(Layout::Extents(extents)) => {
            object.insert("stored".to_owned(), "objects".into());
            let extents = extents.iter().map(|extent| {
                let unit = &extent.unit;
                json!({
                    "body_offset": extent.body_offset,
                    "length": extent.length,
                    "skip": extent.skip,
                    "object": unit.block.to_string(),
                    "object_offset": unit.object_offset,
                    "stored_bytes": unit.stored_bytes,
                    "plain_bytes": unit.plain_bytes,
                    "encoding": unit.encoding.name(),
                    "crc32c": format!("{:08x}", unit.crc32c),
                })
            });
            object.insert("extents".to_owned(), extents.collect());
        }
        None => {}
    }
    object
}

fn print(found: &Found, output: &Output) -> Result<(), Error> {
    let attributes = &found.node.attributes;
    let line = |label: &str, value: &[u8]| {
        let label = format!("{label:>10}");
        output.raw(output.styled(Style::Dim, label.as_bytes()))?;
        output.raw("  ")?;
        output.line(value)
    };
    line("path", found.path.to_string().as_bytes())?;
    line("kind", text::kind(attributes.kind).as_bytes())?;
    if let Some(target) = &found.target {
        line("target", crate::output::escape(target).as_bytes())?;
    }
    line("size", size(&found.node).as_bytes())?;
    line(
        "mode",
        format!("{:04o} {}", attributes.mode, text::mode(attributes)).as_bytes(),
    )?;
    line(
        "owner",
        format!("{}:{}", attributes.uid, attributes.gid).as_bytes(),
    )?;
    line("links", attributes.links.to_string().as_bytes())?;
    line("modified", text::nanosecond(attributes.mtime).as_bytes())?;
    line("changed", text::nanosecond(attributes.ctime).as_bytes())?;
    line("created", text::nanosecond(attributes.btime).as_bytes())?;
    if found.node.generation != Generation::NONE {
        line("generation", found.node.generation.to_string().as_bytes())?;
    }
    if let Some(digest) = found.node.body.digest {
        line("digest", digest.to_string().as_bytes())?;
    }
    if let Some(body) = &found.body {
        line("stored", storage(body).as_bytes())?;
    }
    line("node", found.node.id.to_string().as_bytes())?;
    line("version", found.node.version.to_string().as_bytes())
}

fn size(node: &Node) -> String {
    let size = node.attributes.size;
    match node.attributes.kind {
        NodeKind::Directory => text::count(size, "entry", "entries"),
        _ if size < 1024 => text::count(size, "byte", "bytes"),
        _ => format!("{size} bytes ({})", text::human_bytes(size)),
    }
}

fn storage(body: &Body) -> String {
    match body.layout() {
        Layout::Inline(_) => "inline".to_owned(),
        Layout::Extents(extents) => {
            let objects: BTreeSet<_> = extents.iter().map(Extent::block).collect();
            let objects = text::count(objects.len() as u64, "object", "objects");
            format!(
                "{} in {objects}",
                text::count(extents.len() as u64, "extent", "extents")
            )
        }
    }
}
