//! What the namespace knows of objects: how much of each is used, by whom, and where it moves.

use bytes::Bytes;
use nokv_types::{BlockId, BranchId, Extent, Generation, NodeId, Version};

/// How much of an object bodies use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ObjectUse {
    /// The object.
    pub block: BlockId,
    /// Bodies, or parts of bodies of many extents, live or retained, that have bytes in it.
    pub references: u64,
    /// Bytes that they have in it; what several share counts for each.
    pub bytes: u64,
    /// Where the furthest byte ends that any body ever had in it: the object is at least so long.
    pub end: u64,
}

/// Who has bytes in objects.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Holder {
    /// The file.
    pub node: NodeId,
    /// The branch that the body belongs to.
    pub branch: BranchId,
    /// Which of its bodies.
    pub generation: Generation,
    /// Which part of the body.
    pub part: BodyPart,
}

/// A part of a body that is referenced for itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum BodyPart {
    /// All of the newest body.
    Whole,
    /// A run of extents of a body that has many, by its number.
    Chunk(u32),
    /// The same of a body that was replaced or removed, which is itself in the list as dead.
    DeadChunk(u32),
    /// What was replaced or removed, and is kept. Without extents if all of it is in chunks.
    Dead {
        /// The version that brought it.
        birth: Version,
        /// The version that took it out of sight.
        death: Version,
        /// The newest pinned version that sees it; `None` while the floor has not passed the
        /// death.
        pin: Option<Version>,
    },
}

impl BodyPart {
    /// Whether it is of a body that nobody has replaced or removed.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        matches!(self, Self::Whole | Self::Chunk(_))
    }
}

/// Bytes that somebody has in objects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reference {
    /// Who.
    pub holder: Holder,
    /// Where.
    pub extents: Vec<Extent>,
}

/// A place in the list of all references: opaque bytes, which stay valid for the life of a store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReferenceCursor(pub(crate) Bytes);

impl ReferenceCursor {
    /// The place that [`Self::as_bytes`] wrote down. Bytes of another origin lead to some place.
    #[must_use]
    pub const fn from_bytes(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The place as bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

/// A page of references.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReferencePage {
    /// In the order of the list.
    pub references: Vec<Reference>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<ReferenceCursor>,
}

/// A part of a live body that moves to other objects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Relocation {
    /// Which part, of a body that is not dead.
    pub holder: Holder,
    /// Where its bytes are: it moves only if it is still so.
    pub from: Vec<Extent>,
    /// Where they will be: the same extents, with units in other places.
    pub to: Vec<Extent>,
}
