//! A store out of its backup, on an empty machine.
//!
//! Invariants:
//! - nothing is written among other things, and nothing counts as a store before all of it is
//!   there, verified and durable: `nokv.toml` is the last file;
//! - the object store of the bodies must have the mark of the store that was backed up;
//! - ids of upload sessions that the lost store gave after the backup are not given again, so no
//!   object is written twice;
//! - every backup that is left keeps its hold.

use crate::identity::{Identity, io_failure};
use crate::service::backup::{hold_of, place_at};
use crate::service::marker::{self, Mark};
use crate::service::on_blocking_thread;
use crate::store_lock::StoreLock;
use crate::{FORMAT_VERSION, ObjectsConfig};
use nokv_backup::{BackupPlace, Manifest, OnPart};
use nokv_env::Env;
use nokv_namespace::{Hold, Namespace};
use nokv_types::{Failure, Reason, SessionId, Version};
use std::path::PathBuf;
use std::sync::Arc;

/// Which backup is restored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RestoreAt {
    /// The newest.
    Newest,
    /// The one with this number.
    Backup(u32),
    /// The state at this version.
    Version(Version),
}

/// A restore.
#[derive(Clone)]
pub struct RestoreStore {
    /// The directory of the store: absent or empty.
    pub dir: PathBuf,
    /// Where the backups are.
    pub from: String,
    /// Where the bodies are, if not where the backup says; and credentials, for both.
    pub objects: ObjectsConfig,
    /// Which backup.
    pub at: RestoreAt,
    /// Hears of the size of all files, once.
    pub on_size: Option<Arc<dyn Fn(u64) + Send + Sync>>,
    /// Hears of each part.
    pub on_part: Option<OnPart>,
}

/// What was restored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RestoredStore {
    /// The backup.
    pub backup: u32,
    /// When it was made, milliseconds since 1970.
    pub made_millis: u64,
    /// The version that the store shows.
    pub version: Version,
    /// Nodes of the namespace.
    pub node_count: u64,
}

/// Brings a store back. The lost one must not run any more.
///
/// **Errors**: `InvalidArgument` when the directory is not empty; `NotFound` without a backup;
/// `Corrupt` naming what is damaged or missing; `Conflict` when the bodies are another store's;
/// those of the files and of the object store. After one, the directory holds no store and can be
/// removed.
pub async fn restore_store(env: &Env, restore: RestoreStore) -> Result<RestoredStore, Failure> {
    refuse_occupied(env, &restore)?;
    let (place, _) = place_at(env, &restore.from, &restore.objects)?;
    let manifests = read_manifests(&place, restore.at).await?;
    let chosen = choose(&manifests, restore.at)?.clone();
    if chosen.store_format > FORMAT_VERSION {
        return Err(Failure::new(
            Reason::Unsupported,
            format!("backup {} is of a newer program; use that", chosen.number),
        ));
    }
    let objects = bodies_of(&chosen, &restore.objects);
    let url = objects.url.clone().unwrap_or_default();
    let blocks = crate::objects::open(env, &url, &objects)?;
    let identity = Identity {
        format_version: FORMAT_VERSION,
        store_id: chosen.store_id.clone(),
        objects: objects.recorded(),
    };
    let store_id = identity.id_bytes().ok_or_else(|| {
        let flaw = format!("backup {} has no store id", chosen.number);
        Failure::new(Reason::Corrupt, flaw)
    })?;
    match marker::read(&*blocks, store_id).await? {
        Mark::Own => {}
        Mark::Missing => return Err(foreign(&url, "does not hold the bodies of this store")),
        Mark::Foreign => return Err(foreign(&url, "belongs to another store")),
    }
    env.files
        .create_dir_all(&restore.dir)
        .map_err(|error| io_failure("create", &restore.dir, &error))?;
    let _lock = StoreLock::take(env, &restore.dir)?;
    identity.begin(env, &restore.dir)?;
    if let Some(on_size) = &restore.on_size {
        on_size(chosen.byte_count());
    }
    let meta = restore.dir.join("meta");
    let to = (&env.files, meta.as_path());
    nokv_backup::restore(&place, &chosen, to, restore.on_part.clone()).await?;
    let last_session = last_session(&*blocks, &manifests).await?;
    let holds = manifests.iter().map(hold_of).collect();
    let settling = (env.clone(), meta);
    let settled = on_blocking_thread(move || settle(settling, last_session, holds)).await?;
    let (node_count, version) = settled;
    Identity::establish(env, &restore.dir)?;
    Ok(RestoredStore {
        backup: chosen.number,
        made_millis: chosen.made_millis,
        version,
        node_count,
    })
}

/// The backups that can be read, oldest first.
async fn read_manifests(place: &BackupPlace, at: RestoreAt) -> Result<Vec<Manifest>, Failure> {
    let mut manifests = Vec::new();
    for found in place.list().await? {
        match (found.manifest, at) {
            (Ok(manifest), _) => manifests.push(manifest),
            (Err(failure), RestoreAt::Backup(number)) if number == found.number => {
                return Err(failure);
            }
            (Err(failure), _) => tracing::warn!(%failure, "a backup can't be read"),
        }
    }
    Ok(manifests)
}

/// Makes what was restored go on where others can't be met, and checks it; its nodes and version.
fn settle(
    (env, meta): (Env, PathBuf),
    last_session: SessionId,
    holds: Vec<Hold>,
) -> Result<(u64, Version), Failure> {
    let namespace = Namespace::open(env, &meta, nokv_namespace::Options::default())?;
    namespace.skip_sessions(last_session)?;
    for hold in holds {
        namespace.put_hold(hold)?;
    }
    let report = namespace.check()?;
    let version = namespace.read_version();
    namespace.close()?;
    match report.problems.first() {
        None => Ok((report.nodes, version)),
        Some(problem) => Err(Failure::new(
            Reason::Corrupt,
            format!(
                "what was restored does not fit together: {}",
                problem.message
            ),
        )),
    }
}

/// The backup that shows a moment.
fn choose(manifests: &[Manifest], at: RestoreAt) -> Result<&Manifest, Failure> {
    let none = |flaw: String| Failure::new(Reason::NotFound, flaw);
    match at {
        RestoreAt::Newest => manifests
            .last()
            .ok_or_else(|| none("there is no backup to restore".to_owned())),
        RestoreAt::Backup(number) => manifests
            .iter()
            .find(|manifest| manifest.number == number)
            .ok_or_else(|| none(format!("backup {number} does not exist"))),
        RestoreAt::Version(version) => manifests
            .iter()
            .rfind(|manifest| manifest.version <= version.as_u64())
            .ok_or_else(|| none(format!("no backup is as old as version {version}"))),
    }
}

/// Where the bodies are: as told, else as the backup says.
fn bodies_of(manifest: &Manifest, told: &ObjectsConfig) -> ObjectsConfig {
    let backed_up = &manifest.objects;
    ObjectsConfig {
        url: told.url.clone().or_else(|| Some(backed_up.url.clone())),
        endpoint: told.endpoint.clone().or_else(|| backed_up.endpoint.clone()),
        region: told.region.clone().or_else(|| backed_up.region.clone()),
        keys: told.keys.clone(),
    }
}

/// The last session id that any store over these objects may have given.
async fn last_session(
    blocks: &dyn nokv_object::BlockStore,
    manifests: &[Manifest],
) -> Result<SessionId, Failure> {
    let listed = blocks.list_sessions().await?;
    let listed = listed.iter().map(|session| session.get());
    let listed = listed.filter(|session| *session != nokv_object::RESERVED_SESSION.get());
    let noted = manifests.iter().map(|manifest| manifest.last_session);
    Ok(SessionId::new(listed.chain(noted).max().unwrap_or(0)))
}

fn refuse_occupied(env: &Env, restore: &RestoreStore) -> Result<(), Failure> {
    let dir = &restore.dir;
    let failed = |error| io_failure("read", dir, &error);
    if !env.files.exists(dir).map_err(failed)? {
        return Ok(());
    }
    match env.files.list(dir).map_err(failed)?.first() {
        None => Ok(()),
        Some(entry) => Err(Failure::new(
            Reason::InvalidArgument,
            format!(
                "{} is not empty (there is {:?}); a store is restored into an empty directory",
                dir.display(),
                entry.name
            ),
        )),
    }
}

fn foreign(url: &str, what: &str) -> Failure {
    Failure::new(
        Reason::Conflict,
        format!("{url} {what}; say with --objects where its bodies are"),
    )
}
