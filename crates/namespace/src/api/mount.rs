//! A namespace in the store.

use nokv_types::{MountId, NodeId};

/// A mount: its own root directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mount {
    /// Its number.
    pub id: MountId,
    /// Its name, unique in the store.
    pub name: String,
    /// Its root directory.
    pub root: NodeId,
}
