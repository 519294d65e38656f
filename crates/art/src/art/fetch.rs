//! Loading leaves ahead of a cursor.
//!
//! Purpose: leaves lie in memory in order of arrival, so a scan along their list would wait for
//! memory at every key. The last nodes on the path of the cursor's key point to the next leaves;
//! they are loaded together, and the walk that follows finds them in the cache.
//!
//! Invariant: only a hint. It may load too little, too much or the wrong leaves; nothing else
//! depends on it.

use std::ops::{ControlFlow, Range};

use super::node::{BYTE_END, Node};
use super::slot::{Child, Target};
use crate::index::{Direction, Fetched};
use crate::leaf::LeafRef;

/// Leaves loaded at once: about as many misses as a core keeps in flight.
const LEAVES_MAX: usize = 12;

/// Nodes at the end of the path whose further children are looked at.
const PATH_NODES: usize = 3;

/// Nodes below them that are gone through.
const DEPTH: usize = 2;

/// A path longer than this is not followed: in a tree this deep the way down costs more than it
/// saves.
const LEVELS_MAX: usize = 48;

/// See [`crate::index::Index::fetch_ahead`].
pub(super) fn fetch_ahead<'a>(
    root: Child<'a>,
    key: &[u8],
    direction: Direction,
) -> Option<Fetched<'a>> {
    let mut path = [None; PATH_NODES];
    let mut child = root;
    for depth in 0..LEVELS_MAX {
        let Target::Node(node) = child.target() else {
            return fetch_beyond(&path, depth, key, direction);
        };
        path[depth % PATH_NODES] = Some(node);
        child = node.child(key)?;
    }
    None
}

/// Loads leaves beyond `key` from the last nodes of its path, the deepest first.
fn fetch_beyond<'a>(
    path: &[Option<Node<'a>>; PATH_NODES],
    depth: usize,
    key: &[u8],
    direction: Direction,
) -> Option<Fetched<'a>> {
    let mut fetched = None;
    for back in 1..=depth.min(PATH_NODES) {
        let node = path[(depth - back) % PATH_NODES]?;
        let byte = key.get(node.level()).map(|byte| u16::from(*byte));
        let range = match direction {
            Direction::Up => byte.map_or(0, |byte| byte + 1)..BYTE_END,
            Direction::Down => 0..byte.unwrap_or(0),
        };
        fetch_children(node, range, direction, DEPTH, &mut fetched);
    }
    fetched
}

/// Loads leaves below the children in `range` until enough are on their way, and then the node that
/// comes next, so that the next batch does not wait for it. Recursion is bounded by `depth`, not by
/// the keys.
fn fetch_children<'a>(
    node: Node<'a>,
    range: Range<u16>,
    direction: Direction,
    depth: usize,
    fetched: &mut Option<Fetched<'a>>,
) {
    node.visit(range, direction, &mut |child| {
        let enough = fetched.is_some_and(|fetched| fetched.leaves >= LEAVES_MAX);
        match child.target() {
            Target::Node(node) if enough || depth == 0 => node.prefetch(),
            Target::Node(node) => {
                if let Some(Target::Leaf(leaf)) = node.terminator().load().map(Child::target) {
                    fetch_leaf(leaf, fetched);
                }
                fetch_children(node, 0..BYTE_END, direction, depth - 1, fetched);
                return ControlFlow::Continue(());
            }
            Target::Leaf(_) if enough => {}
            Target::Leaf(leaf) => {
                fetch_leaf(leaf, fetched);
                return ControlFlow::Continue(());
            }
        }
        ControlFlow::Break(())
    });
}

fn fetch_leaf<'a>(leaf: LeafRef<'a>, fetched: &mut Option<Fetched<'a>>) {
    leaf.prefetch();
    let leaves = fetched.map_or(1, |fetched| fetched.leaves + 1);
    *fetched = Some(Fetched { leaves, last: leaf });
}
