//! Finding the way to a store.
//!
//! | socket in the directory | lock of the store | then |
//! |---|---|---|
//! | somebody answers | | the server is used |
//! | nobody answers | free | the store is opened here |
//! | nobody answers | held | somebody starts, stops, or uses it in process: wait a little, look again, then `Busy` |

use crate::client::Shared;
use crate::remote::{Address, DialError, Remote};
use crate::transport::Transport;
use crate::{Access, Client, ClientOptions, Endpoint};
use nokv_env::Env;
use nokv_proto::v1::{StatusRequest, request::Method, response::Result as Answer};
use nokv_server::{Create, ObjectsConfig, SOCKET_NAME, Service, StoreConfig};
use nokv_types::{Failure, Reason};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a store that is held without a socket is waited for: most commands are done by then.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(3);
/// Between two looks.
const BUSY_PAUSE: Duration = Duration::from_millis(20);

impl Client {
    /// Opens the store, or connects to it.
    ///
    /// **Errors**: `Busy` when another process has the store open and has no socket; `NotFound`
    /// when there is no store and none may be created; `Unavailable` when nobody answers, or
    /// the object store does not.
    pub async fn connect(
        env: Env,
        endpoint: Endpoint,
        options: ClientOptions,
    ) -> Result<Self, Failure> {
        match endpoint {
            Endpoint::Dir {
                dir,
                create,
                objects,
            } => connect_dir(env, dir, create, objects, options).await,
            Endpoint::Server { address, objects } => {
                let remote = remote(&env, Address::Tcp(address.clone()), &options);
                // Somebody who mistyped an address wants to know now.
                remote
                    .dial_now()
                    .await
                    .map_err(|error| remote.explain(error))?;
                greet(env, remote, Access::Network(address), objects, options).await
            }
        }
    }

    /// A client of a store that is open in this process already.
    #[must_use]
    pub fn embedded(service: Service, options: ClientOptions) -> Self {
        let env = service.env().clone();
        let objects = ObjectsConfig::default();
        let transport = Transport::Embedded(service);
        Self::new(Shared::new(
            env,
            transport,
            Access::Embedded,
            objects,
            options,
        ))
    }
}

async fn connect_dir(
    env: Env,
    dir: PathBuf,
    create: Create,
    objects: ObjectsConfig,
    options: ClientOptions,
) -> Result<Client, Failure> {
    let config = StoreConfig {
        create,
        objects: objects.clone(),
        ..StoreConfig::new(dir.clone())
    };
    let start = env.clock.monotonic();
    loop {
        let failure = match attempt_dir(&env, &dir, &config, &objects, options).await {
            Ok(client) => return Ok(client),
            Err(failure) => failure,
        };
        let may_pass = matches!(failure.reason(), Reason::Busy | Reason::Unavailable);
        let waited = env.clock.monotonic().saturating_sub(start);
        if !may_pass || waited >= BUSY_WAIT_MAX {
            return Err(failure);
        }
        tokio::time::sleep(BUSY_PAUSE).await;
    }
}

/// Looks once. `Busy` and the `Unavailable` of a server that is starting or stopping may pass.
async fn attempt_dir(
    env: &Env,
    dir: &Path,
    config: &StoreConfig,
    objects: &ObjectsConfig,
    options: ClientOptions,
) -> Result<Client, Failure> {
    if config.create != Create::New {
        let remote = remote(env, Address::Unix(dir.to_owned()), &options);
        match remote.dial_now().await {
            Ok(()) => {
                let access = Access::Socket(dir.join(SOCKET_NAME));
                return greet(env.clone(), remote, access, objects.clone(), options).await;
            }
            Err(DialError::Socket(error)) if is_nobody(&error) => {}
            Err(DialError::Socket(error)) => return Err(socket_failure(dir, &error)),
            Err(DialError::Spoke(failure)) => return Err(failure),
        }
    }
    let service = Service::open(env.clone(), config.clone()).await?;
    Ok(Client::embedded(service, options))
}

fn remote(env: &Env, address: Address, options: &ClientOptions) -> Arc<Remote> {
    let deadline = Duration::from_millis(options.deadline_ms.into());
    Arc::new(Remote::new(env.clone(), address, deadline))
}

/// Learns whose store it is.
async fn greet(
    env: Env,
    remote: Arc<Remote>,
    access: Access,
    objects: ObjectsConfig,
    options: ClientOptions,
) -> Result<Client, Failure> {
    let transport = Transport::Remote(remote);
    let status = transport
        .call(
            Method::Status(StatusRequest::default()),
            |answer| match answer {
                Answer::Status(status) => Some(status),
                _ => None,
            },
        )
        .await?;
    let shared = Shared::new(env, transport, access, objects, options);
    shared.know(status);
    Ok(Client::new(shared))
}

/// Whether the error of a dial says that nobody listens.
fn is_nobody(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory
    )
}

fn socket_failure(dir: &Path, error: &io::Error) -> Failure {
    let socket = dir.join(SOCKET_NAME);
    if let Some(failure) = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Failure>())
    {
        return failure.clone();
    }
    let (reason, advice) = match error.kind() {
        io::ErrorKind::PermissionDenied => (
            Reason::PermissionDenied,
            "; run as the user who started the server",
        ),
        _ => (Reason::Unavailable, ""),
    };
    Failure::new(
        reason,
        format!("can't connect to {}: {error}{advice}", socket.display()),
    )
}
