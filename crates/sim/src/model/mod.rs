//! The reference model: what a namespace with versions and branches is, said as plainly as can be.
//!
//! A layer (the trunk of a mount, or a branch) is two maps: names and nodes. A branch is a copy of
//! a part of another layer, a merge compares three copies name by name and node by node, the past
//! is a list of copies, a quota is a recount. Nothing here is clever or fast, and nothing is shared
//! with the code that it is compared with but the words for failures.
//!
//! Reading order: [`layer`] (maps), [`world`] (layers, paths), [`names`] and [`bodies`] (what each
//! operation does), [`merge`] and [`trees`] (three-way, branches), [`quota`], [`event`] (what a
//! watcher hears).

mod bodies;
mod event;
mod layer;
mod merge;
mod names;
mod quota;
mod trees;
mod world;

pub use bodies::{Expected, Item, Put, XattrChange};
pub use event::Event;
pub use layer::{Child, Id, Inode, Kind, Layer, LayerId};
pub use merge::{Choice, Merged, merge, touched_alone};
pub use names::{Removal, Rename};
pub use quota::Limits;
pub use trees::Joined;
pub use world::{At, Origin, Outcome, Snapshot, Spot, TRUNK, World};
