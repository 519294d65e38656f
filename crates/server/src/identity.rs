//! Who a store is: `nokv.toml` in its directory.
//!
//! Invariants:
//! - the file appears by rename, whole, as the last step of creating a store: a directory with it
//!   holds a complete store;
//! - it never holds a credential;
//! - a creation that was interrupted goes on with the id it had chosen, because its object store
//!   may be marked with it.
//!
//! Source: docs/format/store.md.

use crate::ObjectsConfig;
use crate::objects::folder_url;
use nokv_env::{Env, OpenMode};
use nokv_types::{Failure, Reason};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// Version of the layout of a store's directory.
pub const FORMAT_VERSION: u32 = 1;
/// Largest `nokv.toml` that is read: a few hundred bytes are usual.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Name of the file.
pub(crate) const FILE_NAME: &str = "nokv.toml";
/// Name of the file of a store that is being created.
pub(crate) const FILE_NAME_NEW: &str = "nokv.toml.new";

/// What identifies a store.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Identity {
    /// Version of the layout.
    pub(crate) format_version: u32,
    /// 32 hexadecimal digits.
    pub(crate) store_id: String,
    /// Where bodies are.
    #[serde(default)]
    pub(crate) objects: Objects,
}

/// Where a store's bodies are; without credentials.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Objects {
    /// Without a URL, the folder `objects` in the store.
    pub(crate) url: Option<String>,
    /// S3 endpoint, where it is not AWS.
    pub(crate) endpoint: Option<String>,
    /// S3 region.
    pub(crate) region: Option<String>,
}

impl Identity {
    /// A store that does not exist yet: with the id of an interrupted creation, else a new one.
    pub(crate) fn choose(env: &Env, dir: &Path, objects: &ObjectsConfig) -> Result<Self, Failure> {
        let store_id = match Self::read(env, &dir.join(FILE_NAME_NEW)) {
            Ok(Some(begun)) => begun.store_id,
            Ok(None) | Err(_) => {
                let mut bytes = [0; 16];
                env.random.fill(&mut bytes);
                bytes.iter().map(|byte| format!("{byte:02x}")).collect()
            }
        };
        let identity = Self {
            format_version: FORMAT_VERSION,
            store_id,
            objects: objects.recorded(),
        };
        identity.write(env, dir, FILE_NAME_NEW)?;
        Ok(identity)
    }

    /// Begins to create a store that is known already.
    pub(crate) fn begin(&self, env: &Env, dir: &Path) -> Result<(), Failure> {
        self.write(env, dir, FILE_NAME_NEW)
    }

    /// Ends a creation: from here on the store exists.
    pub(crate) fn establish(env: &Env, dir: &Path) -> Result<(), Failure> {
        let path = dir.join(FILE_NAME);
        env.files
            .rename(&dir.join(FILE_NAME_NEW), &path)
            .and_then(|()| env.files.sync_dir(dir))
            .map_err(|error| io_failure("create", &path, &error))
    }

    /// The store in `dir`, if there is one. **Errors**: `Corrupt`, `Unsupported` (a newer format),
    /// `Io`.
    pub(crate) fn load(env: &Env, dir: &Path) -> Result<Option<Self>, Failure> {
        let path = dir.join(FILE_NAME);
        let Some(identity) = Self::read(env, &path)? else {
            return Ok(None);
        };
        if identity.format_version > FORMAT_VERSION {
            return Err(Failure::new(
                Reason::Unsupported,
                format!(
                    "{} is of format {}, this program knows {FORMAT_VERSION}; use a newer nokv",
                    path.display(),
                    identity.format_version
                ),
            ));
        }
        if identity.id_bytes().is_none() {
            return Err(Failure::new(
                Reason::Corrupt,
                format!(
                    "{}: store_id is not 32 hexadecimal digits; restore the file",
                    path.display()
                ),
            ));
        }
        Ok(Some(identity))
    }

    /// The store id as 16 bytes.
    pub(crate) fn id_bytes(&self) -> Option<[u8; 16]> {
        if self.store_id.len() != 32 || !self.store_id.is_ascii() {
            return None;
        }
        Some(u128::from_str_radix(&self.store_id, 16).ok()?.to_be_bytes())
    }

    /// The URL of the object store of the store in `dir`.
    pub(crate) fn objects_url(&self, dir: &Path) -> String {
        match &self.objects.url {
            Some(url) => url.clone(),
            None => folder_url(&default_objects(dir)),
        }
    }

    fn read(env: &Env, path: &Path) -> Result<Option<Self>, Failure> {
        let file = match env.files.open(path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(io_failure("read", path, &error)),
        };
        let corrupt = |flaw: String| {
            Failure::new(
                Reason::Corrupt,
                format!(
                    "{} is no store description: {flaw}; restore it from a copy",
                    path.display()
                ),
            )
        };
        let length = file
            .len()
            .map_err(|error| io_failure("read", path, &error))?;
        if length > FILE_BYTES_MAX {
            return Err(corrupt(format!(
                "it has {length} bytes, more than {FILE_BYTES_MAX}"
            )));
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        file.read_exact_at(&mut bytes, 0)
            .map_err(|error| io_failure("read", path, &error))?;
        let text = String::from_utf8(bytes).map_err(|error| corrupt(error.to_string()))?;
        toml::from_str(&text)
            .map(Some)
            .map_err(|error| corrupt(error.message().to_owned()))
    }

    fn write(&self, env: &Env, dir: &Path, name: &str) -> Result<(), Failure> {
        let path = dir.join(name);
        let text = toml::to_string(self).expect("strings and numbers are valid TOML");
        let text =
            format!("# A NoKV store. Its metadata is in meta/. Never change store_id.\n{text}");
        let write = || -> io::Result<()> {
            let file = env.files.open(&path, OpenMode::Create)?;
            file.write_at(text.as_bytes(), 0)?;
            file.sync_all()?;
            env.files.sync_dir(dir)
        };
        write().map_err(|error| io_failure("write", &path, &error))
    }
}

/// Where the bodies of a store are unless told.
pub(crate) fn default_objects(dir: &Path) -> PathBuf {
    dir.join("objects")
}

/// Whether an error says that there is nothing at a path.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// A failure of the operating system on a path, with what to do about it.
pub(crate) fn io_failure(action: &str, path: &Path, error: &io::Error) -> Failure {
    let (reason, advice) = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => (
            Reason::PermissionDenied,
            "; change its owner or mode, or choose another directory",
        ),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (Reason::NoSpace, "; free some space, then repeat")
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            (Reason::NotDirectory, "; choose another directory")
        }
        io::ErrorKind::NotFound => (Reason::NotFound, ""),
        _ => (Reason::Io, ""),
    };
    Failure::new(
        reason,
        format!("can't {action} {}: {error}{advice}", path.display()),
    )
}
