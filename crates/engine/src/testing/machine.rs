//! A machine whose threads never run.

use std::{io, sync::Arc};

use nokv_env::{Clock, Env, FileSystem, JoinHandle, Spawn};

/// Threads that never run: the test does their work itself, so a run is the same for the same seed.
struct NoThreads;

impl Spawn for NoThreads {
    fn spawn(&self, _name: &str, _work: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle> {
        Ok(JoinHandle::new(Box::new(|| Ok(()))))
    }
}

/// [`still_env`] with a clock that lives longer than the machine.
pub(crate) fn still_env_at(files: Arc<dyn FileSystem>, clock: Arc<dyn Clock>) -> Env {
    let mut env = still_env(files);
    env.clock = clock;
    env
}

/// A deterministic machine over `files`.
pub(crate) fn still_env(files: Arc<dyn FileSystem>) -> Env {
    let mut env = Env::memory(1).with_files(files);
    env.spawn = Arc::new(NoThreads);
    env
}
