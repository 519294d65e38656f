//! The stored form of a repair: what a plan of repairs keeps.
//!
//! **Shape**: format, version (8), what (1), then its fields in the order of [`RepairAction`]: ids
//! 8 (branch, mount, shard: varint), differences signed, counts varint; an entry: directory (8),
//! name; an optional entry: a flag in front.

use super::FORMAT;
use crate::{EntryAt, Repair, RepairAction};
use bytes::Bytes;
use nokv_shard::codec::{Decoder, Encoder, Malformed};
use nokv_types::{
    BlockId, BranchId, Failure, Generation, MountId, Name, NodeId, Reason, SessionId, ShardId,
    Version,
};

impl Repair {
    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut encoder = Encoder::new(FORMAT);
        encoder.u64(self.at.as_u64());
        encode_action(&mut encoder, &self.action);
        encoder.finish()
    }

    /// Reads the stored form. **Errors**: `InvalidArgument` when it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, Failure> {
        decode(bytes).map_err(|flaw| {
            Failure::new(
                Reason::InvalidArgument,
                format!(
                    "not a repair: at byte {} expected {}, got {}",
                    flaw.offset, flaw.expected, flaw.got
                ),
            )
        })
    }
}

fn encode_action(encoder: &mut Encoder, action: &RepairAction) {
    use RepairAction as Action;
    match action {
        Action::Unname(entry) => encode_entry(encoder.u8(3), entry),
        Action::Kind(entry) => encode_entry(encoder.u8(4), entry),
        Action::SecondName(entry) => encode_entry(encoder.u8(5), entry),
        Action::Links { node, names } => {
            encoder.u8(6).u64(node.as_u64()).varint(names.len() as u64);
            for (directory, count) in names {
                encoder.u64(directory.as_u64()).varint(u64::from(*count));
            }
            encoder
        }
        Action::Place { directory, entry } => {
            encode_entry(encoder.u8(7).u64(directory.as_u64()), entry)
        }
        Action::Attach { node, instead_of } => {
            encode_some(encoder.u8(8).u64(node.as_u64()), instead_of.as_ref())
        }
        Action::Recreate { directory, entry } => {
            encode_some(encoder.u8(9).u64(directory.as_u64()), entry.as_ref())
        }
        other => encode_other(encoder, other),
    };
}

fn encode_other<'a>(encoder: &'a mut Encoder, action: &RepairAction) -> &'a mut Encoder {
    use RepairAction as Action;
    match action {
        Action::Count {
            directory,
            branch,
            entries,
            subdirectories,
        } => encoder
            .u8(1)
            .u64(directory.as_u64())
            .varint(u64::from(branch.get()))
            .signed(*entries)
            .signed(*subdirectories),
        Action::DropCount(node) => encoder.u8(2).u64(node.as_u64()),
        Action::Xattrs {
            node,
            branch,
            count,
        } => encoder
            .u8(10)
            .u64(node.as_u64())
            .varint(u64::from(branch.get()))
            .varint(u64::from(*count)),
        Action::DropLeftovers(node) => encoder.u8(11).u64(node.as_u64()),
        Action::References {
            block,
            references,
            bytes,
            end,
        } => encoder
            .u8(12)
            .u64(block.session.get())
            .u32(block.sequence)
            .signed(*references)
            .signed(*bytes)
            .signed(*end),
        Action::DropChunks {
            node,
            branch,
            generation,
        } => encoder
            .u8(13)
            .u64(node.as_u64())
            .varint(u64::from(branch.get()))
            .varint(generation.get()),
        Action::Usage {
            directory,
            bytes,
            inodes,
        } => encoder
            .u8(14)
            .u64(directory.as_u64())
            .signed(*bytes)
            .signed(*inodes),
        Action::DropUsage(node) => encoder.u8(15).u64(node.as_u64()),
        Action::CountQuotas => encoder.u8(16),
        Action::Topology(shard, mount) => encoder
            .u8(17)
            .varint(u64::from(shard.get()))
            .varint(u64::from(mount.get())),
        Action::Unname(_)
        | Action::Kind(_)
        | Action::SecondName(_)
        | Action::Links { .. }
        | Action::Place { .. }
        | Action::Attach { .. }
        | Action::Recreate { .. } => encoder,
    }
}

fn encode_entry<'a>(encoder: &'a mut Encoder, entry: &EntryAt) -> &'a mut Encoder {
    encoder
        .u64(entry.directory.as_u64())
        .bytes(entry.name.as_bytes())
}

fn encode_some<'a>(encoder: &'a mut Encoder, entry: Option<&EntryAt>) -> &'a mut Encoder {
    match entry {
        None => encoder.u8(0),
        Some(entry) => encode_entry(encoder.u8(1), entry),
    }
}

fn decode(bytes: &[u8]) -> Result<Repair, Malformed> {
    let mut decoder = Decoder::new(bytes, FORMAT)?;
    Ok(Repair {
        at: Version::from_u64(decoder.u64("version")?),
        action: decode_action(&mut decoder)?,
    })
}

fn decode_action(decoder: &mut Decoder<'_>) -> Result<RepairAction, Malformed> {
    use RepairAction as Action;
    Ok(match decoder.u8("action")? {
        1 => Action::Count {
            directory: node(decoder)?,
            branch: branch(decoder)?,
            entries: decoder.signed("entries")?,
            subdirectories: decoder.signed("subdirectories")?,
        },
        2 => Action::DropCount(node(decoder)?),
        3 => Action::Unname(entry(decoder)?),
        4 => Action::Kind(entry(decoder)?),
        5 => Action::SecondName(entry(decoder)?),
        6 => Action::Links {
            node: node(decoder)?,
            names: names(decoder)?,
        },
        7 => Action::Place {
            directory: node(decoder)?,
            entry: entry(decoder)?,
        },
        8 => Action::Attach {
            node: node(decoder)?,
            instead_of: some_entry(decoder)?,
        },
        9 => Action::Recreate {
            directory: node(decoder)?,
            entry: some_entry(decoder)?,
        },
        10 => Action::Xattrs {
            node: node(decoder)?,
            branch: branch(decoder)?,
            count: decoder.varint32("count")?,
        },
        11 => Action::DropLeftovers(node(decoder)?),
        12 => Action::References {
            block: BlockId {
                session: SessionId::new(decoder.u64("session")?),
                sequence: decoder.u32("sequence")?,
            },
            references: decoder.signed("references")?,
            bytes: decoder.signed("bytes")?,
            end: decoder.signed("end")?,
        },
        13 => Action::DropChunks {
            node: node(decoder)?,
            branch: branch(decoder)?,
            generation: Generation::new(decoder.varint("generation")?),
        },
        14 => Action::Usage {
            directory: node(decoder)?,
            bytes: decoder.signed("bytes")?,
            inodes: decoder.signed("names")?,
        },
        15 => Action::DropUsage(node(decoder)?),
        16 => Action::CountQuotas,
        17 => {
            let shard = decoder.varint("shard")?;
            let shard = u16::try_from(shard).map_err(|_| decoder.malformed("a shard", shard))?;
            Action::Topology(
                ShardId::new(shard),
                MountId::new(decoder.varint32("mount")?),
            )
        }
        what => return Err(decoder.malformed("an action 1 to 17", what)),
    })
}

fn node(decoder: &mut Decoder<'_>) -> Result<NodeId, Malformed> {
    Ok(NodeId::from_u64(decoder.u64("node")?))
}

fn branch(decoder: &mut Decoder<'_>) -> Result<BranchId, Malformed> {
    Ok(BranchId::new(decoder.varint32("branch")?))
}

fn entry(decoder: &mut Decoder<'_>) -> Result<EntryAt, Malformed> {
    let directory = node(decoder)?;
    let name = Name::new(decoder.bytes("name")?.to_vec());
    let name = name.map_err(|flaw| decoder.malformed("a name", flaw))?;
    Ok(EntryAt { directory, name })
}

fn some_entry(decoder: &mut Decoder<'_>) -> Result<Option<EntryAt>, Malformed> {
    match decoder.u8("flag of an entry")? {
        0 => Ok(None),
        _ => entry(decoder).map(Some),
    }
}

fn names(decoder: &mut Decoder<'_>) -> Result<Vec<(NodeId, u32)>, Malformed> {
    let mut names = Vec::new();
    for _ in 0..decoder.varint("directories")? {
        names.push((node(decoder)?, decoder.varint32("names")?));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn action() -> impl Strategy<Value = RepairAction> {
        use RepairAction as Action;
        let node = || any::<u64>().prop_map(NodeId::from_u64);
        let branch = || any::<u32>().prop_map(BranchId::new);
        let entry = || {
            (node(), "[a-z]{1,9}").prop_map(|(directory, name)| EntryAt {
                directory,
                name: Name::new(name.into_bytes()).expect("legal"),
            })
        };
        prop_oneof![
            (node(), branch(), any::<i64>(), any::<i64>()).prop_map(
                |(directory, branch, entries, subdirectories)| Action::Count {
                    directory,
                    branch,
                    entries,
                    subdirectories,
                }
            ),
            node().prop_map(Action::DropCount),
            entry().prop_map(Action::Unname),
            entry().prop_map(Action::Kind),
            entry().prop_map(Action::SecondName),
            (
                node(),
                proptest::collection::vec((node(), any::<u32>()), 0..4)
            )
                .prop_map(|(node, names)| Action::Links { node, names }),
            (node(), entry()).prop_map(|(directory, entry)| Action::Place { directory, entry }),
            (node(), proptest::option::of(entry()))
                .prop_map(|(node, instead_of)| Action::Attach { node, instead_of }),
            (node(), proptest::option::of(entry()))
                .prop_map(|(directory, entry)| Action::Recreate { directory, entry }),
            counts(),
        ]
    }

    fn counts() -> impl Strategy<Value = RepairAction> {
        use RepairAction as Action;
        let node = || any::<u64>().prop_map(NodeId::from_u64);
        let branch = || any::<u32>().prop_map(BranchId::new);
        prop_oneof![
            (node(), branch(), any::<u32>()).prop_map(|(node, branch, count)| Action::Xattrs {
                node,
                branch,
                count
            }),
            node().prop_map(Action::DropLeftovers),
            (any::<u64>(), any::<u32>(), any::<[i64; 3]>()).prop_map(
                |(session, sequence, [references, bytes, end])| Action::References {
                    block: BlockId {
                        session: SessionId::new(session),
                        sequence,
                    },
                    references,
                    bytes,
                    end,
                }
            ),
            (node(), branch(), any::<u64>()).prop_map(|(node, branch, generation)| {
                let generation = Generation::new(generation);
                Action::DropChunks {
                    node,
                    branch,
                    generation,
                }
            }),
            (node(), any::<i64>(), any::<i64>()).prop_map(|(directory, bytes, inodes)| {
                Action::Usage {
                    directory,
                    bytes,
                    inodes,
                }
            }),
            node().prop_map(Action::DropUsage),
            Just(Action::CountQuotas),
            (any::<u16>(), any::<u32>()).prop_map(|(shard, mount)| {
                Action::Topology(ShardId::new(shard), MountId::new(mount))
            }),
        ]
    }

    proptest! {
        #[test]
        fn repairs_survive_a_plan(at: u64, action in action()) {
            let repair = Repair { at: Version::from_u64(at), action };
            let bytes = repair.encode();
            prop_assert_eq!(Repair::decode(&bytes).ok(), Some(repair.clone()));
            prop_assert!(!repair.to_string().contains('\n'));
            for end in 0..bytes.len() {
                prop_assert!(Repair::decode(&bytes[..end]).is_err());
            }
        }

        #[test]
        fn damaged_plans_are_refused_without_panic(bytes: Vec<u8>) {
            let _outcome = Repair::decode(&bytes);
        }
    }
}
