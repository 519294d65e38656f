//! The adaptive radix tree: a blind trie over the leaves.
//!
//! A node distinguishes its keys by the one byte at its `level`, counted from the start of the key,
//! and stores nothing of the bytes that its keys share between the level above and its own. A
//! lookup therefore jumps from level to level without comparing prefixes and compares the whole key
//! once, at the leaf. A key that ends at the level of a node hangs in the node's *terminator*,
//! which sorts before every byte; so a key may be a prefix of another and any byte may occur. Depth
//! is bounded by key length, and every walk is a loop: no stack depends on the keys.
//!
//! **The lemma everything rests on** (Morrison's PATRICIA, 1968; string B-trees use it too):
//! descend by the bytes of a key and, where no child fits, to any leaf below; that leaf shares with
//! the key the longest prefix that any leaf does. So the length `shared` of their common prefix
//! says exactly where the key belongs: at the first place on its path where the level is not below
//! `shared`.
//!
//! **Why readers need no lock and no reclamation.** One writer at a time changes the tree by four
//! kinds of single-word stores, each with Release and each to a slot or key word that readers load
//! with Acquire:
//! 1. *add a child in a free place* of a node: the child slot first, then the key byte (or index
//!    byte) that leads to it. A reader either doesn't find the byte or finds a set slot. Narrow
//!    nodes keep their bytes unsorted, in order of arrival, so that nothing that a reader looks at
//!    ever moves; their unused byte places repeat the first byte, whose first occurrence wins, so
//!    no count has to be read together with the bytes.
//! 2. *replace a full node by a copy of the next size*: the copy is complete, then the slot above
//!    it is switched. Nobody changes the replaced node any more; a reader inside it goes on to see
//!    what was there. It stays in the arena as garbage until the memtable is dropped, at most about
//!    half of what the live nodes take.
//! 3. *put a new node between a slot and its child* where a key leaves the path between two levels.
//!    Since a level counts from the start of the key, the child below needs no change at all: no
//!    prefix has to be cut, so no reader can see a node with the prefix of another time.
//! 4. *set a terminator*.
//!
//! A slot, once set, is only ever replaced by something that leads to all leaves it led to before.
//! Hence a reader that goes down the same path a second time (as `ceiling` does) finds at least
//! what it found first.
//!
//! Order comes from the list of leaves ([`crate::leaf`]): the tree has to be right only about *one*
//! neighbour, and every node has at least two children, so the neighbour of a new leaf is below the
//! node where it is added.
//!
//! Source: Leis et al., "The Adaptive Radix Tree", ICDE 2013, for the four node sizes; prefix-free
//! nodes with absolute levels after the height optimised trie (Binna 2018).

mod byte_set;
mod fetch;
mod narrow;
mod node;
mod slot;
mod tree;
mod wide;

pub(crate) use tree::Art;
