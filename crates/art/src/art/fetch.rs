//! Loading leaves ahead of a cursor.
//!
//! Purpose: leaves lie in memory in order of arrival, so a scan along their list would wait for memory at every key.
//! The last nodes on the path of the cursor's key point to the next leaves; they are loaded together, and
//! the walk that follows finds them in the cache.
//!
//! Invariant: only a hint. It may load too little, too much or the wrong leaves; nothing else depends on it.

use std::ops::{ControlFlow, Range};

use super::node::{BYTE_END, Node};
use super::slot::{Child, Target};
use crate::index::Direction;

/// Leaves loaded at once: about as many misses as a core keeps in flight, with some to spare.
const LEAVES: usize = 20;

/// Nodes at the end of the path whose further children are looked at.
const PATH_NODES: usize = 3;

/// Nodes below them that are gone through.
const DEPTH: usize = 2;

/// A path longer than this is not followed: in a tree this deep the way down costs more than it saves.
const LEVELS_MAX: usize = 48;

/// Fewest steps from one call to the next.
const STEPS_MIN: usize = 6;

/// See [`crate::index::Index::fetch_ahead`].
pub(super) fn fetch_ahead(root: Child<'_>, key: &[u8], direction: Direction) -> usize {
    let mut path = [None; PATH_NODES];
    let mut child = root;
    for depth in 0..LEVELS_MAX {
        let Target::Node(node) = child.target() else {
            return fetch_beyond(&path, depth, key, direction);
        };
        path[depth % PATH_NODES] = Some(node);
        let Some(next) = node.child(key) else { break };
        child = next;
    }
    usize::MAX
}

/// Loads leaves beyond `key` from the last nodes of its path, the deepest first.
fn fetch_beyond(
    path: &[Option<Node<'_>>; PATH_NODES],
    depth: usize,
    key: &[u8],
    direction: Direction,
) -> usize {
    let mut fetched = 0;
    for back in 1..=depth.min(PATH_NODES) {
        let Some(node) = path[(depth - back) % PATH_NODES] else {
            break;
        };
        let byte = key.get(node.level()).map(|byte| u16::from(*byte));
        let range = match direction {
            Direction::Up => byte.map_or(0, |byte| byte + 1)..BYTE_END,
            Direction::Down => 0..byte.unwrap_or(0),
        };
        if fetch_children(node, range, direction, DEPTH, &mut fetched).is_break() {
            break;
        }
    }
    fetched.max(STEPS_MIN)
}

/// Breaks when enough is on its way. Recursion is bounded by `depth`, not by the keys.
fn fetch_children(
    node: Node<'_>,
    range: Range<u16>,
    direction: Direction,
    depth: usize,
    fetched: &mut usize,
) -> ControlFlow<()> {
    node.visit(range, direction, &mut |child| {
        match child.target() {
            Target::Leaf(leaf) => {
                leaf.prefetch();
                *fetched += 1;
            }
            Target::Node(node) if depth > 0 => {
                if let Some(Target::Leaf(leaf)) = node.terminator().load().map(Child::target) {
                    leaf.prefetch();
                    *fetched += 1;
                }
                fetch_children(node, 0..BYTE_END, direction, depth - 1, fetched)?;
            }
            Target::Node(_) => return ControlFlow::Break(()),
        }
        if *fetched < LEAVES {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })
}
