//! What requests carry: who asks and of when, what is meant, and the choices.
//!
//! Invariant: an unset choice is the cautious one that the .proto states.

use nokv_namespace::{
    Context, Durability, Follow, Parents, Place, Remove, RenameMode, SetAttributes, SetTime,
    Target, View,
};
use nokv_proto::{
    invalid, mode_from_wire, name_from_wire, optional_request_id, path_from_wire, present,
    v1::{self, place::Place as WirePlace, set_time::Time, target::Target as WireTarget},
    version_from_wire,
};
use nokv_types::{
    BranchId, Failure, Generation, MountId, Name, NodeId, NsPath, TimeNanos, Version,
};

use bytes::Bytes;

/// A view for the wire.
#[must_use]
pub fn view_to_wire(view: &View) -> v1::View {
    v1::View {
        mount: view.mount.get(),
        branch: view.branch.get(),
        at: view.at.map_or(0, Version::as_u64),
        snapshot: String::new(),
    }
}

/// A view from the wire; an unset one is the newest state of the default mount.
#[must_use]
pub fn view(message: Option<v1::View>) -> View {
    let message = message.unwrap_or_default();
    View {
        mount: MountId::new(message.mount),
        branch: BranchId::new(message.branch),
        at: version_from_wire(message.at),
    }
}

/// A context for the wire. Its time stays here: changes take the server's.
#[must_use]
pub fn context_to_wire(context: &Context) -> v1::Context {
    v1::Context {
        mount: context.mount.get(),
        branch: context.branch.get(),
        request_id: context
            .request
            .map_or_else(Bytes::new, |id| Bytes::copy_from_slice(id.as_bytes())),
        expect_generation: context.expect.map(Generation::get),
        uid: context.uid,
        gid: context.gid,
        durability: durability_to_wire(context.durability).into(),
    }
}

/// A context from the wire, at the time `now`. **Errors**: `InvalidArgument`.
pub fn context(message: Option<v1::Context>, now: TimeNanos) -> Result<Context, Failure> {
    let message = message.unwrap_or_default();
    let durability = match v1::Durability::try_from(message.durability) {
        Ok(v1::Durability::Unspecified | v1::Durability::Synced) => Durability::Synced,
        Ok(v1::Durability::Buffered) => Durability::Buffered,
        Err(_) => return Err(unknown("context.durability", message.durability)),
    };
    Ok(Context {
        mount: MountId::new(message.mount),
        branch: BranchId::new(message.branch),
        request: optional_request_id("context.request_id", &message.request_id)?,
        expect: message.expect_generation.map(Generation::new),
        uid: message.uid,
        gid: message.gid,
        durability,
        now,
    })
}

/// A durability for the wire.
#[must_use]
pub const fn durability_to_wire(durability: Durability) -> v1::Durability {
    match durability {
        Durability::Synced => v1::Durability::Synced,
        Durability::Buffered => v1::Durability::Buffered,
    }
}

/// A [`Target`] that owns what it names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OwnedTarget {
    /// By path.
    Path(NsPath),
    /// The node itself.
    Node(NodeId),
    /// The entry of a directory.
    Child(NodeId, Name),
}

impl<'a> From<&'a OwnedTarget> for Target<'a> {
    fn from(target: &'a OwnedTarget) -> Self {
        match target {
            OwnedTarget::Path(path) => Self::Path(path),
            OwnedTarget::Node(node) => Self::Node(*node),
            OwnedTarget::Child(directory, name) => Self::Child {
                directory: *directory,
                name,
            },
        }
    }
}

/// A target for the wire.
#[must_use]
pub fn target_to_wire(target: Target<'_>) -> v1::Target {
    let target = match target {
        Target::Path(path) => WireTarget::Path(path.to_bytes().into()),
        Target::Node(node) => WireTarget::Node(node.as_u64()),
        Target::Child { directory, name } => WireTarget::Child(child_to_wire(directory, name)),
    };
    v1::Target {
        target: Some(target),
    }
}

/// A target from the wire. **Errors**: `InvalidArgument`, those of paths and names.
pub fn target(field: &str, message: Option<v1::Target>) -> Result<OwnedTarget, Failure> {
    let target = message.and_then(|message| message.target);
    Ok(match present(field, target)? {
        WireTarget::Path(path) => OwnedTarget::Path(path_from_wire(&path)?),
        WireTarget::Node(node) => OwnedTarget::Node(NodeId::from_u64(node)),
        WireTarget::Child(child) => {
            let name = name_from_wire(child.name)?;
            OwnedTarget::Child(NodeId::from_u64(child.directory), name)
        }
    })
}

/// A [`Place`] that owns what it names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OwnedPlace {
    /// By path.
    Path(NsPath),
    /// The entry of a directory.
    Child(NodeId, Name),
}

impl<'a> From<&'a OwnedPlace> for Place<'a> {
    fn from(place: &'a OwnedPlace) -> Self {
        match place {
            OwnedPlace::Path(path) => Self::Path(path),
            OwnedPlace::Child(directory, name) => Self::Child {
                directory: *directory,
                name,
            },
        }
    }
}

/// A place for the wire.
#[must_use]
pub fn place_to_wire(place: Place<'_>) -> v1::Place {
    let place = match place {
        Place::Path(path) => WirePlace::Path(path.to_bytes().into()),
        Place::Child { directory, name } => WirePlace::Child(child_to_wire(directory, name)),
    };
    v1::Place { place: Some(place) }
}

/// A place from the wire. **Errors**: `InvalidArgument`, those of paths and names.
pub fn place(field: &str, message: Option<v1::Place>) -> Result<OwnedPlace, Failure> {
    let place = message.and_then(|message| message.place);
    Ok(match present(field, place)? {
        WirePlace::Path(path) => OwnedPlace::Path(path_from_wire(&path)?),
        WirePlace::Child(child) => {
            let name = name_from_wire(child.name)?;
            OwnedPlace::Child(NodeId::from_u64(child.directory), name)
        }
    })
}

/// Whether to follow, for the wire.
#[must_use]
pub const fn follow_to_wire(follow: Follow) -> v1::Follow {
    match follow {
        Follow::Yes => v1::Follow::Always,
        Follow::No => v1::Follow::Never,
    }
}

/// Whether to follow. **Errors**: `InvalidArgument`.
pub fn follow(value: i32) -> Result<Follow, Failure> {
    match v1::Follow::try_from(value) {
        Ok(v1::Follow::Always) => Ok(Follow::Yes),
        Ok(v1::Follow::Never | v1::Follow::Unspecified) => Ok(Follow::No),
        Err(_) => Err(unknown("follow", value)),
    }
}

/// What becomes of missing parents, for the wire.
#[must_use]
pub const fn parents_to_wire(parents: Parents) -> v1::Parents {
    match parents {
        Parents::Required => v1::Parents::Required,
        Parents::Create => v1::Parents::Create,
    }
}

/// What becomes of missing parents. **Errors**: `InvalidArgument`.
pub fn parents(value: i32) -> Result<Parents, Failure> {
    match v1::Parents::try_from(value) {
        Ok(v1::Parents::Create) => Ok(Parents::Create),
        Ok(v1::Parents::Required | v1::Parents::Unspecified) => Ok(Parents::Required),
        Err(_) => Err(unknown("parents", value)),
    }
}

/// A rename's mode for the wire.
#[must_use]
pub const fn rename_mode_to_wire(mode: RenameMode) -> v1::RenameMode {
    match mode {
        RenameMode::Plain => v1::RenameMode::Plain,
        RenameMode::NoReplace => v1::RenameMode::NoReplace,
        RenameMode::Exchange => v1::RenameMode::Exchange,
    }
}

/// A rename's mode. **Errors**: `InvalidArgument`.
pub fn rename_mode(value: i32) -> Result<RenameMode, Failure> {
    match v1::RenameMode::try_from(value) {
        Ok(v1::RenameMode::Plain | v1::RenameMode::Unspecified) => Ok(RenameMode::Plain),
        Ok(v1::RenameMode::NoReplace) => Ok(RenameMode::NoReplace),
        Ok(v1::RenameMode::Exchange) => Ok(RenameMode::Exchange),
        Err(_) => Err(unknown("mode", value)),
    }
}

/// A removal's mode for the wire.
#[must_use]
pub const fn remove_mode_to_wire(mode: Remove) -> v1::RemoveMode {
    match mode {
        Remove::File => v1::RemoveMode::File,
        Remove::EmptyDirectory => v1::RemoveMode::EmptyDirectory,
        Remove::Tree => v1::RemoveMode::Tree,
    }
}

/// A removal's mode. **Errors**: `InvalidArgument`.
pub fn remove_mode(value: i32) -> Result<Remove, Failure> {
    match v1::RemoveMode::try_from(value) {
        Ok(v1::RemoveMode::File | v1::RemoveMode::Unspecified) => Ok(Remove::File),
        Ok(v1::RemoveMode::EmptyDirectory) => Ok(Remove::EmptyDirectory),
        Ok(v1::RemoveMode::Tree) => Ok(Remove::Tree),
        Err(_) => Err(unknown("mode", value)),
    }
}

/// Puts changes of attributes into a request.
pub fn attribute_changes_to_wire(changes: &SetAttributes, request: &mut v1::SetAttributesRequest) {
    let time = |time: SetTime| v1::SetTime {
        time: Some(match time {
            SetTime::Now => Time::Now(v1::Empty {}),
            SetTime::To(nanos) => Time::Nanos(nanos.get()),
        }),
    };
    request.mode = changes.mode;
    request.uid = changes.uid;
    request.gid = changes.gid;
    request.size = changes.size;
    request.atime = changes.atime.map(time);
    request.mtime = changes.mtime.map(time);
    request.expect_generation = changes.expect.map(Generation::get);
}

/// The changes of attributes that a request carries. **Errors**: `InvalidArgument`.
pub fn attribute_changes(request: &v1::SetAttributesRequest) -> Result<SetAttributes, Failure> {
    let mode = request.mode.map(|mode| mode_from_wire("mode", mode));
    Ok(SetAttributes {
        mode: mode.transpose()?,
        uid: request.uid,
        gid: request.gid,
        size: request.size,
        atime: set_time("atime", request.atime)?,
        mtime: set_time("mtime", request.mtime)?,
        expect: request.expect_generation.map(Generation::new),
    })
}

fn set_time(field: &str, time: Option<v1::SetTime>) -> Result<Option<SetTime>, Failure> {
    let Some(time) = time else { return Ok(None) };
    Ok(Some(match present(field, time.time)? {
        Time::Now(_) => SetTime::Now,
        Time::Nanos(nanos) => SetTime::To(TimeNanos::new(nanos)),
    }))
}

fn child_to_wire(directory: NodeId, name: &Name) -> v1::Child {
    v1::Child {
        directory: directory.as_u64(),
        name: name.to_bytes(),
    }
}

fn unknown(field: &str, value: i32) -> Failure {
    invalid(
        field,
        format!("is {value}, which this server does not know"),
    )
}
