//! Threads, with names, so that a profile or a stack dump says whose work it is.

use std::{fmt, io, thread};

/// How threads start.
pub trait Spawn: Send + Sync {
    /// Runs `work` on a thread called `name` (at most 15 bytes of it show in the system's tools).
    ///
    /// # Errors
    /// The machine has no thread left.
    fn spawn(&self, name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle>;

    /// How many threads can run at once, at least 1: for sizing pools, not for decisions.
    fn parallelism(&self) -> usize {
        1
    }

    /// A point between deciding and doing, where what others do matters and no lock is held. A
    /// simulation chooses here who goes on; real threads go on.
    fn give_way(&self) {}
}

/// A started thread. Dropping it lets the thread run on.
pub struct JoinHandle(Box<dyn FnOnce() -> Result<(), Panicked> + Send + Sync>);

impl JoinHandle {
    /// A handle whose `join` runs `wait`; for implementations of [`Spawn`].
    #[must_use]
    pub fn new(wait: Box<dyn FnOnce() -> Result<(), Panicked> + Send + Sync>) -> Self {
        Self(wait)
    }

    /// Waits for the end of the thread.
    ///
    /// # Errors
    /// [`Panicked`] when it ended by a panic.
    pub fn join(self) -> Result<(), Panicked> {
        (self.0)()
    }
}

impl fmt::Debug for JoinHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinHandle")
    }
}

/// The thread ended by a panic.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the thread panicked")]
pub struct Panicked;

/// Threads of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealSpawn(());

impl RealSpawn {
    /// Threads of this machine.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

impl Spawn for RealSpawn {
    fn spawn(&self, name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle> {
        let handle = thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(JoinHandle::new(Box::new(move || {
            handle.join().map_err(|_| Panicked)
        })))
    }

    fn parallelism(&self) -> usize {
        thread::available_parallelism().map_or(1, usize::from)
    }
}
