//! Where directories are, by path: a cache in front of the walk, never truth.
//!
//! Why: a walk of depth eight is eight reads, and callers use the same directories again and again.
//! With the cache it is one hash and one comparison, then the last component is read as ever.
//!
//! Invariants:
//! - only paths through real directories of the trunk are kept: no symbolic links, no branches,
//!   nothing missing;
//! - what is kept holds at the versions from the newest entry of the path to the version that was
//!   read. For later versions it holds as long as no directory was moved or removed since, which
//!   [`DirectoryMoves`] tells: whoever moves or removes one says so *before* the command can become
//!   visible, and nothing is kept for later versions while that is under way;
//! - bounded: [`PATHS_MAX`] paths.

use crate::figures::Counts;
use crate::quotas::Quotas;
use nokv_types::{Name, NodeId, Version};
use quick_cache::{Equivalent, sync::Cache};
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use xxhash_rust::xxh3::Xxh3;

/// Most paths that are kept, about 4 MiB of them.
const PATHS_MAX: usize = 16_384;

/// A path as a caller has it.
pub(crate) struct PathQuery<'a> {
    hash: u64,
    root: NodeId,
    names: &'a [Name],
}

impl<'a> PathQuery<'a> {
    pub(crate) fn new(root: NodeId, names: &'a [Name]) -> Self {
        let mut hasher = Xxh3::new();
        hasher.update(&root.as_u64().to_le_bytes());
        for name in names {
            hasher.update(b"/");
            hasher.update(name.as_bytes());
        }
        Self {
            hash: hasher.digest(),
            root,
            names,
        }
    }
}

/// A path as it is kept: one piece of memory, apart from the caller's.
#[derive(PartialEq, Eq)]
struct PathKey {
    hash: u64,
    root: NodeId,
    text: Box<[u8]>,
}

impl Hash for PathKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Hash for PathQuery<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Equivalent<PathKey> for PathQuery<'_> {
    fn equivalent(&self, key: &PathKey) -> bool {
        if (self.hash, self.root) != (key.hash, key.root) {
            return false;
        }
        let mut rest = &key.text[..];
        for name in self.names {
            let name = name.as_bytes();
            let found = rest
                .strip_prefix(b"/")
                .and_then(|rest| rest.strip_prefix(name));
            let Some(found) = found else { return false };
            rest = found;
        }
        rest.is_empty()
    }
}

/// Where a path leads, and when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct KnownDirectory {
    pub(crate) node: NodeId,
    /// The version of the newest entry of the path.
    pub(crate) since: Version,
    /// It was read at this version.
    pub(crate) read_at: Version,
    /// Moves of directories begun when it was read; `None` when one was under way.
    pub(crate) moves: Option<u64>,
}

/// Directories by path.
pub(crate) struct Paths {
    known: Cache<PathKey, KnownDirectory>,
    pub(crate) moves: DirectoryMoves,
    pub(crate) quotas: Quotas,
    pub(crate) counts: Counts,
}

impl Paths {
    pub(crate) fn new() -> Self {
        Self {
            known: Cache::new(PATHS_MAX),
            moves: DirectoryMoves::default(),
            quotas: Quotas::new(),
            counts: Counts::default(),
        }
    }

    /// Where the path leads at version `at`, if that is known.
    ///
    /// `at` must have been chosen before the call: a move that is visible at it has then been
    /// begun.
    pub(crate) fn find(&self, query: &PathQuery<'_>, at: Version) -> Option<KnownDirectory> {
        let known = self.known.get(query)?;
        let holds =
            known.since <= at && (at <= known.read_at || known.moves == Some(self.moves.begun()));
        holds.then_some(known)
    }

    pub(crate) fn keep(&self, query: &PathQuery<'_>, known: KnownDirectory) {
        let mut text = Vec::new();
        for name in query.names {
            text.push(b'/');
            text.extend_from_slice(name.as_bytes());
        }
        let key = PathKey {
            hash: query.hash,
            root: query.root,
            text: text.into(),
        };
        self.known.insert(key, known);
    }
}

/// Counts commands that move or remove directories.
#[derive(Default)]
pub(crate) struct DirectoryMoves {
    begun: AtomicU64,
    ended: AtomicU64,
}

/// A command that moves or removes a directory is under way while this lives.
pub(crate) struct Moving<'a>(&'a DirectoryMoves);

impl DirectoryMoves {
    /// To be called before the command is given to the shard, and held until it is answered.
    pub(crate) fn begin(&self) -> Moving<'_> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        Moving(self)
    }

    /// Whether none has begun since this was the number of moves.
    pub(crate) fn is_still(&self, moves: u64) -> bool {
        self.begun() == moves
    }

    fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    /// The number of moves so far, to be asked before the version to read at is chosen; `None`
    /// while one is under way.
    pub(crate) fn settled(&self) -> Option<u64> {
        let ended = self.ended.load(Ordering::SeqCst);
        let begun = self.begun.load(Ordering::SeqCst);
        (begun == ended).then_some(begun)
    }
}

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nokv_types::NsPath;

    fn known(since: u64, read_at: u64, moves: Option<u64>) -> KnownDirectory {
        let version = Version::from_u64;
        let node = NodeId::from_u64(9);
        KnownDirectory {
            node,
            since: version(since),
            read_at: version(read_at),
            moves,
        }
    }

    #[test]
    fn a_known_path_holds_from_its_newest_entry_until_a_directory_moves() {
        let paths = Paths::new();
        let path = NsPath::parse("/a/b").expect("valid");
        let query = PathQuery::new(NodeId::from_u64(1), path.names());
        paths.keep(&query, known(10, 20, paths.moves.settled()));
        let at = |version| paths.find(&query, Version::from_u64(version)).is_some();
        assert!(!at(9) && at(10) && at(20) && at(30));
        let moving = paths.moves.begin();
        assert!(at(20) && !at(21), "a move has begun");
        assert_eq!(
            paths.moves.settled(),
            None,
            "what is read now is not kept for later"
        );
        drop(moving);
        assert!(at(20) && !at(21), "it may have moved this one");
        paths.keep(&query, known(10, 20, paths.moves.settled()));
        assert!(at(21));
    }

    #[test]
    fn paths_that_read_alike_are_different() {
        let paths = Paths::new();
        let parse = |text| NsPath::parse(text).expect("valid");
        let (left, right, root) = (parse("/a/b"), parse("/ab"), NodeId::from_u64(1));
        let query = PathQuery::new(root, left.names());
        paths.keep(&query, known(0, 20, Some(0)));
        for (root, names) in [(root, right.names()), (NodeId::from_u64(2), left.names())] {
            let other = PathQuery::new(root, names);
            assert_eq!(paths.find(&other, Version::from_u64(5)), None);
        }
        assert!(paths.find(&query, Version::from_u64(5)).is_some());
    }
}
