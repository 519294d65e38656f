//! From the command line to a client: which store, which objects, which paths.

use crate::arguments::StoreArguments;
use crate::cache_place;
use nokv_client::{Client, ClientOptions, Create, Endpoint, ObjectsConfig, S3Keys, Secret};
use nokv_env::{Env, OpenMode};
use nokv_types::{Failure, NsPath, Reason};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Longest secret access key: AWS has 40 bytes, other servers some more.
const SECRET_BYTES_MAX: usize = 1024;

/// Reaches the store that the options name.
pub(crate) async fn connect(arguments: &StoreArguments, create: Create) -> Result<Client, Failure> {
    connect_with(arguments, create, ClientOptions::default()).await
}

/// The same with options.
pub(crate) async fn connect_with(
    arguments: &StoreArguments,
    create: Create,
    options: ClientOptions,
) -> Result<Client, Failure> {
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
    let cache = cache_place::config(arguments)?;
    let client = Client::connect(Env::real(), endpoint, options).await?;
    Ok(client.with_cache(cache))
}

/// The same client in a mount. **Errors**: `NotFound`.
pub(crate) async fn in_mount(client: &Client, name: &str) -> Result<Client, Failure> {
    let mounts = client.mounts().await?;
    match mounts.iter().find(|mount| mount.name == name) {
        Some(mount) => Ok(client.with_mount(mount.id)),
        None => Err(Failure::new(
            Reason::NotFound,
            format!("there is no mount {name:?}; `nokv mounts ls` lists those that are there"),
        )),
    }
}

/// Where the objects are and with which credentials.
///
/// **Errors**: `InvalidArgument` for half a key pair; those of reading the secret's file.
pub(crate) fn objects(arguments: &StoreArguments) -> Result<ObjectsConfig, Failure> {
    Ok(ObjectsConfig {
        url: arguments.objects.clone(),
        endpoint: arguments.s3_endpoint.clone(),
        region: arguments.s3_region.clone(),
        keys: keys(arguments)?,
    })
}

/// The key pair of the options; `None` leaves it to the environment and the AWS files.
fn keys(arguments: &StoreArguments) -> Result<Option<S3Keys>, Failure> {
    let half = |advice: &str| Err(Failure::new(Reason::InvalidArgument, advice));
    let secret = match &arguments.s3_secret_access_key_file {
        Some(file) => Some(read_secret(file)?),
        None => std::env::var("AWS_SECRET_ACCESS_KEY").ok(),
    };
    match (&arguments.s3_access_key_id, secret) {
        (Some(id), Some(secret)) => Ok(Some(S3Keys {
            access_key_id: id.clone(),
            secret_access_key: Secret::new(secret),
            session_token: None,
        })),
        (Some(_), None) => half(
            "--s3-access-key-id needs its secret: set AWS_SECRET_ACCESS_KEY or give \
             --s3-secret-access-key-file",
        ),
        (None, _) if arguments.s3_secret_access_key_file.is_some() => {
            half("--s3-secret-access-key-file needs --s3-access-key-id")
        }
        (None, _) => Ok(None),
    }
}

/// The text of a file without the line end that editors put there.
fn read_secret(file: &Path) -> Result<String, Failure> {
    let failed = |flaw: &dyn std::fmt::Display| {
        Failure::new(
            Reason::InvalidArgument,
            format!("cannot read {}: {flaw}", file.display()),
        )
    };
    let mut bytes = [0; SECRET_BYTES_MAX + 1];
    let open = Env::real()
        .files
        .open(file, OpenMode::Read)
        .map_err(|error| failed(&error))?;
    let count = open
        .read_full_at(&mut bytes, 0)
        .map_err(|error| failed(&error))?;
    let text = bytes
        .get(..count)
        .and_then(|bytes| std::str::from_utf8(bytes).ok());
    match text.map(str::trim) {
        Some(text) if !text.is_empty() && count <= SECRET_BYTES_MAX => Ok(text.to_owned()),
        _ => Err(failed(&"it is no secret access key")),
    }
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
