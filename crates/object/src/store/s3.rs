//! From what is known about an S3 server to a client of it.
//!
//! Each setting is taken from the first place that has it: the caller, the environment (`AWS_*`),
//! the profile in the usual AWS files. Keys come as a pair from one place, never mixed. Without
//! keys, AWS itself is asked (web identity, container and instance roles); another endpoint has no
//! such service, so there it is an error at once rather than a time-out on an address that nobody
//! answers.
//!
//! Payloads are not hashed for the signature: every extent has a checksum and every body a digest
//! of its own, and SHA-256 would cost more than the transfer on machines without an instruction for
//! it.

use super::aws_files::Profile;
use super::object_blocks::{ObjectBlocks, ObjectNames};
use super::url::{ObjectOptions, S3Keys, Secret};
use crate::Error;
use nokv_env::{Env, OpenMode};
use object_store::aws::AmazonS3Builder;
use object_store::{ClientOptions, RetryConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Where a bucket is when nothing says so: S3's own first region, which other servers ignore or
/// share.
const REGION_DEFAULT: &str = "us-east-1";
/// How long a connection may take: a host that does not answer is noticed within a person's
/// patience.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request may take: a pack of 8 MiB over a line of 1 Mbit/s takes a minute.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);
/// Largest credentials or config file that is read.
const AWS_FILE_BYTES_MAX: u64 = 1 << 20;

/// What is known about the server, from all places.
struct Settings {
    endpoint: Option<String>,
    region: String,
    keys: Option<S3Keys>,
}

/// The blocks below `s3://bucket/prefix`.
pub(super) fn blocks(
    env: &Env,
    bucket: &str,
    prefix: &str,
    options: &ObjectOptions,
) -> Result<ObjectBlocks, Error> {
    let settings = Settings::resolve(env, options)?;
    if settings.keys.is_none() && settings.endpoint.is_some() {
        return Err(Error::Unauthenticated(format!(
            "no credentials for s3://{bucket}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
             use ~/.aws/credentials"
        )));
    }
    let name = match prefix {
        "" => format!("s3://{bucket}"),
        prefix => format!("s3://{bucket}/{prefix}"),
    };
    let place = settings
        .endpoint
        .clone()
        .unwrap_or_else(|| format!("https://s3.{}.amazonaws.com", settings.region));
    // The builder's error may repeat its settings; which one is wrong is all that may be said.
    let store = settings.builder(bucket)?.build().map_err(|_settings| {
        Error::Invalid(format!(
            "can't use {name} at {place}: check the endpoint, bucket and region"
        ))
    })?;
    let names = ObjectNames {
        name,
        endpoint: place,
        prefix: prefix.to_owned(),
        probe_id: env.random.next_u64(),
    };
    Ok(ObjectBlocks::new(Arc::new(store), names))
}

impl Settings {
    fn resolve(env: &Env, options: &ObjectOptions) -> Result<Self, Error> {
        let profile = profile(env);
        let from = |given: &Option<String>, variables: &[&str], key: &str| {
            let given = given.clone().filter(|value| !value.is_empty());
            given
                .or_else(|| variables.iter().find_map(|name| variable(name)))
                .or_else(|| profile.get(key).map(str::to_owned))
        };
        let endpoints = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
        let regions = ["AWS_REGION", "AWS_DEFAULT_REGION"];
        Ok(Self {
            endpoint: from(&options.endpoint, &endpoints, "endpoint_url"),
            region: from(&options.region, &regions, "region")
                .unwrap_or_else(|| REGION_DEFAULT.to_owned()),
            keys: keys(options, &profile)?,
        })
    }

    fn builder(self, bucket: &str) -> Result<AmazonS3Builder, Error> {
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_region(self.region)
            .with_unsigned_payload(true)
            .with_retry(RetryConfig {
                max_retries: 0,
                ..RetryConfig::default()
            })
            .with_client_options(client_options());
        if let Some(endpoint) = self.endpoint {
            check_endpoint(&endpoint)?;
            builder = builder
                .with_allow_http(endpoint.starts_with("http://"))
                .with_endpoint(endpoint);
        }
        if let Some(keys) = self.keys {
            builder = builder
                .with_access_key_id(keys.access_key_id)
                .with_secret_access_key(keys.secret_access_key.expose());
            if let Some(token) = keys.session_token {
                builder = builder.with_token(token.expose());
            }
        }
        Ok(builder)
    }
}

fn client_options() -> ClientOptions {
    ClientOptions::new()
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_timeout(REQUEST_TIMEOUT)
}

fn check_endpoint(endpoint: &str) -> Result<(), Error> {
    let parsed = url::Url::parse(endpoint).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some_and(|host| !host.is_empty())
            && url.username().is_empty()
            && url.password().is_none()
    });
    match parsed {
        Some(_) => Ok(()),
        // Not repeated: it may contain a password.
        None => Err(Error::Invalid(
            "the S3 endpoint is no URL like http://127.0.0.1:9000; correct it".to_owned(),
        )),
    }
}

/// The key pair: as told, of the environment, of the profile; `None` when there is none anywhere.
fn keys(options: &ObjectOptions, profile: &Profile) -> Result<Option<S3Keys>, Error> {
    if let Some(keys) = &options.keys {
        return Ok(Some(keys.clone()));
    }
    let variables = pair(
        variable("AWS_ACCESS_KEY_ID"),
        variable("AWS_SECRET_ACCESS_KEY"),
    )?;
    if let Some((access_key_id, secret)) = variables {
        let session_token = variable("AWS_SESSION_TOKEN").map(Secret::new);
        return Ok(Some(S3Keys {
            access_key_id,
            secret_access_key: Secret::new(secret),
            session_token,
        }));
    }
    let value = |key| profile.get(key).map(str::to_owned);
    let found = pair(value("aws_access_key_id"), value("aws_secret_access_key"))?;
    Ok(found.map(|(access_key_id, secret)| S3Keys {
        access_key_id,
        secret_access_key: Secret::new(secret),
        session_token: value("aws_session_token").map(Secret::new),
    }))
}

fn pair(id: Option<String>, secret: Option<String>) -> Result<Option<(String, String)>, Error> {
    match (id, secret) {
        (Some(id), Some(secret)) => Ok(Some((id, secret))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(Error::Unauthenticated(
            "there is an S3 access key id but no secret: set AWS_SECRET_ACCESS_KEY, or give a file with it".to_owned(),
        )),
        (None, Some(_)) => Err(Error::Unauthenticated(
            "there is an S3 secret but no access key id: set AWS_ACCESS_KEY_ID".to_owned(),
        )),
    }
}

fn profile(env: &Env) -> Profile {
    let name = variable("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let text = |moved: &str, usual: &str| {
        let path = match variable(moved) {
            Some(path) => PathBuf::from(path),
            None => home.as_ref()?.join(usual),
        };
        read_text(env, &path)
    };
    let credentials = text("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials");
    let config = text("AWS_CONFIG_FILE", ".aws/config");
    Profile::read(credentials.as_deref(), config.as_deref(), &name)
}

/// A small text file; what is absent or unreadable says nothing, as with the AWS tools.
fn read_text(env: &Env, path: &Path) -> Option<String> {
    let file = env.files.open(path, OpenMode::Read).ok()?;
    let length = file
        .len()
        .ok()
        .filter(|length| *length <= AWS_FILE_BYTES_MAX)?;
    let mut bytes = vec![0; usize::try_from(length).ok()?];
    file.read_exact_at(&mut bytes, 0).ok()?;
    String::from_utf8(bytes).ok()
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
