//! Removing names: files, empty directories, whole trees.

use super::read::shown;
use crate::fingerprint::Fingerprint;
use crate::records::counter;
use crate::records::event::EventKind;
use crate::walk::{missing, not_directory};
use crate::{Context, Namespace, Place, Remove, Removed, Topology};
use nokv_types::{Failure, Reason, Version};

impl Namespace {
    /// Removes an entry.
    ///
    /// **Errors**: `NotFound`; `IsDirectory`, `NotDirectory`, `NotEmpty` by `remove`;
    /// `NotPermitted` for the root.
    pub fn remove<'a>(
        &self,
        context: &Context,
        place: impl Into<Place<'a>>,
        remove: Remove,
    ) -> Result<Removed, Failure> {
        let place = place.into();
        let mut fingerprint = Fingerprint::new("remove");
        fingerprint.place(place).debug(&remove);
        self.mutate(context, fingerprint.finish(), |plan| {
            let shown = || shown(place.into());
            let (directory, name) = plan.place(place)?;
            let entry = plan
                .checked_entry(directory, &name)?
                .ok_or_else(|| missing(&shown()))?;
            let record = match (remove, entry.is_directory()) {
                (Remove::File, true) => {
                    return Err(Failure::new(
                        Reason::IsDirectory,
                        format!(
                            "{} is a directory; remove it as a directory or a tree",
                            shown()
                        ),
                    ));
                }
                (Remove::EmptyDirectory, false) => return Err(not_directory(&shown())),
                (Remove::File | Remove::Tree, false) => plan.release(directory, &entry)?,
                (Remove::EmptyDirectory, true) => {
                    let count = plan.reader.counter(entry.spot)?;
                    if count.sum(counter::ENTRIES) > 0 {
                        return Err(not_empty(&shown()));
                    }
                    plan.release(directory, &entry)?
                }
                (Remove::Tree, true) => {
                    plan.rests_on(Topology::Moves);
                    plan.release_tree(directory, &entry)?
                }
            };
            plan.compare(record.generation, shown)?;
            plan.set_entry(directory, &name, None)?;
            plan.announce(
                EventKind::Removed,
                entry.spot,
                &record,
                Some((directory, name)),
                None,
            );
            Ok(Removed {
                version: Version::ZERO,
                node: entry.node(),
            })
        })
    }
}

pub(super) fn not_empty(shown: &str) -> Failure {
    Failure::new(Reason::NotEmpty, format!("{shown} is not empty"))
}
