//! Hard links: one more name for a node.

use super::read::shown;
use crate::fingerprint::Fingerprint;
use crate::plan::{Plan, taken};
use crate::plant::{Plant, is_planted};
use crate::reader::describe;
use crate::records::event::EventKind;
use crate::spot::{Child, Spot};
use crate::walk::{End, Walk, missing};
use crate::{Changed, Context, Follow, Namespace, Place, Target, Topology};
use nokv_shard::Counter;
use nokv_types::{Failure, Reason, Version};

/// Most names of one node; as ext4, far below what the counter holds.
pub(crate) const LINKS_MAX: u32 = 65_000;

impl Namespace {
    /// Gives a node that is not a directory one more name, or one that was made without a name its
    /// first. Does not follow a symbolic link.
    ///
    /// **Errors**: as [`Self::make_dir`]; `NotFound` for a node whose last name is gone;
    /// `NotPermitted` for a directory; `CrossesBoundary`
    /// between branches; `TooLarge` for a node
    /// with 65,000 names.
    pub fn link<'a>(
        &self,
        context: &Context,
        existing: impl Into<Target<'a>>,
        place: impl Into<Place<'a>>,
    ) -> Result<Changed, Failure> {
        let (existing, place) = (existing.into(), place.into());
        let mut fingerprint = Fingerprint::new("link");
        fingerprint.target(existing).place(place);
        self.mutate(context, fingerprint.finish(), |plan| {
            let spot = existing_spot(plan, existing)?;
            let mut record = plan.checked_node(spot)?;
            if record.is_directory() {
                return Err(Failure::new(
                    Reason::NotPermitted,
                    format!("{} is a directory; it has one name only", shown(existing)),
                ));
            }
            plan.compare(record.generation, || shown(existing))?;
            if record.links >= LINKS_MAX {
                return Err(Failure::new(
                    Reason::TooLarge,
                    format!("{} has {LINKS_MAX} names already", shown(existing)),
                ));
            }
            let (directory, name) = plan.place(place)?;
            if plan.checked_entry(directory, &name)?.is_some() {
                return Err(taken(&shown(place.into())));
            }
            if !spot.same_chain(&directory) {
                return Err(Failure::new(
                    Reason::CrossesBoundary,
                    format!(
                        "{} and {} are in different branches; copy it",
                        shown(existing),
                        shown(place.into())
                    ),
                ));
            }
            if record.links == 0 {
                plan.may_be_named(spot)?;
            }
            let entry = Child {
                kind: record.kind,
                spot,
            };
            plan.set_entry(directory, &name, Some(entry))?;
            record.links += 1;
            record.ctime = plan.context.now;
            let to = Some((directory, name));
            if !is_planted(Plant::DropEvent) {
                plan.announce(EventKind::Created, spot, &record, None, to);
            }
            let node = describe(spot, Version::ZERO, &record, &Counter::default());
            plan.put_node(spot, record)?;
            Ok(Changed {
                version: Version::ZERO,
                node,
            })
        })
    }
}

/// The node that gets a name; the command rests on where it was found.
fn existing_spot(plan: &mut Plan<'_>, existing: Target<'_>) -> Result<Spot, Failure> {
    plan.rests_on(Topology::Rests);
    let root = plan.root;
    match Walk::new(plan, root).find(existing, Follow::No)? {
        End::Node(spot) => Ok(spot),
        End::Entry {
            directory, name, ..
        } => match plan.checked_entry(directory, &name)? {
            Some(entry) => Ok(entry.spot),
            None => Err(missing(&shown(existing))),
        },
    }
}
