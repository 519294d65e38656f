//! Pages of names.

use nokv_namespace::{NamedNode, NamesPage};
use nokv_proto::{kind_from_wire, kind_to_wire, name_from_wire, v1};
use nokv_types::{BranchId, Failure, Name, NodeId, Version};

use bytes::Bytes;

/// A page of names for the wire.
#[must_use]
pub fn names_page_to_wire(page: &NamesPage) -> v1::ReadNamesResponse {
    let named = |named: &NamedNode| {
        let (kind, device) = kind_to_wire(named.kind);
        v1::NamedNode {
            name: named.name.to_bytes(),
            branch: named.branch.get(),
            node: named.node.as_u64(),
            kind: kind.into(),
            device,
        }
    };
    v1::ReadNamesResponse {
        version: page.version.as_u64(),
        names: page.names.iter().map(named).collect(),
        next: page.next.as_ref().map_or_else(Bytes::new, Name::to_bytes),
    }
}

/// A page of names. **Errors**: `InvalidArgument`, those of a name.
pub fn names_page(message: v1::ReadNamesResponse) -> Result<NamesPage, Failure> {
    let next = match message.next.is_empty() {
        true => None,
        false => Some(name_from_wire(message.next)?),
    };
    let named = |named: v1::NamedNode| {
        Ok(NamedNode {
            name: name_from_wire(named.name)?,
            branch: BranchId::new(named.branch),
            node: NodeId::from_u64(named.node),
            kind: kind_from_wire("names.kind", named.kind, named.device)?,
        })
    };
    Ok(NamesPage {
        version: Version::from_u64(message.version),
        names: message
            .names
            .into_iter()
            .map(named)
            .collect::<Result<_, Failure>>()?,
        next,
    })
}

#[cfg(test)]
mod tests {
    use super::{names_page, names_page_to_wire};
    use nokv_namespace::{NamedNode, NamesPage};
    use nokv_types::{BranchId, Name, NodeId, NodeKind, Version};

    #[test]
    fn a_page_of_names_survives_the_wire() {
        let named = |name: &'static str, kind| NamedNode {
            name: Name::new(name).expect("a name"),
            branch: BranchId::new(3),
            node: NodeId::from_u64(4),
            kind,
        };
        let page = NamesPage {
            version: Version::from_u64(9),
            names: vec![
                named("a", NodeKind::Directory),
                named("b", NodeKind::CharDevice(7)),
            ],
            next: Name::new("b").ok(),
        };
        assert_eq!(names_page(names_page_to_wire(&page)), Ok(page));
    }
}
