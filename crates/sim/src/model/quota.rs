//! Quotas: what is held is counted again each time.

use super::layer::{Child, Layer};
use super::world::{Spot, World};

/// What a directory may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// Bytes of files and links.
    pub bytes: Option<u64>,
    /// Names.
    pub inodes: Option<u64>,
}

fn held(layer: &Layer, id: u32) -> (u64, u64) {
    let mut held = (0, 0);
    for (_, child) in layer.entries(id) {
        held.1 += 1;
        if let Child::Node(child) = child {
            let below = match layer.is_dir(child) {
                true => self::held(layer, child),
                false => (layer.nodes.get(&child).map_or(0, |inode| inode.bytes()), 0),
            };
            held = (held.0 + below.0, held.1 + below.1);
        }
    }
    held
}

impl World {
    /// Bytes and names below a directory; each name counts.
    #[must_use]
    pub fn held(&self, directory: Spot) -> (u64, u64) {
        held(self.layer(directory.layer), directory.id)
    }

    /// Whether some quota holds more than in `before` and more than it may.
    #[must_use]
    pub fn overshoots(&self, before: &Self) -> bool {
        self.quotas.iter().any(|(directory, limits)| {
            if !before.is_dir(*directory) || !self.is_dir(*directory) {
                return false;
            }
            let (was, is) = (before.held(*directory), self.held(*directory));
            is.0 > was.0 && limits.bytes.is_some_and(|limit| is.0 > limit)
                || is.1 > was.1 && limits.inodes.is_some_and(|limit| is.1 > limit)
        })
    }
}
