//! `nokv restore-store`: a store back from its backup.

use crate::arguments::StoreArguments;
use crate::as_of;
use crate::error::Error;
use crate::output::Output;
use crate::progress::Progress;
use crate::session;
use crate::text::{count, minute, time};
use nokv_client::{RestoreAt, RestoreStore, restore_store};
use nokv_env::Env;
use nokv_types::AsOf;
use serde_json::Map;
use std::path::PathBuf;
use std::sync::Arc;

const EXAMPLES: &str = "\
Examples:
  nokv restore-store --from s3://bucket/prefix/backups /var/lib/nokv
  nokv restore-store --from s3://bucket/prefix/backups --at 7 ./store
  nokv restore-store --from file:///mnt/b --at '3h ago' --objects file:///mnt/bodies ./store

The store that was lost must not run any more: two stores over the same bodies destroy each other.
With a time or a version it is the last backup that is not newer.";

/// Arguments of `nokv restore-store`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The directory of the store: absent or empty
    #[arg(value_name = "DATA_DIR")]
    data_dir: PathBuf,
    /// Where the backups are
    #[arg(long, value_name = "URL")]
    from: String,
    /// Which: the number of a backup, a version, or a time; the newest unless told
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    at: Option<String>,
}

/// Restores the store. **Errors**: those of the directory, of the backups and of the bodies.
pub(crate) async fn run(
    arguments: Arguments,
    store: &StoreArguments,
    output: &Output,
) -> Result<(), Error> {
    let progress = Progress::new(output, "restore");
    let (sized, shown) = (progress.clone(), progress.clone());
    let restore = RestoreStore {
        dir: std::path::absolute(&arguments.data_dir).unwrap_or(arguments.data_dir),
        from: arguments.from,
        objects: session::objects(store)?,
        at: at(arguments.at.as_deref())?,
        on_size: Some(Arc::new(move |bytes| sized.found(bytes))),
        on_part: Some(Arc::new(move |bytes, _| shown.done(bytes))),
    };
    let restored = restore_store(&Env::real(), restore).await;
    progress.finish();
    let restored = restored?;
    if output.is_json() {
        let mut object = Map::new();
        object.insert("backup".to_owned(), restored.backup.into());
        object.insert("made_ms".to_owned(), restored.made_millis.into());
        object.insert("version".to_owned(), restored.version.as_u64().into());
        object.insert("nodes".to_owned(), restored.node_count.into());
        return output.json(object);
    }
    output.line(format!(
        "restored backup {} of {}: version {}, {}",
        restored.backup,
        minute(time(restored.made_millis)),
        restored.version,
        count(restored.node_count, "node", "nodes"),
    ))
}

/// A small number is that of a backup; no store has so small a version.
fn at(text: Option<&str>) -> Result<RestoreAt, Error> {
    let Some(text) = text else {
        return Ok(RestoreAt::Newest);
    };
    if let Ok(number) = text.parse::<u32>() {
        return Ok(RestoreAt::Backup(number));
    }
    match as_of::moment(text)? {
        AsOf::Version(version) => Ok(RestoreAt::Version(version)),
        AsOf::Snapshot(name) => Err(Error::Usage(format!(
            "{name} is no number of a backup, no version and no time"
        ))),
    }
}
