//! Telling the kernel what others changed.
//!
//! A watch hears every change of the mount's namespace; those that this mount did not make are
//! told to the kernel: names, attributes, pages. The telling is done by a thread of its own,
//! because the kernel may hold a lock for an operation that waits for an answer from here.
//!
//! Invariants:
//! - a change is stamped ([`crate::changed`]) and its file looked at again before the kernel is
//!   told, so what the kernel asks then is new;
//! - when the watch has lost track (`Compacted`), nothing is believed that was told before: files
//!   are looked at again when they are opened, the rest ends with the time that the kernel was
//!   given.

use crate::core::Core;
use crate::inode::{Age, Inode};
use fuser::{INodeNo, Notifier};
use nokv_client::{Change, ChangeKind, ChangedPlace, Client, Cursor, Depth};
use nokv_types::{NodeId, NodeKind, NsPath, Reason, Version};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Between two attempts to watch, when the server can't be reached.
const PAUSE: Duration = Duration::from_millis(50);

/// One thing to tell the kernel.
pub(crate) enum Notice {
    /// A name leads somewhere else, or nowhere.
    Name(INodeNo, nokv_types::Name),
    /// Attributes changed.
    Attributes(INodeNo),
    /// Attributes and bytes changed.
    Bytes(INodeNo),
    /// Whoever waits for all that is before this in the queue.
    Barrier(tokio::sync::oneshot::Sender<()>),
    /// Everything up to here has been told.
    Through(Version),
}

/// What is to be told.
pub(crate) struct Notices {
    queue: OnceLock<Sender<Notice>>,
}

impl Notices {
    pub(crate) fn new() -> Self {
        Self {
            queue: OnceLock::new(),
        }
    }

    /// Puts something in the queue. Not waited for.
    pub(crate) fn tell(&self, notice: Notice) {
        if let Some(queue) = self.queue.get() {
            // The thread has ended with the mount: nobody is left to be told.
            drop(queue.send(notice));
        }
    }
}

/// Starts the thread that tells the kernel. **Errors**: the machine has no thread left.
pub(crate) fn start(core: &Arc<Core>, notifier: Notifier) -> std::io::Result<()> {
    let (sender, receiver) = channel();
    drop(core.notices.queue.set(sender));
    let told = Arc::downgrade(core);
    let work = move || {
        run(&receiver, &notifier, |through| {
            if let Some(core) = told.upgrade() {
                core.changed.told(through);
            }
        })
    };
    core.env
        .spawn
        .spawn("nokv-notices", Box::new(work))
        .map(drop)
}

fn run(receiver: &Receiver<Notice>, notifier: &Notifier, told: impl Fn(Version)) {
    while let Ok(notice) = receiver.recv() {
        let outcome = match notice {
            Notice::Name(parent, name) => {
                notifier.inval_entry(parent, OsStr::from_bytes(name.as_bytes()))
            }
            Notice::Attributes(number) => notifier.inval_inode(number, -1, 0),
            Notice::Bytes(number) => notifier.inval_inode(number, 0, 0),
            Notice::Through(version) => {
                told(version);
                Ok(())
            }
            Notice::Barrier(waiting) => {
                if waiting.send(()).is_err() {
                    tracing::debug!("who waited for a notice has gone");
                }
                Ok(())
            }
        };
        if let Err(error) = outcome {
            tracing::debug!(%error, "the kernel did not take a notice");
        }
    }
}

/// Watches until the mount ends.
pub(crate) async fn watch(core: Arc<Core>) {
    let mut from = None;
    loop {
        let error = match follow(&core, &mut from).await {
            Ok(()) => return,
            Err(failure) => failure,
        };
        match error.reason() {
            Reason::Compacted => {
                tracing::warn!("the watch fell behind what is retained; it begins anew");
                from = None;
            }
            Reason::Unavailable | Reason::DeadlineExceeded | Reason::Overloaded => {}
            _ => tracing::warn!(failure = %error, "the watch of changes failed; it begins again"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn follow(core: &Arc<Core>, from: &mut Option<Cursor>) -> Result<(), nokv_types::Failure> {
    let mut watch = core
        .client
        .watch(&NsPath::root(), Depth::Recursive, *from)
        .await?;
    loop {
        *from = Some(watch.cursor());
        let change = watch.next().await?;
        heed(core, &change).await;
        core.notices.tell(Notice::Through(watch.cursor().through()));
    }
}

/// Tells the kernel of one change, unless it made it.
async fn heed(core: &Arc<Core>, change: &Change) {
    if core.changed.is_own(change.version) {
        return;
    }
    let places = [&change.from, &change.to].into_iter().flatten();
    for place in places.clone() {
        core.changed.stamp(place.directory);
    }
    for node in [Some(change.node), change.displaced].into_iter().flatten() {
        core.changed.stamp(node);
        look_again(core, change, node).await;
    }
    for place in places {
        tell_name(core, change, place);
    }
}

async fn look_again(core: &Arc<Core>, change: &Change, node: NodeId) {
    let number = number(core, change, node);
    let client: Client = core.client.in_branch(change.branch);
    core.refresh(&client, number, node).await;
    let has_bytes = change.node == node
        && change.node_kind == NodeKind::File
        && matches!(change.kind, ChangeKind::Published | ChangeKind::Attributes);
    core.notices.tell(match has_bytes {
        true => Notice::Bytes(number),
        false => Notice::Attributes(number),
    });
}

fn tell_name(core: &Core, change: &Change, place: &ChangedPlace) {
    let parent = number(core, change, place.directory);
    let is_name = matches!(
        change.kind,
        ChangeKind::Created
            | ChangeKind::Removed
            | ChangeKind::Renamed
            | ChangeKind::Exchanged
            | ChangeKind::Branched
            | ChangeKind::Published
    );
    if is_name {
        core.notices.tell(Notice::Name(parent, place.name.clone()));
        core.notices.tell(Notice::Attributes(parent));
    }
}

fn number(core: &Core, change: &Change, node: NodeId) -> INodeNo {
    core.inodes.number(Inode::Node {
        age: Age::Live,
        branch: change.branch,
        node,
    })
}
