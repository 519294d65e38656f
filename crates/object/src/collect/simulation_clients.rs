//! What the clients of a simulation do, and what the oracle makes of it.
//!
//! Every client may die between any two steps, and any of its puts may fail, be lost, or arrive
//! later; whatever comes of it, what was published is whole.

use super::{
    simulation::{Reading, Simulation},
    world_test::{Checked, path},
};
use crate::{Compression, UploadOptions, Uploader};
use bytes::Bytes;
use nokv_env::{Clock, Random};
use nokv_namespace::{
    Content, Context, Durability, Edit, EditAt, EditBody, Expect, Follow, LeaseKeeping,
    NewAttributes, NewSnapshot, Parents, Publish, PublishItem, Remove,
};
use nokv_types::{
    BLOCK_BYTES_MIN, Body, Failure, Layout, NsPath, Reason, SessionId, SnapshotName, Version,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const TRUNK: &str = "/d";
const BRANCHES: [&str; 2] = ["/b0", "/b1"];

/// How clients behave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Habit {
    Sound,
    /// A planted bug: they upload first, and open their session when that is done.
    LedgerAfterUpload,
}

/// What a namespace holds.
#[derive(Clone, Default, Debug)]
pub(super) struct State {
    pub(super) files: BTreeMap<String, Bytes>,
    branches: BTreeSet<&'static str>,
    /// The last change took place in the trunk, and can be undone.
    can_undo: bool,
}

impl Simulation {
    pub(super) fn newest(&self) -> &State {
        let newest = self.states.last_key_value();
        newest.expect("there is always a state").1
    }

    fn became(&mut self, version: Version, context: &Context, state: State) {
        if context.durability == Durability::Synced {
            self.synced = self.synced.max(version);
        }
        self.trace.push(format!("it is version {version}"));
        self.states.insert(version, state);
    }

    /// A directory for everything, on disk.
    pub(super) fn begin(&mut self) {
        let context = Context {
            durability: Durability::Synced,
            ..self.context()
        };
        let made = self
            .namespace
            .make_dir(&context, &path(TRUNK), 0o755, Parents::Required)
            .expect("makes a directory");
        self.became(made.version, &context, State::default());
    }

    fn content(&self, bytes_max: usize) -> Bytes {
        let mut bytes = vec![0; self.below(bytes_max)];
        self.random.fill(&mut bytes);
        bytes.into()
    }

    fn directory(&self) -> &'static str {
        let branches: Vec<_> = self.newest().branches.iter().copied().collect();
        match branches.is_empty() || self.is_one_in(2) {
            true => TRUNK,
            false => branches[self.below(branches.len())],
        }
    }

    fn dies(&self) -> bool {
        self.is_one_in(14)
    }

    /// Opens a session and uploads; `None` if the client died or gave up.
    async fn upload(&mut self, contents: &[Bytes]) -> Option<(SessionId, Vec<Body>)> {
        let ttl_ms = 1 + self.random.below(20_000);
        let mut session = self.namespace.open_session(ttl_ms).expect("opens").id;
        if self.habit == Habit::LedgerAfterUpload {
            session = SessionId::new(session.get() + 1);
        }
        let options = UploadOptions {
            block_bytes: BLOCK_BYTES_MIN,
            pack_bytes_max: 40_000,
            packed_bytes_max: 30_000,
            parallel_puts: 3,
            memory_bytes_max: 1 << 20,
            compression: Compression::Off,
        };
        let (files, network) = (Arc::clone(&self.files) as _, Arc::clone(&self.network) as _);
        let uploader = Uploader::new(files, network, session, options).expect("options");
        let mut staged = Vec::new();
        for content in contents {
            if self.dies() {
                return None;
            }
            staged.push(uploader.upload_bytes(content.clone()).await.ok()?);
        }
        let mut bodies = Vec::new();
        for one in staged {
            if self.dies() {
                return None;
            }
            match one.durable().await {
                Ok(body) => bodies.push(body),
                Err(_) if self.is_one_in(2) => return None,
                Err(_) => {
                    uploader.stop().await;
                    self.namespace.close_session(session).expect("closes");
                    return None;
                }
            }
        }
        if self.habit == Habit::LedgerAfterUpload {
            let opened = self.namespace.open_session(ttl_ms).expect("opens").id;
            assert_eq!(opened, session, "nobody else opened one");
        }
        (!self.dies()).then_some((session, bodies))
    }

    fn end(&self, session: SessionId) {
        // Whoever dies here leaves its session.
        if !self.dies() {
            self.namespace.close_session(session).expect("closes");
        }
    }

    pub(super) async fn publish(&mut self) -> Checked {
        let directory = self.directory();
        let names: BTreeSet<_> = (0..1 + self.below(3))
            .map(|_| NAMES[self.below(NAMES.len())])
            .collect();
        let bytes_max = [9_000, 30_000, 30_000, 150_000][self.below(4)];
        let contents: Vec<_> = names.iter().map(|_| self.content(bytes_max)).collect();
        let Some((session, bodies)) = self.upload(&contents).await else {
            return Ok(());
        };
        let mut state = self.newest().clone();
        let mut items = Vec::new();
        for ((name, content), body) in names.iter().zip(contents).zip(bodies) {
            let text = format!("{directory}/{name}");
            items.push(PublishItem {
                path: path(&text),
                content: Content::File(body),
                attributes: NewAttributes::mode(0o644),
                expect: Expect::Any,
            });
            state.files.insert(text, content);
        }
        state.can_undo = directory == TRUNK;
        self.trace
            .push(format!("publishes {names:?} in {directory}"));
        let publish = Publish {
            items,
            parents: Parents::Required,
            session: Some(session),
        };
        let context = self.context();
        match self.namespace.publish(&context, publish) {
            Ok(published) => self.became(published[0].version, &context, state),
            Err(failure) => allow(&failure, &[Reason::SessionExpired])?,
        }
        self.end(session);
        Ok(())
    }

    fn file(&self) -> Option<(String, Bytes)> {
        let files = &self.newest().files;
        let index = self.below(files.len().max(1));
        let found = files.iter().nth(index)?;
        Some((found.0.clone(), found.1.clone()))
    }

    pub(super) async fn edit(&mut self) -> Checked {
        let Some((text, before)) = self.file() else {
            return Ok(());
        };
        let mut after = before.to_vec();
        let at = self.below(before.len() + 200);
        let mut session = None;
        let edit = match self.below(6) {
            0 => {
                let end = (at + self.below(20_000)).min(after.len());
                let range = at.min(end)..end;
                after[range.clone()].fill(0);
                if range.is_empty() {
                    return Ok(());
                }
                Edit::Punch(range.start as u64..range.end as u64)
            }
            1 => {
                let size = self.below(before.len() + 5_000);
                after.resize(size, 0);
                Edit::Resize(size as u64)
            }
            step => {
                let content = self.content(30_000);
                let Some((opened, mut bodies)) = self.upload(std::slice::from_ref(&content)).await
                else {
                    return Ok(());
                };
                session = Some(opened);
                let at = if step == 2 { before.len() } else { at };
                if after.len() < at + content.len() {
                    after.resize(at + content.len(), 0);
                }
                after[at..at + content.len()].copy_from_slice(&content);
                let place = match step {
                    2 => EditAt::End,
                    _ => EditAt::Offset(at as u64),
                };
                let body = bodies.pop().expect("one was uploaded");
                match write(place, &body) {
                    Some(edit) => edit,
                    None => return Ok(()),
                }
            }
        };
        let edit = EditBody {
            edits: vec![edit],
            sessions: session.into_iter().collect(),
            expect: None,
            digest: None,
            mtime: None,
        };
        self.apply(&text, edit, after.into())?;
        if let Some(session) = session {
            self.end(session);
        }
        Ok(())
    }

    fn apply(&mut self, text: &str, edit: EditBody, after: Bytes) -> Checked {
        self.trace.push(format!("edits {text}: {:?}", edit.edits));
        let context = self.context();
        let target = path(text);
        match self
            .namespace
            .edit_body(&context, &target, Follow::No, edit)
        {
            Ok(edited) => {
                let mut state = self.newest().clone();
                state.files.insert(text.to_owned(), after);
                state.can_undo = text.starts_with(TRUNK);
                self.became(edited.version, &context, state);
                Ok(())
            }
            Err(failure) => allow(&failure, &[Reason::SessionExpired, Reason::Unsupported]),
        }
    }

    /// A range of one file of the trunk into another, by reference.
    pub(super) fn copy(&mut self) -> Checked {
        let of_directory = |text: &String| text.starts_with(TRUNK);
        let names: Vec<_> = self.newest().files.keys().cloned().collect();
        let names: Vec<_> = names.into_iter().filter(of_directory).collect();
        if names.len() < 2 {
            return Ok(());
        }
        let (from, to) = (&names[0], &names[1]);
        let (source, mut after) = {
            let files = &self.newest().files;
            (files[from].clone(), files[to].to_vec())
        };
        let start = self.below(source.len() + 1);
        let end = start + self.below(source.len() - start + 1);
        if start == end {
            return Ok(());
        }
        let at = self.below(after.len() + 1);
        after.resize(after.len().max(at + end - start), 0);
        after[at..at + end - start].copy_from_slice(&source[start..end]);
        let view = self.view();
        let node = self.namespace.lookup(&view, &path(from), Follow::No);
        let node = node.map_err(|failure| failure.to_string())?;
        let edit = EditBody {
            edits: vec![Edit::Copy {
                from: node.id,
                range: start as u64..end as u64,
                to: at as u64,
            }],
            sessions: Vec::new(),
            expect: None,
            digest: None,
            mtime: None,
        };
        let to = to.clone();
        self.apply(&to, edit, after.into())
    }

    pub(super) fn remove(&mut self) -> Checked {
        let Some((text, _)) = self.file() else {
            return Ok(());
        };
        let context = self.context();
        self.trace.push(format!("removes {text}"));
        let removed = self
            .namespace
            .remove(&context, &path(&text), Remove::File)
            .map_err(|failure| failure.to_string())?;
        let mut state = self.newest().clone();
        state.files.remove(&text);
        state.can_undo = text.starts_with(TRUNK);
        self.became(removed.version, &context, state);
        Ok(())
    }

    pub(super) fn snapshot(&mut self) -> Checked {
        let context = Context {
            durability: Durability::Synced,
            ..self.context()
        };
        if self.snapshots.len() > 2 || (!self.snapshots.is_empty() && self.is_one_in(2)) {
            let (name, _) = self.snapshots.remove(self.below(self.snapshots.len()));
            let removed = self.namespace.remove_snapshot(&context, &name);
            return removed.map(drop).map_err(|failure| failure.to_string());
        }
        self.number += 1;
        let name = SnapshotName::parse(&format!("s{}", self.number)).expect("a name");
        let new = NewSnapshot {
            name: name.clone(),
            at: None,
            lease_ms: None,
        };
        let made = self
            .namespace
            .create_snapshot(&context, &path("/"), new)
            .map_err(|failure| failure.to_string())?;
        self.synced = self.synced.max(made.at);
        self.snapshots.push((name, made.at));
        Ok(())
    }

    /// Makes a branch of the trunk, or removes one.
    pub(super) fn branch(&mut self) -> Checked {
        let place = BRANCHES[self.below(BRANCHES.len())];
        let context = self.context();
        let mut state = self.newest().clone();
        state.can_undo = false;
        self.trace.push(format!("branch {place}"));
        if state.branches.remove(place) {
            state.files.retain(|text, _| !text.starts_with(place));
            let removed = self
                .namespace
                .remove(&context, &path(place), Remove::Tree)
                .map_err(|failure| failure.to_string())?;
            self.became(removed.version, &context, state);
            return Ok(());
        }
        let made = self
            .namespace
            .create_branch(&context, &path(TRUNK), &path(place), None)
            .map_err(|failure| failure.to_string())?;
        let of_trunk = self.newest().files.iter();
        let copies = of_trunk.filter(|(text, _)| text.starts_with(TRUNK));
        let copies = copies
            .map(|(text, content)| (format!("{place}{}", &text[TRUNK.len()..]), content.clone()));
        state.files.extend(copies.collect::<Vec<_>>());
        state.branches.insert(place);
        self.became(made.version, &context, state);
        Ok(())
    }

    /// Takes back the last change, if it was one of a file of the trunk.
    pub(super) fn undo(&mut self) -> Checked {
        let mut states = self.states.iter().rev();
        let (Some((last, newest)), Some((_, before))) = (states.next(), states.next()) else {
            return Ok(());
        };
        if !newest.can_undo {
            return Ok(());
        }
        let (last, mut state) = (*last, before.clone());
        state.can_undo = false;
        let context = self.context();
        self.trace.push(format!("undoes {last}"));
        match self.namespace.undo(&context, last) {
            Ok(undone) => self.became(undone.version, &context, state),
            Err(failure) => allow(&failure, &[Reason::Compacted])?,
        }
        Ok(())
    }

    /// Somebody asks where the bytes of a file are, and reads them later.
    pub(super) fn begin_reading(&mut self) -> Checked {
        let at = match self.snapshots.is_empty() || self.is_one_in(2) {
            true => None,
            false => Some(self.snapshots[self.below(self.snapshots.len())].1),
        };
        let lease_ms = 1 + self.random.below(30_000);
        let until_millis = self
            .namespace
            .lease_read(at, lease_ms, LeaseKeeping::AcrossRestarts)
            .map_err(|failure| failure.to_string())?;
        let read_at = at.unwrap_or_else(|| self.namespace.read_version());
        let Some((_, state)) = self.states.range(..=read_at).next_back() else {
            return Ok(());
        };
        let view = match at {
            None => self.view(),
            Some(at) => self.view().at(at),
        };
        for (text, content) in &state.files {
            if self.is_one_in(3) {
                let found = self.namespace.body(&view, &path(text));
                let body = found.map_err(|failure| failure.to_string())?.1;
                self.readings.push(Reading {
                    body,
                    content: content.clone(),
                    at: read_at,
                    until_millis,
                });
                break;
            }
        }
        Ok(())
    }

    /// Readers come back over a network that may give them anything: they take only what was
    /// written.
    pub(super) async fn read_on(&mut self) -> Checked {
        let now = self.clock.now_millis();
        self.readings.retain(|reading| reading.until_millis >= now);
        let files = Arc::clone(&self.files) as _;
        let network = Arc::clone(&self.network) as _;
        let reader = crate::BodyReader::new(files, network, crate::ReadOptions::default());
        let reader = reader.expect("options");
        for reading in &self.readings {
            match reader.read(&reading.body).await {
                Ok(bytes) if bytes == reading.content => {}
                Ok(_) => return Err("a reader took other bytes".to_owned()),
                Err(crate::Error::MissingBlock { block, .. }) => {
                    return Err(format!("{block} is missing for a leased read"));
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Takes all away that keeps the past: snapshots and branches.
    pub(super) fn end_pins(&mut self) -> Checked {
        while !self.snapshots.is_empty() {
            let (name, _) = self.snapshots.remove(0);
            let removed = self.namespace.remove_snapshot(&self.context(), &name);
            removed.map_err(|failure| failure.to_string())?;
        }
        for place in BRANCHES {
            if self.newest().branches.contains(place) {
                let context = self.context();
                let mut state = self.newest().clone();
                state.branches.remove(place);
                state.files.retain(|text, _| !text.starts_with(place));
                let target: NsPath = path(place);
                let removed = self
                    .namespace
                    .remove(&context, &target, Remove::Tree)
                    .map_err(|failure| failure.to_string())?;
                self.became(removed.version, &context, state);
            }
        }
        Ok(())
    }
}

/// The edit that writes a body that was uploaded; `None` for one without bytes.
fn write(at: EditAt, body: &Body) -> Option<Edit> {
    match body.layout() {
        _ if body.size() == 0 => None,
        Layout::Inline(bytes) => Some(Edit::WriteInline {
            at,
            bytes: bytes.clone(),
        }),
        Layout::Extents(extents) => Some(Edit::Write {
            at,
            length: body.size(),
            extents: extents.clone(),
        }),
    }
}

fn allow(failure: &Failure, reasons: &[Reason]) -> Checked {
    match reasons.contains(&failure.reason()) {
        true => Ok(()),
        false => Err(failure.to_string()),
    }
}
