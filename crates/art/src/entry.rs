//! What goes into a memtable and what comes out: plain borrowed values.

/// The longest key, bytes: an engine key of 64 KiB with the byte of its keyspace in front.
pub const KEY_BYTES_MAX: usize = (64 << 10) + 1;

/// The longest value, bytes.
pub const VALUE_BYTES_MAX: usize = (64 << 20) + 16;

/// What is stored at one version of a key.
///
/// **Shape**: `kind` is opaque to the memtable (the engine distinguishes values, tombstones, values
/// with an expiry, value-log pointers); `value` is 0 to [`VALUE_BYTES_MAX`] bytes and is copied
/// into the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryRef<'a> {
    /// The caller's tag.
    pub kind: u8,
    /// The caller's bytes.
    pub value: &'a [u8],
}

/// One version of a key, found.
///
/// **Guarantees**: immutable; `value` points into the arena and lives as long as the borrow it came
/// from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// The version that it was inserted with.
    pub version: u64,
    /// The caller's tag.
    pub kind: u8,
    /// The caller's bytes, not copied.
    pub value: &'a [u8],
}
