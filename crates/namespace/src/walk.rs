//! From a path to a node: one walk, in one call, at one version.
//!
//! Invariants:
//! - symbolic links in the middle are followed, at most [`SYMLINK_FOLLOWS_MAX`] in one walk;
//! - a failure names the component where the walk stopped, not only the whole path.

use crate::spot::{Child, Spot};
use crate::{Follow, Place, Target};
use bytes::Bytes;
use nokv_types::{Failure, Name, NodeKind, NsPath, Reason};

/// Most symbolic links of one walk, as Linux has it: more is a loop or might as well be.
pub(crate) const SYMLINK_FOLLOWS_MAX: usize = 40;

/// What a walk looks at: the state at a version, or a plan in the making over it.
pub(crate) trait Source {
    /// The entry of a directory.
    fn entry(&mut self, directory: Spot, name: &Name) -> Result<Option<Child>, Failure>;
    /// The target of a symbolic link.
    fn link_target(&mut self, link: Spot) -> Result<Bytes, Failure>;
    /// The parent of a directory; `None` for a root.
    fn parent(&mut self, directory: Spot) -> Result<Option<Spot>, Failure>;
    /// Where these names lead from a root, if all are real directories; `None`: walk.
    fn known_directory(&mut self, _root: Spot, _names: &[Name]) -> Result<Option<Spot>, Failure> {
        Ok(None)
    }
    /// Makes a directory that is missing in the middle of a path; `None` if it may not.
    fn fill(&mut self, _directory: Spot, _name: &Name) -> Result<Option<Child>, Failure> {
        Ok(None)
    }
    /// Learns that the outcome rests on this symbolic link.
    fn followed(&mut self, _directory: Spot, _name: &Name) -> Result<(), Failure> {
        Ok(())
    }
}

/// Where a walk ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// At a node without knowing its entry: a root, or a node that was given as such.
    Node(Spot),
    /// At this name of this directory.
    Entry {
        directory: Spot,
        name: Name,
        found: Option<Child>,
    },
}

/// A walk through one mount, or one branch. Nodes that are given as such are seen through the chain
/// of the root.
pub(crate) struct Walk<'s, S> {
    source: &'s mut S,
    root: Spot,
    follows: usize,
}

impl<'s, S: Source> Walk<'s, S> {
    pub(crate) fn new(source: &'s mut S, root: Spot) -> Self {
        Self {
            source,
            root,
            follows: 0,
        }
    }

    /// Where `target` is; at a symbolic link in the last component it stops or goes on, as told.
    pub(crate) fn find(&mut self, target: Target<'_>, follow: Follow) -> Result<End, Failure> {
        let end = match target {
            Target::Node(node) => return Ok(End::Node(self.root.with_node(node))),
            Target::Path(path) => match path.names().split_last() {
                None => return Ok(End::Node(self.root)),
                Some((name, parents)) => {
                    let directory = self.descend_all(path, parents)?;
                    self.look(directory, name)?
                }
            },
            Target::Child { directory, name } => self.look(self.root.with_node(directory), name)?,
        };
        match end {
            End::Entry {
                directory,
                ref name,
                found: Some(found),
            } if follow == Follow::Yes && found.kind == NodeKind::Symlink => {
                let followed = self.follow(directory, name, found.spot);
                followed.map_err(|failure| match target {
                    Target::Path(path) => through(&path.to_string(), failure),
                    _ => through(&name.to_string(), failure),
                })
            }
            _ => Ok(end),
        }
    }

    /// The directory and name of a place; the root is none.
    pub(crate) fn place(&mut self, place: Place<'_>) -> Result<(Spot, Name), Failure> {
        match place {
            Place::Child { directory, name } => Ok((self.root.with_node(directory), name.clone())),
            Place::Path(path) => match path.names().split_last() {
                None => Err(Failure::new(
                    Reason::NotPermitted,
                    "the root directory can't be made, moved or removed",
                )),
                Some((name, parents)) => Ok((self.descend_all(path, parents)?, name.clone())),
            },
        }
    }

    /// The directory at the end of the first components of a path.
    fn descend_all(&mut self, path: &NsPath, names: &[Name]) -> Result<Spot, Failure> {
        if let Some(directory) = self.source.known_directory(self.root, names)? {
            return Ok(directory);
        }
        let mut directory = self.root;
        for (index, name) in names.iter().enumerate() {
            let shown = || prefix_text(path, index + 1);
            directory = match self.source.entry(directory, name)? {
                Some(entry) if entry.kind == NodeKind::Directory => entry.spot,
                Some(entry) if entry.kind == NodeKind::Symlink => self
                    .follow_to_directory(directory, name, entry.spot)
                    .map_err(|failure| through(&shown(), failure))?,
                Some(_) => return Err(not_directory(&shown())),
                None => match self.source.fill(directory, name)? {
                    Some(entry) => entry.spot,
                    None => return Err(missing_parent(&shown(), path)),
                },
            };
        }
        Ok(directory)
    }

    fn look(&mut self, directory: Spot, name: &Name) -> Result<End, Failure> {
        let found = self.source.entry(directory, name)?;
        Ok(End::Entry {
            directory,
            name: name.clone(),
            found,
        })
    }

    fn follow_to_directory(
        &mut self,
        directory: Spot,
        name: &Name,
        link: Spot,
    ) -> Result<Spot, Failure> {
        match self.follow(directory, name, link)? {
            End::Node(spot) => Ok(spot),
            End::Entry {
                found: Some(entry), ..
            } if entry.kind == NodeKind::Directory => Ok(entry.spot),
            End::Entry {
                name,
                found: Some(_),
                ..
            } => Err(not_directory(&name.to_string())),
            End::Entry {
                name, found: None, ..
            } => Err(missing(&name.to_string())),
        }
    }

    /// Where a symbolic link in `directory` leads, links at its end followed too.
    fn follow(&mut self, directory: Spot, name: &Name, link: Spot) -> Result<End, Failure> {
        self.follows += 1;
        if self.follows > SYMLINK_FOLLOWS_MAX {
            return Err(Failure::new(
                Reason::SymlinkLoop,
                format!(
                    "more than {SYMLINK_FOLLOWS_MAX} symbolic links to follow; they lead in a circle"
                ),
            ));
        }
        self.source.followed(directory, name)?;
        let target = self.source.link_target(link)?;
        let mut current = if target.first() == Some(&b'/') {
            self.root
        } else {
            directory
        };
        let mut parts = target
            .split(|byte| *byte == b'/')
            .filter(|part| !part.is_empty() && *part != b".")
            .peekable();
        while let Some(part) = parts.next() {
            if part == b".." {
                current = self.source.parent(current)?.unwrap_or(current);
                continue;
            }
            let name = Name::new(Bytes::copy_from_slice(part))?;
            let found = self.source.entry(current, &name)?;
            let last = parts.peek().is_none();
            match found {
                Some(entry) if entry.kind == NodeKind::Symlink && last => {
                    return self.follow(current, &name, entry.spot);
                }
                _ if last => {
                    return Ok(End::Entry {
                        directory: current,
                        name,
                        found,
                    });
                }
                Some(entry) if entry.kind == NodeKind::Directory => current = entry.spot,
                Some(entry) if entry.kind == NodeKind::Symlink => {
                    current = self.follow_to_directory(current, &name, entry.spot)?;
                }
                Some(_) => return Err(not_directory(&name.to_string())),
                None => return Err(missing(&name.to_string())),
            }
        }
        Ok(End::Node(current))
    }
}

/// The first `count` components of a path.
fn prefix_text(path: &NsPath, count: usize) -> String {
    let mut text = String::new();
    for name in path.names().iter().take(count) {
        text.push('/');
        text.push_str(&name.to_string());
    }
    text
}

fn through(shown: &str, failure: Failure) -> Failure {
    failure.context(format_args!(
        "{shown} is a symbolic link that does not lead on"
    ))
}

pub(crate) fn missing(shown: &str) -> Failure {
    Failure::new(Reason::NotFound, format!("{shown} does not exist"))
}

fn missing_parent(shown: &str, path: &NsPath) -> Failure {
    Failure::new(
        Reason::NotFound,
        format!("{shown} does not exist (a parent of {path}); make it first"),
    )
}

pub(crate) fn not_directory(shown: &str) -> Failure {
    Failure::new(Reason::NotDirectory, format!("{shown} is not a directory"))
}
