//! `nokv init`: makes a store without starting it.

use super::placement::Where;
use crate::arguments::StoreArguments;
use crate::error::Error;
use crate::output::{Output, insert_bytes};
use crate::session;
use nokv_client::Create;
use serde_json::Map;
use std::os::unix::ffi::OsStrExt;

const EXAMPLES: &str = "\
Examples:
  nokv init
  nokv init --dir /data/store
  nokv init --shards 4 --placement spread
  nokv init --dir /data/store --objects s3://bucket/prefix";

/// Arguments of `nokv init`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// How many shards it gets; more can be added at any time
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    shards: u16,
    /// In which of them new directories are made
    #[arg(long, value_name = "WHERE", default_value = "parent")]
    placement: Where,
}

/// Makes the store. **Errors**: `AlreadyExists`.
pub(crate) async fn run(
    arguments: &Arguments,
    store: &StoreArguments,
    output: &Output,
) -> Result<(), Error> {
    if store.server.is_some() {
        return Err(Error::Usage(
            "init makes a store on this machine; give --dir".to_owned(),
        ));
    }
    let dir = session::store_dir(store)?;
    let client = session::connect(store, Create::New).await?;
    client.add_shards(arguments.shards).await?;
    let placement = arguments.placement.into();
    client.set_mount_placement("default", placement).await?;
    let objects = client.status().await?.objects_url;
    client.close().await?;
    if output.is_json() {
        let mut object = Map::new();
        insert_bytes(&mut object, "dir", dir.as_os_str().as_bytes());
        object.insert("objects".to_owned(), objects.into());
        return output.json(object);
    }
    output.note(&format!(
        "made a store in {}; its objects are in {objects}",
        dir.display()
    ))
}
