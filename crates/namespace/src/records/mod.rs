//! What is stored: the keys and records of every family, one family per file.
//!
//! Nobody outside this crate sees a key. Integers in keys are big-endian, so key order is id order.
//! Records begin with a format byte and may have an unknown tail ([`nokv_shard::codec`]). Shape of
//! each: docs/format/namespace.md.
//!
//! | keyspace | family | key | record |
//! |---|---|---|---|
//! | 1 | node | node, branch | [`NodeRecord`] |
//! | 2 | entry | directory, branch, name | [`EntryRecord`] |
//! | 3 | xattr | node, branch, name | value as it is |
//! | 4 | chunk | node, branch, generation, number | extents |
//! | 5 | mount | 0, id / 1, name | [`MountRecord`] / id |
//! | 6 | counter | directory, branch | counter: entries, subdirectories, mtime, ctime |
//! | 7 | session | 0, id (open) / 1, id (closed) | [`SessionRecord`] |
//! | 8 | object | session, sequence | counter: references |
//! | 9 | death | version, node, branch, generation | [`DeathRecord`] |
//! | 10 | doomed | session, sequence | empty |
//! | 11 | orphan | node, branch | [`orphan::OrphanRecord`] |
//! | 12 | system | name | see [`system`] |
//! | 13 | pin | version, owner | empty |
//! | 14 | snapshot | 0, mount, name / 1, due, mount, name | [`snapshot`] / empty |
//! | 15 | held | pinned version, node, branch, generation | [`DeathRecord`] |
//! | 16 | quota | directory, branch | [`quota::QuotaRecord`] |
//! | 17 | quota usage | directory, branch | counter: bytes, inodes |
//! | 18 | names | node, branch, directory | count |
//! | 21 | client | client | [`client::ClientRecord`] |
//! | 22 | nameless | node, branch | [`nameless::NamelessRecord`] |
//! | 20 | branch | 0, branch / others | [`branch::BranchRecord`] |
//! | 30 | shard | shard, what | see [`shard`] |
//! | 240.. | log, dedupe | | the shard's |

pub(crate) mod answer;
mod body;
pub(crate) mod branch;
mod branch_answers;
pub(crate) mod chunk;
pub(crate) mod client;
pub(crate) mod counter;
mod death;
mod entry;
pub(crate) mod event;
pub(crate) mod hold;
mod loaded;
mod mount;
pub(crate) mod nameless;
pub(crate) mod names;
mod node;
pub(crate) mod object;
pub(crate) mod orphan;
pub(crate) mod pin;
mod placement;
pub(crate) mod quota;
#[cfg(test)]
mod records_test;
mod repair;
mod route;
mod session;
pub(crate) mod shard;
pub(crate) mod snapshot;
mod spot;
pub(crate) mod system;
mod whiteout;
pub(crate) mod xattr;

pub(crate) use body::{CHUNK_EXTENTS, EMBEDDED_EXTENTS_MAX, StoredBody, StoredLayout};
pub(crate) use death::{DeadBody, DeathRecord};
pub(crate) use entry::EntryRecord;
pub(crate) use mount::{MountRecord, MountState};
pub(crate) use node::{DirectoryPlace, Moment, NodeRecord};
pub(crate) use route::{HOME, shard_of};
pub(crate) use session::SessionRecord;
pub(crate) use spot::{branch_prefix, node_and_branch, spot_at};
pub(crate) use whiteout::{is_whiteout, shown_value, stored_value, whiteout};

use nokv_engine::Keyspace;

pub(crate) const NODE: Keyspace = Keyspace::new(1);
pub(crate) const ENTRY: Keyspace = Keyspace::new(2);
pub(crate) const XATTR: Keyspace = Keyspace::new(3);
pub(crate) const CHUNK: Keyspace = Keyspace::new(4);
pub(crate) const MOUNT: Keyspace = Keyspace::new(5);
pub(crate) const COUNTER: Keyspace = Keyspace::new(6);
pub(crate) const SESSION: Keyspace = Keyspace::new(7);
pub(crate) const OBJECT: Keyspace = Keyspace::new(8);
pub(crate) const DEATH: Keyspace = Keyspace::new(9);
pub(crate) const DOOMED: Keyspace = Keyspace::new(10);
pub(crate) const ORPHAN: Keyspace = Keyspace::new(11);
pub(crate) const SYSTEM: Keyspace = Keyspace::new(12);

pub(crate) const PIN: Keyspace = Keyspace::new(13);
pub(crate) const SNAPSHOT: Keyspace = Keyspace::new(14);
pub(crate) const HELD: Keyspace = Keyspace::new(15);
pub(crate) const QUOTA: Keyspace = Keyspace::new(16);
pub(crate) const QUOTA_USAGE: Keyspace = Keyspace::new(17);
pub(crate) const NAMES: Keyspace = Keyspace::new(18);
pub(crate) const BRANCH: Keyspace = Keyspace::new(20);
pub(crate) const SHARD: Keyspace = Keyspace::new(30);
pub(crate) const CLIENT: Keyspace = Keyspace::new(21);
pub(crate) const NAMELESS: Keyspace = Keyspace::new(22);
pub(crate) const HOLD: Keyspace = Keyspace::new(40);

const _: () = assert!(NAMELESS.get() < nokv_shard::KEYSPACE_RESERVED_MIN);

/// The format byte of every record so far.
pub(crate) const FORMAT: u8 = 1;
