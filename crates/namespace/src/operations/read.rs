//! Reads: lookup, pages of directories, links, bodies.

use crate::failure::{contradiction, invalid};
use crate::reader::Reader;
use crate::spot::{Child, Spot};
use crate::walk::{End, Source, Walk, missing, not_directory};
use crate::{
    DirEntry, Follow, NamedNode, NamesPage, Namespace, Node, PAGE_ENTRIES_MAX, Page, Target, View,
};
use bytes::Bytes;
use nokv_types::{Body, Failure, Name, NodeKind, Reason};

impl Source for Reader<'_> {
    fn entry(&mut self, directory: Spot, name: &Name) -> Result<Option<Child>, Failure> {
        Ok(Reader::entry(self, directory, name)?.map(|found| found.record))
    }

    fn known_directory(&mut self, root: Spot, names: &[Name]) -> Result<Option<Spot>, Failure> {
        Ok(Reader::known_directory(self, root, names)?.map(|known| root.with_node(known.node)))
    }

    fn link_target(&mut self, link: Spot) -> Result<Bytes, Failure> {
        Reader::link_target(self, link)
    }

    fn parent(&mut self, directory: Spot) -> Result<Option<Spot>, Failure> {
        let Some(found) = self.node_record(directory)? else {
            return Ok(None);
        };
        let parent = self.parent_of(directory, &found.record)?;
        Ok(parent.map(|(parent, _)| parent))
    }
}

impl Namespace {
    /// The node that `target` leads to, with attributes.
    ///
    /// **Errors**: `NotFound`, `NotDirectory` (both name the component), `SymlinkLoop`,
    /// `Compacted`.
    pub fn lookup<'a>(
        &self,
        view: &View,
        target: impl Into<Target<'a>>,
        follow: Follow,
    ) -> Result<Node, Failure> {
        self.read(view, |mut reader, root| {
            let spot = find_spot(&mut reader, root, target.into(), follow)?;
            existing(&reader, spot)
        })
    }

    /// Up to `limit` (at most `PAGE_ENTRIES_MAX`) entries of a directory after name `after`, with
    /// attributes. Follows a symbolic link to the directory.
    ///
    /// **Errors**: as [`Self::lookup`]; `NotDirectory`; `TooLarge` for a limit over the maximum.
    pub fn read_dir_plus<'a>(
        &self,
        view: &View,
        directory: impl Into<Target<'a>>,
        after: Option<&Name>,
        limit: usize,
    ) -> Result<Page, Failure> {
        check_limit(limit)?;
        let target = directory.into();
        self.read(view, |mut reader, root| {
            let spot = find_spot(&mut reader, root, target, Follow::Yes)?;
            let node = existing(&reader, spot)?;
            if node.attributes.kind != NodeKind::Directory {
                return Err(not_directory(&shown(target)));
            }
            let mut found = reader.entries(spot, after, limit + 1)?;
            let more = found.len() > limit;
            found.truncate(limit);
            let (names, records): (Vec<_>, Vec<_>) = found.into_iter().unzip();
            let nodes = reader.children(spot, &records)?;
            let next = if more { names.last().cloned() } else { None };
            let entries = names
                .into_iter()
                .zip(nodes)
                .map(|(name, node)| DirEntry { name, node })
                .collect();
            Ok(Page {
                version: reader.at,
                directory: node,
                entries,
                next,
            })
        })
    }

    /// The same without attributes: reads the entries and nothing else.
    ///
    /// **Errors**: as [`Self::read_dir_plus`].
    pub fn read_dir<'a>(
        &self,
        view: &View,
        directory: impl Into<Target<'a>>,
        after: Option<&Name>,
        limit: usize,
    ) -> Result<NamesPage, Failure> {
        check_limit(limit)?;
        let target = directory.into();
        self.read(view, |mut reader, root| {
            let spot = find_spot(&mut reader, root, target, Follow::Yes)?;
            let found = reader.node_record(spot)?;
            let found = found.ok_or_else(|| missing(&format!("node {}", spot.node)))?;
            if !found.record.is_directory() {
                return Err(not_directory(&shown(target)));
            }
            let mut entries = reader.entries(spot, after, limit + 1)?;
            let more = entries.len() > limit;
            entries.truncate(limit);
            let names = entries.into_iter().map(|(name, child)| NamedNode {
                name,
                branch: child.spot.branch,
                node: child.node(),
                kind: child.kind,
            });
            let names: Vec<_> = names.collect();
            let last = names.last().filter(|_| more);
            Ok(NamesPage {
                version: reader.at,
                next: last.map(|last| last.name.clone()),
                names,
            })
        })
    }

    /// The target of a symbolic link. **Errors**: as [`Self::lookup`]; `InvalidArgument` when it is
    /// none.
    pub fn read_link<'a>(
        &self,
        view: &View,
        target: impl Into<Target<'a>>,
    ) -> Result<Bytes, Failure> {
        let target = target.into();
        self.read(view, |mut reader, root| {
            let spot = find_spot(&mut reader, root, target, Follow::No)?;
            let node = existing(&reader, spot)?;
            if node.attributes.kind != NodeKind::Symlink {
                return Err(invalid(format!("{} is not a symbolic link", shown(target))));
            }
            reader.link_target(spot)
        })
    }

    /// A file with the extents of its body; what a reader needs to fetch it. Follows a symbolic
    /// link.
    ///
    /// **Errors**: as [`Self::lookup`]; `IsDirectory`; `NotPermitted` for a special file.
    pub fn body<'a>(
        &self,
        view: &View,
        target: impl Into<Target<'a>>,
    ) -> Result<(Node, Body), Failure> {
        let target = target.into();
        self.read(view, |mut reader, root| body_of(&mut reader, root, target))
    }
}

fn check_limit(limit: usize) -> Result<(), Failure> {
    if limit == 0 {
        return Err(invalid(
            "a page of no entries never ends; ask for at least one",
        ));
    }
    if limit > PAGE_ENTRIES_MAX {
        return Err(Failure::new(
            Reason::TooLarge,
            format!("a page of {limit} entries is over {PAGE_ENTRIES_MAX}; read several"),
        ));
    }
    Ok(())
}

fn body_of(
    reader: &mut Reader<'_>,
    root: Spot,
    target: Target<'_>,
) -> Result<(Node, Body), Failure> {
    let spot = find_spot(reader, root, target, Follow::Yes)?;
    let node = existing(reader, spot)?;
    match node.attributes.kind {
        NodeKind::File | NodeKind::Symlink => {}
        NodeKind::Directory => {
            return Err(Failure::new(
                Reason::IsDirectory,
                format!("{} is a directory; it has no body", shown(target)),
            ));
        }
        _ => {
            return Err(Failure::new(
                Reason::NotPermitted,
                format!("{} is a special file; it has no body", shown(target)),
            ));
        }
    }
    let found = reader.node_record(spot)?;
    let found = found.ok_or_else(|| contradiction(format!("node {} vanished", node.id)))?;
    let body = reader.body(spot, &found.record)?;
    Ok((node, body))
}

/// Where a walk ends; there is an entry, or the node was given as such.
pub(super) fn find_spot(
    reader: &mut Reader<'_>,
    root: Spot,
    target: Target<'_>,
    follow: Follow,
) -> Result<Spot, Failure> {
    match Walk::new(reader, root).find(target, follow)? {
        End::Node(spot) => Ok(spot),
        End::Entry {
            found: Some(child), ..
        } => Ok(child.spot),
        End::Entry { found: None, .. } => Err(missing(&shown(target))),
    }
}

/// The node at a spot.
pub(super) fn existing(reader: &Reader<'_>, spot: Spot) -> Result<Node, Failure> {
    let found = reader.node(spot)?;
    found.ok_or_else(|| missing(&format!("node {}", spot.node)))
}

/// A target for a person.
pub(super) fn shown(target: Target<'_>) -> String {
    match target {
        Target::Path(path) => path.to_string(),
        Target::Node(node) => format!("node {node}"),
        Target::Child { name, .. } => name.to_string(),
    }
}
