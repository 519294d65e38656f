//! What a watcher hears.

use super::{Id, LayerId};
use nokv_namespace::ChangeKind;

/// One change.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Event {
    /// The layer that changed.
    pub layer: LayerId,
    /// What happened, by its name, so that events can be sorted.
    pub kind: String,
    /// To which node.
    pub node: Id,
    /// The name that it had.
    pub from: Option<(Id, String)>,
    /// The name that it has.
    pub to: Option<(Id, String)>,
    /// The node whose place it took.
    pub displaced: Option<Id>,
}

impl Event {
    /// An event without names.
    #[must_use]
    pub fn new(layer: LayerId, kind: ChangeKind, node: Id) -> Self {
        Self {
            layer,
            kind: format!("{kind:?}"),
            node,
            from: None,
            to: None,
            displaced: None,
        }
    }

    /// With the name that it has.
    #[must_use]
    pub fn to(mut self, directory: Id, name: &str) -> Self {
        self.to = Some((directory, name.to_string()));
        self
    }

    /// With the name that it had.
    #[must_use]
    pub fn from(mut self, directory: Id, name: &str) -> Self {
        self.from = Some((directory, name.to_string()));
        self
    }

    /// With the node whose place it took.
    #[must_use]
    pub fn displaced(mut self, node: Option<Id>) -> Self {
        self.displaced = node;
        self
    }
}
