//! A file system that fails on purpose.
//!
//! It wraps any other and looks at each operation before it happens. Rules choose (the nth
//! operation of a kind, a probability by seed, a part of the path) and say what happens.
//!
//! | outcome | reads | writes | syncs of files | `sync_dir` | the others |
//! |---|---|---|---|---|---|
//! | `DeviceError` | `EIO` | `EIO`, nothing written | `EIO`, nothing synced | `EIO` | `EIO`, nothing done |
//! | `NoSpace` | `ENOSPC` | `ENOSPC` | `ENOSPC` | `ENOSPC` | `ENOSPC` (creating, reserving) |
//! | `TornWrite` | `EIO` | a part, then `EIO` | `EIO` | `EIO` | `EIO` |
//! | `LostSync` | works | works | says yes, does nothing | says yes, does nothing | works |
//! | `FailedSync` | `EIO` | `EIO` | `EIO`, and what was unsynced will never be | `EIO` | `EIO` |
//! | `Interrupted` | `EINTR` | `EINTR` | `EINTR` | `EINTR` | `EINTR` |
//! | `ShortRead` | a part | works | works | works | works |
//! | `Slow` | late | late | late | late | late |
//! | `Crash` | fails, like all after it | | | | |
//!
//! What a power cut loses, tears and reorders of the writes that no sync covered, the memory file
//! system decides (`MemoryFileSystem::crash`); what a full device refuses over time, its space
//! limit.
//!
//! Invariants:
//! - without rules it is transparent;
//! - the same rules, seed and sequence of operations give the same faults;
//! - after a crash point nothing reaches the wrapped file system any more.

use std::{
    io::{self, IoSlice},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;

use crate::{
    Clock, DirEntry, File, FileLock, FileSystem, MemoryFileSystem, Metadata, OpenMode, SeededRandom,
};

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What can fail.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Operation { $($(#[$doc])* $name,)* }

        impl Operation {
            /// Every kind, for tests that go through them all.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

operations! {
    /// Opening for reading.
    OpenRead,
    /// Opening an existing file for writing.
    OpenReadWrite,
    /// Making a file, or emptying it.
    Create,
    /// Making a file that must not exist.
    CreateNew,
    /// Opening a file, or making it.
    OpenOrCreate,
    /// Reading.
    Read,
    /// Writing one slice.
    Write,
    /// Writing several slices.
    WriteSlices,
    /// Syncing bytes.
    SyncData,
    /// Syncing bytes and attributes.
    SyncAll,
    /// Asking for the length of an open file.
    Len,
    /// Cutting or extending.
    SetLen,
    /// Reserving space.
    Allocate,
    /// Removing a file.
    Remove,
    /// Renaming.
    Rename,
    /// Linking.
    Link,
    /// Listing a directory.
    List,
    /// Making directories.
    CreateDir,
    /// Removing a directory.
    RemoveDir,
    /// Syncing a directory.
    SyncDir,
    /// Looking at a path.
    Metadata,
    /// Marking a file as used.
    MarkUsed,
    /// Taking a lock.
    Lock,
    /// Asking for free space.
    AvailableBytes,
}

/// When a rule acts.
#[derive(Clone, Copy, Debug)]
pub enum Trigger {
    /// At the nth matching operation (from 1), once.
    Nth(u64),
    /// At the nth matching operation (from 1) and at all later ones.
    From(u64),
    /// Once in this many matching operations on average, by the seed.
    OnceIn(u64),
}

/// What happens instead.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    /// The device fails (`EIO`); nothing is done.
    DeviceError,
    /// There is no space (`ENOSPC`); nothing is done.
    NoSpace,
    /// A part of the bytes, chosen by the seed, is written, then the device fails. Acts as
    /// `DeviceError` on anything but a write.
    TornWrite,
    /// A sync says that it worked and does nothing. Transparent on anything but a sync.
    LostSync,
    /// A sync fails, and the pages that it should have written count as clean from then on, as on
    /// Linux: a sync that is tried again says that it worked, the bytes are read as long as the
    /// machine runs, and a power cut takes them. Acts as `DeviceError` on anything else, and
    /// without [`FaultFileSystem::over_memory`].
    FailedSync,
    /// The call is interrupted (`EINTR`); nothing is done.
    Interrupted,
    /// A read returns a part of what was asked for, at least a byte, chosen by the seed.
    /// Transparent on anything but a read.
    ShortRead,
    /// It works, after the clock was slept on for this long. Needs
    /// [`FaultFileSystem::with_clock`]; transparent without.
    Slow(Duration),
    /// Power is cut: this and every later operation fails.
    Crash,
}

/// One way to fail.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The kinds of operation it is about; empty means all.
    pub operations: Vec<Operation>,
    /// What the path must contain; empty means any path.
    pub path_contains: String,
    /// When it acts.
    pub trigger: Trigger,
    /// What happens.
    pub outcome: Outcome,
}

struct Armed {
    rule: Rule,
    seen: u64,
}

struct Plan {
    rules: Mutex<Vec<Armed>>,
    crashed: Mutex<bool>,
    counts: Mutex<Vec<u64>>,
    random: SeededRandom,
    /// Where dirty pages can be dropped.
    memory: Option<MemoryFileSystem>,
    clock: Mutex<Option<Arc<dyn Clock>>>,
}

/// What a rule, or none, decided about one operation.
enum Verdict {
    Pass,
    Torn,
    Lost,
    /// A sync is to fail and to drop what it should have written.
    Dropped,
    Short,
}

impl Plan {
    fn judge(&self, operation: Operation, path: &Path) -> io::Result<Verdict> {
        if *self.crashed.lock() {
            return Err(device_error());
        }
        if let Some(count) = self.counts.lock().get_mut(operation as usize) {
            *count += 1;
        }
        for armed in self.rules.lock().iter_mut() {
            if !self.acts(armed, operation, path) {
                continue;
            }
            return match armed.rule.outcome {
                Outcome::DeviceError => Err(device_error()),
                Outcome::NoSpace => Err(io::ErrorKind::StorageFull.into()),
                Outcome::TornWrite => Ok(Verdict::Torn),
                Outcome::LostSync => Ok(Verdict::Lost),
                Outcome::FailedSync => Ok(Verdict::Dropped),
                Outcome::Interrupted => Err(io::ErrorKind::Interrupted.into()),
                Outcome::ShortRead => Ok(Verdict::Short),
                Outcome::Slow(duration) => {
                    if let Some(clock) = self.clock.lock().as_ref() {
                        clock.sleep(duration);
                    }
                    Ok(Verdict::Pass)
                }
                Outcome::Crash => {
                    *self.crashed.lock() = true;
                    Err(device_error())
                }
            };
        }
        Ok(Verdict::Pass)
    }

    fn acts(&self, armed: &mut Armed, operation: Operation, path: &Path) -> bool {
        let rule = &armed.rule;
        let about = rule.operations.is_empty() || rule.operations.contains(&operation);
        if !about || !path.to_string_lossy().contains(rule.path_contains.as_str()) {
            return false;
        }
        armed.seen += 1;
        match rule.trigger {
            Trigger::Nth(nth) => armed.seen == nth,
            Trigger::From(nth) => armed.seen >= nth,
            Trigger::OnceIn(one_in) => self.random.once_in(one_in),
        }
    }

    /// For operations that are neither writes nor syncs: a torn one is a failed one.
    fn pass(&self, operation: Operation, path: &Path) -> io::Result<()> {
        match self.judge(operation, path)? {
            Verdict::Torn | Verdict::Dropped => Err(device_error()),
            Verdict::Pass | Verdict::Lost | Verdict::Short => Ok(()),
        }
    }

    /// For syncs: whether to do it.
    fn sync(&self, operation: Operation, path: &Path) -> io::Result<bool> {
        match self.judge(operation, path)? {
            Verdict::Pass | Verdict::Short => Ok(true),
            Verdict::Lost => Ok(false),
            Verdict::Torn => Err(device_error()),
            Verdict::Dropped => {
                if let Some(memory) = &self.memory {
                    memory.drop_unsynced(path);
                }
                Err(device_error())
            }
        }
    }
}

fn device_error() -> io::Error {
    io::Error::from(rustix::io::Errno::IO)
}

/// A file system that fails by rule.
#[derive(Clone)]
pub struct FaultFileSystem {
    inner: Arc<dyn FileSystem>,
    plan: Arc<Plan>,
}

impl FaultFileSystem {
    /// Wraps `inner`; probabilities and torn lengths come from `seed`.
    #[must_use]
    pub fn new(inner: Arc<dyn FileSystem>, seed: u64) -> Self {
        Self::with(inner, None, seed)
    }

    /// Wraps a file system in memory, whose unsynced bytes [`Outcome::FailedSync`] can drop.
    #[must_use]
    pub fn over_memory(memory: &MemoryFileSystem, seed: u64) -> Self {
        Self::with(Arc::new(memory.clone()), Some(memory.clone()), seed)
    }

    /// [`Outcome::Slow`] sleeps on this clock.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        *self.plan.clock.lock() = Some(clock);
        self
    }

    fn with(inner: Arc<dyn FileSystem>, memory: Option<MemoryFileSystem>, seed: u64) -> Self {
        let plan = Plan {
            rules: Mutex::new(Vec::new()),
            crashed: Mutex::new(false),
            counts: Mutex::new(vec![0; Operation::ALL.len()]),
            random: SeededRandom::new(seed),
            memory,
            clock: Mutex::new(None),
        };
        Self {
            inner,
            plan: Arc::new(plan),
        }
    }

    /// Adds a rule. The first rule that acts on an operation decides.
    pub fn add_rule(&self, rule: Rule) {
        self.plan.rules.lock().push(Armed { rule, seen: 0 });
    }

    /// Takes all rules away. A crash stays.
    pub fn clear_rules(&self) {
        self.plan.rules.lock().clear();
    }

    /// Cuts power now: every later operation fails.
    pub fn crash_now(&self) {
        *self.plan.crashed.lock() = true;
    }

    /// Whether power was cut.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        *self.plan.crashed.lock()
    }

    /// How many operations of a kind were tried.
    #[must_use]
    pub fn count(&self, operation: Operation) -> u64 {
        self.plan
            .counts
            .lock()
            .get(operation as usize)
            .copied()
            .unwrap_or(0)
    }
}

impl FileSystem for FaultFileSystem {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let operation = match mode {
            OpenMode::Read => Operation::OpenRead,
            OpenMode::ReadWrite => Operation::OpenReadWrite,
            OpenMode::Create => Operation::Create,
            OpenMode::CreateNew => Operation::CreateNew,
            OpenMode::OpenOrCreate => Operation::OpenOrCreate,
        };
        self.plan.pass(operation, path)?;
        let inner = self.inner.open(path, mode)?;
        Ok(Arc::new(FaultFile {
            inner,
            path: path.to_owned(),
            plan: Arc::clone(&self.plan),
        }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.plan.pass(Operation::Remove, path)?;
        self.inner.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.plan.pass(Operation::Rename, to)?;
        self.inner.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.plan.pass(Operation::Link, to)?;
        self.inner.link(from, to)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.plan.pass(Operation::List, dir)?;
        self.inner.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.plan.pass(Operation::CreateDir, dir)?;
        self.inner.create_dir_all(dir)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.plan.pass(Operation::RemoveDir, dir)?;
        self.inner.remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        if self.plan.sync(Operation::SyncDir, dir)? {
            self.inner.sync_dir(dir)
        } else {
            Ok(())
        }
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.plan.pass(Operation::Metadata, path)?;
        self.inner.metadata(path)
    }

    fn mark_used(&self, path: &Path) -> io::Result<()> {
        self.plan.pass(Operation::MarkUsed, path)?;
        self.inner.mark_used(path)
    }

    fn lock(&self, path: &Path) -> io::Result<FileLock> {
        self.plan.pass(Operation::Lock, path)?;
        self.inner.lock(path)
    }

    fn available_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.plan.pass(Operation::AvailableBytes, dir)?;
        self.inner.available_bytes(dir)
    }
}

struct FaultFile {
    inner: Arc<dyn File>,
    path: PathBuf,
    plan: Arc<Plan>,
}

impl FaultFile {
    fn tear(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let kept = self.plan.random.below(bytes.len() as u64 + 1) as usize;
        self.inner
            .write_at(bytes.get(..kept).unwrap_or_default(), offset)?;
        Err(device_error())
    }
}

impl File for FaultFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self.plan.judge(Operation::Read, &self.path)? {
            Verdict::Torn | Verdict::Dropped => Err(device_error()),
            Verdict::Pass | Verdict::Lost => self.inner.read_at(buffer, offset),
            Verdict::Short => {
                let most = buffer.len().saturating_sub(1) as u64;
                let count = 1 + self.plan.random.below(most) as usize;
                let count = count.min(buffer.len());
                let part = buffer.get_mut(..count).unwrap_or_default();
                self.inner.read_at(part, offset)
            }
        }
    }

    fn read_ready_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        match self.plan.judge(Operation::Read, &self.path)? {
            Verdict::Torn | Verdict::Dropped => Err(device_error()),
            Verdict::Short => Ok(None),
            Verdict::Pass | Verdict::Lost => self.inner.read_ready_at(buffer, offset),
        }
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        match self.plan.judge(Operation::Write, &self.path)? {
            Verdict::Torn => self.tear(bytes, offset),
            Verdict::Dropped => Err(device_error()),
            Verdict::Pass | Verdict::Lost | Verdict::Short => self.inner.write_at(bytes, offset),
        }
    }

    fn write_slices_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        match self.plan.judge(Operation::WriteSlices, &self.path)? {
            Verdict::Torn => {
                let bytes: Vec<u8> = slices
                    .iter()
                    .flat_map(|slice| slice.iter().copied())
                    .collect();
                self.tear(&bytes, offset)
            }
            Verdict::Dropped => Err(device_error()),
            Verdict::Pass | Verdict::Lost | Verdict::Short => {
                self.inner.write_slices_at(slices, offset)
            }
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.plan.sync(Operation::SyncData, &self.path)? {
            self.inner.sync_data()
        } else {
            Ok(())
        }
    }

    fn sync_all(&self) -> io::Result<()> {
        if self.plan.sync(Operation::SyncAll, &self.path)? {
            self.inner.sync_all()
        } else {
            Ok(())
        }
    }

    fn len(&self) -> io::Result<u64> {
        self.plan.pass(Operation::Len, &self.path)?;
        self.inner.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.plan.pass(Operation::SetLen, &self.path)?;
        self.inner.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.plan.pass(Operation::Allocate, &self.path)?;
        self.inner.allocate(len)
    }
}
