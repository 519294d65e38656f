//! From a URL to an object store.

use crate::ObjectsConfig;
use crate::service::marker::{self, Mark};
use nokv_env::Env;
use nokv_object::{BlockStore, ObjectOptions, forgets, objects_from_url};
use nokv_proto::v1;
use nokv_types::Failure;
use std::sync::Arc;

/// The object store at a URL, not contacted yet.
pub(crate) fn open(
    env: &Env,
    url: &str,
    config: &ObjectsConfig,
) -> Result<Arc<dyn BlockStore>, Failure> {
    let options = ObjectOptions {
        endpoint: config.endpoint.clone(),
        region: config.region.clone(),
        keys: config.keys.clone(),
    };
    Ok(objects_from_url(env, url, &options)?)
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
