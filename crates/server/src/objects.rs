//! From a URL to an object store.

use crate::ObjectsConfig;
use nokv_env::Env;
use nokv_object::{BlockStore, MemoryBlocks};
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
