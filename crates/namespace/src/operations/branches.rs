//! Branches: making, listing and removing them, and what the background does for them.
//!
//! A branch is a layer over a directory as of a version ([`crate::layers`]); making and removing
//! one is a few records, whatever it holds. A removed branch is out of sight at once; its own
//! records are taken apart in the background, and each base that it rested on stays pinned until no
//! retained version of it is left.

use super::read::find_spot;
use crate::failure::{from_engine, invalid, malformed};
use crate::fingerprint::Fingerprint;
use crate::layers;
use crate::plan::{NewBranch, Plan, taken};
use crate::reader::Reader;
use crate::records::branch::{self, BranchRecord};
use crate::records::event::EventKind;
use crate::spot::{Met, Spot};
use crate::walk::{missing, not_directory};
use crate::{Branch, Context, Follow, Namespace, Place, Removed, Target};
use nokv_engine::{Direction, KeyRange};
use nokv_shard::Key;
use nokv_types::{BranchId, Failure, MountId, Version};

impl Namespace {
    /// Makes a branch of a directory and hangs it under a free name: the directory as of `at`
    /// (newest unless told), to be changed on its own. A few records, whatever the directory holds.
    ///
    /// **Errors**: as [`Self::make_dir`] for the place; `NotFound`, `NotDirectory` as of `at`;
    /// `Compacted` when `at` is no longer retained; `TooLarge` for a branch of a branch of 16.
    pub fn create_branch<'a>(
        &self,
        context: &Context,
        source: impl Into<Target<'a>>,
        place: impl Into<Place<'a>>,
        at: Option<Version>,
    ) -> Result<Branch, Failure> {
        let (source, place) = (source.into(), place.into());
        if let Some(at) = at {
            self.admit_version(at, self.read_version())?;
        }
        let mut fingerprint = Fingerprint::new("create_branch");
        fingerprint.target(source).place(place).debug(&at);
        self.mutate(context, fingerprint.finish(), |plan| {
            let origin = directory_as_of(plan, source, at)?;
            let (directory, name) = plan.place(place)?;
            if plan.checked_entry(directory, &name)?.is_some() {
                return Err(taken(&super::read::shown(place.into())));
            }
            let new = NewBranch {
                origin,
                directory,
                name: name.clone(),
            };
            let (id, record) = plan.begin_branch(new)?;
            let parent = plan.reader.path_of(plan.root, directory)?;
            let path = parent.and_then(|parent| parent.join(&name).ok());
            Ok(described(id, &record, path, Version::ZERO))
        })
    }

    /// The branches of a mount, in order of their ids.
    pub fn branches(&self, mount: MountId) -> Result<Vec<Branch>, Failure> {
        let root = self.root(mount)?;
        let reader = self.newest_reader();
        let scan = self
            .engine()
            .scan(
                branch::KEYSPACE,
                KeyRange::prefix(branch::LIVE),
                reader.at,
                Direction::Forward,
            )
            .map_err(from_engine)?;
        let mut branches = Vec::new();
        for item in scan {
            let (key, found) = item.map_err(from_engine)?;
            let flaw = |flaw| malformed(&Key::new(branch::KEYSPACE, &key), &flaw);
            let id = branch::id(&key).map_err(flaw)?;
            let record = BranchRecord::decode(&found.value).map_err(flaw)?;
            if record.mount == mount {
                let path = path_of(&reader, Spot::trunk(root, reader.at), &record)?;
                let version = found.version;
                branches.push(described(id, &record.resolved(version), path, reader.at));
            }
        }
        Ok(branches)
    }

    /// Removes a branch by its place. Out of sight at once; what only it could see becomes garbage.
    ///
    /// **Errors**: as [`Self::remove`]; `InvalidArgument` when the place is no branch.
    pub fn remove_branch<'a>(
        &self,
        context: &Context,
        place: impl Into<Place<'a>>,
    ) -> Result<Removed, Failure> {
        let place = place.into();
        let mut fingerprint = Fingerprint::new("remove_branch");
        fingerprint.place(place);
        self.mutate(context, fingerprint.finish(), |plan| {
            let shown = || super::read::shown(place.into());
            let (directory, name) = plan.place(place)?;
            let entry = plan.checked_entry(directory, &name)?;
            let entry = entry.ok_or_else(|| missing(&shown()))?;
            if !entry.is_branch_root(&directory) || entry.spot.met == Met::Through {
                return Err(invalid(format!("{} is not a branch", shown())));
            }
            let record = plan.release_tree(directory, &entry)?;
            plan.set_entry(directory, &name, None)?;
            let from = Some((directory, name));
            plan.announce(EventKind::Removed, entry.spot, &record, from, None);
            Ok(Removed {
                version: Version::ZERO,
                node: entry.node(),
            })
        })
    }
}

/// The directory of a target as of a version, to be branched.
pub(super) fn directory_as_of(
    plan: &mut Plan<'_>,
    target: Target<'_>,
    at: Option<Version>,
) -> Result<Spot, Failure> {
    let at = at.unwrap_or(plan.reader.at);
    let mut reader = Reader {
        at,
        moves: None,
        ..plan.reader
    };
    let root = Spot { at, ..plan.root };
    let spot = find_spot(&mut reader, root, target, Follow::Yes)?;
    let shown = || super::read::shown(target);
    let found = reader.node_record(spot)?.ok_or_else(|| missing(&shown()))?;
    match found.record.is_directory() {
        true => Ok(spot),
        false => Err(not_directory(&shown())),
    }
}

fn path_of(
    reader: &Reader<'_>,
    root: Spot,
    record: &BranchRecord,
) -> Result<Option<nokv_types::NsPath>, Failure> {
    let (above, directory) = record.above;
    let lives = root.branch == above || layers::read(reader.engine, above, reader.at)?.is_some();
    if !lives {
        return Ok(None);
    }
    let parent = reader.path_of(root, Spot::live(directory, above, reader.at))?;
    Ok(parent.and_then(|parent| parent.join(&record.name).ok()))
}

fn described(
    id: BranchId,
    record: &BranchRecord,
    path: Option<nokv_types::NsPath>,
    version: Version,
) -> Branch {
    Branch {
        id,
        path,
        parent: record.parent,
        base: record.base.in_record(version),
        root: record.root,
        created_millis: record.created_millis,
        version,
    }
}
