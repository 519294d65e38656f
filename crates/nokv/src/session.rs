//! From the command line to a client: which store, which objects, which paths.

use crate::arguments::StoreArguments;
use nokv_client::{Client, ClientOptions, Create, Endpoint, ObjectsConfig};
use nokv_env::Env;
use nokv_types::{Failure, NsPath, Reason};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Reaches the store that the options name.
pub(crate) async fn connect(arguments: &StoreArguments, create: Create) -> Result<Client, Failure> {
    let objects = objects(arguments)?;
    let endpoint = match &arguments.server {
        Some(address) => Endpoint::Server {
            address: address.clone(),
            objects,
        },
        None => Endpoint::Dir {
            dir: store_dir(arguments)?,
            create,
            objects,
        },
    };
    Client::connect(Env::real(), endpoint, ClientOptions::default()).await
}

/// Where the objects are and with which credentials.
pub(crate) fn objects(arguments: &StoreArguments) -> Result<ObjectsConfig, Failure> {
    Ok(ObjectsConfig {
        url: arguments.objects.clone(),
        ..ObjectsConfig::default()
    })
}

/// The store's directory: as told, or below the user's data directory.
///
/// **Errors**: `InvalidArgument` when nothing tells where that is.
pub(crate) fn store_dir(arguments: &StoreArguments) -> Result<PathBuf, Failure> {
    if let Some(dir) = &arguments.dir {
        return Ok(dir.clone());
    }
    // The XDG rules: a relative or empty value counts as not set.
    let absolute = |key| {
        std::env::var_os(key)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|data| data.join("nokv"))
        .ok_or_else(|| {
            let flaw = "no store is named and HOME is not set; give --dir DIR";
            Failure::new(Reason::InvalidArgument, flaw)
        })
}

/// A path from the command line.
pub(crate) fn path(argument: &OsString) -> Result<NsPath, Failure> {
    NsPath::parse(argument.as_bytes())
}

/// Paths from the command line; the root if there is none.
pub(crate) fn paths_or_root(arguments: &[OsString]) -> Result<Vec<NsPath>, Failure> {
    if arguments.is_empty() {
        return Ok(vec![NsPath::root()]);
    }
    arguments.iter().map(path).collect()
}
