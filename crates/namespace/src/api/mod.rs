//! What callers say and hear: plain data without behaviour.
//!
//! Reading order: [`context`] (who asks, and of when), [`target`] (how things are named), [`node`]
//! (what a lookup answers), [`change`] (what mutations take and answer), [`publish`], [`edit`],
//! [`session`] (upload sessions and garbage), [`snapshot`], [`quota`], [`placement`] (shards),
//! [`options`], [`check`].

mod branch;
mod change;
mod check;
mod client;
mod context;
mod diff;
mod dump;
mod edit;
mod explain;
mod hold;
mod merge;
mod mount;
mod node;
mod objects;
mod options;
mod placement;
mod publish;
mod quota;
mod repair;
mod session;
mod snapshot;
mod target;
mod watch;

pub use branch::{Branch, Restored, Undone};
pub use change::{
    Changed, Parents, Remove, Removed, RenameMode, Renamed, SetAttributes, SetTime, SetXattr, Usage,
};
pub use check::{CheckCursor, CheckReport, CheckStep, Problem, ProblemKind};
pub use client::{
    ANNOUNCEMENT_ITEMS_MAX, Announcement, AnnouncementEnd, Asker, CLIENT_LABEL_BYTES_MAX,
    CLIENT_TTL_MS_MAX, CLIENT_TTL_MS_MIN, ClientPhase, ClientSession, LockOutcome, LockPlace,
    LostClaims, NewClientSession, WantedLock,
};
pub use context::{Context, View};
pub use diff::{DIFFERENCES_MAX, DiffPage, Difference, DifferenceKind};
pub use dump::{DumpPage, KnownNode, LOAD_NODES_MAX, LOADED_NAME, Load, LoadDirectory, Loaded};
pub use edit::{EDITS_MAX, Edit, EditAt, EditBody, Edited};
pub use explain::{
    About, EXPLAINED_MAX, Explained, Explanation, Keeper, Outlook, SessionLife, Tally,
};
pub use hold::Hold;
pub use merge::{
    Conflict, ConflictKind, MERGE_CHANGES_MAX, MergeOutcome, MergeRun, Merged, OnConflict,
};
pub use mount::Mount;
pub use node::{
    BodyStorage, BodySummary, DirEntry, NamedNode, NamesPage, Node, PAGE_ENTRIES_MAX, Page,
};
pub use objects::{
    BodyPart, Holder, ObjectUse, Reference, ReferenceCursor, ReferencePage, Relocation,
};
pub use options::Options;
pub use placement::{Placed, Placement, ShardStatus};
pub use publish::{
    Content, Expect, NewAttributes, PUBLISH_ITEMS_MAX, Publish, PublishItem, Published, ReplaceBody,
};
pub use quota::{Left, Quota, QuotaCheck, QuotaLimits, QuotaState, QuotaUsage, Room};
pub use repair::{EntryAt, Repair, RepairAction, Repaired};
pub use session::{LeaseKeeping, Reclaimed, Session, SessionState};
pub use snapshot::{Lease, NewSnapshot, Snapshot, SnapshotState};
pub use target::{Follow, Place, Target};
pub use watch::{Announced, Change, ChangeKind, ChangePage, ChangedPlace, FeedPage, Scope};
