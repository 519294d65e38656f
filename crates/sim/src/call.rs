//! An operation with everything resolved, and how the namespace is asked for it.

use crate::model::{Choice, Expected, Item, Kind, Limits, Put, Removal, Rename, XattrChange};
use bytes::Bytes;
use nokv_namespace::{
    Content, Context, Expect, Follow, MergeOutcome, MergeRun, Namespace, NewAttributes,
    NewSnapshot, OnConflict, Parents, Place, Publish, PublishItem, QuotaLimits, Remove, RenameMode,
    SetAttributes, SetTime, SetXattr, Target,
};
use nokv_types::{
    Body, Failure, Generation, Layout, Name, NodeId, NodeKind, NsPath, SnapshotName, TimeNanos,
    Version,
};

/// The only other mount of a run.
pub(crate) const OTHER_MOUNT: &str = "other";
/// How long a leased snapshot lives, milliseconds.
pub(crate) const LEASE_MS: u64 = 100_000;

/// An entry, named as the namespace takes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Where {
    /// By path.
    Path(NsPath),
    /// By node and name.
    Child(NodeId, Name),
}

impl Where {
    fn place(&self) -> Place<'_> {
        match self {
            Self::Path(path) => Place::Path(path),
            Self::Child(directory, name) => Place::Child {
                directory: *directory,
                name,
            },
        }
    }

    fn target(&self) -> Target<'_> {
        self.place().into()
    }
}

/// An operation to ask for, named as in the namespace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Call {
    MakeDir(Where, bool),
    MakeNode(Where, Kind),
    Link(Where, Where),
    Publish(Vec<Item>, bool),
    Rename(Where, Where, Rename),
    Remove(Where, Removal),
    SetAttributes(Where, bool, Option<u32>, Option<i64>, Option<usize>),
    SetXattr(Where, bool, &'static str, XattrChange),
    Snapshot(u8, Option<Version>, bool),
    RenewSnapshot(u8, bool),
    RemoveSnapshot(u8),
    Branch(NsPath, NsPath, Option<Version>),
    Merge(NsPath, NsPath, Choice, bool),
    Restore(NsPath, Version),
    Undo(Version),
    SetQuota(NsPath, Limits),
    RemoveQuota(NsPath),
    RegisterMount,
    RetireMount,
    Collect(usize, bool),
}

/// What the namespace answered, as far as the model says what that must be.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Answer {
    /// The version of the command.
    pub(crate) version: Option<Version>,
    /// The node that was made, changed or displaced.
    pub(crate) node: Option<NodeId>,
    /// Generations of what was published.
    pub(crate) generations: Vec<u64>,
    /// What a merge came to, and whether something was in conflict.
    pub(crate) merged: Option<(MergeOutcome, bool)>,
    /// The version that a snapshot or a branch shows.
    pub(crate) shows: Option<Version>,
    /// Whether a round of collection has left work.
    pub(crate) more: bool,
}

impl Answer {
    fn at(version: Version) -> Self {
        Self {
            version: Some(version),
            ..Self::default()
        }
    }

    fn of(version: Version, node: Option<NodeId>) -> Self {
        Self {
            node,
            ..Self::at(version)
        }
    }
}

/// The path of these names.
#[must_use]
pub(crate) fn ns_path(names: &[&str]) -> NsPath {
    NsPath::parse(format!("/{}", names.join("/"))).expect("names of the script are legal")
}

/// The name of a snapshot.
#[must_use]
pub(crate) fn snapshot_name(name: u8) -> SnapshotName {
    SnapshotName::parse(&format!("s{name}")).expect("a legal name")
}

/// A body kept in its node.
#[must_use]
pub(crate) fn inline(body: &[u8]) -> Body {
    let layout = Layout::Inline(Bytes::copy_from_slice(body));
    Body::new(body.len() as u64, None, layout).expect("a short body is legal")
}

fn parents(create: bool) -> Parents {
    match create {
        true => Parents::Create,
        false => Parents::Required,
    }
}

fn follow(follow: bool) -> Follow {
    match follow {
        true => Follow::Yes,
        false => Follow::No,
    }
}

fn publish(items: &[Item], create: bool) -> Publish {
    let item = |item: &Item| PublishItem {
        path: ns_path(&item.path),
        content: match &item.put {
            Put::File(body) => Content::File(inline(body)),
            Put::Directory => Content::Directory,
            Put::Symlink(target) => Content::Symlink(Bytes::from(*target)),
        },
        attributes: NewAttributes::mode(item.mode),
        expect: match item.expected {
            Expected::Any => Expect::Any,
            Expected::Absent => Expect::Absent,
            Expected::Generation(wanted) => Expect::Generation(Generation::new(wanted)),
        },
    };
    Publish {
        items: items.iter().map(item).collect(),
        parents: parents(create),
        session: None,
    }
}

impl Call {
    /// Asks.
    pub(crate) fn run(&self, namespace: &Namespace, context: &Context) -> Result<Answer, Failure> {
        match self {
            Self::MakeDir(at, create) => {
                let made = namespace.make_dir(context, at.place(), 0o700, parents(*create))?;
                Ok(Answer::of(made.version, Some(made.node.id)))
            }
            Self::MakeNode(at, kind) => {
                let made = match kind {
                    Kind::Symlink(target) => {
                        namespace.symlink(context, at.place(), Bytes::from(target.clone()))?
                    }
                    Kind::Pipe => {
                        namespace.make_node(context, at.place(), NodeKind::Fifo, 0o600)?
                    }
                    _ => namespace.make_node(context, at.place(), NodeKind::File, 0o600)?,
                };
                Ok(Answer::of(made.version, Some(made.node.id)))
            }
            Self::Link(from, to) => {
                let linked = namespace.link(context, from.target(), to.place())?;
                Ok(Answer::of(linked.version, Some(linked.node.id)))
            }
            Self::Publish(items, create) => {
                let published = namespace.publish(context, publish(items, *create))?;
                let generations = published.iter().map(|item| item.generation.get()).collect();
                let version = published.first().map(|item| item.version);
                Ok(Answer {
                    version,
                    generations,
                    ..Answer::default()
                })
            }
            Self::Rename(from, to, mode) => {
                let mode = match mode {
                    Rename::Plain => RenameMode::Plain,
                    Rename::NoReplace => RenameMode::NoReplace,
                    Rename::Exchange => RenameMode::Exchange,
                };
                let renamed = namespace.rename(context, from.place(), to.place(), mode)?;
                Ok(Answer::of(renamed.version, renamed.displaced))
            }
            Self::Remove(at, what) => {
                let what = match what {
                    Removal::File => Remove::File,
                    Removal::EmptyDirectory => Remove::EmptyDirectory,
                    Removal::Tree => Remove::Tree,
                };
                let removed = namespace.remove(context, at.place(), what)?;
                Ok(Answer::of(removed.version, Some(removed.node)))
            }
            _ => self.run_on_attributes(namespace, context),
        }
    }

    fn run_on_attributes(
        &self,
        namespace: &Namespace,
        context: &Context,
    ) -> Result<Answer, Failure> {
        match self {
            Self::SetAttributes(at, follows, mode, mtime, size) => {
                let changes = SetAttributes {
                    mode: *mode,
                    mtime: mtime.map(|mtime| SetTime::To(TimeNanos::new(mtime))),
                    size: size.map(|size| size as u64),
                    ..SetAttributes::default()
                };
                let set =
                    namespace.set_attributes(context, at.target(), follow(*follows), changes)?;
                Ok(Answer::of(set.version, Some(set.node.id)))
            }
            Self::SetXattr(at, follows, name, change) => {
                let bytes = |value: &u8| Bytes::from(vec![*value; 2]);
                let change = match change {
                    XattrChange::Put(value) => SetXattr::Put(bytes(value)),
                    XattrChange::Create(value) => SetXattr::Create(bytes(value)),
                    XattrChange::Replace(value) => SetXattr::Replace(bytes(value)),
                    XattrChange::Remove => SetXattr::Remove,
                };
                let (name, follow) = (name.as_bytes(), follow(*follows));
                let set = namespace.set_xattr(context, at.target(), follow, name, change)?;
                Ok(Answer::of(set.version, Some(set.node.id)))
            }
            Self::SetQuota(at, limits) => {
                let limits = QuotaLimits {
                    bytes: limits.bytes,
                    inodes: limits.inodes,
                };
                namespace.set_quota(context, at, limits)?;
                Ok(Answer::default())
            }
            Self::RemoveQuota(at) => {
                namespace.remove_quota(context, at)?;
                Ok(Answer::default())
            }
            Self::RegisterMount => {
                namespace.register_mount(context, OTHER_MOUNT)?;
                Ok(Answer::default())
            }
            Self::RetireMount => {
                namespace.retire_mount(context, OTHER_MOUNT)?;
                Ok(Answer::default())
            }
            _ => self.run_on_trees(namespace, context),
        }
    }

    fn run_on_trees(&self, namespace: &Namespace, context: &Context) -> Result<Answer, Failure> {
        match self {
            Self::Snapshot(name, at, lease) => {
                let new = NewSnapshot {
                    name: snapshot_name(*name),
                    at: *at,
                    lease_ms: lease.then_some(LEASE_MS),
                };
                let made = namespace.create_snapshot(context, &NsPath::root(), new)?;
                Ok(Answer {
                    shows: Some(made.at),
                    ..Answer::default()
                })
            }
            Self::RenewSnapshot(name, lease) => {
                let lease = lease.then_some(LEASE_MS);
                namespace.renew_snapshot(context, &snapshot_name(*name), lease)?;
                Ok(Answer::default())
            }
            Self::RemoveSnapshot(name) => {
                namespace.remove_snapshot(context, &snapshot_name(*name))?;
                Ok(Answer::default())
            }
            Self::Branch(source, to, at) => {
                let made = namespace.create_branch(context, source, to, *at)?;
                Ok(Answer {
                    shows: Some(made.base),
                    ..Answer::at(made.version)
                })
            }
            Self::Merge(source, target, choice, dry) => {
                let choice = match choice {
                    Choice::Fail => OnConflict::Fail,
                    Choice::Ours => OnConflict::Ours,
                    Choice::Theirs => OnConflict::Theirs,
                };
                let run = match dry {
                    true => MergeRun::DryRun,
                    false => MergeRun::Merge,
                };
                let merged = namespace.merge(context, source, target, choice, run)?;
                Ok(Answer {
                    merged: Some((merged.outcome, !merged.conflicts.is_empty())),
                    ..Answer::at(merged.version)
                })
            }
            Self::Restore(at, version) => {
                let restored = namespace.restore(context, at, *version)?;
                Ok(Answer::of(restored.version, restored.displaced))
            }
            Self::Undo(version) => {
                let undone = namespace.undo(context, *version)?;
                Ok(Answer::at(undone.version))
            }
            Self::Collect(limit, everything) => {
                let reclaimed = match everything {
                    true => namespace.reclaim_within(*limit, 0)?,
                    false => namespace.reclaim(*limit)?,
                };
                Ok(Answer {
                    more: reclaimed.more,
                    ..Answer::default()
                })
            }
            _ => unreachable!("asked for before"),
        }
    }
}
