//! A node, and a change, the same in every command that shows one.

use crate::error::Error;
use crate::output::{Output, Style, insert_bytes};
use crate::text;
use nokv_client::{Change, ChangeKind, ChangedPlace, Node};
use nokv_types::{Generation, NodeKind, NsPath};
use serde_json::{Map, Value};

/// The JSON object of the node at `path`; `target` is where a symbolic link points.
pub(crate) fn json(path: &NsPath, node: &Node, target: Option<&[u8]>) -> Map<String, Value> {
    let attributes = &node.attributes;
    let mut object = Map::new();
    insert_bytes(&mut object, "path", &path.to_bytes());
    let mut insert = |key: &str, value: Value| object.insert(key.to_owned(), value);
    insert("kind", text::kind(attributes.kind).into());
    insert("size", attributes.size.into());
    insert("mode", format!("{:04o}", attributes.mode).into());
    insert("uid", attributes.uid.into());
    insert("gid", attributes.gid.into());
    insert("links", attributes.links.into());
    insert("mtime", text::rfc3339(attributes.mtime).into());
    insert("ctime", text::rfc3339(attributes.ctime).into());
    insert("node", node.id.as_u64().into());
    insert("version", node.version.as_u64().into());
    if node.generation != Generation::NONE {
        insert("generation", node.generation.get().into());
    }
    if let Some(digest) = node.body.digest {
        insert("digest", digest.to_string().into());
    }
    if let Some(target) = target {
        insert_bytes(&mut object, "target", target);
    }
    object
}

/// How a name of this node is coloured.
pub(crate) fn style(node: &Node) -> Style {
    match node.attributes.kind {
        NodeKind::Directory => Style::Directory,
        NodeKind::Symlink => Style::Symlink,
        NodeKind::File if node.attributes.mode & 0o111 != 0 => Style::Executable,
        NodeKind::File => Style::Plain,
        NodeKind::Fifo | NodeKind::Socket | NodeKind::CharDevice(_) | NodeKind::BlockDevice(_) => {
            Style::Special
        }
    }
}

/// A line that says what changed.
pub(crate) fn change(change: &Change, output: &Output) -> Result<(), Error> {
    let word = word(change.kind);
    let styled = output.styled(Style::Bold, format!("{word:<16}").as_bytes());
    output.raw(styled)?;
    let shown = |place: &ChangedPlace| match &place.path {
        Some(path) => output.path(path),
        None => output.name(&place.name),
    };
    let line = match (&change.from, &change.to) {
        (Some(from), Some(to)) => [shown(from), b" -> ".to_vec(), shown(to)].concat(),
        (Some(place), None) | (None, Some(place)) => shown(place),
        (None, None) => format!("node {}", change.node).into_bytes(),
    };
    output.line(line)
}

/// The JSON object of a change.
pub(crate) fn change_json(change: &Change) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("event".to_owned(), word(change.kind).into());
    for (key, place) in [("from", &change.from), ("path", &change.to)] {
        // What was removed has only the name that it had.
        let key = match (key, &change.to) {
            ("from", None) => "path",
            _ => key,
        };
        if let Some(path) = place.as_ref().and_then(|place| place.path.as_ref()) {
            insert_bytes(&mut object, key, &path.to_bytes());
        }
    }
    object.insert("kind".to_owned(), text::kind(change.node_kind).into());
    object.insert("node".to_owned(), change.node.as_u64().into());
    object.insert("generation".to_owned(), change.generation.get().into());
    object.insert("size".to_owned(), change.size.into());
    object.insert("version".to_owned(), change.version.as_u64().into());
    object
}

const fn word(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Created => "created",
        ChangeKind::Removed => "removed",
        ChangeKind::Renamed => "renamed",
        ChangeKind::Exchanged => "exchanged",
        ChangeKind::Published => "published",
        ChangeKind::Attributes => "attributes",
        ChangeKind::Xattr => "xattr",
        ChangeKind::Snapshot => "snapshot",
        ChangeKind::SnapshotRemoved => "snapshot-removed",
        ChangeKind::SnapshotRenewed => "snapshot-renewed",
        ChangeKind::Branched => "branched",
        ChangeKind::Quota => "quota",
    }
}
