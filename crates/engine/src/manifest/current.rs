//! `CURRENT`: the name of the manifest that counts, with its checksum, in one line of text.
//!
//! Invariant: it is replaced by a rename after the new content is durable, so it is always whole.

use std::{
    io,
    path::{Path, PathBuf},
};

use nokv_env::{Env, OpenMode};

use crate::{
    Error,
    checksum::crc32c,
    file_name::{number_in, numbered_name, numbered_path},
};

/// The file.
pub(super) const CURRENT_NAME: &str = "CURRENT";

/// Its successor while being written.
const NEXT_NAME: &str = "CURRENT.next";

/// What comes after the number in the name of a manifest.
const SUFFIX: &str = ".manifest";

/// More than a valid line has, bytes.
const LINE_BYTES_MAX: usize = 64;

/// The file of a manifest.
pub(crate) fn manifest_path(dir: &Path, number: u64) -> PathBuf {
    numbered_path(dir, number, SUFFIX)
}

fn manifest_name(number: u64) -> String {
    numbered_name(number, SUFFIX)
}

/// The number of the manifest with this file name; `None` for any other file.
pub(crate) fn manifest_number(name: &str) -> Option<u64> {
    number_in(name, SUFFIX)
}

fn line(number: u64) -> String {
    let name = manifest_name(number);
    let checksum = crc32c(&[name.as_bytes()]);
    format!("{name} {checksum:08x}\n")
}

/// The number of the manifest that counts; `None` when there is no `CURRENT`.
pub(super) fn read_current(env: &Env, dir: &Path) -> Result<Option<u64>, Error> {
    let path = dir.join(CURRENT_NAME);
    let file = match env.files.open(&path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("opening", &path, error)),
    };
    let mut bytes = [0; LINE_BYTES_MAX];
    let count = file
        .read_full_at(&mut bytes, 0)
        .map_err(|error| Error::io("reading", &path, error))?;
    let found = String::from_utf8_lossy(bytes.get(..count).unwrap_or_default()).into_owned();
    let number = found.split(' ').next().and_then(manifest_number);
    match number {
        Some(number) if line(number) == found => Ok(Some(number)),
        _ => {
            let expected = "the name of a manifest and its checksum";
            Err(Error::corrupt(
                &path,
                0,
                expected,
                format!("{:?}", found.trim_end()),
            ))
        }
    }
}

/// Makes manifest `number` the one that counts.
pub(super) fn write_current(env: &Env, dir: &Path, number: u64) -> Result<(), Error> {
    let next = dir.join(NEXT_NAME);
    let current = dir.join(CURRENT_NAME);
    let failed = |error| Error::io("writing", &next, error);
    let file = env.files.open(&next, OpenMode::Create).map_err(failed)?;
    file.write_at(line(number).as_bytes(), 0).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    env.files.rename(&next, &current).map_err(failed)?;
    env.files
        .sync_dir(dir)
        .map_err(|error| Error::io("syncing", dir, error))
}
