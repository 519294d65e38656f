//! The concurrent, versioned memtable of the storage engine.
//!
//! Purpose: an ordered map of `(key, version) → entry` that one writer fills while any number of
//! readers get, seek and iterate without a lock; filled once, sealed, flushed, dropped as a whole.
//!
//! Reading order: [`entry`] (what is stored), [`memtable`] (the whole), [`cursor`] and [`value`]
//! (how to read it), [`arena`], [`leaf`], [`chain`] (memory, keys in order, versions of a key),
//! [`index`] (what a structure must do), [`art`] and [`skip_list`] (the two that do it).
//!
//! How an engine holds it: `Arc<Memtable>`. A scan that outlives its call owns
//! `Cursor<Arc<Memtable>>`, which needs no borrow; a lookup takes `Memtable::get` and copies, or
//! `get_owned` and keeps the memtable alive by the value.
//!
//! This is the only crate of the workspace with `unsafe`: a reader follows pointers that a writer
//! publishes, which Rust's borrows can't express. Everything is allocated in one arena, published
//! by Release stores after it is complete, changed afterwards only through atomics, and freed only
//! as a whole; each `SAFETY` comment rests on these four facts.

mod arena;
mod art;
mod chain;
#[cfg(test)]
mod concurrency_test;
mod cursor;
mod entry;
mod index;
mod leaf;
mod memtable;
mod skip_list;
mod sync;
mod value;

pub use chain::Versions;
pub use cursor::{Cursor, Hold};
pub use entry::{EntryRef, Found, KEY_BYTES_MAX, VALUE_BYTES_MAX};
pub use leaf::prefetch_bytes;
pub use memtable::{Memtable, MemtableOptions, Structure, Writer};
pub use value::{FoundOwned, ValueRef};
