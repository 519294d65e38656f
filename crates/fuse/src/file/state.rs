//! One open or edited file.
//!
//! Invariants:
//! - the lock of [`State`] is held for moments, never across an await;
//! - one flush runs at a time ([`File::flushing`]);
//! - `node` is the newest that this mount has seen, but for the edits;
//! - what could not be flushed stays, and the next fsync or close says so.

use super::overlay::Overlay;
use super::staging::{Staging, Stagings};
use crate::inode::Inode;
use fuser::Errno;
use nokv_client::{Node, OpenBody};
use nokv_types::{Body, Generation, Layout, TimeNanos};
use parking_lot::Mutex;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// A file of the mount.
pub(crate) struct File {
    /// What it is.
    pub(crate) inode: Inode,
    /// Its state.
    pub(super) state: Mutex<State>,
    /// Held by the one flush that runs.
    pub(super) flushing: tokio::sync::Mutex<()>,
}

/// What is known of a file.
pub(super) struct State {
    /// The node, as the store has it.
    pub(super) node: Node,
    /// Its body, once somebody has asked for it.
    pub(super) base: Option<Base>,
    /// What differs from the body.
    pub(super) overlay: Overlay,
    /// The bytes of that.
    pub(super) staging: Staging,
    /// When the bytes were last changed, and the node with them; while there are edits.
    pub(super) mtime: TimeNanos,
    pub(super) ctime: TimeNanos,
    /// Monotonic milliseconds of the first edit that no flush has taken.
    pub(super) edited_at: u64,
    /// No name leads to it any more: it lives as long as it is open, here alone.
    pub(super) is_orphan: bool,
    /// What the last flush failed with and nobody was told.
    pub(super) failed: Option<Errno>,
}

/// A body that can be read.
#[derive(Clone)]
pub(super) struct Base {
    pub(super) generation: Generation,
    pub(super) body: Arc<OpenBody>,
}

/// A change of the bytes of a file.
pub(crate) enum Edit<'a> {
    /// These bytes, there.
    Write(u64, &'a [u8]),
    /// Zeros, there, within the file.
    Punch(Range<u64>),
    /// Another size.
    Size(u64),
}

/// When an edit is made.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    /// Wall clock.
    pub(crate) now: TimeNanos,
    /// Monotonic milliseconds.
    pub(crate) millis: u64,
}

impl File {
    pub(crate) fn new(inode: Inode, node: Node, stagings: Arc<Stagings>) -> Self {
        let attributes = node.attributes;
        let state = State {
            overlay: Overlay::new(attributes.size),
            staging: Staging::new(stagings),
            base: None,
            mtime: attributes.mtime,
            ctime: attributes.ctime,
            edited_at: 0,
            is_orphan: false,
            failed: None,
            node,
        };
        Self {
            inode,
            state: Mutex::new(state),
            flushing: tokio::sync::Mutex::new(()),
        }
    }

    /// Applies an edit. **Errors**: those of the staging; nothing has changed then.
    pub(crate) fn edit(&self, edit: &Edit<'_>, moment: Moment) -> io::Result<()> {
        let mut state = self.state.lock();
        let state = &mut *state;
        if !state.overlay.is_edited() {
            state.edited_at = moment.millis;
        }
        match edit {
            Edit::Write(offset, data) => {
                state.staging.write(*offset, data)?;
                let end = offset + data.len() as u64;
                state.overlay.write(*offset..end);
            }
            Edit::Punch(range) => state.overlay.punch(range.clone()),
            Edit::Size(size) => state.overlay.set_size(*size),
        }
        state.mtime = moment.now;
        state.ctime = moment.now;
        Ok(())
    }

    /// Bytes of the file.
    pub(crate) fn size(&self) -> u64 {
        self.state.lock().overlay.size()
    }

    /// The node with the edits, if this knows it at least as well as `found`.
    pub(crate) fn overlaid(&self, found: &Node) -> Node {
        let mut state = self.state.lock();
        state.learn(found);
        state.shown()
    }

    /// The node with the edits.
    pub(crate) fn shown(&self) -> Node {
        self.state.lock().shown()
    }

    /// Another node record was answered: of a change that this mount made, or of a lookup.
    pub(crate) fn learn(&self, found: &Node) {
        self.state.lock().learn(found);
    }

    /// Attributes were changed by this mount, while there may be edits: explicit times win over
    /// those of the edits.
    pub(crate) fn attributes_set(&self, node: &Node, mtime: Option<TimeNanos>) {
        let mut state = self.state.lock();
        state.learn(node);
        state.ctime = state.ctime.max(node.attributes.ctime);
        if let Some(mtime) = mtime {
            state.mtime = mtime;
        }
    }

    /// Applies attributes to an orphan, whose node the store has forgotten.
    pub(crate) fn change_orphan(&self, change: impl FnOnce(&mut Node)) -> Option<Node> {
        let mut state = self.state.lock();
        if !state.is_orphan {
            return None;
        }
        change(&mut state.node);
        state.mtime = state.node.attributes.mtime;
        state.ctime = state.node.attributes.ctime;
        Some(state.shown())
    }

    /// No name leads here any more.
    pub(crate) fn orphan(&self, now: TimeNanos) {
        let mut state = self.state.lock();
        state.is_orphan = true;
        state.node.attributes.links = 0;
        state.node.attributes.ctime = now;
        state.ctime = now;
    }

    pub(crate) fn is_orphan(&self) -> bool {
        self.state.lock().is_orphan
    }

    /// Whether there is something to flush.
    pub(crate) fn is_dirty(&self) -> bool {
        let state = self.state.lock();
        state.overlay.is_dirty() && !state.is_orphan
    }

    /// Since when there is something to flush, monotonic milliseconds.
    pub(crate) fn dirty_since(&self) -> Option<u64> {
        let state = self.state.lock();
        (state.overlay.is_edited() && !state.is_orphan).then_some(state.edited_at)
    }

    /// What a flush failed with since this was last asked.
    pub(crate) fn take_failure(&self) -> Option<Errno> {
        self.state.lock().failed.take()
    }
}

impl State {
    /// Takes a node if it is newer than what is known.
    pub(super) fn learn(&mut self, found: &Node) {
        if self.is_orphan || found.version < self.node.version {
            return;
        }
        let body_changed = found.generation != self.node.generation;
        self.node = found.clone();
        if self.overlay.is_dirty() {
            return;
        }
        self.mtime = found.attributes.mtime;
        self.ctime = found.attributes.ctime;
        if body_changed || self.overlay.size() != found.attributes.size {
            self.overlay = Overlay::new(found.attributes.size);
            if self
                .base
                .as_ref()
                .is_some_and(|base| base.generation != found.generation)
            {
                self.base = None;
            }
        }
    }

    pub(super) fn shown(&self) -> Node {
        let mut node = self.node.clone();
        if self.overlay.is_dirty() || self.is_orphan {
            node.attributes.size = self.overlay.size();
            node.attributes.mtime = self.mtime;
            node.attributes.ctime = self.ctime;
        }
        node
    }
}

impl Base {
    /// The bytes, when they are at hand.
    pub(super) fn inline(&self) -> Option<&bytes::Bytes> {
        match self.body.body().layout() {
            Layout::Inline(bytes) => Some(bytes),
            Layout::Extents(_) => None,
        }
    }

    pub(super) fn body(&self) -> &Body {
        self.body.body()
    }
}
