//! Backups of an open store.
//!
//! A backup is a checkpoint of the metadata, sent to an object store while the store goes on.
//! Before the checkpoint is begun, a hold keeps the objects that it will refer to from being
//! deleted; the hold becomes permanent when the backup is durable, and goes with it.
//!
//! Invariants:
//! - one backup at a time is made, removed or swept;
//! - a crash at any step leaves the backups that were there and a hold that ends by itself; the
//!   next backup removes what else it left.

use super::store::{Inner, on_blocking_thread};
use crate::identity::{default_objects, io_failure};
use crate::objects;
use crate::service::marker::{self, IsNew};
use nokv_backup::{BackupPlace, Found, Head, Keep, Manifest, ObjectsPlace};
use nokv_env::Env;
use nokv_namespace::Hold;
use nokv_proto::v1::{self, response::Result as Answer};
use nokv_types::{Failure, Reason, Version};
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where backups are, below the URL of the bodies.
const PREFIX: &str = "backups";
/// Where the checkpoint is while it is sent.
const STAGING: &str = "backup.staging";
/// How long a hold lasts whose backup does not end: longer than any backup takes.
const MAKING_MS: u64 = 86_400_000;

/// What an open store knows of its backups.
#[derive(Default)]
pub(super) struct Backups {
    /// Held by the one who makes or removes one.
    turn: tokio::sync::Mutex<()>,
    last: Mutex<Option<LastBackup>>,
}

#[derive(Clone, Copy)]
struct LastBackup {
    number: u32,
    version: Version,
    made_millis: u64,
}

pub(super) async fn make(inner: &Inner, ask: v1::MakeBackupRequest) -> Result<Answer, Failure> {
    let _turn = inner.backups.turn.lock().await;
    let (url, place) = open_place(inner, &ask.url)?;
    marker::claim(&*place.1, inner.store_id, IsNew::Yes).await?;
    let place = place.0;
    let before = keep_holds(inner, place.list().await?).await?;
    let number = place.free_number().await?;
    let newest = inner.namespace.holds().iter().map(|hold| hold.backup).max();
    let number = number.max(u32::try_from(newest.unwrap_or(0) + 1).unwrap_or(u32::MAX));
    let begun_millis = inner.env.clock.now_millis();
    let until = begun_millis.saturating_add(MAKING_MS);
    let namespace = inner.namespace.clone();
    let hold =
        on_blocking_thread(move || namespace.hold_objects(u64::from(number), Some(until))).await?;
    let made = send(inner, &place, (number, hold), before.last()).await;
    let (manifest, sent_bytes) = match made {
        Ok(made) => made,
        Err(failure) => {
            let namespace = inner.namespace.clone();
            let released =
                on_blocking_thread(move || namespace.release_hold(u64::from(number))).await;
            if let Err(failure) = released {
                tracing::warn!(%failure, "a hold is left to end by itself");
            }
            return Err(failure);
        }
    };
    let permanent = hold_of(&manifest);
    let namespace = inner.namespace.clone();
    on_blocking_thread(move || namespace.put_hold(permanent)).await?;
    *inner.backups.last.lock() = Some(LastBackup {
        number,
        version: Version::from_u64(manifest.version),
        made_millis: begun_millis,
    });
    let removed = expire(inner, &place, &before, &manifest, ask).await?;
    let now = inner.env.clock.now_millis();
    Ok(Answer::MakeBackup(v1::MakeBackupResponse {
        backup: Some(to_wire(&manifest)),
        sent_bytes,
        removed,
        lag_ms: now.saturating_sub(begun_millis),
        place: url,
    }))
}

pub(super) async fn list(inner: &Inner, ask: v1::ListBackupsRequest) -> Result<Answer, Failure> {
    let (_, place) = open_place(inner, &ask.url)?;
    let backups = place.0.list().await?;
    let backups = backups.into_iter().map(|found| match found.manifest {
        Ok(manifest) => to_wire(&manifest),
        Err(failure) => v1::Backup {
            number: found.number,
            flaw: failure.to_string(),
            ..v1::Backup::default()
        },
    });
    Ok(Answer::ListBackups(v1::ListBackupsResponse {
        backups: backups.collect(),
    }))
}

pub(super) async fn remove(inner: &Inner, ask: v1::RemoveBackupRequest) -> Result<Answer, Failure> {
    let _turn = inner.backups.turn.lock().await;
    let (_, place) = open_place(inner, &ask.url)?;
    marker::claim(&*place.1, inner.store_id, IsNew::No).await?;
    let place = place.0;
    let found = place.list().await?;
    if !found.iter().any(|found| found.number == ask.number) {
        return Err(missing(ask.number));
    }
    nokv_backup::remove(&place, &[ask.number]).await?;
    let (namespace, number) = (inner.namespace.clone(), u64::from(ask.number));
    on_blocking_thread(move || namespace.release_hold(number)).await?;
    let swept = nokv_backup::sweep(&place).await?;
    Ok(Answer::RemoveBackup(v1::RemoveBackupResponse {
        object_count: swept.object_count,
        byte_count: swept.byte_count,
    }))
}

pub(super) async fn verify(inner: &Inner, ask: v1::VerifyBackupRequest) -> Result<Answer, Failure> {
    let (_, place) = open_place(inner, &ask.url)?;
    let place = place.0;
    let found = place.list().await?.into_iter().rev();
    let found = found
        .into_iter()
        .find(|found| ask.number == 0 || found.number == ask.number);
    let manifest = found.ok_or_else(|| missing(ask.number))?.manifest?;
    let verified = nokv_backup::verify(&place, &manifest, None).await?;
    let flaws = verified.flaws.into_iter().map(|flaw| v1::BackupFlaw {
        file: flaw.file,
        offset: flaw.offset,
        message: flaw.message,
    });
    Ok(Answer::VerifyBackup(v1::VerifyBackupResponse {
        backup: Some(to_wire(&manifest)),
        flaws: flaws.collect(),
    }))
}

/// What the status says of backups that this process has made.
pub(super) fn figures(inner: &Inner) -> Vec<v1::Figure> {
    let Some(last) = *inner.backups.last.lock() else {
        return Vec::new();
    };
    let lag = inner
        .env
        .clock
        .now_millis()
        .saturating_sub(last.made_millis);
    let is_behind = inner.namespace.read_version() > last.version;
    let figure = |name: &str, value| v1::Figure {
        name: name.to_owned(),
        value,
    };
    vec![
        figure("backup_number", u64::from(last.number)),
        figure("backup_version", last.version.as_u64()),
        figure("backup_lag_ms", if is_behind { lag } else { 0 }),
    ]
}

/// Makes the checkpoint and sends it.
async fn send(
    inner: &Inner,
    place: &BackupPlace,
    (number, hold): (u32, Hold),
    before: Option<&Manifest>,
) -> Result<(Manifest, u64), Failure> {
    let staging = inner.dir.join(STAGING);
    let (env, dir, namespace) = (inner.env.clone(), staging.clone(), inner.namespace.clone());
    let (checkpoint, floor, last_session) = on_blocking_thread(move || {
        clear(&env, &dir)?;
        let checkpoint = namespace.engine().checkpoint(&dir);
        let checkpoint = checkpoint.map_err(|error| {
            Failure::new(
                Reason::Io,
                format!("the checkpoint for the backup: {error}"),
            )
        })?;
        Ok((
            checkpoint,
            namespace.floor(),
            namespace.sessions_reserved()?,
        ))
    })
    .await?;
    let head = Head {
        number,
        store_id: inner.identity.store_id.clone(),
        store_format: inner.identity.format_version,
        made_millis: inner.env.clock.now_millis(),
        version: checkpoint.version.as_u64(),
        floor: floor.as_u64(),
        held_from: hold.version.as_u64(),
        last_session,
        objects: ObjectsPlace {
            url: inner.objects_url.clone(),
            endpoint: inner.objects_config.endpoint.clone(),
            region: inner.objects_config.region.clone(),
        },
    };
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let on_part = Arc::new(move |bytes: u64, is_sent: bool| {
        if is_sent {
            counted.fetch_add(bytes, Ordering::Relaxed);
        }
    });
    let files = (&inner.env.files, staging.as_path());
    let made = nokv_backup::make(place, files, head, before, Some(on_part)).await;
    let (env, dir) = (inner.env.clone(), staging);
    if let Err(failure) = on_blocking_thread(move || clear(&env, &dir)).await {
        tracing::warn!(%failure, "the next backup removes what is left of this one");
    }
    Ok((made?, sent.load(Ordering::Relaxed)))
}

/// Sees to it that every backup there is has its hold; those that can be read, oldest first.
async fn keep_holds(inner: &Inner, found: Vec<Found>) -> Result<Vec<Manifest>, Failure> {
    let mut manifests = Vec::new();
    for found in found {
        match found.manifest {
            Ok(manifest) => manifests.push(manifest),
            Err(failure) => tracing::warn!(%failure, "a backup can't be read"),
        }
    }
    let wanted: Vec<Hold> = manifests.iter().map(hold_of).collect();
    let namespace = inner.namespace.clone();
    on_blocking_thread(move || {
        let holds = namespace.holds();
        for hold in wanted {
            if !holds.contains(&hold) {
                namespace.put_hold(hold)?;
            }
        }
        Ok(())
    })
    .await?;
    Ok(manifests)
}

/// Removes what the rules no longer keep, and what crashes have left.
async fn expire(
    inner: &Inner,
    place: &BackupPlace,
    before: &[Manifest],
    made: &Manifest,
    ask: v1::MakeBackupRequest,
) -> Result<Vec<u32>, Failure> {
    let keep = Keep {
        count: ask.keep_count,
        age_millis: ask.keep_ms,
    };
    let all = before.iter().chain([made]);
    let backups: Vec<_> = all
        .map(|manifest| (manifest.number, manifest.made_millis))
        .collect();
    let expired = nokv_backup::choose_expired(&backups, keep, inner.env.clock.now_millis());
    nokv_backup::remove(place, &expired).await?;
    let (namespace, goes) = (inner.namespace.clone(), expired.clone());
    let now = inner.env.clock.now_millis();
    on_blocking_thread(move || {
        let ended = namespace.holds().into_iter();
        let ended = ended.filter(|hold| hold.until_millis.is_some_and(|until| until <= now));
        let ended = ended.map(|hold| hold.backup);
        for backup in goes.into_iter().map(u64::from).chain(ended) {
            namespace.release_hold(backup)?;
        }
        Ok(())
    })
    .await?;
    // The backup stands; what could not be swept now is swept with the next one.
    if let Err(failure) = nokv_backup::sweep(place).await {
        tracing::warn!(%failure, "parts that no backup needs are left");
    }
    Ok(expired)
}

/// The hold of a backup that is durable.
pub(crate) fn hold_of(manifest: &Manifest) -> Hold {
    Hold {
        backup: u64::from(manifest.number),
        version: Version::from_u64(manifest.held_from),
        until_millis: None,
    }
}

type Place = (BackupPlace, Arc<dyn nokv_object::BlockStore>);

/// The place of backups that a request means; its URL.
fn open_place(inner: &Inner, url: &str) -> Result<(String, Place), Failure> {
    let url = match url {
        "" => beside_bodies(inner)?,
        url => url.to_owned(),
    };
    let place = place_at(&inner.env, &url, &inner.objects_config)?;
    Ok((url, place))
}

/// A place of backups. **Errors**: `InvalidArgument` for the URL.
pub(crate) fn place_at(
    env: &Env,
    url: &str,
    config: &crate::ObjectsConfig,
) -> Result<Place, Failure> {
    let blocks = objects::open(env, url, config)?;
    Ok((BackupPlace::new(Arc::clone(&blocks)), blocks))
}

/// The place of backups unless told. **Errors**: `InvalidArgument` when the bodies are where the
/// loss of the store's directory takes them too.
fn beside_bodies(inner: &Inner) -> Result<String, Failure> {
    let url = &inner.objects_url;
    if nokv_object::forgets(url) || *url == objects::folder_url(&default_objects(&inner.dir)) {
        return Err(Failure::new(
            Reason::InvalidArgument,
            "the bodies of this store are in its directory or in memory and would be lost with it; \
             give --to URL (which backs up the metadata alone), or make the store with --objects",
        ));
    }
    Ok(format!("{}/{PREFIX}", url.trim_end_matches('/')))
}

/// Removes the checkpoint that was sent, or that a crash has left.
fn clear(env: &Env, dir: &Path) -> Result<(), Failure> {
    let mut partial = dir.as_os_str().to_owned();
    partial.push(".partial");
    for dir in [dir.to_owned(), PathBuf::from(partial)] {
        let failed = |error| io_failure("remove", &dir, &error);
        if !env.files.exists(&dir).map_err(failed)? {
            continue;
        }
        for entry in env.files.list(&dir).map_err(failed)? {
            env.files.remove(&dir.join(&entry.name)).map_err(failed)?;
        }
        env.files.remove_dir(&dir).map_err(failed)?;
    }
    Ok(())
}

fn to_wire(manifest: &Manifest) -> v1::Backup {
    v1::Backup {
        number: manifest.number,
        made_ms: manifest.made_millis,
        version: manifest.version,
        byte_count: manifest.byte_count(),
        file_count: manifest.files.len() as u64,
        flaw: String::new(),
    }
}

fn missing(number: u32) -> Failure {
    let what = match number {
        0 => "a backup".to_owned(),
        number => format!("backup {number}"),
    };
    Failure::new(
        Reason::NotFound,
        format!("{what} does not exist; nokv backup ls shows those there are"),
    )
}
