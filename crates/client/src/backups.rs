//! Backups of the store's metadata.

use crate::Client;
use nokv_proto::present;
use nokv_proto::v1::{self, request::Method, response::Result as Answer};
use nokv_types::{Failure, Version};

/// Takes the answer of one method.
macro_rules! pick {
    ($kind:ident) => {
        |answer| match answer {
            Answer::$kind(answer) => Some(answer),
            _ => None,
        }
    };
}

/// Which backups stay when one is made. Without a rule all do; what either rule keeps stays.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct KeepBackups {
    /// The newest so many.
    pub count: Option<u32>,
    /// Those that are younger, milliseconds.
    pub age_ms: Option<u64>,
}

/// A backup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backup {
    /// Its number; a later one has a higher one.
    pub number: u32,
    /// When it was made, milliseconds since 1970.
    pub made_millis: u64,
    /// The newest version in it.
    pub version: Version,
    /// Bytes of its files, those too that it has in common with others.
    pub byte_count: u64,
    /// Its files.
    pub file_count: u64,
    /// Why it can't be read; empty: it can.
    pub flaw: String,
}

/// A backup that was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MadeBackup {
    /// It.
    pub backup: Backup,
    /// Bytes that were sent; the others were there.
    pub sent_bytes: u64,
    /// Backups that were removed.
    pub removed: Vec<u32>,
    /// How far it was behind when it was durable, milliseconds.
    pub lag_ms: u64,
    /// Where it is.
    pub place: String,
}

/// Something of a backup that is damaged or missing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BackupFlaw {
    /// The file.
    pub file: String,
    /// Where in it.
    pub offset: u64,
    /// What is wrong, naming the object.
    pub message: String,
}

/// Backups. `url` is where they are; `None` is beside the bodies.
impl Client {
    /// Makes a backup beside readers and writers; durable on return.
    ///
    /// **Errors**: `InvalidArgument` for the URL, or where the bodies are in the store's directory;
    /// `Conflict` when another store has its backups there; those of the object store.
    pub async fn make_backup(
        &self,
        url: Option<&str>,
        keep: KeepBackups,
    ) -> Result<MadeBackup, Failure> {
        let method = Method::MakeBackup(v1::MakeBackupRequest {
            url: url.unwrap_or_default().to_owned(),
            keep_count: keep.count,
            keep_ms: keep.age_ms,
        });
        let made = self
            .shared
            .transport
            .call(method, pick!(MakeBackup))
            .await?;
        Ok(MadeBackup {
            backup: backup(present("backup", made.backup)?),
            sent_bytes: made.sent_bytes,
            removed: made.removed,
            lag_ms: made.lag_ms,
            place: made.place,
        })
    }

    /// The backups there are, oldest first.
    pub async fn backups(&self, url: Option<&str>) -> Result<Vec<Backup>, Failure> {
        let method = Method::ListBackups(v1::ListBackupsRequest {
            url: url.unwrap_or_default().to_owned(),
        });
        let listed = self
            .shared
            .transport
            .call(method, pick!(ListBackups))
            .await?;
        Ok(listed.backups.into_iter().map(backup).collect())
    }

    /// Removes a backup and what no other needs; objects and bytes that were deleted. **Errors**:
    /// `NotFound`.
    pub async fn remove_backup(
        &self,
        url: Option<&str>,
        number: u32,
    ) -> Result<(u64, u64), Failure> {
        let method = Method::RemoveBackup(v1::RemoveBackupRequest {
            url: url.unwrap_or_default().to_owned(),
            number,
        });
        let removed = self
            .shared
            .transport
            .call(method, pick!(RemoveBackup))
            .await?;
        Ok((removed.object_count, removed.byte_count))
    }

    /// Reads every byte of a backup, of the newest for `None`; what is wrong with it. **Errors**:
    /// `NotFound`; `Corrupt` when its manifest can't be read.
    pub async fn verify_backup(
        &self,
        url: Option<&str>,
        number: Option<u32>,
    ) -> Result<(Backup, Vec<BackupFlaw>), Failure> {
        let method = Method::VerifyBackup(v1::VerifyBackupRequest {
            url: url.unwrap_or_default().to_owned(),
            number: number.unwrap_or(0),
        });
        let verified = self
            .shared
            .transport
            .call(method, pick!(VerifyBackup))
            .await?;
        let flaws = verified.flaws.into_iter().map(|flaw| BackupFlaw {
            file: flaw.file,
            offset: flaw.offset,
            message: flaw.message,
        });
        Ok((backup(present("backup", verified.backup)?), flaws.collect()))
    }
}

fn backup(backup: v1::Backup) -> Backup {
    Backup {
        number: backup.number,
        made_millis: backup.made_ms,
        version: Version::from_u64(backup.version),
        byte_count: backup.byte_count,
        file_count: backup.file_count,
        flaw: backup.flaw,
    }
}
