//! From a URL to a block store.
//!
//! `file:///path` is a folder, `s3://bucket/prefix` an S3 bucket, `memory:` forgets everything with
//! the process. No URL carries a credential: what is in a URL ends up in process lists and logs.

use super::folder_blocks::FolderBlocks;
use super::memory_blocks::MemoryBlocks;
use super::retry::{RetryOptions, RetryingBlocks};
use super::s3;
use crate::{BlockStore, Error};
use nokv_env::Env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::{fmt, sync::Arc};

/// What a URL does not say. Empty strings count as not given.
#[derive(Clone, Default, Debug)]
pub struct ObjectOptions {
    /// S3 endpoint, where it is not AWS: `http://host:port`.
    pub endpoint: Option<String>,
    /// S3 region.
    pub region: Option<String>,
    /// S3 keys; `None` takes those of the environment or of the usual AWS files.
    pub keys: Option<S3Keys>,
}

/// The keys of an S3 account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct S3Keys {
    /// Its public half.
    pub access_key_id: String,
    /// Its secret half.
    pub secret_access_key: Secret,
    /// The token of a temporary key.
    pub session_token: Option<Secret>,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Where blocks are.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Place {
    Folder(PathBuf),
    Bucket { bucket: String, prefix: String },
    Memory,
}

/// The block store at a URL: `file:///path`, `s3://bucket/prefix` or `memory:`. Nothing is
/// contacted yet; see [`BlockStore::probe`].
///
/// **Errors**: `Invalid` with what the URL should look like; `Unauthenticated` when an S3 server
/// other than AWS has no keys.
pub fn objects_from_url(
    env: &Env,
    url: &str,
    options: &ObjectOptions,
) -> Result<Arc<dyn BlockStore>, Error> {
    match parse(url)? {
        Place::Folder(path) => Ok(Arc::new(FolderBlocks::new(env, path))),
        Place::Memory => Ok(Arc::new(MemoryBlocks::default())),
        Place::Bucket { bucket, prefix } => {
            let blocks = Arc::new(s3::blocks(env, &bucket, &prefix, options)?);
            let random = Arc::clone(&env.random);
            Ok(Arc::new(RetryingBlocks::new(
                blocks,
                random,
                RetryOptions::default(),
            )))
        }
    }
}

/// Whether what is stored at a URL is gone when the process ends.
#[must_use]
pub fn forgets(url: &str) -> bool {
    matches!(parse(url), Ok(Place::Memory))
}

fn parse(url: &str) -> Result<Place, Error> {
    const SHAPES: &str = "use file:///path, s3://bucket/prefix or memory:";
    if matches!(url, "memory:" | "memory:/" | "memory://" | "memory:///") {
        return Ok(Place::Memory);
    }
    if let Some(rest) = url.strip_prefix("file://") {
        if !rest.starts_with('/') || rest.contains('\0') {
            return Err(Error::Invalid(format!(
                "the path of {url:?} is not absolute; write file:///path"
            )));
        }
        return Ok(Place::Folder(PathBuf::from(OsString::from_vec(unescape(
            rest,
        )?))));
    }
    if let Some(rest) = url.strip_prefix("s3://") {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_matches('/');
        if bucket.contains('@') || rest.contains('?') {
            return Err(Error::Invalid(
                "an s3:// URL has no credentials and no options in it; use s3://bucket/prefix, the --s3 options, or the \
                 environment".to_owned(),
            ));
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if bucket.is_empty() || !bucket.chars().all(is_name) {
            return Err(Error::Invalid(format!(
                "{url:?} names no bucket; write s3://bucket/prefix"
            )));
        }
        if prefix.split('/').any(|part| matches!(part, "." | "..")) {
            return Err(Error::Invalid(format!(
                "the prefix of {url:?} has '.' or '..' in it"
            )));
        }
        return Ok(Place::Bucket {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        });
    }
    let hint = if url.starts_with('/') {
        format!("did you mean file://{url}? ")
    } else {
        String::new()
    };
    // A URL of an unknown kind may contain a password: only its scheme is repeated.
    let scheme = url
        .split(':')
        .next()
        .unwrap_or_default()
        .chars()
        .take(20)
        .collect::<String>();
    Err(Error::Invalid(format!(
        "can't store objects at {scheme:?}: {hint}{SHAPES}"
    )))
}

/// The bytes that `%41` and the like stand for (RFC 3986, section 2.1).
fn unescape(text: &str) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        let value = digit(rest.next()).zip(digit(rest.next()));
        match value.and_then(|(high, low)| u8::try_from(high * 16 + low).ok()) {
            Some(value) if value != 0 => bytes.push(value),
            _ => {
                return Err(Error::Invalid(format!(
                    "{text:?} has a '%' that is no escape; write %25 for a percent sign"
                )));
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_places() {
        let bucket = |bucket: &str, prefix: &str| Place::Bucket {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        };
        assert_eq!(parse("memory:").expect("valid"), Place::Memory);
        assert_eq!(
            parse("file:///a%20b/c d").expect("valid"),
            Place::Folder("/a b/c d".into())
        );
        assert_eq!(parse("s3://b").expect("valid"), bucket("b", ""));
        assert_eq!(
            parse("s3://b-1.x/p/q/").expect("valid"),
            bucket("b-1.x", "p/q")
        );
    }

    #[test]
    fn bad_urls_are_refused_without_repeating_a_secret() {
        for url in [
            "",
            "/tmp/x",
            "file://tmp/x",
            "file:///a%zz",
            "file:///a%00",
            "s3://",
            "s3:///p",
            "s3://b/../x",
            "s3://id:SECRET@b/p",
            "s3://b?key=SECRET",
            "https://id:SECRET@host/b",
        ] {
            let error = parse(url).expect_err(url);
            assert!(matches!(error, Error::Invalid(_)), "{url}: {error}");
            assert!(!error.to_string().contains("SECRET"), "{url}: {error}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let keys = S3Keys {
            access_key_id: "id".to_owned(),
            secret_access_key: Secret::new("hidden".to_owned()),
            session_token: Some(Secret::new("hidden".to_owned())),
        };
        assert!(!format!("{keys:?}").contains("hidden"));
    }

    #[test]
    fn half_a_key_pair_is_an_error() {
        let env = Env::memory(1);
        let options = ObjectOptions {
            endpoint: Some("http://user:pw@127.0.0.1:1".to_owned()),
            region: None,
            keys: Some(S3Keys {
                access_key_id: "id".to_owned(),
                secret_access_key: Secret::new("secret".to_owned()),
                session_token: None,
            }),
        };
        let error = objects_from_url(&env, "s3://bucket", &options).expect_err("a password in it");
        assert!(!error.to_string().contains("pw"), "{error}");
    }
}
