//! Making a dumped subtree again.
//!
//! A load goes, command by command, into a directory that its caller has made for it beside the
//! target; one last command puts what was loaded in place. Nobody sees a part of it there, and what
//! an interrupted load leaves is one directory to remove.
//!
//! Invariants: every node gets exactly what the dump says of it, times too; quotas count what is
//! loaded as it is loaded; what is in the loading directory is announced to nobody, what appears in
//! place is announced as created.

use super::make::check_symlink;
use super::xattrs::check_xattr;
use crate::failure::invalid;
use crate::fingerprint::Fingerprint;
use crate::operations::link::LINKS_MAX;
use crate::plan::{Plan, check_mode, taken};
use crate::reader::describe;
use crate::records::event::EventKind;
use crate::records::{DirectoryPlace, NodeRecord, StoredBody, StoredLayout};
use crate::spot::{Child, Spot};
use crate::walk::{missing, not_directory};
use crate::{
    Changed, Context, KnownNode, LOAD_NODES_MAX, LOADED_NAME, Load, LoadDirectory, Loaded,
    Namespace, PAGE_ENTRIES_MAX, Place, Topology, XATTRS_MAX,
};
use nokv_dump::{Content, Identity, Item, Items, NodeItem};
use nokv_shard::Counter;
use nokv_types::{Failure, Generation, Name, NodeId, NodeKind, NsPath, Reason, TimeNanos, Version};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

impl Namespace {
    /// Makes nodes of a dump in one command.
    ///
    /// **Errors**: `InvalidArgument` (no node, a node without its directory, limits of attributes);
    /// `TooLarge`; `AlreadyExists`; `NotFound`, `NotDirectory` for the directories;
    /// `MissingBlock` (a block that no body of this store holds); `QuotaExceeded`.
    pub fn load(&self, context: &Context, load: &Load) -> Result<Loaded, Failure> {
        let items = decode(load)?;
        let fingerprint = match context.request {
            None => 0,
            Some(_) => Fingerprint::new("load").bytes(&load.nodes).finish(),
        };
        let now_millis = self.now_millis();
        self.mutate(context, fingerprint, |plan| {
            if let Some(session) = load.session {
                plan.in_session(session, now_millis)?;
            }
            let mut loading = Loading::new(plan.root, load);
            let mut nodes = Vec::with_capacity(items.len());
            for item in &items {
                nodes.push(loading.make(plan, item)?);
            }
            loading.set_times(plan);
            Ok(Loaded {
                version: Version::ZERO,
                nodes,
            })
        })
    }

    /// Puts what was loaded into the directory `loading` at `place`, and removes that directory.
    /// Where `place` is the root, which must be empty, the root gets the entries and attributes of
    /// the directory that was loaded.
    ///
    /// **Errors**: `AlreadyExists`; `NotEmpty` for a root with other entries; `TooLarge` when the
    /// root would get more than `PAGE_ENTRIES_MAX` entries at once.
    pub fn finish_load(
        &self,
        context: &Context,
        loading: &NsPath,
        place: &NsPath,
    ) -> Result<Changed, Failure> {
        let mut fingerprint = Fingerprint::new("finish_load");
        fingerprint.path(loading).path(place);
        self.mutate(context, fingerprint.finish(), |plan| {
            let (above, name) = plan.place(Place::Path(loading))?;
            let hidden = plan.checked_entry(above, &name)?;
            let hidden = hidden.ok_or_else(|| missing(&loading.to_string()))?;
            let loaded = Name::new(LOADED_NAME.as_bytes().to_vec())?;
            let top = plan.checked_entry(hidden.spot, &loaded)?;
            let top = top.ok_or_else(|| missing(&format!("{loading}/{LOADED_NAME}")))?;
            plan.set_entry(hidden.spot, &loaded, None)?;
            let spot = match place.is_root() {
                true => fill_root(plan, (above, &name), (hidden.spot, &top))?,
                false => put_in_place(plan, hidden.spot, &top, place)?,
            };
            plan.release(above, &hidden)?;
            plan.set_entry(above, &name, None)?;
            let record = plan.checked_node(spot)?;
            Ok(Changed {
                version: Version::ZERO,
                node: describe(spot, Version::ZERO, &record, &Counter::default()),
            })
        })
    }
}

/// A load in the making.
struct Loading {
    /// Where nodes of each depth go.
    directories: Vec<(Spot, Option<(TimeNanos, TimeNanos)>)>,
    known: FxHashMap<Identity, NodeId>,
    /// Directories that got an entry, with the times that they shall have.
    touched: FxHashMap<Spot, (TimeNanos, TimeNanos)>,
}

impl Loading {
    fn new(root: Spot, load: &Load) -> Self {
        let directory = |at: &LoadDirectory| (root.with_node(at.node), at.times);
        let known = |known: &KnownNode| (known.dumped, known.node);
        Self {
            directories: load.directories.iter().map(directory).collect(),
            known: load.known.iter().map(known).collect(),
            touched: FxHashMap::default(),
        }
    }

    fn make(&mut self, plan: &mut Plan<'_>, item: &NodeItem) -> Result<NodeId, Failure> {
        let depth = item.depth as usize;
        let name = match &item.name {
            Some(name) => name.clone(),
            None => Name::new(LOADED_NAME.as_bytes().to_vec())?,
        };
        let named = |failure: Failure| failure.context(&name);
        let Some((directory, times)) = self.directories.get(depth).copied() else {
            return Err(invalid(format!(
                "{name} has depth {depth}, and no directory of the depth above comes before it"
            )));
        };
        self.directories.truncate(depth + 1);
        if plan.checked_entry(directory, &name)?.is_some() {
            return Err(taken(&name.to_string()));
        }
        if let Some(times) = times {
            self.touched.insert(directory, times);
        }
        let is_directory = item.kind == NodeKind::Directory;
        let again = self.known.get(&item.node).copied();
        if let Some(node) = again.filter(|_| item.links > 1 && !is_directory) {
            let spot = directory.with_node(node);
            name_again(plan, spot, (directory, &name)).map_err(named)?;
            return Ok(node);
        }
        let spot = directory.with_node(plan.fresh_id(directory)?);
        let record = record_of(plan, spot, item).map_err(named)?;
        plan.hang_node(spot, directory, &name, record)?;
        if is_directory {
            self.directories
                .push((spot, Some((item.mtime, item.ctime))));
        } else if item.links > 1 {
            self.known.insert(item.node, spot.node);
        }
        Ok(spot.node)
    }

    fn set_times(&self, plan: &mut Plan<'_>) {
        for (directory, (mtime, ctime)) in &self.touched {
            let change = plan.directory_change(*directory);
            (change.mtime, change.ctime) = (Some(*mtime), Some(*ctime));
        }
    }
}

/// The record of a node that is made again, its body and extended attributes taken in.
fn record_of(plan: &mut Plan<'_>, spot: Spot, item: &NodeItem) -> Result<NodeRecord, Failure> {
    check_mode(item.mode)?;
    let mut record = NodeRecord::new(item.kind, item.mode, item.uid, item.gid, item.btime);
    (record.atime, record.mtime, record.ctime) = (item.atime, item.mtime, item.ctime);
    match &item.content {
        Content::None => {}
        Content::Target(target) => {
            check_symlink(target)?;
            record.body = StoredBody {
                size: target.len() as u64,
                digest: None,
                layout: StoredLayout::Inline(target.clone()),
            };
        }
        Content::Body(body) => {
            // Taking a body in counts up.
            if let Some(before) = item.generation.get().checked_sub(1) {
                record.generation = Generation::new(before);
                plan.adopt(spot, &mut record, body.clone())?;
            } else if body.size() > 0 {
                return Err(invalid("a body needs a generation"));
            }
        }
    }
    if item.xattrs.len() > XATTRS_MAX as usize {
        let flaw = format!("{} extended attributes are too many", item.xattrs.len());
        return Err(Failure::new(Reason::TooLarge, flaw));
    }
    let mut xattrs = BTreeMap::new();
    for (name, value) in &item.xattrs {
        check_xattr(name, value)?;
        xattrs.insert(name.clone(), value.clone());
    }
    record.xattrs = plan.write_xattrs(spot, &xattrs, &BTreeMap::new())?;
    Ok(record)
}

/// One more name of a node that was made before.
fn name_again(
    plan: &mut Plan<'_>,
    spot: Spot,
    (directory, name): (Spot, &Name),
) -> Result<(), Failure> {
    let mut record = plan.checked_node(spot)?;
    if record.is_directory() || record.links >= LINKS_MAX {
        return Err(invalid("a node can't have so many names"));
    }
    let kind = record.kind;
    plan.set_entry(directory, name, Some(Child { kind, spot }))?;
    record.links += 1;
    plan.put_node(spot, record)
}

/// Gives what was loaded its place, times as they were.
fn put_in_place(
    plan: &mut Plan<'_>,
    hidden: Spot,
    top: &Child,
    place: &NsPath,
) -> Result<Spot, Failure> {
    let (directory, name) = plan.place(Place::Path(place))?;
    if plan.checked_entry(directory, &name)?.is_some() {
        return Err(taken(&place.to_string()));
    }
    if plan.contains(hidden, directory)? {
        return Err(invalid(format!("{place} is inside of what is loaded")));
    }
    if !directory.same_chain(&hidden) {
        return Err(Failure::new(
            Reason::CrossesBoundary,
            format!("{place} is in another branch than what is loaded"),
        ));
    }
    hang(plan, top, (directory, &name))?;
    Ok(top.spot)
}

/// Puts a node under a name, without a change of its times.
fn hang(
    plan: &mut Plan<'_>,
    child: &Child,
    (directory, name): (Spot, &Name),
) -> Result<(), Failure> {
    plan.set_entry(directory, name, Some(*child))?;
    let mut record = plan.checked_child(child)?;
    if record.is_directory() {
        plan.rests_on(Topology::Moves);
        record.place = Some(DirectoryPlace {
            parent: directory.node,
            name: name.clone(),
        });
    }
    let to = Some((directory, name.clone()));
    plan.announce(EventKind::Created, child.spot, &record, None, to);
    plan.put_node(child.spot, record)
}

/// Gives the root all that a loaded directory has.
fn fill_root(
    plan: &mut Plan<'_>,
    (above, loading): (Spot, &Name),
    (hidden, top): (Spot, &Child),
) -> Result<Spot, Failure> {
    let root = plan.root;
    if !top.is_directory() {
        return Err(not_directory("what was loaded"));
    }
    let others = plan.reader.entries(root, None, 2)?;
    if above != root || others.iter().any(|(name, _)| name != loading) {
        return Err(Failure::new(
            Reason::NotEmpty,
            "the root has other entries; load into a directory that is not there yet",
        ));
    }
    let entries = plan.reader.entries(top.spot, None, PAGE_ENTRIES_MAX + 1)?;
    if entries.len() > PAGE_ENTRIES_MAX {
        return Err(Failure::new(
            Reason::TooLarge,
            format!("more than {PAGE_ENTRIES_MAX} entries; load into a directory of its own"),
        ));
    }
    for (name, _) in &entries {
        let Some(child) = plan.checked_entry(top.spot, name)? else {
            continue;
        };
        if plan.checked_entry(root, name)?.is_some() {
            return Err(taken(&format!("/{name}")));
        }
        plan.set_entry(top.spot, name, None)?;
        hang(plan, &child, (root, name))?;
    }
    let counter = plan.reader.counter(top.spot)?;
    let from = plan.checked_child(top)?;
    let times = describe(top.spot, Version::ZERO, &from, &counter).attributes;
    let mut record = plan.checked_node(root)?;
    (record.mode, record.uid, record.gid) = (from.mode, from.uid, from.gid);
    (record.atime, record.btime) = (from.atime, from.btime);
    (record.mtime, record.ctime) = (times.mtime, times.ctime);
    let (wanted, present) = (plan.reader.xattrs(top.spot)?, plan.reader.xattrs(root)?);
    record.xattrs = plan.write_xattrs(root, &wanted, &present)?;
    plan.put_node(root, record)?;
    plan.release(hidden, top)?;
    let change = plan.directory_change(root);
    (change.mtime, change.ctime) = (Some(times.mtime), Some(times.ctime));
    Ok(root)
}

fn decode(load: &Load) -> Result<Vec<NodeItem>, Failure> {
    let mut items = Vec::new();
    for item in Items::new(load.nodes.clone()) {
        match item? {
            Item::Node(node) => items.push(*node),
            Item::Data { .. } => return Err(invalid("data among the nodes of a load")),
        }
        if items.len() > LOAD_NODES_MAX {
            return Err(Failure::new(
                Reason::TooLarge,
                format!("more than {LOAD_NODES_MAX} nodes in one load; split it"),
            ));
        }
    }
    match items.is_empty() || load.directories.is_empty() {
        true => Err(invalid("nothing to load, or nowhere")),
        false => Ok(items),
    }
}
