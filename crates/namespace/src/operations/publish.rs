//! Publishing any number of paths in one command.

use super::make::{check_symlink, symlink_record};
use crate::failure::invalid;
use crate::fingerprint::Fingerprint;
use crate::plan::{Plan, check_mode, taken};
use crate::records::NodeRecord;
use crate::records::event::EventKind;
use crate::spot::{Child, Spot};
use crate::walk::{missing, not_directory};
use crate::{
    Content, Context, Expect, Namespace, NewAttributes, PUBLISH_ITEMS_MAX, Publish, PublishItem,
    Published,
};
use nokv_types::{Failure, Generation, Layout, Name, NodeId, NodeKind, NsPath, Reason, Version};
use rustc_hash::FxHashSet;

impl Namespace {
    /// Makes all items visible in one command, or none.
    ///
    /// **Errors**: `SessionExpired`; `AlreadyExists`, `StaleGeneration`, `NotFound` by
    /// [`crate::Expect`]; `IsDirectory`, `NotDirectory`; `InvalidArgument` (a path twice, a
    /// mode, no session for new blocks); `MissingBlock` (a block of another session that no
    /// body references); `TooLarge`. Each names the path.
    pub fn publish(&self, context: &Context, publish: Publish) -> Result<Vec<Published>, Failure> {
        check_items(&publish)?;
        context.expects_nothing()?;
        let fingerprint = match context.request {
            None => 0,
            Some(_) => fingerprint(&publish),
        };
        let now_millis = self.now_millis();
        self.mutate(context, fingerprint, |plan| {
            plan.parents = publish.parents;
            if let Some(session) = publish.session {
                plan.in_session(session, now_millis)?;
            }
            let mut parents = LastParent::default();
            let mut published = Vec::with_capacity(publish.items.len());
            for item in &publish.items {
                let (node, generation) = publish_item(plan, &mut parents, item)
                    .map_err(|failure| named(failure, &item.path))?;
                let path = item.path.clone();
                published.push(Published {
                    path,
                    node,
                    generation,
                    version: Version::ZERO,
                });
            }
            Ok(published)
        })
    }
}

/// The directory of the item before: items usually come directory by directory.
#[derive(Default)]
struct LastParent(Option<(NsPath, Spot)>);

impl LastParent {
    fn of(&mut self, plan: &mut Plan<'_>, path: &NsPath) -> Result<(Spot, Name), Failure> {
        if let (Some((last, directory)), Some((name, parents))) =
            (&self.0, path.names().split_last())
            && last.names() == parents
        {
            return Ok((*directory, name.clone()));
        }
        let (directory, name) = plan.place(path.into())?;
        self.0 = path.split_last().map(|(parent, _)| (parent, directory));
        Ok((directory, name))
    }
}

fn publish_item(
    plan: &mut Plan<'_>,
    parents: &mut LastParent,
    item: &PublishItem,
) -> Result<(NodeId, Generation), Failure> {
    if item.path.is_root() {
        return publish_root(plan, item);
    }
    let (directory, name) = parents.of(plan, &item.path)?;
    let found = plan.checked_entry(directory, &name)?;
    expect(plan, item, found)?;
    let shown = || item.path.to_string();
    match (&item.content, found) {
        (Content::Directory, Some(entry)) if entry.is_directory() => {
            set_attributes(plan, entry.spot, &item.attributes, (directory, name))?;
            Ok((entry.node(), Generation::NONE))
        }
        (Content::Directory, Some(_)) => Err(not_directory(&shown())),
        (_, Some(entry)) if entry.is_directory() => Err(Failure::new(
            Reason::IsDirectory,
            format!("{} is a directory; a file can't take its place", shown()),
        )),
        (Content::File(_), Some(entry)) if entry.kind == NodeKind::File => {
            replace_body(plan, &entry, item, (directory, name))
        }
        (_, None) => create(plan, directory, &name, item),
        (_, Some(entry)) => {
            // What goes may be a symbolic link on the way of the items that follow.
            parents.0 = None;
            plan.release(directory, &entry)?;
            plan.set_entry(directory, &name, None)?;
            let created = create(plan, directory, &name, item)?;
            if let Some(event) = plan.last_event() {
                event.displaced = Some(entry.node());
            }
            Ok(created)
        }
    }
}

/// The root can only be published as the directory that it is.
fn publish_root(plan: &mut Plan<'_>, item: &PublishItem) -> Result<(NodeId, Generation), Failure> {
    if item.content != Content::Directory {
        return Err(Failure::new(Reason::IsDirectory, "the root is a directory"));
    }
    if item.expect != Expect::Any {
        return Err(taken("the root"));
    }
    let root = plan.root;
    let mut record = plan.checked_node(root)?;
    put_on(plan, &mut record, &item.attributes);
    plan.directory_change(root).mtime = Some(record.mtime);
    plan.announce(EventKind::Attributes, root, &record, None, None);
    plan.put_node(root, record)?;
    Ok((root.node, Generation::NONE))
}

fn create(
    plan: &mut Plan<'_>,
    directory: Spot,
    name: &Name,
    item: &PublishItem,
) -> Result<(NodeId, Generation), Failure> {
    let mode = item.attributes.mode;
    let mut record = match &item.content {
        Content::Directory => plan.fresh_record(NodeKind::Directory, mode)?,
        Content::Symlink(target) => symlink_record(plan, target.clone())?,
        Content::File(_) => plan.fresh_record(NodeKind::File, mode)?,
    };
    put_on(plan, &mut record, &item.attributes);
    let spot = directory.with_node(plan.fresh_id(directory)?);
    if let Content::File(body) = &item.content {
        plan.adopt(spot, &mut record, body.clone())?;
    }
    let generation = record.generation;
    plan.add_node_as(spot, directory, name, record)?;
    if let (Content::Directory, Some(mtime)) = (&item.content, item.attributes.mtime) {
        // Later items of the same publish may lie in it; what was asked for stays.
        plan.directory_change(spot).mtime = Some(mtime);
    }
    Ok((spot.node, generation))
}

fn replace_body(
    plan: &mut Plan<'_>,
    entry: &Child,
    item: &PublishItem,
    at: (Spot, Name),
) -> Result<(NodeId, Generation), Failure> {
    let mut record = plan.checked_child(entry)?;
    plan.bury(entry.spot, &record);
    if let Content::File(body) = &item.content {
        plan.adopt(entry.spot, &mut record, body.clone())?;
    }
    put_on(plan, &mut record, &item.attributes);
    let generation = record.generation;
    plan.announce(EventKind::Published, entry.spot, &record, None, Some(at));
    plan.put_node(entry.spot, record)?;
    Ok((entry.node(), generation))
}

fn set_attributes(
    plan: &mut Plan<'_>,
    spot: Spot,
    attributes: &NewAttributes,
    at: (Spot, Name),
) -> Result<(), Failure> {
    let mut record = plan.checked_node(spot)?;
    put_on(plan, &mut record, attributes);
    // That of the record alone shows only in a directory that never had entries.
    plan.directory_change(spot).mtime = Some(record.mtime);
    plan.announce(EventKind::Attributes, spot, &record, None, Some(at));
    plan.put_node(spot, record)
}

fn put_on(plan: &Plan<'_>, record: &mut NodeRecord, attributes: &NewAttributes) {
    let context = plan.context;
    record.mode = attributes.mode;
    record.uid = attributes.uid.unwrap_or(context.uid);
    record.gid = attributes.gid.unwrap_or(context.gid);
    record.mtime = attributes.mtime.unwrap_or(context.now);
    record.ctime = context.now;
}

fn expect(plan: &mut Plan<'_>, item: &PublishItem, found: Option<Child>) -> Result<(), Failure> {
    match (item.expect, found) {
        (Expect::Any, _) | (Expect::Absent, None) => Ok(()),
        (Expect::Absent, Some(_)) => Err(taken(&item.path.to_string())),
        (Expect::Generation(_), None) => Err(missing(&item.path.to_string())),
        (Expect::Generation(expected), Some(entry)) => {
            let generation = plan.checked_child(&entry)?.generation;
            if generation == expected {
                return Ok(());
            }
            Err(Failure::new(
                Reason::StaleGeneration,
                format!(
                    "{} has generation {generation}, not {expected}; read it again",
                    item.path
                ),
            ))
        }
    }
}

fn check_items(publish: &Publish) -> Result<(), Failure> {
    let count = publish.items.len();
    if count == 0 {
        return Err(invalid("nothing to publish"));
    }
    if count > PUBLISH_ITEMS_MAX {
        return Err(Failure::new(
            Reason::TooLarge,
            format!("{count} items are more than the {PUBLISH_ITEMS_MAX} of one publish; split it"),
        ));
    }
    let mut paths = FxHashSet::default();
    for item in &publish.items {
        if !paths.insert(&item.path) {
            return Err(invalid(format!("{} is published twice at once", item.path)));
        }
        let checked = check_mode(item.attributes.mode).and_then(|()| match &item.content {
            Content::Symlink(target) => check_symlink(target),
            Content::File(_) | Content::Directory => Ok(()),
        });
        checked.map_err(|failure| named(failure, &item.path))?;
    }
    Ok(())
}

/// Puts the path in front, unless the message has it.
fn named(failure: Failure, path: &NsPath) -> Failure {
    if failure.message().contains(&path.to_string()) && !path.is_root() {
        return failure;
    }
    failure.context(path)
}

fn fingerprint(publish: &Publish) -> u64 {
    let mut fingerprint = Fingerprint::new("publish");
    // Not the session, nor where the bytes of a known digest are: whoever repeats a publish after
    // a crash may have uploaded the same content anew.
    fingerprint.debug(&publish.parents);
    for item in &publish.items {
        fingerprint
            .path(&item.path)
            .debug(&item.attributes)
            .debug(&item.expect);
        match &item.content {
            Content::Directory => fingerprint.number(0),
            Content::Symlink(target) => fingerprint.number(1).bytes(target),
            Content::File(body) => {
                fingerprint
                    .number(2)
                    .number(body.size())
                    .debug(&body.digest());
                match body.layout() {
                    Layout::Extents(_) if body.digest().is_some() => &mut fingerprint,
                    Layout::Inline(bytes) => fingerprint.bytes(bytes),
                    Layout::Extents(extents) => fingerprint.extents(extents),
                }
            }
        };
    }
    fingerprint.finish()
}
