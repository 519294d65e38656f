//! Bringing the files of a backup back.

use crate::make::{OnPart, blocking, failed};
use crate::manifest::{FileEntry, Manifest, PartEntry};
use crate::place::BackupPlace;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use nokv_env::{FileSystem, OpenMode};
use nokv_types::{Failure, Reason};
use std::path::Path;
use std::sync::Arc;

/// Parts that are fetched at once.
const PARALLEL_GETS: usize = 4;

/// Writes the files of a backup into a folder, which is made if absent and must be empty.
///
/// **Guarantees**: every byte was verified, and is durable on return. **Errors**: `Corrupt` naming
/// the file, the offset and the object of what is damaged or missing; those of the files and of the
/// object store.
pub async fn restore(
    place: &BackupPlace,
    manifest: &Manifest,
    (files, dir): (&Arc<dyn FileSystem>, &Path),
    on_part: Option<OnPart>,
) -> Result<(), Failure> {
    files
        .create_dir_all(dir)
        .map_err(|error| failed("make", dir, &error))?;
    for file in &manifest.files {
        let path = dir.join(&file.name);
        let target = files
            .open(&path, OpenMode::CreateNew)
            .map_err(|error| failed("make", &path, &error))?;
        let mut offset = 0;
        let mut fetching = Vec::new();
        for part in &file.parts {
            fetching.push(fetch(place, file, offset, part));
            offset += u64::from(part.bytes);
        }
        let mut fetched = stream::iter(fetching).buffered(PARALLEL_GETS);
        while let Some((offset, bytes)) = fetched.try_next().await? {
            let (target, path) = (Arc::clone(&target), path.clone());
            let length = bytes.len() as u64;
            blocking(move || {
                let written = target.write_at(&bytes, offset);
                written.map_err(|error| failed("write", &path, &error))
            })
            .await?;
            if let Some(on_part) = &on_part {
                on_part(length, true);
            }
        }
        let synced = target.sync_all();
        synced.map_err(|error| failed("write", &path, &error))?;
    }
    files
        .sync_dir(dir)
        .map_err(|error| failed("write", dir, &error))
}

async fn fetch(
    place: &BackupPlace,
    file: &FileEntry,
    offset: u64,
    part: &PartEntry,
) -> Result<(u64, Bytes), Failure> {
    let bytes = read(place, part).await;
    let bytes = bytes.map_err(|failure| {
        failure.context(format_args!("{} of the backup, offset {offset}", file.name))
    })?;
    Ok((offset, bytes))
}

/// The bytes of a part, verified. **Errors**: `Corrupt` naming the object.
pub(crate) async fn read(place: &BackupPlace, part: &PartEntry) -> Result<Bytes, Failure> {
    let object = place.blocks.place(part.block());
    let got = place
        .blocks
        .get_range(part.block(), 0..part.bytes.max(1))
        .await;
    let bytes = match got {
        Ok(bytes) => bytes,
        Err(nokv_object::Error::MissingBlock { .. }) => {
            return Err(Failure::new(
                Reason::Corrupt,
                format!("{object} is missing"),
            ));
        }
        Err(error) => return Err(error.into()),
    };
    let digest = blake3::hash(&bytes).to_hex();
    if digest.as_str() != part.blake3 {
        return Err(Failure::new(
            Reason::Corrupt,
            format!(
                "{object} is damaged: expected {} bytes of BLAKE3 {}, got {} of {digest}",
                part.bytes,
                part.blake3,
                bytes.len()
            ),
        ));
    }
    Ok(bytes)
}
