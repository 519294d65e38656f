//! Every edit of a manifest that is whole, and the places between that are not: for verification
//! and salvage, which go on where reading stops.

use std::path::{Path, PathBuf};

use nokv_env::{Env, OpenMode};

use super::{
    current::{manifest_path, read_current},
    edit::Edit,
    layout::{HEAD_BYTES, RECORD_HEAD_BYTES},
    reader::{decode_record, read},
    state::State,
    writer::read_all,
};
use crate::Error;

/// An edit that is whole.
#[derive(Clone, Debug)]
pub(crate) struct EditPlace {
    pub(crate) offset: u64,
    /// With its head.
    pub(crate) bytes: u64,
    pub(crate) sequence: u64,
    /// `None` when it does not decode.
    pub(crate) edit: Option<Edit>,
}

/// A manifest, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct ManifestScan {
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
    /// Length of the file.
    pub(crate) bytes: u64,
    pub(crate) edits: Vec<EditPlace>,
    /// Offset and length of what is no edit.
    pub(crate) gaps: Vec<(u64, u64)>,
    /// The state, or why a store would refuse it.
    pub(crate) state: Result<State, Error>,
}

/// Which manifest counts, for who looks on; `None` when there is no `CURRENT`.
///
/// # Errors
/// `Corrupt`; `Io`.
pub(crate) fn current_number(env: &Env, dir: &Path) -> Result<Option<u64>, Error> {
    read_current(env, dir)
}

/// Takes the manifest `number` apart, of which `promised` bytes were durable.
///
/// # Errors
/// `Io`.
pub(crate) fn scan_manifest(
    env: &Env,
    dir: &Path,
    number: u64,
    promised: u64,
) -> Result<ManifestScan, Error> {
    let path = manifest_path(dir, number);
    let file = env
        .files
        .open(&path, OpenMode::Read)
        .map_err(|error| Error::io("opening", &path, error))?;
    let bytes = read_all(file.as_ref(), &path)?;
    Ok(scan_bytes(path, number, &bytes, promised))
}

fn scan_bytes(path: PathBuf, number: u64, bytes: &[u8], promised: u64) -> ManifestScan {
    let mut scan = ManifestScan {
        number,
        bytes: bytes.len() as u64,
        edits: Vec::new(),
        gaps: Vec::new(),
        state: read(&path, number, bytes, promised).map(|read| read.state),
        path,
    };
    let mut offset = HEAD_BYTES;
    let record_at = |offset| decode_record(number, bytes.get(offset..).unwrap_or_default());
    while offset < bytes.len() {
        if let Some((sequence, payload)) = record_at(offset) {
            let length = RECORD_HEAD_BYTES + payload.len();
            scan.edits.push(EditPlace {
                offset: offset as u64,
                bytes: length as u64,
                sequence,
                edit: Edit::decode(payload),
            });
            offset += length;
            continue;
        }
        let mut rest = offset + 1..bytes.len();
        let next = rest
            .find(|start| record_at(*start).is_some())
            .unwrap_or(bytes.len());
        scan.gaps.push((offset as u64, (next - offset) as u64));
        offset = next;
    }
    scan
}
