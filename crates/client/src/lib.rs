//! The SDK: a store in this process or behind a server, with the same calls and the same answers.
//!
//! Purpose: what a program uses to reach a store. [`Client::connect`] finds out how; after that
//! nobody needs to know. Metadata goes through a transport (in process: no encoding; else frames,
//! pipelined over one connection, retried with the same request id); bodies go straight to the
//! object store where this process can reach it, else through the server.
//!
//! Invariants:
//! - a change is sent again only with the request id it had, so it happens at most once;
//! - `OutcomeUnknown` is returned only when the change may have happened and asking again gave no
//!   answer in time;
//! - a put acknowledges a path only after its publish is durable; a get never leaves half a file
//!   under its name, and writes nothing outside of its target.

mod backups;
mod blocks;
mod branches;
mod cache;
mod calls;
mod client;
mod collection;
mod connect;
mod dump;
mod edits;
mod endpoint;
mod file;
mod handle;
mod link;
mod live;
mod nodes;
mod pieces;
mod publish;
mod quotas;
mod remote;
mod restore;
mod session;
mod shards;
mod snapshots;
mod status;
mod transport;
mod tree;
mod walk;
mod warm;
mod watch;

pub use backups::{Backup, BackupFlaw, KeepBackups, MadeBackup};
pub use branches::MergeAnswer;
pub use cache::{CacheConfig, CacheDir};
pub use client::Client;
pub use collection::{CollectRules, Ongoing, ScrubFrom, Subject};
pub use dump::{DumpEvent, DumpOptions, DumpReport, LoadEvent, LoadReport, OnDump, OnLoad};
pub use endpoint::{Access, ClientOptions, Endpoint};
pub use file::FileStream;
pub use handle::{
    BlockingFile, Creation, FileHandle, FileWriter, FlushOptions, OpenOptions, Seek, Truncation,
};
pub use live::LiveSession;
pub use nokv_dump::{Bodies, Form, Head};
pub use nokv_namespace::{
    BodyStorage, BodySummary, Branch, Change, ChangeKind, Changed, ChangedPlace, Conflict,
    ConflictKind, Content, DiffPage, Difference, DifferenceKind, DirEntry, Durability, Expect,
    Follow, Lease, Left, MergeOutcome, MergeRun, Merged, Mount, NewAttributes, NewSnapshot, Node,
    OnConflict, Page, Parents, Place, Publish, PublishItem, Published, Quota, QuotaCheck,
    QuotaLimits, QuotaState, QuotaUsage, Remove, Removed, RenameMode, Renamed, ReplaceBody,
    Restored, Room, Session, SessionState, SetAttributes, SetTime, SetXattr, Snapshot,
    SnapshotState, Target, Undone, Usage,
};
pub use nokv_namespace::{
    CLIENT_TTL_MS_MAX, CLIENT_TTL_MS_MIN, ClientPhase, ClientSession, HeldLock, LockFamily,
    LockKind, LockOwner, LockPlace, LockRange, LostClaims, WantedLock,
};
pub use nokv_namespace::{EDITS_MAX, Edit, EditAt, EditBody, Edited};
pub use nokv_namespace::{NamedNode, NamesPage};
pub use nokv_namespace::{Placed, Placement as ShardPlacement, ShardStatus};
pub use nokv_object::{
    CACHE_DISK_BYTES_MIN, CacheDirectory, CacheStats, CachedEntry, CachedStore, DamagedEntry,
    Evictions, HedgeOptions, OnDamage,
};
pub use nokv_object::{Compression, OpenBody, Staged, UploadOptions, Uploader};
pub use nokv_proto::v1::{
    BodyFinding, CheckBodiesResponse, ExplainResponse, ExplainedBody, OutlookResponse,
    ScrubFinding, ScrubResponse,
};
pub use nokv_server::{Collected, Create, ObjectsConfig, S3Keys, Secret};
pub use nokv_server::{RestoreAt, RestoreStore, RestoredStore, restore_store};
pub use pieces::PieceOf;
pub use publish::{PublishExpect, PublishOptions, PublishReport};
pub use restore::CommandAnswer;
pub use session::UploadSession;
pub use shards::{CheckedStep, Finding};
pub use status::{Checked, Status};
pub use tree::{
    Existing, GetEvent, GetOptions, GetReport, OnGet, OnPut, Placement, PutEvent, PutOptions,
    PutReport, Skipped, WriteOptions,
};
pub use walk::{Walk, WalkEntry};
pub use warm::{OnWarm, WarmEvent, WarmOptions, WarmReport};
pub use watch::{Cursor, Depth, Watch};
