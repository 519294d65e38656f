//! `nokv init`: makes a store without starting it.

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
  nokv init --dir /data/store --objects s3://bucket/prefix";

/// Arguments of `nokv init`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {}

/// Makes the store. **Errors**: `AlreadyExists`.
pub(crate) async fn run(store: &StoreArguments, output: &Output) -> Result<(), Error> {
    if store.server.is_some() {
        return Err(Error::Usage(
            "init makes a store on this machine; give --dir".to_owned(),
        ));
    }
    let dir = session::store_dir(store)?;
    let client = session::connect(store, Create::New).await?;
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
