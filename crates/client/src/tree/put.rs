//! Local trees into the store.
//!
//! Three stages run beside each other: a thread walks, many tasks upload, and batches are published
//! one after the other, in the order of the walk, so that parents come before what is in them.
//!
//! Invariants:
//! - a path is told as published only when its publish was acknowledged;
//! - a body is published only after all its blocks are durable;
//! - a directory's own times are those of the local one, though what is in it is published after
//!   it: it is published again when the walk leaves it;
//! - memory is bounded: by the walk's channel, the uploader's limit, and the batches in flight.

use super::local_walk::{AHEAD_ENTRIES_MAX, Found, LocalEntry, What, walk_local};
use super::options::{Placement, PutEvent, PutOptions, PutReport, Skipped};
use crate::Client;
use crate::session::UploadSession;
use futures::stream::{self, StreamExt, TryStreamExt};
use nokv_namespace::{
    Content, Expect, Follow, NewAttributes, Parents, Publish, PublishItem, Published,
};
use nokv_object::{Error, PARALLEL_PUTS_MAX, Staged, UploadOptions, Uploader};
use nokv_types::{Body, Failure, INLINE_BYTES_MAX, Name, NodeKind, NsPath, Reason, SessionId};
use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Most paths of one publish.
const BATCH_ITEMS_MAX: usize = 1_024;
/// Bytes of inline bodies and extents that close a batch early: far below a frame.
const BATCH_BYTES_FULL: usize = 4 << 20;
/// Bytes that an item takes in a publish beside its body: a path and attributes.
const ITEM_BYTES: usize = 256;
/// Bytes that an extent takes in a publish.
const EXTENT_BYTES: usize = 40;
/// Batches whose blocks are on their way while one is published.
const BATCHES_AHEAD: usize = 3;
/// Times that a file which changes while it is read is tried.
const CHANGED_ATTEMPTS_MAX: u32 = 3;

/// An entry whose bytes are read.
enum Ready {
    /// To be published.
    Entry(LocalEntry, Option<Box<Staged>>),
    /// Left out.
    Skipped(Skipped),
}

/// Entries to be published together.
#[derive(Default)]
struct Batch {
    entries: Vec<(LocalEntry, Option<Box<Staged>>)>,
    skipped: Vec<Skipped>,
    /// Directories that are entries already.
    directories: HashSet<NsPath>,
    bytes: usize,
}

impl Client {
    /// Publishes local files and directories: names as bytes, modes, times, symbolic links as
    /// links, empty directories. Parents of the destination are made. Owners become those of
    /// [`crate::ClientOptions`].
    ///
    /// **Guarantees**: every path is visible whole or not at all, and durable before it is told as
    /// published. After an error or a drop, what was told stays and the rest is collected.
    /// **Errors**: `InvalidArgument` when sources and placement do not fit; those of the local
    /// files named, of the object store, of publish. Files inside a tree that can't be read are
    /// left out and reported.
    pub async fn put_tree(
        &self,
        locals: &[PathBuf],
        destination: &NsPath,
        options: PutOptions,
    ) -> Result<PutReport, Failure> {
        let options = checked(options)?;
        let roots = self.place(locals, destination, options.placement).await?;
        let destinations = roots.iter().map(|(_, path)| path.clone()).collect();
        let mut session = UploadSession::open(self).await?;
        let defaults = self.shared.options.upload;
        let parallel_puts = options.parallel.max(defaults.parallel_puts);
        let uploader = session
            .uploader(UploadOptions {
                parallel_puts,
                ..defaults
            })
            .await?;
        let mut batches = start_upload(roots, uploader, options.clone());
        let mut report = PutReport {
            destinations,
            ..PutReport::default()
        };
        while let Some(batch) = batches.receiver.recv().await {
            let (entries, skipped) = batch?;
            self.publish_batch(entries, session.id(), &options, &mut report)
                .await?;
            for skipped in skipped {
                options.tell(PutEvent::Skipped(&skipped));
                report.skipped.push(skipped);
            }
        }
        batches.end().await?;
        session.close().await;
        Ok(report)
    }

    /// Where each source goes.
    async fn place(
        &self,
        locals: &[PathBuf],
        destination: &NsPath,
        placement: Placement,
    ) -> Result<Vec<(PathBuf, NsPath)>, Failure> {
        let [first, others @ ..] = locals else {
            let advice = "no local files are named; name at least one";
            return Err(Failure::new(Reason::InvalidArgument, advice));
        };
        let is_inside = match placement {
            Placement::Inside => true,
            Placement::Exact => false,
            Placement::Auto => match self.lookup(destination, Follow::Yes).await {
                Ok(node) => node.attributes.kind == NodeKind::Directory,
                Err(failure) if failure.reason() == Reason::NotFound => false,
                Err(failure) => return Err(failure),
            },
        };
        if !is_inside {
            if !others.is_empty() {
                return Err(Failure::new(
                    Reason::NotDirectory,
                    format!("{destination} is no directory; several things can only go into one"),
                ));
            }
            return Ok(vec![(first.clone(), destination.clone())]);
        }
        let place = |local: &PathBuf| {
            let name = Name::new(base_name(local)?)?;
            Ok((local.clone(), destination.join(&name)?))
        };
        locals.iter().map(place).collect()
    }

    async fn publish_batch(
        &self,
        entries: Vec<(LocalEntry, Option<Body>)>,
        session: SessionId,
        options: &PutOptions,
        report: &mut PutReport,
    ) -> Result<(), Failure> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut facts = Vec::with_capacity(entries.len());
        let mut items = Vec::with_capacity(entries.len());
        for (entry, body) in entries {
            let (content, bytes) = match (&entry.what, body) {
                (What::File(_), Some(body)) => {
                    let bytes = body.size();
                    (Content::File(body), bytes)
                }
                (What::File(_), None) => (Content::File(Body::empty()), 0),
                (What::Directory | What::DirectoryEnd, _) => (Content::Directory, 0),
                (What::Symlink(target), _) => (Content::Symlink(target.clone().into()), 0),
            };
            let mtime = Some(entry.mtime);
            let attributes = NewAttributes {
                mtime,
                ..NewAttributes::mode(entry.mode)
            };
            facts.push((entry.what, bytes));
            items.push(PublishItem {
                path: entry.path,
                content,
                attributes,
                expect: Expect::Any,
            });
        }
        let publish = Publish {
            items,
            parents: Parents::Create,
            session: Some(session),
        };
        let published = self.publish(publish).await?;
        for ((what, bytes), published) in facts.iter().zip(&published) {
            report.count(what, *bytes, published);
            if *what != What::DirectoryEnd {
                options.tell(PutEvent::Published {
                    published,
                    bytes: *bytes,
                });
            }
        }
        Ok(())
    }
}

/// A batch whose blocks are durable, and what was left out on the way.
type DurableBatch = (Vec<(LocalEntry, Option<Body>)>, Vec<Skipped>);

/// The walk and the uploads, ahead of the publishes. Dropping it stops them.
struct Upload {
    receiver: mpsc::Receiver<Result<DurableBatch, Failure>>,
    task: JoinHandle<()>,
}

impl Upload {
    /// Waits for the end. A task that died would else look like a tree that ended early.
    async fn end(&mut self) -> Result<(), Failure> {
        let ended = (&mut self.task).await;
        ended.map_err(|error| Failure::new(Reason::Io, format!("the upload failed: {error}")))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn start_upload(roots: Vec<(PathBuf, NsPath)>, uploader: Uploader, options: PutOptions) -> Upload {
    let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
    let task = tokio::spawn(async move {
        let (found_sender, mut found) = mpsc::channel(AHEAD_ENTRIES_MAX);
        let walk = tokio::task::spawn_blocking(move || walk_local(roots, &found_sender));
        let ready = stream::poll_fn(move |context| found.poll_recv(context))
            .map(|found| stage(found, &uploader, &options))
            .buffered(options.parallel);
        let durable = batches(ready, options.batch_items)
            .map(|batch| async { batch?.durable().await })
            .buffered(BATCHES_AHEAD);
        let mut durable = std::pin::pin!(durable);
        while let Some(batch) = durable.next().await {
            let is_over = batch.is_err();
            if sender.send(batch).await.is_err() || is_over {
                return;
            }
        }
        if let Err(error) = walk.await {
            let failure = Failure::new(Reason::Io, format!("the walk failed: {error}"));
            // The receiver may have gone; then nobody cares.
            drop(sender.send(Err(failure)).await);
        }
    });
    Upload { receiver, task }
}

/// Reads a file and starts its upload; passes on what has no bytes.
async fn stage(
    found: Result<Found, Failure>,
    uploader: &Uploader,
    options: &PutOptions,
) -> Result<Ready, Failure> {
    let entry = match found? {
        Found::Skipped(skipped) => return Ok(Ready::Skipped(skipped)),
        Found::Entry(entry) => entry,
    };
    let What::File(bytes) = entry.what else {
        if entry.what != What::DirectoryEnd {
            options.tell(PutEvent::Found {
                local: &entry.local,
                bytes: 0,
            });
        }
        return Ok(Ready::Entry(entry, None));
    };
    options.tell(PutEvent::Found {
        local: &entry.local,
        bytes,
    });
    for attempt in 1.. {
        match uploader.upload_file(&entry.local, Some(bytes)).await {
            Ok(staged) => {
                options.tell(PutEvent::Uploaded {
                    local: &entry.local,
                    bytes: staged.size(),
                });
                return Ok(Ready::Entry(entry, Some(Box::new(staged))));
            }
            Err(Error::SourceChanged { .. }) if attempt < CHANGED_ATTEMPTS_MAX => {}
            Err(
                error @ (Error::SourceChanged { .. }
                | Error::NotFound(_)
                | Error::PermissionDenied(_)),
            ) if is_unreadable(&entry.local, &error) => {
                let skipped = Skipped {
                    local: entry.local,
                    why: error.to_string(),
                };
                return Ok(Ready::Skipped(skipped));
            }
            Err(error) => return Err(error.into()),
        }
    }
    unreachable!("the loop has no bound but its attempts")
}

/// Whether an error of an upload is about the local file and not about the object store.
fn is_unreadable(local: &Path, error: &Error) -> bool {
    matches!(error, Error::SourceChanged { .. })
        || rustix::fs::access(local, rustix::fs::Access::READ_OK).is_err()
}

/// Gathers entries into batches, in order.
fn batches(
    ready: impl stream::Stream<Item = Result<Ready, Failure>>,
    items_max: usize,
) -> impl stream::Stream<Item = Result<Batch, Failure>> {
    let ready = Box::pin(ready);
    stream::try_unfold(
        (ready, Batch::default()),
        move |(mut ready, mut batch)| async move {
            while let Some(next) = ready.as_mut().try_next().await? {
                match next {
                    Ready::Skipped(skipped) => batch.skipped.push(skipped),
                    Ready::Entry(entry, staged) => batch.add(entry, staged),
                }
                if batch.is_full(items_max) {
                    return Ok(Some((batch, (ready, Batch::default()))));
                }
            }
            match batch.entries.is_empty() && batch.skipped.is_empty() {
                true => Ok(None),
                false => Ok(Some((batch, (ready, Batch::default())))),
            }
        },
    )
}

impl Batch {
    fn add(&mut self, entry: LocalEntry, staged: Option<Box<Staged>>) {
        match entry.what {
            // All of it is in this batch: its times are set by its first entry.
            What::DirectoryEnd if self.directories.contains(&entry.path) => return,
            What::Directory => drop(self.directories.insert(entry.path.clone())),
            _ => {}
        }
        self.bytes += ITEM_BYTES;
        if let Some(staged) = &staged {
            let extents = usize::try_from(staged.size() >> 20).unwrap_or(usize::MAX / EXTENT_BYTES);
            let size = usize::try_from(staged.size()).unwrap_or(usize::MAX);
            self.bytes += size.min(INLINE_BYTES_MAX) + extents * EXTENT_BYTES;
        }
        self.entries.push((entry, staged));
    }

    fn is_full(&self, items_max: usize) -> bool {
        self.entries.len() >= items_max
            || self.skipped.len() >= items_max
            || self.bytes >= BATCH_BYTES_FULL
    }

    /// Waits for the blocks of all entries.
    async fn durable(self) -> Result<(Vec<(LocalEntry, Option<Body>)>, Vec<Skipped>), Failure> {
        let mut entries = Vec::with_capacity(self.entries.len());
        for (entry, staged) in self.entries {
            let body = match staged {
                Some(staged) => Some(staged.durable().await?),
                None => None,
            };
            entries.push((entry, body));
        }
        Ok((entries, self.skipped))
    }
}

impl PutOptions {
    fn tell(&self, event: PutEvent<'_>) {
        if let Some(on_event) = &self.on_event {
            on_event(event);
        }
    }
}

impl PutReport {
    fn count(&mut self, what: &What, bytes: u64, published: &Published) {
        self.version = self.version.max(published.version);
        self.bytes += bytes;
        match what {
            What::File(_) => self.file_count += 1,
            What::Directory => self.directory_count += 1,
            What::Symlink(_) => self.symlink_count += 1,
            What::DirectoryEnd => {}
        }
    }
}

fn checked(options: PutOptions) -> Result<PutOptions, Failure> {
    let in_range = (1..=PARALLEL_PUTS_MAX).contains(&options.parallel)
        && (1..=BATCH_ITEMS_MAX).contains(&options.batch_items);
    if in_range {
        return Ok(options);
    }
    Err(Failure::new(
        Reason::InvalidArgument,
        format!(
            "parallel is {}, of 1..={PARALLEL_PUTS_MAX}; batch_items is {}, of 1..={BATCH_ITEMS_MAX}",
            options.parallel, options.batch_items
        ),
    ))
}

/// The name that a local path gets inside a directory.
fn base_name(local: &Path) -> Result<Vec<u8>, Failure> {
    if let Some(name) = local.file_name() {
        return Ok(name.as_bytes().to_vec());
    }
    let absolute = std::fs::canonicalize(local);
    let absolute =
        absolute.map_err(|error| super::local_walk::local_failure("read", local, &error))?;
    match absolute.file_name() {
        Some(name) => Ok(name.as_bytes().to_vec()),
        None => Err(Failure::new(
            Reason::InvalidArgument,
            format!("{} has no name; say where it goes", local.display()),
        )),
    }
}
