//! What a backup says of itself.
//!
//! **Shape**: a line `nokv-backup FORMAT BLAKE3`, then JSON; the digest covers the JSON.
//!
//! Invariant: a manifest that is decoded is whole, and its parts make up its files.

use nokv_types::{BlockId, Failure, Reason, SessionId};
use serde::{Deserialize, Serialize};

/// The version of the format that is written; docs/format/backup.md has the ladder.
pub const FORMAT_VERSION: u32 = 1;
/// Longest manifest: a store of some ten terabytes.
pub(crate) const MANIFEST_BYTES_MAX: u64 = 256 << 20;
const WORD: &str = "nokv-backup";

/// A backup.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Its number; a later backup has a higher one.
    pub number: u32,
    /// The store, 32 hexadecimal digits.
    pub store_id: String,
    /// The layout of the store's directory.
    pub store_format: u32,
    /// When it was made, milliseconds since 1970.
    pub made_millis: u64,
    /// The newest version in it.
    pub version: u64,
    /// The version from which on its past can be read.
    pub floor: u64,
    /// Objects that lost their last reference after this version are kept for it.
    pub held_from: u64,
    /// No upload session above it had been given.
    pub last_session: u64,
    /// Where the bodies are.
    pub objects: ObjectsPlace,
    /// The files of the checkpoint.
    pub files: Vec<FileEntry>,
}

/// Where the bodies of a store are, without credentials.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct ObjectsPlace {
    /// The URL.
    pub url: String,
    /// S3 endpoint, where it is not AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// S3 region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// A file of a checkpoint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its name in the folder.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// BLAKE3 of its name, length, beginning and end: of a file that is written once, the same
    /// means that it is the same.
    pub fingerprint: String,
    /// Its parts, in order.
    pub parts: Vec<PartEntry>,
}

/// A part of a file: one object.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct PartEntry {
    /// The backup that wrote it.
    pub backup: u32,
    /// Its number in that backup.
    pub sequence: u32,
    /// Its length.
    pub bytes: u32,
    /// BLAKE3 of its bytes, hexadecimal.
    pub blake3: String,
}

impl PartEntry {
    /// The object.
    #[must_use]
    pub fn block(&self) -> BlockId {
        BlockId {
            session: SessionId::new(u64::from(self.backup)),
            sequence: self.sequence,
        }
    }
}

impl Manifest {
    /// Bytes of its files.
    #[must_use]
    pub fn byte_count(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// All its parts.
    pub fn parts(&self) -> impl Iterator<Item = &PartEntry> {
        self.files.iter().flat_map(|file| &file.parts)
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, Failure> {
        let json = serde_json::to_vec(self)
            .map_err(|error| Failure::new(Reason::Io, format!("a manifest: {error}")))?;
        let digest = blake3::hash(&json).to_hex();
        let mut bytes = format!("{WORD} {FORMAT_VERSION} {digest}\n").into_bytes();
        bytes.extend_from_slice(&json);
        Ok(bytes)
    }

    /// **Errors**: `Corrupt` with `place`, offset, expected, got; `Unsupported` for a newer format.
    pub(crate) fn decode(bytes: &[u8], place: &str) -> Result<Self, Failure> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (head, json) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
        let head = std::str::from_utf8(head).unwrap_or_default().trim_end();
        let words: Vec<&str> = head.split(' ').collect();
        let [WORD, format, digest] = words[..] else {
            return Err(corrupt(place, 0, "the head of a backup", "other bytes"));
        };
        let format: u32 = format
            .parse()
            .map_err(|_| corrupt(place, WORD.len() as u64, "a format", format))?;
        if format > FORMAT_VERSION {
            return Err(Failure::new(
                Reason::Unsupported,
                format!("{place} is of format {format}, written by a newer program; use that"),
            ));
        }
        let offset = (bytes.len() - json.len()) as u64;
        let got = blake3::hash(json).to_hex();
        if got.as_str() != digest {
            return Err(corrupt(place, offset, digest, &got));
        }
        let manifest: Self = serde_json::from_slice(json)
            .map_err(|error| corrupt(place, offset, "a backup", &error.to_string()))?;
        for file in &manifest.files {
            let bytes: u64 = file.parts.iter().map(|part| u64::from(part.bytes)).sum();
            let is_name = !file.name.is_empty() && !file.name.contains(['/', '\0']);
            if bytes != file.bytes || !is_name || file.name == ".." {
                let expected = "parts that make up the file";
                return Err(corrupt(place, offset, expected, &file.name));
            }
        }
        Ok(manifest)
    }
}

pub(crate) fn corrupt(place: &str, offset: u64, expected: &str, got: &str) -> Failure {
    Failure::new(
        Reason::Corrupt,
        format!("{place}, offset {offset}: expected {expected}, got {got}"),
    )
}
