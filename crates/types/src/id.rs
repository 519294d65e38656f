//! Identifiers, each a type of its own.

use std::fmt;

macro_rules! integer_id {
    ($(#[$doc:meta])* $name:ident, $int:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
        pub struct $name($int);

        impl $name {
            /// The identifier with this number.
            #[must_use]
            pub const fn new(number: $int) -> Self {
                Self(number)
            }

            /// The number, for codecs and display.
            #[must_use]
            pub const fn get(self) -> $int {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

integer_id!(
    /// A shard of the store: one ordered log of commands.
    ShardId,
    u16
);
integer_id!(
    /// A namespace in the store: its own root, quotas and tokens.
    MountId,
    u32
);
integer_id!(
    /// A writable layer over a version of another branch. 0 is the trunk of every mount.
    BranchId,
    u32
);
integer_id!(
    /// The generation of a body: 1 for the first publish, one more for each replacement, 0 for none
    /// yet.
    Generation,
    u64
);
integer_id!(
    /// An upload session: the durable ledger entry under which blocks are staged. Never reused.
    SessionId,
    u64
);

integer_id!(
    /// A client session: what holds locks and open files, for as long as it is renewed. Never
    /// reused.
    ClientId,
    u64
);

impl BranchId {
    /// The branch that every mount has from the start.
    pub const TRUNK: Self = Self(0);
}

impl Generation {
    /// A node that has never had a body.
    pub const NONE: Self = Self(0);

    /// The generation that replaces this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// A node (inode) of the store.
///
/// **Shape**: the high 16 bits are the shard that holds the node, the low 48 its number there. Ids
/// are unique in the store and never reused. Key order puts the nodes of a shard side by side.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct NodeId(u64);

impl NodeId {
    const LOCAL_BITS: u32 = 48;

    /// The node with number `local` (its low 48 bits) in `shard`.
    #[must_use]
    pub const fn new(shard: ShardId, local: u64) -> Self {
        Self(((shard.get() as u64) << Self::LOCAL_BITS) | (local & ((1 << Self::LOCAL_BITS) - 1)))
    }

    /// The node with these 64 bits.
    #[must_use]
    pub const fn from_u64(bits: u64) -> Self {
        Self(bits)
    }

    /// The 64 bits, for codecs.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The shard that holds the node.
    #[must_use]
    pub const fn shard(self) -> ShardId {
        ShardId::new((self.0 >> Self::LOCAL_BITS) as u16)
    }

    /// The number within the shard.
    #[must_use]
    pub const fn local(self) -> u64 {
        self.0 & ((1 << Self::LOCAL_BITS) - 1)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The idempotency id of a mutation, chosen by the caller at random.
///
/// **Guarantees**: within the store's dedupe window, a command with an id that was applied before
/// returns the first answer and changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// The id with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "request {self}")
    }
}

#[cfg(test)]
mod tests {
    use super::{NodeId, ShardId};

    #[test]
    fn a_node_carries_its_shard() {
        let node = NodeId::new(ShardId::new(0xfffe), 42);
        assert_eq!(node.shard(), ShardId::new(0xfffe));
        assert_eq!(node.local(), 42);
        assert_eq!(NodeId::from_u64(node.as_u64()), node);
    }
}
