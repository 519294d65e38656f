//! Extended attributes.

use super::attributes::locate;
use super::read::{existing, find_spot, shown};
use crate::failure::invalid;
use crate::fingerprint::Fingerprint;
use crate::plan::Plan;
use crate::reader::describe;
use crate::records::event::EventKind;
use crate::records::{NodeRecord, stored_value, xattr};
use crate::spot::Spot;
use crate::{Changed, Context, Follow, Namespace, SetXattr, Target, View};
use bytes::Bytes;
use nokv_shard::{Counter, Write};
use nokv_types::{Failure, Name, Reason, Version};

/// Longest name of an extended attribute, bytes, as Linux has it.
pub const XATTR_NAME_BYTES_MAX: usize = 255;
/// Longest value, bytes, as Linux has it.
pub const XATTR_VALUE_BYTES_MAX: usize = 64 << 10;
/// Most extended attributes of one node: bounds the command that removes the node.
pub const XATTRS_MAX: u32 = 256;

impl Namespace {
    /// The value of an extended attribute.
    ///
    /// **Errors**: as [`Self::lookup`]; `NotFound` when the node has no such attribute.
    pub fn xattr<'a>(
        &self,
        view: &View,
        target: impl Into<Target<'a>>,
        follow: Follow,
        name: &[u8],
    ) -> Result<Bytes, Failure> {
        let target = target.into();
        self.read(view, |mut reader, root| {
            let spot = find_spot(&mut reader, root, target, follow)?;
            existing(&reader, spot)?;
            reader
                .xattr(spot, name)?
                .ok_or_else(|| missing(&shown(target), name))
        })
    }

    /// The names of the extended attributes, in byte order; at most [`XATTRS_MAX`].
    ///
    /// **Errors**: as [`Self::lookup`].
    pub fn xattrs<'a>(
        &self,
        view: &View,
        target: impl Into<Target<'a>>,
        follow: Follow,
    ) -> Result<Vec<Bytes>, Failure> {
        let target = target.into();
        self.read(view, |mut reader, root| {
            let spot = find_spot(&mut reader, root, target, follow)?;
            existing(&reader, spot)?;
            reader.xattr_names(spot)
        })
    }

    /// Sets or removes an extended attribute; `ctime` becomes the context's time.
    ///
    /// **Errors**: as [`Self::set_attributes`]; `InvalidArgument` (name), `TooLarge` (value, or one
    /// attribute too many), `AlreadyExists` and `NotFound` by [`SetXattr`].
    pub fn set_xattr<'a>(
        &self,
        context: &Context,
        target: impl Into<Target<'a>>,
        follow: Follow,
        name: &[u8],
        change: SetXattr,
    ) -> Result<Changed, Failure> {
        let target = target.into();
        check_name(name)?;
        check_value(&change)?;
        let mut fingerprint = Fingerprint::new("set_xattr");
        fingerprint
            .target(target)
            .debug(&follow)
            .bytes(name)
            .debug(&change);
        self.mutate(context, fingerprint.finish(), |plan| {
            let (spot, at) = locate(plan, target, follow)?;
            let mut record = plan.checked_node(spot)?;
            plan.compare(record.generation, || shown(target))?;
            apply(plan, spot, &mut record, name, &change, &shown(target))?;
            record.ctime = plan.context.now;
            changed(plan, spot, record, at)
        })
    }
}

fn apply(
    plan: &mut Plan<'_>,
    spot: Spot,
    record: &mut NodeRecord,
    name: &[u8],
    change: &SetXattr,
    shown: &str,
) -> Result<(), Failure> {
    let present = plan.reader.xattr(spot, name)?.is_some();
    let value = match (change, present) {
        (SetXattr::Remove | SetXattr::Replace(_), false) => return Err(missing(shown, name)),
        (SetXattr::Remove, true) => {
            record.xattrs = record.xattrs.saturating_sub(1);
            return plan.erase(spot, |branch| xattr::key(spot.node, branch, name));
        }
        (SetXattr::Create(_), true) => {
            return Err(Failure::new(
                Reason::AlreadyExists,
                format!("{shown} has attribute {} already", text(name)),
            ));
        }
        (SetXattr::Put(value) | SetXattr::Create(value) | SetXattr::Replace(value), _) => value,
    };
    if !present {
        if record.xattrs >= XATTRS_MAX {
            return Err(Failure::new(
                Reason::TooLarge,
                format!("{shown} has {XATTRS_MAX} extended attributes already; remove some"),
            ));
        }
        record.xattrs += 1;
    }
    let key = xattr::key(spot.node, spot.branch, name);
    plan.write(Write::Put(key, stored_value(spot.branch, value)));
    Ok(())
}

/// Puts the record and announces it.
fn changed(
    plan: &mut Plan<'_>,
    spot: Spot,
    record: NodeRecord,
    at: Option<(Spot, Name)>,
) -> Result<Changed, Failure> {
    let counter = match record.is_directory() {
        true => plan.counter_after(spot)?,
        false => Counter::default(),
    };
    plan.announce(EventKind::Xattr, spot, &record, None, at);
    let described = describe(spot, Version::ZERO, &record, &counter);
    plan.put_node(spot, record)?;
    Ok(Changed {
        version: Version::ZERO,
        node: described,
    })
}

fn check_name(name: &[u8]) -> Result<(), Failure> {
    if name.is_empty() || name.len() > XATTR_NAME_BYTES_MAX || name.contains(&0) {
        return Err(invalid(format!(
            "the name of an extended attribute has 1 to {XATTR_NAME_BYTES_MAX} bytes without NUL"
        )));
    }
    Ok(())
}

/// Refuses what can't be an extended attribute.
pub(super) fn check_xattr(name: &[u8], value: &Bytes) -> Result<(), Failure> {
    check_name(name)?;
    check_value(&SetXattr::Put(value.clone()))
}

fn check_value(change: &SetXattr) -> Result<(), Failure> {
    let length = match change {
        SetXattr::Put(value) | SetXattr::Create(value) | SetXattr::Replace(value) => value.len(),
        SetXattr::Remove => 0,
    };
    if length > XATTR_VALUE_BYTES_MAX {
        return Err(Failure::new(
            Reason::TooLarge,
            format!("an extended attribute of {length} bytes is over {XATTR_VALUE_BYTES_MAX}"),
        ));
    }
    Ok(())
}

fn missing(shown: &str, name: &[u8]) -> Failure {
    Failure::new(
        Reason::NotFound,
        format!("{shown} has no attribute {}", text(name)),
    )
}

fn text(name: &[u8]) -> String {
    name.escape_ascii().to_string()
}
