//! Files into the cache of this machine, before anybody reads them.

use crate::calls::PLAN_ITEMS_MAX;
use crate::{Client, WalkEntry};
use nokv_namespace::{Follow, Target};
use nokv_object::{BodyReader, ReadOptions};
use nokv_types::{Failure, NodeKind, NsPath};
use std::fmt;
use std::sync::Arc;

/// Files planned and warmed together.
const BATCH_FILES: usize = 512;
const _: () = assert!(BATCH_FILES <= PLAN_ITEMS_MAX);

/// Hears of everything that happens while warming. Called from several threads; must return soon.
pub type OnWarm = Arc<dyn Fn(WarmEvent<'_>) + Send + Sync>;

/// Something that happened while warming.
#[derive(Clone, Copy, Debug)]
pub enum WarmEvent<'a> {
    /// The walk found a file of this size.
    Found {
        /// Its bytes.
        bytes: u64,
    },
    /// So many more bytes are in the cache.
    Warmed {
        /// How many.
        bytes: u64,
    },
    /// This file is not in the cache, or not all of it.
    Failed {
        /// Where it is.
        path: &'a NsPath,
        /// Why.
        failure: &'a Failure,
    },
}

/// How [`Client::warm`] works.
#[derive(Clone)]
pub struct WarmOptions {
    /// Fetches under way at once, 1..=256.
    pub parallel: usize,
    /// Told of everything that happens.
    pub on_event: Option<OnWarm>,
}

impl Default for WarmOptions {
    fn default() -> Self {
        Self {
            parallel: ReadOptions::default().parallel_files,
            on_event: None,
        }
    }
}

impl fmt::Debug for WarmOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WarmOptions")
            .field("parallel", &self.parallel)
            .finish_non_exhaustive()
    }
}

/// What warming did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct WarmReport {
    /// Files that are in the cache now, all of them.
    pub file_count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that had to be fetched, as they are stored.
    pub fetched_bytes: u64,
    /// Files that are not, or not all of them.
    pub failed_count: u64,
}

impl Client {
    /// Brings the files at and below some paths into the disk cache. Symbolic links at the start
    /// are followed, those below are left.
    ///
    /// **Guarantees**: bounded memory whatever the number of files. **Errors**: those of walking;
    /// `InvalidArgument` without a disk cache, or for options out of their limits. A file
    /// that can't be warmed is told and counted, and the others go on.
    pub async fn warm(
        &self,
        paths: &[NsPath],
        options: WarmOptions,
    ) -> Result<WarmReport, Failure> {
        let read = ReadOptions {
            parallel_gets: options.parallel,
            parallel_files: options.parallel,
            ..ReadOptions::once()
        };
        let reader = self.reader(read).await?;
        let mut warming = Warming {
            reader,
            options,
            report: WarmReport::default(),
            batch: Vec::new(),
        };
        for path in paths {
            let node = self.lookup(path, Follow::Yes).await?;
            if node.attributes.kind == NodeKind::File {
                warming
                    .take(self, path.clone(), node.attributes.size)
                    .await?;
                continue;
            }
            let mut walk = self.walk(path);
            while let Some(WalkEntry { path, node, .. }) = walk.next().await? {
                if node.attributes.kind == NodeKind::File {
                    let bytes = node.attributes.size;
                    warming.take(walk.client(), path, bytes).await?;
                }
            }
            // What is left is of this walk's version.
            warming.send(walk.client()).await?;
        }
        warming.send(self).await?;
        Ok(warming.report)
    }
}

struct Warming {
    reader: BodyReader,
    options: WarmOptions,
    report: WarmReport,
    batch: Vec<NsPath>,
}

impl Warming {
    async fn take(&mut self, client: &Client, path: NsPath, bytes: u64) -> Result<(), Failure> {
        self.tell(WarmEvent::Found { bytes });
        self.batch.push(path);
        if self.batch.len() >= BATCH_FILES {
            self.send(client).await?;
        }
        Ok(())
    }

    /// Warms the batch, which may take several plans.
    async fn send(&mut self, client: &Client) -> Result<(), Failure> {
        let paths = std::mem::take(&mut self.batch);
        let mut rest = paths.as_slice();
        while !rest.is_empty() {
            let targets: Vec<_> = rest.iter().map(Target::Path).collect();
            let found = client.bodies_of(&targets).await?;
            if found.is_empty() {
                return Err(nokv_proto::invalid("results", "are empty"));
            }
            let (planned, left) = rest.split_at(found.len().min(rest.len()));
            let (mut named, mut bodies) = (Vec::new(), Vec::new());
            for (path, found) in planned.iter().zip(found) {
                match found {
                    Ok((_, body)) => {
                        named.push(path);
                        bodies.push(body);
                    }
                    Err(failure) => self.failed(path, &failure),
                }
            }
            let on_event = self.options.on_event.clone();
            let on_bytes = move |bytes| {
                if let Some(on_event) = &on_event {
                    on_event(WarmEvent::Warmed { bytes });
                }
            };
            let warmed = self.reader.warm(&bodies, &on_bytes).await?;
            for (path, warmed) in named.into_iter().zip(warmed) {
                match warmed {
                    Ok(warmed) => {
                        self.report.file_count += 1;
                        self.report.bytes += warmed.bytes;
                        self.report.fetched_bytes += warmed.fetched_bytes;
                    }
                    Err(error) => self.failed(path, &error.into()),
                }
            }
            rest = left;
        }
        Ok(())
    }

    fn failed(&mut self, path: &NsPath, failure: &Failure) {
        self.report.failed_count += 1;
        self.tell(WarmEvent::Failed { path, failure });
    }

    fn tell(&self, event: WarmEvent<'_>) {
        if let Some(on_event) = &self.options.on_event {
            on_event(event);
        }
    }
}
