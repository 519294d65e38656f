//! A node as JSON, the same in every command that shows one, and its colour.

use crate::output::{Style, insert_bytes};
use crate::text;
use nokv_client::Node;
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
