//! From a URL to an object store, and whether it is the right one.

use crate::ObjectsConfig;
use crate::service::marker::{self, Mark};
use nokv_env::Env;
use nokv_object::{BlockStore, ObjectOptions, objects_from_url};
use nokv_proto::v1;
use nokv_types::Failure;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

/// The object store at `url`; nothing is contacted yet.
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

/// The URL of a local folder.
pub(crate) fn folder_url(folder: &Path) -> String {
    let mut url = String::from("file://");
    for &byte in folder.as_os_str().as_bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

/// The object store of a server, for a client that reaches it itself; `None` when it does not, or
/// when what it reaches is not the server's.
pub async fn reach_objects(
    env: &Env,
    config: &ObjectsConfig,
    server: &v1::StatusResponse,
) -> Option<Arc<dyn BlockStore>> {
    let url = config.url.as_ref().unwrap_or(&server.objects_url);
    let store_id = <[u8; 16]>::try_from(&server.store_id[..]).ok()?;
    if nokv_object::forgets(url) {
        return None;
    }
    let told = |text: &String| (!text.is_empty()).then(|| text.clone());
    let config = ObjectsConfig {
        endpoint: config
            .endpoint
            .clone()
            .or_else(|| told(&server.objects_endpoint)),
        region: config
            .region
            .clone()
            .or_else(|| told(&server.objects_region)),
        ..config.clone()
    };
    let reached = match open(env, url, &config) {
        Ok(blocks) => marker::read(&*blocks, store_id)
            .await
            .map(|mark| (mark, blocks)),
        Err(failure) => Err(failure.into()),
    };
    match reached {
        Ok((Mark::Own, blocks)) => Some(blocks),
        Ok((Mark::Missing | Mark::Foreign, _)) => None,
        Err(error) => {
            tracing::debug!(%error, "bodies go through the server");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_folder_has_a_url() {
        assert_eq!(
            folder_url(Path::new("/a b/%/ü")),
            "file:///a%20b/%25/%C3%BC"
        );
    }
}
