//! Differences.

use nokv_namespace::{DiffPage, Difference, DifferenceKind};
use nokv_proto::{FRAME_BYTES_MAX, kind_from_wire, kind_to_wire, path_from_wire, v1};
use nokv_types::{Failure, NodeId, NsPath, Reason, Version};
use prost::Message;

/// Bytes at which a list in an answer is full: half a frame.
pub(super) const LIST_BYTES_FULL: usize = FRAME_BYTES_MAX / 2;

/// A page for the wire, begun after the first `after` differences; cut off where it would not fit a
/// frame, to be continued there.
#[must_use]
pub fn diff_page_to_wire(page: &DiffPage, after: u64) -> v1::DiffResponse {
    let mut differences = Vec::with_capacity(page.differences.len());
    let mut bytes = 0;
    for difference in &page.differences {
        let message = difference_to_wire(difference);
        bytes += message.encoded_len();
        if bytes > LIST_BYTES_FULL && !differences.is_empty() {
            break;
        }
        differences.push(message);
    }
    let next = match differences.len() == page.differences.len() {
        true => page.next,
        false => Some(after.saturating_add(differences.len() as u64)),
    };
    v1::DiffResponse {
        from_version: page.from_version.as_u64(),
        to_version: page.to_version.as_u64(),
        differences,
        next,
    }
}

/// A page from the wire. **Errors**: `InvalidArgument`; `Unsupported` for a kind of a newer server.
pub fn diff_page(message: v1::DiffResponse) -> Result<DiffPage, Failure> {
    let differences = message.differences.into_iter().map(difference);
    Ok(DiffPage {
        from_version: Version::from_u64(message.from_version),
        to_version: Version::from_u64(message.to_version),
        differences: differences.collect::<Result<_, _>>()?,
        next: message.next,
    })
}

fn difference_to_wire(difference: &Difference) -> v1::Difference {
    let (node_kind, device) = kind_to_wire(difference.node_kind);
    let path = |path: &Option<NsPath>| {
        path.as_ref()
            .map_or_else(Default::default, |path| path.to_bytes().into())
    };
    v1::Difference {
        kind: difference_kind_to_wire(difference.kind).into(),
        node: difference.node.as_u64(),
        node_kind: node_kind.into(),
        device,
        from: path(&difference.from),
        to: path(&difference.to),
    }
}

fn difference(message: v1::Difference) -> Result<Difference, Failure> {
    let path = |bytes: &[u8]| match bytes.is_empty() {
        true => Ok(None),
        false => path_from_wire(bytes).map(Some),
    };
    Ok(Difference {
        kind: difference_kind(message.kind)?,
        node: NodeId::from_u64(message.node),
        node_kind: kind_from_wire("difference.node_kind", message.node_kind, message.device)?,
        from: path(&message.from)?,
        to: path(&message.to)?,
    })
}

const fn difference_kind_to_wire(kind: DifferenceKind) -> v1::DifferenceKind {
    match kind {
        DifferenceKind::Added => v1::DifferenceKind::Added,
        DifferenceKind::Removed => v1::DifferenceKind::Removed,
        DifferenceKind::Renamed => v1::DifferenceKind::Renamed,
        DifferenceKind::Modified => v1::DifferenceKind::Modified,
        DifferenceKind::Attributes => v1::DifferenceKind::Attributes,
        DifferenceKind::Xattr => v1::DifferenceKind::Xattr,
    }
}

fn difference_kind(kind: i32) -> Result<DifferenceKind, Failure> {
    Ok(match v1::DifferenceKind::try_from(kind) {
        Ok(v1::DifferenceKind::Added) => DifferenceKind::Added,
        Ok(v1::DifferenceKind::Removed) => DifferenceKind::Removed,
        Ok(v1::DifferenceKind::Renamed) => DifferenceKind::Renamed,
        Ok(v1::DifferenceKind::Modified) => DifferenceKind::Modified,
        Ok(v1::DifferenceKind::Attributes) => DifferenceKind::Attributes,
        Ok(v1::DifferenceKind::Xattr) => DifferenceKind::Xattr,
        Ok(v1::DifferenceKind::Unspecified) | Err(_) => return Err(newer("difference", kind)),
    })
}

/// A number that only a newer server knows.
pub(super) fn newer(what: &str, kind: i32) -> Failure {
    Failure::new(
        Reason::Unsupported,
        format!("{what} of kind {kind}, which this client does not know; use a newer one"),
    )
}
