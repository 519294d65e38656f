//! The namespace: inodes and entries over the command log.
//!
//! Purpose: every operation of the product's file model, correct under concurrency, in one command
//! each. The model is inode (node) and entry; attributes live in the node record and nowhere else;
//! a path is resolved here, in one call, at one version.
//!
//! How an operation works: it reads at the newest applied version, plans one command whose checks
//! name everything the decision rested on, and has the shard apply it. A check that fails because
//! somebody was faster makes it plan again. So an operation is atomic, and never sees half of
//! another.
//!
//! Invariants ([`Namespace::check`] verifies them on a live store):
//! - every entry leads to a node, every node but a root has as many entries as its link count says;
//! - a directory has exactly one entry, the one its record names, and following parents ends at a
//!   root;
//! - the counters of a directory equal a recount of its entries;
//! - the reference count of an object equals the bodies, live and dead, that need it.
//!
//! What breaks otherwise: lost files, directories that nobody can remove, blocks deleted under a
//! reader.

mod api;
mod clients;
mod failure;
mod figures;
mod fingerprint;
mod ids;
mod layers;
mod leases;
mod locks;
mod namespace;
mod operations;
mod paths;
mod pins;
mod plan;
mod plant;
mod quotas;
mod reader;
mod records;
mod spot;
mod walk;

pub use api::Hold;
pub use api::LeaseKeeping;
pub use api::{
    ANNOUNCEMENT_ITEMS_MAX, Announcement, AnnouncementEnd, Asker, CLIENT_LABEL_BYTES_MAX,
    CLIENT_TTL_MS_MAX, CLIENT_TTL_MS_MIN, ClientPhase, ClientSession, LockOutcome, LockPlace,
    LostClaims, NewClientSession, WantedLock,
};
pub use api::{About, EXPLAINED_MAX, Explained, Explanation, Keeper, Outlook, SessionLife, Tally};
pub use api::{
    Announced, BodyStorage, BodySummary, Branch, Change, ChangeKind, ChangePage, Changed,
    ChangedPlace, CheckReport, Content, Context, DIFFERENCES_MAX, DiffPage, Difference,
    DifferenceKind, DirEntry, Expect, FeedPage, Follow, Lease, Left, Mount, NewAttributes,
    NewSnapshot, Node, Options, PAGE_ENTRIES_MAX, PUBLISH_ITEMS_MAX, Page, Parents, Place, Problem,
    ProblemKind, Publish, PublishItem, Published, Quota, QuotaCheck, QuotaLimits, QuotaState,
    QuotaUsage, Reclaimed, Remove, Removed, RenameMode, Renamed, ReplaceBody, Room, Scope, Session,
    SessionState, SetAttributes, SetTime, SetXattr, Snapshot, SnapshotState, Target, Usage, View,
};
pub use api::{BodyPart, Holder, ObjectUse, Reference, ReferenceCursor, ReferencePage, Relocation};
pub use api::{CheckCursor, CheckStep, EntryAt, Repair, RepairAction, Repaired};
pub use api::{
    Conflict, ConflictKind, MERGE_CHANGES_MAX, MergeOutcome, MergeRun, Merged, OnConflict, Placed,
    Placement, Restored, ShardStatus, Undone,
};
pub use api::{DumpPage, KnownNode, LOAD_NODES_MAX, LOADED_NAME, Load, LoadDirectory, Loaded};
pub use api::{EDITS_MAX, Edit, EditAt, EditBody, Edited};
pub use api::{NamedNode, NamesPage};
pub use figures::Figures;
pub use leases::{READ_LEASE_MS_DEFAULT, READ_LEASE_MS_MAX};
pub use locks::{HeldLock, HeldRanges, LockFamily, LockKind, LockOwner, LockRange};
pub use namespace::Namespace;
pub use nokv_shard::{Durability, SHARDS_MAX};
pub use operations::{
    CHECK_NODES_DEFAULT, SESSION_TTL_MS_MAX, SNAPSHOT_LEASE_MS_MAX, XATTR_NAME_BYTES_MAX,
    XATTR_VALUE_BYTES_MAX, XATTRS_MAX,
};
pub use operations::{Feed, LockOrWait, LockWait};

#[cfg(feature = "plant")]
pub use plant::{Plant, plant};

pub(crate) use plan::Topology;
