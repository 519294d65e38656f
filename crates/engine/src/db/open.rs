//! Opening a store: lock, manifest, tables, log, threads.
//!
//! Nothing is changed before everything that is needed was read and found whole, so a store that is
//! refused as damaged is left as it was.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
};

use nokv_env::{Env, FileLock};
use parking_lot::{Condvar, Mutex};

use super::{
    compact::Compactions,
    core::{Core, Signal, Writing},
    intake::Intake,
    memory::Memory,
    replay_values::ReplayValues,
    tables::{Tables, table_number},
    throttle::Pacer,
    view::View,
};
use crate::{
    Access, Error, LogMode, Options,
    cache::BlockCache,
    manifest::{Manifest, State, manifest_number},
    mark::{Mark, Promise},
    vlog::{ValueLog, value_number},
    wal::{self, Log, Recovered, Refused, Repair, segment_number},
};

/// The file whose lock says that the store is open.
pub(crate) const LOCK_NAME: &str = "LOCK";

/// Opens the store in `dir`.
pub(super) fn open(env: &Env, dir: &Path, options: Options) -> Result<Core, Error> {
    options.check()?;
    prepare_dir(env, dir, &options)?;
    let lock = lock(env, dir)?;
    let promise = Promise::load(env, dir)?;
    match options.access {
        Access::ReadOnly => open_read_only(env, dir, options, promise, lock),
        Access::Create | Access::Existing => open_writing(env, dir, options, promise, lock),
    }
}

fn prepare_dir(env: &Env, dir: &Path, options: &Options) -> Result<(), Error> {
    let exists = env
        .files
        .exists(dir)
        .map_err(|error| Error::io("looking at", dir, error))?;
    if exists {
        return Ok(());
    }
    if options.access != Access::Create {
        return Err(Error::NotFound {
            dir: dir.display().to_string(),
        });
    }
    env.files
        .create_dir_all(dir)
        .map_err(|error| Error::io("making", dir, error))?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => env
            .files
            .sync_dir(parent)
            .map_err(|error| Error::io("syncing", parent, error)),
        _ => Ok(()),
    }
}

fn lock(env: &Env, dir: &Path) -> Result<FileLock, Error> {
    env.files.lock(&dir.join(LOCK_NAME)).map_err(|error| {
        if nokv_env::is_already_locked(&error) {
            Error::Busy {
                dir: dir.display().to_string(),
            }
        } else {
            Error::io("locking", dir, error)
        }
    })
}

fn open_read_only(
    env: &Env,
    dir: &Path,
    options: Options,
    promise: Promise,
    lock: FileLock,
) -> Result<Core, Error> {
    let Some(state) = Manifest::read_only(env, dir, promise)? else {
        return Err(Error::NotFound {
            dir: dir.display().to_string(),
        });
    };
    let mut replay = Replay::new(env, dir, &options, &state)?;
    if state.log_mode() == LogMode::Own {
        replay.run(env, dir, &state, promise, Repair::Forbidden)?;
    }
    let version = replay.version_max.max(state.last_version);
    Ok(Core::new(
        (env, dir, options),
        (replay.view, replay.cache),
        (version, state.applied_index.unwrap_or(0)),
        None,
        lock,
    ))
}

fn open_writing(
    env: &Env,
    dir: &Path,
    options: Options,
    promise: Promise,
    lock: FileLock,
) -> Result<Core, Error> {
    let mark = Arc::new(Mark::open(env, dir, promise)?);
    let manifest = match Manifest::open(env, dir, promise, &mark)? {
        Some(manifest) => manifest,
        None => create(env, dir, &options, &mark, promise)?,
    };
    let state = manifest.state().clone();
    check_log_mode(dir, options.log, state.log_mode())?;
    let mut replay = Replay::new(env, dir, &options, &state)?;
    let recovered = match options.log {
        LogMode::Own => replay.run(env, dir, &state, promise, Repair::Allowed)?,
        LogMode::External => Recovered::nothing(state.log_start),
    };
    remove_garbage(env, dir, &manifest)?;
    let values = replay.open_values(env, dir)?;
    let log_options = (options.segment_bytes, options.log);
    let (log, appender) = Log::open(env, dir, log_options, Arc::clone(&mark), &recovered)?;
    let writing = Writing {
        log: log.with_values(Arc::clone(values.unsynced())),
        values,
        mark,
        commit: Mutex::new(appender),
        intake: Intake::default(),
        flushing: Mutex::new(()),
        compactions: Compactions::default(),
        pacer: Pacer::default(),
        cancel: AtomicBool::new(false),
        applied: AtomicU64::new(state.applied_index.unwrap_or(0)),
        log_watch: Mutex::default(),
        manifest: Mutex::new(manifest),
        signal: Mutex::new(Signal::default()),
        work: Condvar::new(),
        progress: Condvar::new(),
    };
    let version = replay.version_max.max(state.last_version);
    tracing::info!(
        dir = %dir.display(),
        records = recovered.record_count,
        cut_bytes = recovered.cut_bytes,
        "store opened"
    );
    Ok(Core::new(
        (env, dir, options),
        (replay.view, replay.cache),
        (version, state.applied_index.unwrap_or(0)),
        Some(writing),
        lock,
    ))
}

/// A store that is fed by an outside log must not begin a log of its own, nor the other way round:
/// each would miss what is in the other.
fn check_log_mode(dir: &Path, asked: LogMode, own: LogMode) -> Result<(), Error> {
    let dir = dir.display();
    match (asked, own) {
        (LogMode::Own, LogMode::Own) | (LogMode::External, LogMode::External) => Ok(()),
        (LogMode::Own, LogMode::External) => Err(Error::Invalid(format!(
            "the store {dir} is fed by an external log: open it with LogMode::External"
        ))),
        (LogMode::External, LogMode::Own) => Err(Error::Invalid(format!(
            "the store {dir} has a log of its own: open it with LogMode::Own, or turn it over to \
             an external log with Engine::into_external_log"
        ))),
    }
}

/// Makes a store, unless there are files of one that lost its `CURRENT`.
fn create(
    env: &Env,
    dir: &Path,
    options: &Options,
    mark: &Arc<Mark>,
    promise: Promise,
) -> Result<Manifest, Error> {
    let entries = env
        .files
        .list(dir)
        .map_err(|error| Error::io("listing", dir, error))?;
    let data = entries.iter().find(|entry| {
        segment_number(&entry.name)
            .or(table_number(&entry.name))
            .or(value_number(&entry.name))
            .is_some()
    });
    if let Some(entry) = data {
        let found = format!("none, beside {}", entry.name);
        return Err(Error::corrupt(
            &dir.join("CURRENT"),
            0,
            "the name of a manifest",
            found,
        ));
    }
    if promise != Promise::default() {
        let found = "none, beside a mark of synced data";
        return Err(Error::corrupt(
            &dir.join("CURRENT"),
            0,
            "the name of a manifest",
            found,
        ));
    }
    if options.access != Access::Create {
        return Err(Error::NotFound {
            dir: dir.display().to_string(),
        });
    }
    Manifest::create(env, dir, mark, options.log)
}

/// Removes what an unfinished flush, compaction or rewrite left.
fn remove_garbage(env: &Env, dir: &Path, manifest: &Manifest) -> Result<(), Error> {
    let entries = env
        .files
        .list(dir)
        .map_err(|error| Error::io("listing", dir, error))?;
    for entry in entries {
        let table = table_number(&entry.name).is_some_and(|n| !manifest.state().has_table(n));
        // Those of a store that was turned over to an external log: all of them is in tables.
        let segment = manifest.state().log_mode() == LogMode::External
            && segment_number(&entry.name).is_some();
        let other = manifest_number(&entry.name).is_some_and(|n| n != manifest.number());
        if table || other || segment {
            let path = dir.join(&entry.name);
            env.files
                .remove(&path)
                .map_err(|error| Error::io("removing", &path, error))?;
        }
    }
    Ok(())
}

/// The memtables that the log builds.
struct Replay {
    options: Options,
    view: View,
    cache: Arc<BlockCache>,
    version_max: u64,
    /// The segment of the last record.
    segment: u64,
    values: ReplayValues,
}

impl Replay {
    fn new(env: &Env, dir: &Path, options: &Options, state: &State) -> Result<Self, Error> {
        let cache = Arc::new(BlockCache::new(options.cache_bytes));
        let tables = Arc::new(Tables::open(env, dir, &cache, state)?);
        let active = Arc::new(Memory::new(options, state.log_start));
        let values = ReplayValues::open(env, dir, &tables)?;
        let view = View {
            active,
            sealed: Vec::new(),
            tables,
            values: Arc::clone(values.files()),
        };
        Ok(Self {
            options: options.clone(),
            view,
            cache,
            version_max: 0,
            segment: state.log_start.segment,
            values,
        })
    }

    fn run(
        &mut self,
        env: &Env,
        dir: &Path,
        state: &State,
        promise: Promise,
        repair: Repair,
    ) -> Result<Recovered, Error> {
        let (start, mark) = (state.log_start, promise.log_sequence);
        let recovered = wal::recover(
            env,
            dir,
            start,
            mark,
            repair,
            |segment, sequence, payload| {
                let pointers = self.values.check(payload, sequence <= mark)?;
                // Only between segments: a record that is in a table must not be replayed once the
                // values that it points at may have been moved.
                let is_begin = segment.segment != self.segment;
                self.segment = segment.segment;
                if is_begin && self.view.active.is_full(&self.options) {
                    let next = Arc::new(Memory::new(&self.options, segment));
                    let full = std::mem::replace(&mut self.view.active, next);
                    self.view.sealed.insert(0, full);
                }
                for (pointer, key_bytes) in pointers {
                    self.view.active.note_value(&pointer, key_bytes);
                }
                self.view.active.apply(payload).map_err(Refused::from)
            },
        )?;
        let versions = self.view.memories().map(|memory| memory.version_max());
        self.version_max = versions.max().unwrap_or(0);
        Ok(recovered)
    }

    /// The value log, without the files that nothing points at.
    fn open_values(&mut self, env: &Env, dir: &Path) -> Result<ValueLog, Error> {
        let live = self.view.value_refs();
        let (values, files) = self.values.open_log(env, dir, &self.options, &live)?;
        self.view.values = files;
        Ok(values)
    }
}
