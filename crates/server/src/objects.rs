//! From a URL to an object store.

use crate::ObjectsConfig;
use crate::service::marker::{self, Mark};
use nokv_env::Env;
use nokv_object::{BlockStore, MemoryBlocks};
use nokv_proto::v1;
use nokv_types::Failure;
use std::sync::Arc;

pub(crate) fn open(
    _env: &Env,
    _url: &str,
    _config: &ObjectsConfig,
) -> Result<Arc<dyn BlockStore>, Failure> {
    Ok(Arc::new(MemoryBlocks::default()))
}

/// Whether an object store forgets everything when the process ends.
pub(crate) fn forgets(url: &str) -> bool {
    url.starts_with("memory:")
}

/// A URL without user and password, for people and for the store's description.
pub(crate) fn without_credentials(url: &str) -> String {
    url.to_owned()
}

/// The object store of a server, for a client that reaches it itself; `None` when it does not, or when what it reaches is not
/// the server's.
pub async fn reach_objects(
    env: &Env,
    config: &ObjectsConfig,
    server: &v1::StatusResponse,
) -> Option<Arc<dyn BlockStore>> {
    let url = config.url.as_ref().unwrap_or(&server.objects_url);
    let store_id = <[u8; 16]>::try_from(&server.store_id[..]).ok()?;
    if forgets(url) {
        return None;
    }
    let blocks = open(env, url, config).ok()?;
    match marker::read(&*blocks, store_id).await {
        Ok(Mark::Own) => Some(blocks),
        Ok(Mark::Missing | Mark::Foreign) => None,
        Err(error) => {
            tracing::debug!(%error, "bodies go through the server");
            None
        }
    }
}
