//! Trees of the store to local directories.
//!
//! One task walks the store at one version, makes directories and asks for the bodies of many files
//! at a time; beside it the files of the batches before are fetched, each under a temporary name,
//! dressed and renamed.
//!
//! Invariants:
//! - under a final name stands a whole, verified file or what was there before;
//! - nothing is written outside of the target ([`super::local_dir`]);
//! - a directory gets its permissions and times after everything in it is there;
//! - what a transfer that fails or is dropped has begun is removed;
//! - open handles are bounded: by depth, and by [`BATCH_DIRECTORIES_MAX`] for each batch in flight.

use super::local_dir::LocalDir;
use super::local_walk::local_failure;
use super::options::{Existing, GetEvent, GetOptions, GetReport, Placement, Skipped};
use crate::Client;
use crate::calls::PLAN_ITEMS_MAX;
use crate::walk::{Walk, WalkEntry};
use nokv_namespace::{Node, Target};
use nokv_object::{BodyReader, ReadItem, ReadOptions};
use nokv_types::{Attributes, Body, Failure, NodeKind, NsPath, Reason};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Files and links of one batch.
const BATCH_ITEMS_MAX: usize = 512;
/// Directories whose handles one batch may hold: some batches together stay far below 1,024 open
/// files.
const BATCH_DIRECTORIES_MAX: usize = 64;
/// Batches planned while one is fetched.
const BATCHES_AHEAD: usize = 2;
const _: () = assert!(BATCH_ITEMS_MAX <= PLAN_ITEMS_MAX);

/// A file or link to be made.
struct Item {
    path: NsPath,
    dir: Arc<LocalDir>,
    name: Vec<u8>,
    temporary: String,
    node: Node,
    content: Content,
}

/// What is in an item.
enum Content {
    /// A file; its body once it is known.
    File(Option<Body>),
    /// A link to this.
    Link(Vec<u8>),
}

/// What is fetched together.
#[derive(Default)]
struct Batch {
    items: Vec<Item>,
    /// Directories that the walk has left: everything in them is in this batch or earlier ones.
    ended: Vec<(Arc<LocalDir>, Attributes)>,
    directory_count: usize,
    skipped: Vec<Skipped>,
}

impl Client {
    /// Writes a file or directory of the store to a local path: names, modes, times, symbolic links
    /// as links, empty directories. All of one version. Owners become those of the process.
    ///
    /// **Guarantees**: no file stands half under its name, nothing is written outside of the
    /// target, local links are not followed below it. After an error or a drop, files that were
    /// told as written stay. **Errors**: those of walking and reading; those of local files,
    /// each named; `AlreadyExists` by [`Existing`].
    pub async fn get_tree(
        &self,
        path: &NsPath,
        local: &Path,
        options: GetOptions,
    ) -> Result<GetReport, Failure> {
        let destination = destination(path, local, options.placement)?;
        let reader = self.reader(ReadOptions::once()).await?;
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let planner = Planner {
            walk: self.walk(path),
            stack: Vec::new(),
            batch: Batch::default(),
            options: options.clone(),
            prefix: format!(".nokv-{:016x}-", self.shared.env.random.next_u64()),
            next_temporary: 0,
            sender,
        };
        let planned = destination.clone();
        let mut plans = Plans {
            receiver,
            task: tokio::spawn(planner.run(planned)),
        };
        let mut report = GetReport {
            destination,
            ..GetReport::default()
        };
        while let Some(batch) = plans.receiver.recv().await {
            write_batch(batch, &reader, &options, &mut report).await?;
        }
        let ended = (&mut plans.task).await;
        report.version = ended
            .map_err(|error| Failure::new(Reason::Io, format!("the walk failed: {error}")))??;
        Ok(report)
    }
}

/// The batches of a walk. Dropping it stops the walk.
struct Plans {
    receiver: mpsc::Receiver<Batch>,
    task: JoinHandle<Result<nokv_types::Version, Failure>>,
}

impl Drop for Plans {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The walk, and what of it is not sent yet.
struct Planner {
    walk: Walk,
    /// The directories above the current entry, from the top.
    stack: Vec<(Arc<LocalDir>, Attributes)>,
    batch: Batch,
    options: GetOptions,
    prefix: String,
    next_temporary: u64,
    sender: mpsc::Sender<Batch>,
}

impl Planner {
    async fn run(mut self, destination: PathBuf) -> Result<nokv_types::Version, Failure> {
        while let Some(entry) = self.walk.next().await? {
            self.leave_to(entry.depth);
            let (dir, name) = match self.stack.last() {
                Some((dir, _)) => {
                    let name = entry.path.last().map(|name| name.as_bytes().to_vec());
                    (Arc::clone(dir), name.unwrap_or_default())
                }
                None => top(&entry, &destination)?,
            };
            self.take(entry, dir, name, &destination).await?;
            if self.batch.items.len() >= BATCH_ITEMS_MAX
                || self.batch.directory_count >= BATCH_DIRECTORIES_MAX
            {
                self.send().await?;
            }
        }
        self.leave_to(0);
        self.send().await?;
        Ok(self.walk.version())
    }

    /// Leaves the directories that are not above an entry of this depth.
    fn leave_to(&mut self, depth: usize) {
        while self.stack.len() > depth {
            self.batch.ended.extend(self.stack.pop());
        }
    }

    async fn take(
        &mut self,
        entry: WalkEntry,
        dir: Arc<LocalDir>,
        name: Vec<u8>,
        destination: &Path,
    ) -> Result<(), Failure> {
        let WalkEntry { path, depth, node } = entry;
        let attributes = node.attributes;
        let content = match attributes.kind {
            NodeKind::Directory => {
                self.options.tell(GetEvent::Found {
                    path: &path,
                    bytes: 0,
                });
                let own = if depth == 0 {
                    enter_top(destination)?
                } else {
                    dir.enter(&name)?
                };
                self.stack.push((Arc::new(own), attributes));
                self.batch.directory_count += 1;
                return Ok(());
            }
            NodeKind::File => Content::File(None),
            NodeKind::Symlink => {
                let link = Target::Path(&path);
                Content::Link(self.walk.client().read_link(link).await?.to_vec())
            }
            NodeKind::Fifo
            | NodeKind::Socket
            | NodeKind::CharDevice(_)
            | NodeKind::BlockDevice(_) => {
                let why = "a special file; only files, directories and links are written".into();
                self.batch.skipped.push(Skipped {
                    local: dir.child(&name),
                    why,
                });
                return Ok(());
            }
        };
        self.options.tell(GetEvent::Found {
            path: &path,
            bytes: attributes.size,
        });
        self.next_temporary += 1;
        let temporary = format!("{}{}", self.prefix, self.next_temporary);
        self.batch.items.push(Item {
            path,
            dir,
            name,
            temporary,
            node,
            content,
        });
        Ok(())
    }

    /// Asks for the bodies of the batch and passes it on.
    async fn send(&mut self) -> Result<(), Failure> {
        let mut batch = std::mem::take(&mut self.batch);
        let files: Vec<usize> = (0..batch.items.len())
            .filter(|index| matches!(batch.items[*index].content, Content::File(_)))
            .collect();
        let mut rest = files.as_slice();
        while !rest.is_empty() {
            let targets: Vec<_> = rest
                .iter()
                .map(|index| Target::Path(&batch.items[*index].path))
                .collect();
            let found = self.walk.client().bodies_of(&targets).await?;
            if found.is_empty() {
                return Err(Failure::new(Reason::Io, "the server answered no read plan"));
            }
            let (answered, left) = rest.split_at(found.len().min(rest.len()));
            for (index, found) in answered.iter().zip(found) {
                let item = &mut batch.items[*index];
                let (node, body) = found.map_err(|failure| failure.context(&item.path))?;
                item.node = node;
                item.content = Content::File(Some(body));
            }
            rest = left;
        }
        // The receiver has gone only when the transfer was given up.
        drop(self.sender.send(batch).await);
        Ok(())
    }
}

/// The directory and the name that the start of a walk gets. For a directory they are not used.
fn top(entry: &WalkEntry, destination: &Path) -> Result<(Arc<LocalDir>, Vec<u8>), Failure> {
    let parent = match destination.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let name = destination.file_name().map(|name| name.as_bytes().to_vec());
    let is_directory = entry.node.attributes.kind == NodeKind::Directory;
    let parent = if is_directory && name.is_none() {
        destination
    } else {
        parent
    };
    match (name, is_directory) {
        (None, false) => Err(Failure::new(
            Reason::IsDirectory,
            format!("{} is a directory; name the file", destination.display()),
        )),
        (name, _) => Ok((Arc::new(LocalDir::open(parent)?), name.unwrap_or_default())),
    }
}

/// The local directory that a directory of the store is merged into: what the caller named, links
/// followed.
fn enter_top(destination: &Path) -> Result<LocalDir, Failure> {
    match std::fs::create_dir(destination) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(local_failure("make", destination, &error)),
    }
    LocalDir::open(destination)
}

/// Where the start of the transfer goes.
fn destination(path: &NsPath, local: &Path, placement: Placement) -> Result<PathBuf, Failure> {
    let is_inside = match placement {
        Placement::Exact => false,
        Placement::Inside => {
            std::fs::create_dir_all(local).map_err(|error| local_failure("make", local, &error))?;
            true
        }
        Placement::Auto => local.is_dir(),
    };
    if !is_inside {
        return Ok(local.to_owned());
    }
    match path.last() {
        Some(name) => Ok(local.join(std::ffi::OsStr::from_bytes(name.as_bytes()))),
        None => Err(Failure::new(
            Reason::InvalidArgument,
            "the root has no name; get it to exactly a local directory",
        )),
    }
}

/// The temporary names of a batch, removed unless they got their final ones.
struct Temporaries(Vec<Item>);

impl Drop for Temporaries {
    fn drop(&mut self) {
        for item in &self.0 {
            item.dir.remove(&item.temporary);
        }
    }
}

async fn write_batch(
    batch: Batch,
    reader: &BodyReader,
    options: &GetOptions,
    report: &mut GetReport,
) -> Result<(), Failure> {
    let Batch {
        items,
        ended,
        directory_count,
        skipped,
    } = batch;
    let items = Temporaries(items);
    let mut reads = Vec::new();
    let mut indexes = Vec::new();
    for (index, item) in items.0.iter().enumerate() {
        if let Content::File(Some(body)) = &item.content {
            let path = item.dir.stable_path(&item.temporary);
            reads.push(ReadItem {
                body: body.clone(),
                path,
            });
            indexes.push(index);
        }
    }
    let results = reader.read_many(reads, &|_, _| {}).await;
    for (index, result) in indexes.iter().zip(results) {
        let path = items.0.get(*index).map(|item| &item.path);
        result
            .map_err(Failure::from)
            .map_err(|failure| match path {
                Some(path) => failure.context(path),
                None => failure,
            })?;
    }
    let existing = options.existing;
    let settled = tokio::task::spawn_blocking(move || settle(items, ended, existing));
    let settled = settled.await;
    let items = settled
        .map_err(|error| Failure::new(Reason::Io, format!("the transfer failed: {error}")))??;
    for item in &items {
        report.count(item);
        let (local, bytes) = (item.dir.child(&item.name), item.node.attributes.size);
        options.tell(GetEvent::Written {
            path: &item.path,
            local: &local,
            bytes,
        });
    }
    report.directory_count += directory_count as u64;
    for skipped in skipped {
        options.tell(GetEvent::Skipped(&skipped));
        report.skipped.push(skipped);
    }
    Ok(())
}

/// Gives everything its permissions, time and final name, then the directories that are done.
fn settle(
    mut items: Temporaries,
    ended: Vec<(Arc<LocalDir>, Attributes)>,
    existing: Existing,
) -> Result<Vec<Item>, Failure> {
    for item in &items.0 {
        let attributes = &item.node.attributes;
        let mode = match &item.content {
            Content::File(_) => Some(attributes.mode),
            Content::Link(target) => {
                item.dir.make_link(&item.temporary, target)?;
                None
            }
        };
        item.dir.dress(&item.temporary, mode, attributes.mtime)?;
        item.dir.settle(&item.temporary, &item.name, existing)?;
    }
    for (dir, attributes) in ended {
        dir.dress_self(attributes.mode, attributes.mtime)?;
    }
    Ok(std::mem::take(&mut items.0))
}

impl GetOptions {
    fn tell(&self, event: GetEvent<'_>) {
        if let Some(on_event) = &self.on_event {
            on_event(event);
        }
    }
}

impl GetReport {
    fn count(&mut self, item: &Item) {
        match item.content {
            Content::File(_) => {
                self.file_count += 1;
                self.bytes += item.node.attributes.size;
            }
            Content::Link(_) => self.symlink_count += 1,
        }
    }
}
