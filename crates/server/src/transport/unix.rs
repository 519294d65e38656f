//! The Unix socket in a store's directory.
//!
//! Invariants:
//! - its mode is 0600 from the moment it exists: it is set before the name is made;
//! - a socket that a dead server left is removed, which is safe because only the holder of the
//!   store's lock listens;
//! - directories deeper than the 107 bytes of a socket's address work: they are reached through
//!   `/proc/self/fd`.

use super::limits::BACKLOG;
use crate::identity::io_failure;
use nokv_types::Failure;
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};

/// Name of the socket in a store's directory.
pub const SOCKET_NAME: &str = "nokv.sock";
/// Longest address of a Unix socket, without the closing NUL.
const ADDRESS_BYTES_MAX: usize = 107;

/// Listens in `dir`, whose store the caller has locked.
pub(super) fn bind_unix(dir: &Path) -> Result<UnixListener, Failure> {
    let path = dir.join(SOCKET_NAME);
    let listen = || -> io::Result<UnixListener> {
        match rustix::fs::unlink(&path) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
        let reachable = Reachable::new(dir)?;
        let address = SocketAddrUnix::new(reachable.path.as_os_str().as_bytes())?;
        rustix::net::bind(&socket, &address)?;
        rustix::net::listen(&socket, BACKLOG)?;
        UnixListener::from_std(socket.into())
    };
    listen().map_err(|error| io_failure("listen on", &path, &error))
}

/// Removes the socket of a server that stops.
pub(super) fn remove_unix(dir: &Path) {
    if let Err(error) = rustix::fs::unlink(dir.join(SOCKET_NAME)) {
        tracing::debug!(%error, "the socket was gone already");
    }
}

/// Connects to the server that has the store in `dir` open.
///
/// **Errors**: `NotFound` when there is no socket, `ConnectionRefused` when a dead server left one.
pub async fn connect_unix(dir: &Path) -> io::Result<UnixStream> {
    let reachable = Reachable::new(dir)?;
    UnixStream::connect(&reachable.path).await
}

/// A path of the socket that is short enough, as long as this lives.
struct Reachable {
    path: PathBuf,
    _dir: Option<OwnedFd>,
}

impl Reachable {
    fn new(dir: &Path) -> io::Result<Self> {
        let path = dir.join(SOCKET_NAME);
        if path.as_os_str().len() <= ADDRESS_BYTES_MAX {
            return Ok(Self { path, _dir: None });
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(dir, flags, Mode::empty())?;
        let through = format!("/proc/self/fd/{}/{SOCKET_NAME}", dir.as_raw_fd());
        let path = PathBuf::from(OsStr::from_bytes(through.as_bytes()));
        Ok(Self {
            path,
            _dir: Some(dir),
        })
    }
}
