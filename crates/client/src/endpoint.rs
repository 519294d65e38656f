//! Where the store is, and how the caller wants to be served.

use nokv_namespace::Durability;
use nokv_object::UploadOptions;
use nokv_server::{Create, ObjectsConfig};
use std::path::PathBuf;

/// Where the store is.
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// A store directory on this machine. A server that has it open is talked to through its
    /// socket; else the store is opened in this process.
    Dir {
        /// The directory.
        dir: PathBuf,
        /// Whether to create the store when there is none.
        create: Create,
        /// Its object store: needed to create a store, and to override credentials.
        objects: ObjectsConfig,
    },
    /// A server over the network.
    Server {
        /// `host:port`.
        address: String,
        /// How this client reaches the object store itself. Without a URL it takes the server's,
        /// with the credentials from here; when that fails, bodies go through the server.
        objects: ObjectsConfig,
    },
}

/// How calls are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientOptions {
    /// Owner of what is created.
    pub uid: u32,
    /// Group of what is created.
    pub gid: u32,
    /// When a change is acknowledged.
    pub durability: Durability,
    /// How long a call may take in all, retries included, milliseconds.
    pub deadline_ms: u32,
    /// What uploads may use: the size of blocks, and how much may be in memory. Files that are
    /// open for writing share one such limit.
    pub upload: UploadOptions,
}

impl ClientOptions {
    /// Thirty seconds: longer than a server takes to restart.
    pub const DEADLINE_MS_DEFAULT: u32 = 30_000;
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
            durability: Durability::Synced,
            deadline_ms: Self::DEADLINE_MS_DEFAULT,
            upload: UploadOptions::default(),
        }
    }
}

/// How a client reaches its store, as it turned out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Access {
    /// The store is open in this process.
    Embedded,
    /// Through a server's Unix socket.
    Socket(PathBuf),
    /// Through a server's network address.
    Network(String),
}
