//! What a reader sees: the memtables, newest first, and the tables below them.

use std::sync::Arc;

use super::{memory::Memory, tables::Tables};
use crate::vlog::ValueFiles;

/// One consistent state of the store. Immutable; replaced as a whole.
#[derive(Clone)]
pub(crate) struct View {
    /// Takes the writes.
    pub(crate) active: Arc<Memory>,
    /// Sealed and waiting to be flushed, newest first.
    pub(crate) sealed: Vec<Arc<Memory>>,
    /// Everything older.
    pub(crate) tables: Arc<Tables>,
    /// What their pointers lead to.
    pub(crate) values: Arc<ValueFiles>,
}

impl View {
    /// The memtables, newest first.
    pub(crate) fn memories(&self) -> impl Iterator<Item = &Arc<Memory>> {
        std::iter::once(&self.active).chain(&self.sealed)
    }
}
