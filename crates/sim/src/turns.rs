//! Clients as threads of which one runs at a time, chosen by the script.
//!
//! A client runs until it gives way ([`nokv_env::Spawn::give_way`]: between planning a command and
//! applying it, where no lock is held) or until its operation ends; then the script goes on. So an
//! operation can be stopped in its middle while others happen, and the same script gives the same
//! run.

use crate::call::{Answer, Call};
use nokv_env::{JoinHandle, RealSpawn, Spawn};
use nokv_namespace::{Context, Namespace};
use nokv_types::Failure;
use parking_lot::{Condvar, Mutex};
use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How long an operation may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(20);

/// What an operation came to; `Err(text)`: it panicked.
pub(crate) type Ended = Result<Result<Answer, Failure>, String>;

/// An operation on its way to a client.
pub(crate) struct Job {
    /// Where.
    pub(crate) namespace: Namespace,
    /// Who and when.
    pub(crate) context: Context,
    /// What.
    pub(crate) call: Call,
    /// Whether it gives way in its middle.
    pub(crate) gives_way: bool,
}

enum Turn {
    /// The script's.
    Script,
    /// The client's.
    Client,
}

struct State {
    turn: Turn,
    job: Option<Job>,
    ended: Option<Ended>,
    stop: bool,
}

/// One client.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    plant: Option<nokv_namespace::Plant>,
}

thread_local! {
    static GIVES_WAY: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    static SELF: RefCell<Option<Arc<Shared>>> = const { RefCell::new(None) };
}

/// The handle of a client.
pub(crate) struct Client {
    shared: Arc<Shared>,
    thread: Option<JoinHandle>,
}

impl Client {
    /// A client that waits for its first operation; `plant` is a bug that it works with.
    pub(crate) fn start(plant: Option<nokv_namespace::Plant>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                turn: Turn::Script,
                job: None,
                ended: None,
                stop: false,
            }),
            changed: Condvar::new(),
            plant,
        });
        let own = Arc::clone(&shared);
        let thread = RealSpawn::new().spawn("sim-client", Box::new(move || run(&own)))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Lets it work on an operation until it gives way (`None`) or ends.
    pub(crate) fn begin(&self, job: Job) -> Option<Ended> {
        self.shared.state.lock().job = Some(job);
        self.go()
    }

    /// Lets it go on.
    pub(crate) fn go(&self) -> Option<Ended> {
        let mut state = self.shared.state.lock();
        state.turn = Turn::Client;
        self.shared.changed.notify_all();
        while matches!(state.turn, Turn::Client) {
            if self
                .shared
                .changed
                .wait_for(&mut state, PATIENCE)
                .timed_out()
            {
                state.stop = true;
                return Some(Err("a client waits for ever".to_string()));
            }
        }
        state.ended.take()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        if std::mem::replace(&mut state.stop, true) {
            // It hangs: so would whoever waits for it.
            return;
        }
        state.turn = Turn::Client;
        self.shared.changed.notify_all();
        drop(state);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

impl Shared {
    /// Gives the turn to the script and waits for it to come back.
    fn hand_over(&self, ended: Option<Ended>) {
        let mut state = self.state.lock();
        if state.stop {
            return;
        }
        state.ended = ended;
        state.turn = Turn::Script;
        self.changed.notify_all();
        while matches!(state.turn, Turn::Script) {
            self.changed.wait(&mut state);
        }
    }

    fn next_job(&self) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if state.stop {
                return None;
            }
            if let Some(job) = state.job.take() {
                return Some(job);
            }
            self.changed.wait(&mut state);
        }
    }
}

fn run(shared: &Arc<Shared>) {
    SELF.set(Some(Arc::clone(shared)));
    nokv_namespace::plant(shared.plant);
    while let Some(job) = shared.next_job() {
        GIVES_WAY.set(job.gives_way);
        let work = || job.call.run(&job.namespace, &job.context);
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        let ended = ended.map_err(|panic| crate::violation::panic_text(&*panic));
        drop(job);
        shared.hand_over(Some(ended));
    }
}

/// Threads of a simulation: clients give way to the script.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Turns;

impl Spawn for Turns {
    fn spawn(&self, name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle> {
        RealSpawn::new().spawn(name, work)
    }

    fn give_way(&self) {
        let own = SELF.with_borrow(Clone::clone);
        if let Some(shared) = own.filter(|_| GIVES_WAY.get()) {
            shared.hand_over(None);
        }
    }
}
