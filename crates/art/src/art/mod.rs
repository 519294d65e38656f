//! The tree; until it lands its name is served by the skiplist.

pub(crate) use crate::skip_list::SkipList as Art;
