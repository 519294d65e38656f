//! Moving entries.
//!
//! Decisions, by what is at the source (rows) and at the target:
//!
//! | | nothing | file | directory |
//! |---|---|---|---|
//! | a file | moves | replaces it; nothing happens if both are the same node | `IsDirectory` |
//! | b directory | moves | `NotDirectory` | replaces it if empty, else `NotEmpty` |
//!
//! Between branches nothing moves (`CrossesBoundary`, as `EXDEV` of POSIX). The root of a branch
//! may move within the branch that it hangs in.
//!
//! With `NoReplace` any target is `AlreadyExists`; with `Exchange` both must exist and change
//! places. A directory never goes below itself: the ancestors of the target are looked at, and the
//! command checks that no directory moved since.

use super::read::shown;
use super::remove::not_empty;
use crate::failure::invalid;
use crate::fingerprint::Fingerprint;
use crate::plan::{Plan, taken};
use crate::records::event::EventKind;
use crate::records::{DirectoryPlace, counter};
use crate::spot::{Child, Spot};
use crate::walk::{missing, not_directory};
use crate::{Context, Namespace, Place, RenameMode, Renamed, Topology};
use nokv_types::{Failure, Name, NodeId, Reason, Version};

/// One end of a rename.
struct Side<'a> {
    directory: Spot,
    name: Name,
    place: Place<'a>,
}

impl Side<'_> {
    fn shown(&self) -> String {
        shown(self.place.into())
    }

    fn at(&self) -> (Spot, Name) {
        (self.directory, self.name.clone())
    }
}

impl Namespace {
    /// Moves an entry. A directory moves with all that is below, in one command.
    ///
    /// **Errors**: `NotFound`; `AlreadyExists`; `NotEmpty`, `IsDirectory`, `NotDirectory` as
    /// rename(2); `InvalidArgument` for a directory into itself or below; `NotPermitted` for
    /// the root.
    pub fn rename<'a>(
        &self,
        context: &Context,
        from: impl Into<Place<'a>>,
        to: impl Into<Place<'a>>,
        mode: RenameMode,
    ) -> Result<Renamed, Failure> {
        let (from, to) = (from.into(), to.into());
        let mut fingerprint = Fingerprint::new("rename");
        fingerprint.place(from).place(to).debug(&mode);
        self.mutate(context, fingerprint.finish(), |plan| {
            let (directory, name) = plan.place(from)?;
            let from = Side {
                directory,
                name,
                place: from,
            };
            let (directory, name) = plan.place(to)?;
            let to = Side {
                directory,
                name,
                place: to,
            };
            let source = plan.checked_entry(from.directory, &from.name)?;
            let source = source.ok_or_else(|| missing(&from.shown()))?;
            let target = plan.checked_entry(to.directory, &to.name)?;
            plan.live_directory(to.directory)?;
            within_a_branch(&from, &source, &to, target.as_ref())?;
            if plan.context.expect.is_some() {
                let generation = plan.checked_child(&source)?.generation;
                plan.compare(generation, || from.shown())?;
            }
            match mode {
                RenameMode::Exchange => {
                    let target = target.ok_or_else(|| missing(&to.shown()))?;
                    exchange(plan, &from, source, &to, target)
                }
                RenameMode::NoReplace if target.is_some() => Err(taken(&to.shown())),
                RenameMode::NoReplace | RenameMode::Plain => {
                    replace(plan, &from, source, &to, target)
                }
            }
        })
    }
}

fn replace(
    plan: &mut Plan<'_>,
    from: &Side<'_>,
    source: Child,
    to: &Side<'_>,
    target: Option<Child>,
) -> Result<Renamed, Failure> {
    let mut renamed = Renamed {
        version: Version::ZERO,
        node: source.node(),
        displaced: None,
    };
    if target.is_some_and(|target| target.spot == source.spot) {
        return Ok(renamed);
    }
    not_below_itself(plan, &source, from, to)?;
    if let Some(target) = target {
        may_replace(plan, &source, &target, to)?;
        plan.release(to.directory, &target)?;
        renamed.displaced = Some(target.node());
    }
    plan.set_entry(from.directory, &from.name, None)?;
    arrive(plan, source, to)?;
    announce(
        plan,
        EventKind::Renamed,
        &source,
        from,
        to,
        renamed.displaced,
    )?;
    Ok(renamed)
}

fn exchange(
    plan: &mut Plan<'_>,
    from: &Side<'_>,
    source: Child,
    to: &Side<'_>,
    target: Child,
) -> Result<Renamed, Failure> {
    if source.spot == target.spot {
        return Ok(Renamed {
            version: Version::ZERO,
            node: source.node(),
            displaced: None,
        });
    }
    not_below_itself(plan, &source, from, to)?;
    not_below_itself(plan, &target, to, from)?;
    arrive(plan, source, to)?;
    arrive(plan, target, from)?;
    announce(
        plan,
        EventKind::Exchanged,
        &source,
        from,
        to,
        Some(target.node()),
    )?;
    Ok(Renamed {
        version: Version::ZERO,
        node: source.node(),
        displaced: Some(target.node()),
    })
}

/// Entries stay in their branch, and the past of another branch stays where it is.
fn within_a_branch(
    from: &Side<'_>,
    source: &Child,
    to: &Side<'_>,
    target: Option<&Child>,
) -> Result<(), Failure> {
    let crosses = |what: &str| {
        Failure::new(
            Reason::CrossesBoundary,
            format!("{} can't move to {}: {what}", from.shown(), to.shown()),
        )
    };
    if !from.directory.same_chain(&to.directory) {
        return Err(crosses("it is in another branch; copy it"));
    }
    let met = [Some(source), target];
    if met
        .into_iter()
        .flatten()
        .any(|child| child.spot.met != from.directory.met)
    {
        return Err(crosses(
            "this is another branch, as it was when this one was made; branch it instead",
        ));
    }
    Ok(())
}

/// Puts an entry at its new place; a directory learns where it is.
fn arrive(plan: &mut Plan<'_>, entry: Child, to: &Side<'_>) -> Result<(), Failure> {
    plan.set_entry(to.directory, &to.name, Some(entry))?;
    if entry.is_branch_root(&to.directory) {
        return plan.rehang(entry.spot.branch, to.directory, &to.name);
    }
    let mut record = plan.checked_child(&entry)?;
    record.ctime = plan.context.now;
    if record.is_directory() {
        plan.rests_on(Topology::Moves);
        record.place = Some(DirectoryPlace {
            parent: to.directory.node,
            name: to.name.clone(),
        });
    }
    plan.put_node(entry.spot, record)
}

fn announce(
    plan: &mut Plan<'_>,
    kind: EventKind,
    moved: &Child,
    from: &Side<'_>,
    to: &Side<'_>,
    displaced: Option<NodeId>,
) -> Result<(), Failure> {
    let record = plan.checked_child(moved)?;
    plan.announce(kind, moved.spot, &record, Some(from.at()), Some(to.at()));
    if let Some(event) = plan.last_event() {
        event.displaced = displaced;
    }
    Ok(())
}

fn not_below_itself(
    plan: &mut Plan<'_>,
    moved: &Child,
    from: &Side<'_>,
    to: &Side<'_>,
) -> Result<(), Failure> {
    if moved.is_directory() && plan.contains(moved.spot, to.directory)? {
        return Err(invalid(format!(
            "{} can't move to {}, which is inside of it",
            from.shown(),
            to.shown()
        )));
    }
    Ok(())
}

fn may_replace(
    plan: &Plan<'_>,
    source: &Child,
    target: &Child,
    to: &Side<'_>,
) -> Result<(), Failure> {
    match (source.is_directory(), target.is_directory()) {
        (false, false) => Ok(()),
        (false, true) => Err(Failure::new(
            Reason::IsDirectory,
            format!("{} is a directory; a file can't replace it", to.shown()),
        )),
        (true, false) => Err(not_directory(&to.shown())),
        (true, true) => {
            let count = plan.reader.counter(target.spot)?;
            match count.sum(counter::ENTRIES) {
                ..=0 => Ok(()),
                _ => Err(not_empty(&to.shown())),
            }
        }
    }
}
