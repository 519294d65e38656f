//! The publish itself: walk, upload what is not there, one command.

use super::journal::Journal;
use super::options::{PublishExpect, PublishOptions, PublishReport};
use crate::session::UploadSession;
use crate::tree::{
    AHEAD_ENTRIES_MAX, Found, LocalEntry, PutEvent, What, local_failure, walk_local,
};
use crate::{Client, UploadOptions, Uploader};
use futures::stream::{StreamExt, TryStreamExt};
use nokv_namespace::{
    Content, Expect, NewAttributes, PUBLISH_ITEMS_MAX, Parents, Publish, PublishItem,
};
use nokv_object::{BlockStore, Error, PARALLEL_PUTS_MAX, SubtreeHash};
use nokv_types::{Body, Failure, Layout, NsPath, Reason, SessionId};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;

/// Files whose objects are waited for together: a pack is filled by many of them.
const SETTLE_FILES: usize = 512;

/// An entry whose bytes are in objects, or need none.
type Uploaded = (LocalEntry, Option<Body>);

impl Client {
    /// Publishes a local file or tree at a path: everything is visible at once, or nothing is.
    /// Parents of the path are made. With a journal, what an attempt that broke off has sent is not
    /// sent again, if it is repeated in time with the same local path and destination.
    ///
    /// **Errors**: by [`PublishOptions::expect`] `AlreadyExists`, `StaleGeneration`, `NotFound`;
    /// `TooLarge` for more than `PUBLISH_ITEMS_MAX` paths; `Busy` while another process publishes
    /// the same; `InvalidArgument`; whatever keeps a local file from being read, naming it; those
    /// of the object store, and of [`Client::publish`].
    pub async fn publish_tree(
        &self,
        local: &Path,
        path: &NsPath,
        options: PublishOptions,
    ) -> Result<PublishReport, Failure> {
        check(path, &options)?;
        let journal = self.journal(local, path, &options).await?;
        let mut upload = Upload::open(self, journal, &options).await?;
        let entries = upload.run(local, path, &options).await?;
        let publish = publish(entries, path, &options, upload.session.id())?;
        let mut report = upload.report(&publish);
        report.symlink_count -= u64::from(options.latest.is_some());
        let published = self.publish_as(publish, options.request).await?;
        upload.finish().await;
        report.version = published
            .first()
            .map_or(report.version, |first| first.version);
        for published in &published {
            options.tell(PutEvent::Published {
                published,
                bytes: 0,
            });
        }
        report.published = published;
        Ok(report)
    }

    async fn journal(
        &self,
        local: &Path,
        path: &NsPath,
        options: &PublishOptions,
    ) -> Result<Option<Journal>, Failure> {
        let Some(dir) = options.journal_dir.clone() else {
            return Ok(None);
        };
        let canonical = std::fs::canonicalize(local);
        let local = canonical.map_err(|error| local_failure("read", local, &error))?;
        let store = self.status().await?.store_id;
        let view = (self.view.mount.get(), self.view.branch.get());
        let subject = format!("{store}\n{view:?}\n{}\n{path}", local.display());
        let name = SubtreeHash::join(&[SubtreeHash::of(subject.as_bytes(), 0)]);
        let name = name.map_or_else(String::new, |digest| digest.to_string());
        let name = name
            .trim_start_matches("blake3:")
            .get(..32)
            .unwrap_or("publish")
            .to_owned();
        let env = self.shared.env.clone();
        on_disk(move || Journal::open(&env, &dir, &name))
            .await
            .map(Some)
    }
}

/// An upload that can be resumed.
struct Upload {
    session: UploadSession,
    uploader: Uploader,
    journal: Option<Journal>,
    /// Bytes of the objects that earlier attempts left; `None` where they can't be listed.
    objects: Option<HashMap<u32, u64>>,
    resumed_count: u64,
    resumed_bytes: u64,
}

impl Upload {
    async fn open(
        client: &Client,
        journal: Option<Journal>,
        options: &PublishOptions,
    ) -> Result<Self, Failure> {
        let mut objects = None;
        let (mut session, journal, first) = match journal {
            None => (UploadSession::open(client).await?, None, 0),
            Some(journal) => {
                let (session, mut journal) = resume(client, journal, options.resume_ms).await?;
                let known = list(&*client.blocks().await?, session.id()).await?;
                objects = known;
                let begun = on_disk(move || journal.next_run().map(|first| (journal, first)));
                let (journal, first) = begun.await?;
                (session, Some(journal), first)
            }
        };
        let defaults = client.shared.options.upload;
        let parallel_puts = options.parallel.max(defaults.parallel_puts);
        let uploader = session
            .uploader(UploadOptions {
                parallel_puts,
                ..defaults
            })
            .await?;
        uploader.number_from(first);
        Ok(Self {
            session,
            uploader,
            journal,
            objects,
            resumed_count: 0,
            resumed_bytes: 0,
        })
    }

    /// Everything below `local`, uploaded.
    async fn run(
        &mut self,
        local: &Path,
        path: &NsPath,
        options: &PublishOptions,
    ) -> Result<Vec<Uploaded>, Failure> {
        let (sender, mut found) = mpsc::channel(AHEAD_ENTRIES_MAX);
        let roots = vec![(local.to_owned(), path.clone())];
        let walk = tokio::task::spawn_blocking(move || walk_local(roots, &sender));
        let mut entries = Vec::new();
        let mut waiting = Vec::new();
        while let Some(found) = found.recv().await {
            let entry = entry(found?)?;
            if matches!(entry.what, What::DirectoryEnd) {
                continue;
            }
            if entries.len() >= PUBLISH_ITEMS_MAX {
                return Err(Failure::new(
                    Reason::TooLarge,
                    format!("more than {PUBLISH_ITEMS_MAX} paths; publish them in parts"),
                ));
            }
            let What::File(size) = entry.what else {
                entries.push((entry, None));
                continue;
            };
            options.tell(PutEvent::Found {
                local: &entry.local,
                bytes: size,
            });
            let body = self.find(&entry, size);
            if body.is_none() {
                waiting.push(entries.len());
            }
            entries.push((entry, body));
            if waiting.len() >= SETTLE_FILES {
                self.upload(&mut entries, std::mem::take(&mut waiting), options)
                    .await?;
            }
        }
        self.upload(&mut entries, waiting, options).await?;
        let ended = walk.await;
        ended.map_err(|error| Failure::new(Reason::Io, format!("the walk failed: {error}")))?;
        Ok(entries)
    }

    /// What an earlier attempt sent of a file, if it is all there.
    fn find(&mut self, entry: &LocalEntry, size: u64) -> Option<Body> {
        let body = self.journal.as_ref()?.find(entry, size)?;
        if let (Some(objects), Layout::Extents(extents)) = (&self.objects, body.layout()) {
            let is_there = extents.iter().all(|extent| {
                let bytes = objects.get(&extent.block().sequence).copied().unwrap_or(0);
                u64::from(extent.unit.object_range().end) <= bytes
            });
            if !is_there {
                return None;
            }
        }
        self.resumed_count += 1;
        self.resumed_bytes += size;
        Some(body)
    }

    /// Uploads some files and waits until their objects are durable.
    async fn upload(
        &mut self,
        entries: &mut [Uploaded],
        waiting: Vec<usize>,
        options: &PublishOptions,
    ) -> Result<(), Failure> {
        let files: Vec<(usize, PathBuf, u64)> = waiting
            .into_iter()
            .filter_map(|index| match entries.get(index) {
                Some((
                    LocalEntry {
                        local,
                        what: What::File(size),
                        ..
                    },
                    _,
                )) => Some((index, local.clone(), *size)),
                _ => None,
            })
            .collect();
        let uploader = &self.uploader;
        let staged: Vec<_> = futures::stream::iter(files)
            .map(|(index, local, size)| async move {
                let staged = uploader.upload_file(&local, Some(size)).await;
                let staged = staged.map_err(|error| unreadable(&local, error))?;
                options.tell(PutEvent::Uploaded {
                    local: &local,
                    bytes: staged.size(),
                });
                Ok::<_, Failure>((index, staged))
            })
            .buffer_unordered(options.parallel)
            .try_collect()
            .await?;
        for (index, staged) in staged {
            let body = staged.durable().await?;
            let Some((entry, slot)) = entries.get_mut(index) else {
                continue;
            };
            if let Some(journal) = &mut self.journal {
                journal.add(entry, &body)?;
            }
            *slot = Some(body);
        }
        Ok(())
    }

    fn report(&self, publish: &Publish) -> PublishReport {
        let mut report = PublishReport {
            resumed_count: self.resumed_count,
            resumed_bytes: self.resumed_bytes,
            ..PublishReport::default()
        };
        for item in &publish.items {
            match &item.content {
                Content::File(body) => {
                    report.file_count += 1;
                    report.bytes += body.size();
                }
                Content::Directory => report.directory_count += 1,
                Content::Symlink(_) => report.symlink_count += 1,
            }
        }
        report
    }

    /// The publish is done.
    async fn finish(self) {
        if let Some(journal) = self.journal {
            journal.remove();
        }
        self.session.close().await;
    }
}

/// The session of the earlier attempts, or a new one when that is over.
async fn resume(
    client: &Client,
    journal: Journal,
    resume_ms: u32,
) -> Result<(UploadSession, Journal), Failure> {
    if let Some(session) = journal.session() {
        match UploadSession::resume(client, session, resume_ms).await {
            Ok(session) => return Ok((session, journal)),
            Err(failure) if failure.reason() == Reason::SessionExpired => {}
            Err(failure) => return Err(failure),
        }
    }
    let session = UploadSession::open_for(client, resume_ms).await?;
    let (id, mut journal) = (session.id(), journal);
    let journal = on_disk(move || journal.begin(id).map(|()| journal)).await?;
    Ok((session, journal))
}

/// The objects of a session by number; `None` where this client can't list them.
async fn list(
    blocks: &dyn BlockStore,
    session: SessionId,
) -> Result<Option<HashMap<u32, u64>>, Failure> {
    match blocks.list_session(session).await {
        Ok(entries) => {
            let entry = entries
                .iter()
                .map(|entry| (entry.block.sequence, entry.bytes));
            Ok(Some(entry.collect()))
        }
        Err(Error::Unavailable(why)) => Err(Error::Unavailable(why).into()),
        Err(error) => {
            tracing::debug!(%error, "the objects of an upload can't be listed from here");
            Ok(None)
        }
    }
}

/// The one command.
fn publish(
    entries: Vec<Uploaded>,
    path: &NsPath,
    options: &PublishOptions,
    session: SessionId,
) -> Result<Publish, Failure> {
    let mut items = Vec::with_capacity(entries.len() + 1);
    for (entry, body) in entries {
        let content = match (entry.what, body) {
            (What::File(_), Some(body)) => Content::File(body),
            (What::File(_), None) => Content::File(Body::empty()),
            (What::Symlink(target), _) => Content::Symlink(target.into()),
            (What::Directory | What::DirectoryEnd, _) => Content::Directory,
        };
        let is_root = items.is_empty();
        let expect = match options.expect {
            PublishExpect::Absent if is_root => Expect::Absent,
            PublishExpect::Generation(generation) if is_root => {
                if !matches!(content, Content::File(_)) {
                    let advice = "only a file has a generation to expect; this is a directory";
                    return Err(Failure::new(Reason::InvalidArgument, advice));
                }
                Expect::Generation(generation)
            }
            _ => Expect::Any,
        };
        items.push(PublishItem {
            path: entry.path,
            content,
            attributes: NewAttributes {
                mtime: Some(entry.mtime),
                ..NewAttributes::mode(entry.mode)
            },
            expect,
        });
    }
    items.extend(pointer(path, options)?);
    Ok(Publish {
        items,
        parents: Parents::Create,
        session: Some(session),
    })
}

/// The link beside a path that leads to it.
fn pointer(path: &NsPath, options: &PublishOptions) -> Result<Option<PublishItem>, Failure> {
    let (Some(latest), Some((parent, name))) = (&options.latest, path.split_last()) else {
        return Ok(None);
    };
    Ok(Some(PublishItem {
        path: parent.join(latest)?,
        content: Content::Symlink(name.to_bytes()),
        attributes: NewAttributes::mode(0o777),
        expect: Expect::Any,
    }))
}

fn check(path: &NsPath, options: &PublishOptions) -> Result<(), Failure> {
    let refused = |flaw: String| Err(Failure::new(Reason::InvalidArgument, flaw));
    if !(1..=PARALLEL_PUTS_MAX).contains(&options.parallel) {
        return refused(format!(
            "parallel is {}, not 1..={PARALLEL_PUTS_MAX}",
            options.parallel
        ));
    }
    match (&options.latest, path.split_last()) {
        (Some(_), None) => {
            refused("the root has nothing beside it; no link leads to it".to_owned())
        }
        (Some(latest), Some((_, name))) if latest == name => refused(format!(
            "{path} can't be a link to itself; name the link otherwise"
        )),
        _ => Ok(()),
    }
}

/// What the walk found, if it can be published.
fn entry(found: Found) -> Result<LocalEntry, Failure> {
    match found {
        Found::Entry(entry) => Ok(entry),
        Found::Skipped(skipped) => Err(Failure::new(
            Reason::InvalidArgument,
            format!(
                "{}: {}; nothing was published",
                skipped.local.display(),
                skipped.why
            ),
        )),
    }
}

/// The failure of an upload, naming the local file.
fn unreadable(local: &Path, error: Error) -> Failure {
    let failure = Failure::from(error);
    match failure.message().contains(&*local.to_string_lossy()) {
        true => failure,
        false => failure.context(local.display()),
    }
}

/// Runs what waits for disks off the tasks.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Failure::new(Reason::Io, format!("a journal failed: {error}")))?
}

impl PublishOptions {
    fn tell(&self, event: PutEvent<'_>) {
        if let Some(on_event) = &self.on_event {
            on_event(event);
        }
    }
}
