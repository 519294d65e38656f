//! Nouns of the namespace to messages and back, for both ends of a connection.
//!
//! Invariants: every function in [`ask`] has its inverse in [`heard`] and the other way round, and
//! a round trip changes nothing (tested); what is not valid becomes a failure that names the field.
//!
//! Reading order: [`node`] (nodes and pages), [`ask`] (what requests carry), [`publish`],
//! [`edit`], [`replace_body`], [`snapshot`], [`quota`], [`change`], [`branch`], [`diff`],
//! [`merge`].

mod ask;
mod branch;
#[cfg(test)]
mod branch_test;
mod change;
mod client;
mod diff;
mod dump;
mod edit;
mod merge;
mod names;
mod node;
mod publish;
mod quota;
mod replace_body;
mod shard;
mod snapshot;
#[cfg(test)]
mod wire_test;

pub use ask::{
    OwnedPlace, OwnedTarget, attribute_changes, attribute_changes_to_wire, context,
    context_to_wire, durability_to_wire, follow, follow_to_wire, parents, parents_to_wire, place,
    place_to_wire, remove_mode, remove_mode_to_wire, rename_mode, rename_mode_to_wire, target,
    target_to_wire, view, view_to_wire,
};
pub use branch::{branch, branch_to_wire, moment_to_wire};
pub use change::{change, change_to_wire};
pub use client::{
    announcement, announcement_to_wire, asker, asker_to_wire, client, client_to_wire, held_lock,
    held_lock_to_wire, lock, lock_outcome, lock_outcome_to_wire, lock_place, lock_to_wire,
    lost_claims, lost_claims_to_wire, open_node, open_node_to_wire,
};
pub use diff::{diff_page, diff_page_to_wire};
pub(crate) use dump::names;
pub use dump::{dump_page, dump_page_to_wire, load, load_to_wire, loaded, loaded_to_wire};
pub use edit::{edit_body, edit_body_to_wire, edited, edited_to_wire};
pub use merge::{merge_run, merged, merged_to_wire, on_conflict, on_conflict_to_wire};
pub use names::{names_page, names_page_to_wire};
pub use node::{entry, entry_to_wire, node, node_to_wire, page, page_to_wire};
pub use publish::{publish, publish_to_wire, published, published_to_wire};
pub use quota::{
    limits, limits_to_wire, quota, quota_check, quota_to_wire, quota_usage_to_wire, room,
    room_to_wire,
};
pub use replace_body::{replace_body, replace_body_to_wire};
pub use shard::{placed, placed_to_wire, placement, placement_to_wire, shard, shard_to_wire};
pub use snapshot::{lease_ms, snapshot, snapshot_to_wire};
