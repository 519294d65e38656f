//! The value log in the store: separating at write, the account of what is live, removing files.
//!
//! Invariants:
//! - a value is counted in the memtable, and its file in the view, before it is written: a file
//!   that is sealed and that nothing in the view points at is garbage for ever;
//! - files leave the view together with the decision that nothing in it points at them, under the
//!   lock that replaces views.

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use super::{
    background::Progress,
    core::{Core, Counters, Writing},
    memory::Memory,
    view::View,
};
use crate::{
    Error,
    compaction::{ChooseOptions, Effort, LevelsView, choose_values},
    vlog::{CollectOptions, FileUse, Observer, Pointer, ValueFile, ValueRefs, choose_files},
};

/// A memtable that points at so much is flushed when the store is idle: one part of this many of a
/// file, and
const IDLE_FLUSH_PART: u64 = 16;

/// one of so many of all values: what it hides below it is not known to be garbage before.
const IDLE_FLUSH_SHARE: u64 = 8;

/// Compactions that a forced collection does first: more than a tree at rest ever needs.
const COLLECT_COMPACTIONS_MAX: usize = 256;

/// What is to be collected.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Wanted {
    pub(super) files: BTreeSet<u64>,
    /// More of the values is garbage than not: space comes before the shape of the tree.
    pub(super) is_urgent: bool,
}

/// What happens in the store when values are appended.
pub(super) struct Appending<'a> {
    core: &'a Core,
    /// The memtable that will point at them; none when a compaction moves them.
    memory: Option<&'a Memory>,
}

impl Observer for Appending<'_> {
    fn add_file(&self, file: Arc<ValueFile>) {
        self.core
            .install(|view| view.values = Arc::new(view.values.with(file)));
    }

    fn note(&self, pointer: &Pointer, key_bytes: usize) {
        if let Some(memory) = self.memory {
            memory.note_value(pointer, key_bytes);
            let bytes = pointer.entry_bytes(key_bytes);
            Counters::add(&self.core.counters.value_append_bytes, bytes);
        }
    }
}

impl View {
    /// What tables and memtables point at: the live part of each file.
    pub(super) fn value_refs(&self) -> ValueRefs {
        let mut live = self.tables.value_refs().clone();
        for memory in self.memories() {
            live.merge(&memory.value_refs());
        }
        live
    }

    /// The files that `is_asked` says, with what of them is live.
    pub(super) fn value_uses(&self, is_asked: impl Fn(&ValueFile) -> bool) -> Vec<FileUse> {
        let live = self.value_refs();
        let files = self.values.iter();
        files
            .filter(|file| is_asked(file))
            .map(|file| FileUse {
                number: file.number(),
                bytes: file.content_bytes(),
                live: live.of(file.number()).bytes,
            })
            .collect()
    }
}

impl Core {
    /// The payloads, with their large values in the value log and pointers in their place.
    ///
    /// **Concurrency**: the caller holds the commit lock; `memory` takes the payloads.
    ///
    /// # Errors
    /// `Exhausted`, `Io`: nothing was written that counts.
    pub(super) fn separate<'a>(
        &self,
        writing: &Writing,
        memory: &Memory,
        payloads: &[&'a [u8]],
    ) -> Result<Vec<Cow<'a, [u8]>>, Error> {
        let appending = Appending {
            core: self,
            memory: Some(memory),
        };
        writing.values.separate(payloads, &appending)
    }

    /// Who is told of files that a compaction makes.
    pub(super) fn relocating(&self) -> Appending<'_> {
        Appending {
            core: self,
            memory: None,
        }
    }

    pub(super) fn count_moved(&self, bytes: u64) {
        if bytes > 0 {
            Counters::add(&self.counters.value_collections, 1);
            Counters::add(&self.counters.relocated_bytes, bytes);
        }
    }

    /// The files whose live values compactions should move.
    pub(super) fn values_to_collect(&self, effort: Effort) -> Wanted {
        let uses = self.view.load().value_uses(ValueFile::is_sealed);
        let dead: u64 = uses.iter().map(FileUse::dead).sum();
        let live: u64 = uses.iter().map(|file| file.live).sum();
        Wanted {
            files: choose_files(&uses, &self.collect_options(effort))
                .into_iter()
                .collect(),
            is_urgent: dead > live,
        }
    }

    fn collect_options(&self, effort: Effort) -> CollectOptions {
        let permille = self.options.value_garbage_percent * 10;
        CollectOptions {
            garbage_permille: match effort {
                Effort::Balance => permille,
                Effort::Settle => permille / 2,
            },
            file_bytes: self.options.value_file_bytes,
        }
    }

    /// What an idle store does about values when nothing else is to be done: files that are
    /// appended to are ended when they are mostly garbage, and a memtable is flushed when it may
    /// hide much.
    ///
    /// # Errors
    /// As of a flush.
    pub(super) fn settle_values(&self, writing: &Writing) -> Result<Progress, Error> {
        let view = self.view.load_full();
        let heads = view.value_uses(|file| !file.is_sealed());
        let permille = self.collect_options(Effort::Settle).garbage_permille;
        if heads.iter().any(|head| head.is_over(permille)) {
            self.seal_values(writing);
            return Ok(Progress::Done);
        }
        let total: u64 = view.values.iter().map(|file| file.content_bytes()).sum();
        let hidden = view.active.value_refs().byte_count();
        let limit = (self.options.value_file_bytes / IDLE_FLUSH_PART).max(total / IDLE_FLUSH_SHARE);
        if hidden > limit {
            self.seal_active(writing);
            return self.flush_one(writing);
        }
        Ok(Progress::Idle)
    }

    fn seal_values(&self, writing: &Writing) {
        let _appender = writing.commit.lock();
        writing.values.seal();
    }

    /// Collects every file with garbage.
    ///
    /// # Errors
    /// As of a flush and a compaction.
    pub(super) fn collect_values(&self) -> Result<(), Error> {
        let writing = self.writing()?;
        // What newer versions hide is known to be garbage only when they meet. Under a load there
        // is always something to compact: the rest can wait.
        self.flush()?;
        for _ in 0..COLLECT_COMPACTIONS_MAX {
            if self.compact_one(writing, Effort::Settle)? == Progress::Idle {
                break;
            }
        }
        // After the seal nothing new points at what there is; after the flush only tables do.
        self.seal_values(writing);
        self.flush()?;
        let uses = self.view.load().value_uses(ValueFile::is_sealed);
        let dirty = uses.iter().filter(|file| file.dead() > 0);
        let files: BTreeSet<u64> = dirty.map(|file| file.number).collect();
        while !files.is_empty() && self.points_into(&files) {
            let chooser = |levels: &LevelsView<'_>, options: &ChooseOptions<'_>| {
                choose_values(levels, options, &files)
            };
            match self.compact_next(writing, Effort::Settle, &chooser, &files)? {
                Progress::Done => writing.note_progress(None),
                // Others compact what is left, perhaps without moving anything.
                Progress::Idle => drop(writing.compactions.hold()),
            }
            self.check_open()?;
        }
        self.release_values(writing);
        Ok(())
    }

    fn points_into(&self, files: &BTreeSet<u64>) -> bool {
        let view = self.view.load();
        let mut refs = view.tables.value_refs().iter();
        refs.any(|(file, _)| files.contains(&file))
    }

    /// Takes the files that nothing points at out of the view, and removes those that no reader
    /// holds any more.
    pub(super) fn release_values(&self, writing: &Writing) {
        // Whether a file is sealed and not held is looked at before the view: what a compaction
        // that let go of it has made of it is in the view by then.
        let free: Vec<u64> = {
            let view = self.view.load();
            let files = view.values.iter();
            let free = files.filter(|file| file.is_sealed() && !file.is_held());
            free.map(|file| file.number()).collect()
        };
        if !free.is_empty() {
            self.install_without_garbage(writing, &free);
        }
        writing.values.sweep(&|path| self.remove_quietly(path));
    }

    fn install_without_garbage(&self, writing: &Writing, free: &[u64]) {
        let is_garbage = |live: &ValueRefs, number: u64| {
            free.binary_search(&number).is_ok() && live.of(number).entry_count == 0
        };
        let live = self.view.load().value_refs();
        if !free.iter().any(|number| is_garbage(&live, *number)) {
            return;
        }
        self.install(|view| {
            let live = view.value_refs();
            let (kept, gone) = view
                .values
                .partition(|file| is_garbage(&live, file.number()));
            view.values = Arc::new(kept);
            writing.values.doom(gone);
        });
    }
}
