//! Reading a dump, and making it again.
//!
//! A load is all or nothing: it goes into a directory beside its place, and one command puts it in
//! place after the dump was read to its end. What fails removes that directory; what is killed
//! leaves it, and says so to the next load of the same place.

use super::embedded::Upload;
use crate::Client;
use crate::session::UploadSession;
use nokv_dump::{Bodies, Content, DumpReader, Flaw, Head, Identity, Item, NodeItem, encode_node};
use nokv_namespace::{
    Changed, Follow, KnownNode, LOADED_NAME, Load, LoadDirectory, Loaded, Parents, QuotaLimits,
    Remove,
};
use nokv_object::{UploadOptions, Uploader};
use nokv_proto::v1::{self, request::Method, response::Result as Answer};
use nokv_server::wire;
use nokv_types::{Failure, Name, NodeId, NodeKind, NsPath, Reason};
use std::collections::{HashMap, HashSet};
use std::io::BufRead;
use std::sync::Arc;
use tokio::task::block_in_place;

/// Nodes of one command: some ten milliseconds of the log.
const BATCH_NODES: usize = 4_096;
/// Bytes of nodes of one command, and bytes of data between two: what is in memory.
const BATCH_BYTES: usize = 1 << 20;
/// What the name of the directory that a load goes into begins with.
const LOADING_PREFIX: &str = ".nokv-load-";

/// Hears how far a load is.
pub type OnLoad = Arc<dyn Fn(LoadEvent) + Send + Sync>;

/// What a load has done more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LoadEvent {
    /// Bytes of the dump were read and made again.
    Read(u64),
}

/// What was loaded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoadReport {
    /// What the dump said of itself.
    pub head: Head,
    /// Nodes, one for each name.
    pub node_count: u64,
    /// Bytes of bodies that came along.
    pub data_bytes: u64,
}

impl Client {
    /// Makes what a dump holds again, at a place that is free, or in an empty root. `name` is how
    /// the dump is called in failures.
    ///
    /// **Guarantees**: all of it is there when this returns, durable, or nothing. **Errors**:
    /// `Corrupt` with the offset for a dump that is damaged or cut off; `AlreadyExists`, `NotEmpty`
    /// for the place; `Busy` when another load into it is under way or was killed; `MissingBlock`
    /// for a dump of another store, or of this one when it has given the bodies up;
    /// `QuotaExceeded`.
    pub async fn load<R: BufRead + Send>(
        &self,
        input: R,
        name: &str,
        place: &NsPath,
        on_event: Option<OnLoad>,
    ) -> Result<LoadReport, Failure> {
        let opened = block_in_place(|| DumpReader::new(input));
        let (reader, head) = opened.map_err(|flaw| flaw.into_failure(name))?;
        let loading = self.begin_load(place).await?;
        let directory = self.make_dir(&loading, 0o700, Parents::Required).await;
        let directory = directory.map_err(|failure| under_way(failure, &loading, place))?;
        let mut load = Loading {
            client: self,
            head: &head,
            directories: vec![LoadDirectory {
                node: directory.node.id,
                times: None,
            }],
            path: Vec::new(),
            known: HashMap::new(),
            seen: HashSet::new(),
            is_checked: false,
            quotas: Vec::new(),
            session: None,
            nodes: Vec::new(),
            report: (0, 0),
        };
        let loaded = load.run(reader, name, on_event).await;
        let session = load.session.take();
        let (report, quotas) = (load.report, std::mem::take(&mut load.quotas));
        let finished = match loaded {
            Ok(()) => self.end_load(&loading, place, quotas).await,
            Err(failure) => Err(failure),
        };
        if let Some((session, _)) = session {
            session.close().await;
        }
        match finished {
            Ok(()) => Ok(LoadReport {
                head,
                node_count: report.0,
                data_bytes: report.1,
            }),
            Err(failure) => {
                if let Err(left) = self.remove(&loading, Remove::Tree).await {
                    tracing::warn!(failure = %left, %loading, "a part of a load is left");
                }
                Err(failure)
            }
        }
    }

    /// Looks whether the place can be loaded into; the directory to load into.
    async fn begin_load(&self, place: &NsPath) -> Result<NsPath, Failure> {
        let Some((parent, name)) = place.split_last() else {
            let page = self.read_dir(place, None, 1).await?;
            if let Some(entry) = page.entries.first() {
                return Err(
                    match entry.name.as_bytes().starts_with(LOADING_PREFIX.as_bytes()) {
                        true => under_way(
                            Failure::new(Reason::AlreadyExists, String::new()),
                            &NsPath::root().join(&entry.name)?,
                            place,
                        ),
                        false => Failure::new(
                            Reason::NotEmpty,
                            "the root is not empty; load into a directory that is not there yet",
                        ),
                    },
                );
            }
            return loading_path(place, b"");
        };
        match self.lookup(place, Follow::No).await {
            Ok(_) => Err(Failure::new(
                Reason::AlreadyExists,
                format!("{place} exists already; load elsewhere, or remove it first"),
            )),
            Err(failure) if failure.reason() == Reason::NotFound => {
                loading_path(&parent, name.as_bytes())
            }
            Err(failure) => Err(failure),
        }
    }

    async fn end_load(
        &self,
        loading: &NsPath,
        place: &NsPath,
        quotas: Vec<(Vec<Name>, QuotaLimits)>,
    ) -> Result<(), Failure> {
        let loaded = loading.join(&Name::new(LOADED_NAME.as_bytes())?)?;
        let mut of_root = None;
        for (names, limits) in quotas {
            if names.is_empty() && place.is_root() {
                of_root = Some(limits);
                continue;
            }
            let directory = names
                .iter()
                .try_fold(loaded.clone(), |path, name| path.join(name))?;
            self.set_quota(&directory, limits).await?;
        }
        self.finish_load(loading, place).await?;
        if let Some(limits) = of_root {
            self.set_quota(place, limits).await?;
        }
        Ok(())
    }

    /// Puts what was loaded in place: see [`nokv_namespace::Namespace::finish_load`].
    pub async fn finish_load(&self, loading: &NsPath, place: &NsPath) -> Result<Changed, Failure> {
        self.change(Method::FinishLoad(v1::FinishLoadRequest {
            context: Some(self.context()),
            loading: loading.to_bytes().into(),
            place: place.to_bytes().into(),
        }))
        .await
    }

    /// Makes nodes of a dump: see [`nokv_namespace::Namespace::load`].
    pub async fn load_nodes(&self, load: Load) -> Result<Loaded, Failure> {
        let mut ask = wire::load_to_wire(load);
        let mut context = self.context();
        context.set_durability(v1::Durability::Buffered);
        ask.context = Some(context);
        let pick = |answer| match answer {
            Answer::Load(answer) => Some(answer),
            _ => None,
        };
        let transport = &self.shared.transport;
        Ok(wire::loaded(transport.call(Method::Load(ask), pick).await?))
    }
}

/// A load under way.
struct Loading<'a> {
    client: &'a Client,
    head: &'a Head,
    directories: Vec<LoadDirectory>,
    /// Names from the top down to the last node.
    path: Vec<Name>,
    known: HashMap<Identity, NodeId>,
    /// Nodes with several names that were read.
    seen: HashSet<Identity>,
    /// It is known whether the objects that bodies refer to are this store's.
    is_checked: bool,
    quotas: Vec<(Vec<Name>, QuotaLimits)>,
    session: Option<(UploadSession, Uploader)>,
    /// Nodes that are not made yet, with the uploads of their bodies.
    nodes: Vec<(Box<NodeItem>, Option<Upload>)>,
    /// Nodes and bytes of data.
    report: (u64, u64),
}

impl Loading<'_> {
    async fn run<R: BufRead>(
        &mut self,
        mut reader: DumpReader<R>,
        name: &str,
        on_event: Option<OnLoad>,
    ) -> Result<(), Failure> {
        let mut offset = 0;
        loop {
            let (items, is_over) = block_in_place(|| read_batch(&mut reader))
                .map_err(|flaw| flaw.into_failure(name))?;
            for item in items {
                match item {
                    Item::Node(node) => self.node(node).await?,
                    Item::Data { offset, bytes } => {
                        self.report.1 += bytes.len() as u64;
                        let upload = self.nodes.last_mut();
                        match upload.and_then(|(_, upload)| upload.as_mut()) {
                            Some(upload) => upload.push(offset, &bytes).await?,
                            None => return Err(unexpected(name)),
                        }
                    }
                }
                if self.nodes.len() >= BATCH_NODES {
                    self.flush().await?;
                }
            }
            if is_over || self.nodes.len() > 1 {
                self.flush_but_open(is_over).await?;
            }
            if let Some(on_event) = &on_event {
                on_event(LoadEvent::Read(reader.read_bytes() - offset));
            }
            offset = reader.read_bytes();
            if is_over {
                return Ok(());
            }
        }
    }

    async fn node(&mut self, node: Box<NodeItem>) -> Result<(), Failure> {
        self.end_last().await?;
        self.report.0 += 1;
        self.path.truncate((node.depth as usize).saturating_sub(1));
        self.path.extend(node.name.clone());
        if let Some(quota) = node.quota {
            let limits = QuotaLimits {
                bytes: quota.bytes,
                inodes: quota.inodes,
            };
            self.quotas.push((self.path.clone(), limits));
        }
        let is_new = node.links == 1 || self.seen.insert(node.node);
        let upload = match &node.content {
            Content::Body(body) if node.has_extents() && is_new => match self.head.bodies {
                Bodies::Embedded => {
                    let shown = self.path.iter().map(|name| format!("/{name}"));
                    let shown: String = shown.collect();
                    Some(Upload::new(self.uploader().await?, shown, body.clone()))
                }
                Bodies::Referenced => {
                    self.check_store().await?;
                    None
                }
            },
            _ => None,
        };
        self.nodes.push((node, upload));
        Ok(())
    }

    async fn uploader(&mut self) -> Result<Uploader, Failure> {
        if let Some((_, uploader)) = &self.session {
            return Ok(uploader.clone());
        }
        let mut session = UploadSession::open(self.client).await?;
        let uploader = session.uploader(UploadOptions::default()).await?;
        self.session = Some((session, uploader.clone()));
        Ok(uploader)
    }

    /// Refuses bodies of another store's objects.
    async fn check_store(&mut self) -> Result<(), Failure> {
        if self.is_checked || self.client.store_id().await? == self.head.store_id {
            self.is_checked = true;
            return Ok(());
        }
        Err(Failure::new(
            Reason::MissingBlock,
            "the dump refers to objects of the store that it was made of, and this is another one; \
             make it with --with-bodies",
        ))
    }

    async fn end_last(&mut self) -> Result<(), Failure> {
        match self.nodes.last_mut() {
            Some((_, Some(upload))) => upload.end_run().await,
            _ => Ok(()),
        }
    }

    /// Makes all nodes but the last, whose data may still come.
    async fn flush_but_open(&mut self, is_over: bool) -> Result<(), Failure> {
        if is_over {
            return self.flush().await;
        }
        let last = self.nodes.pop();
        self.flush().await?;
        self.nodes.extend(last);
        Ok(())
    }

    /// Makes the nodes that were read.
    async fn flush(&mut self) -> Result<(), Failure> {
        self.end_last().await?;
        let mut items = Vec::with_capacity(self.nodes.len());
        for (mut node, upload) in std::mem::take(&mut self.nodes) {
            if let Some(upload) = upload {
                node.content = Content::Body(upload.durable().await?);
            } else if node.has_extents() && self.head.bodies == Bodies::Embedded {
                // Another name of a node: its body is not looked at.
                node.content = Content::Body(nokv_types::Body::empty());
            }
            items.push(node);
        }
        let mut rest = &items[..];
        while !rest.is_empty() {
            let mut nodes = Vec::new();
            let mut count = 0;
            while let Some(item) = rest.get(count).filter(|_| nodes.len() < BATCH_BYTES) {
                encode_node(&mut nodes, item);
                count += 1;
            }
            let (now, later) = rest.split_at(count);
            self.make(now, nodes).await?;
            rest = later;
        }
        Ok(())
    }

    async fn make(&mut self, items: &[Box<NodeItem>], nodes: Vec<u8>) -> Result<(), Failure> {
        let again = items.iter().filter(|item| item.links > 1);
        let known = again.filter_map(|item| {
            let node = *self.known.get(&item.node)?;
            let dumped = item.node;
            Some(KnownNode { dumped, node })
        });
        let load = Load {
            directories: self.directories.clone(),
            nodes: nodes.into(),
            known: known.collect(),
            session: self.session.as_ref().map(|(session, _)| session.id()),
        };
        let loaded = self.client.load_nodes(load).await?;
        for (item, node) in items.iter().zip(loaded.nodes) {
            if item.kind == NodeKind::Directory {
                self.directories.truncate(item.depth as usize + 1);
                let times = Some((item.mtime, item.ctime));
                self.directories.push(LoadDirectory { node, times });
            } else if item.links > 1 {
                self.known.insert(item.node, node);
            }
        }
        Ok(())
    }
}

/// Items of about [`BATCH_BYTES`], and whether they are the last.
fn read_batch<R: BufRead>(reader: &mut DumpReader<R>) -> Result<(Vec<Item>, bool), Flaw> {
    let mut items = Vec::new();
    let mut data_bytes = 0;
    while items.len() < BATCH_NODES && data_bytes < BATCH_BYTES {
        match reader.next_item()? {
            None => return Ok((items, true)),
            Some(item) => {
                if let Item::Data { bytes, .. } = &item {
                    data_bytes += bytes.len();
                }
                items.push(item);
            }
        }
    }
    Ok((items, false))
}

/// The directory beside a place that loads into it go into.
fn loading_path(parent: &NsPath, name: &[u8]) -> Result<NsPath, Failure> {
    let digest = name_hash(name);
    parent.join(&Name::new(format!("{LOADING_PREFIX}{digest:016x}"))?)
}

/// FNV-1a: names of loads only have to differ.
fn name_hash(name: &[u8]) -> u64 {
    name.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn under_way(failure: Failure, loading: &NsPath, place: &NsPath) -> Failure {
    match failure.reason() {
        Reason::AlreadyExists => Failure::new(
            Reason::Busy,
            format!(
                "another load into {place} is under way, or was interrupted; if nobody loads, \
                 remove what it left: nokv rm -r {loading}"
            ),
        ),
        _ => failure,
    }
}

fn unexpected(name: &str) -> Failure {
    let flaw = format!("{name}: data without a file that needs it");
    Failure::new(Reason::Corrupt, flaw)
}
