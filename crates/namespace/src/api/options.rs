//! What an operator may choose.

/// Options of a namespace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// How long every version stays readable, milliseconds. 0: replaced and removed bodies are
    /// garbage at once.
    pub retention_ms: u64,
    /// How long after expiry the blocks of an abandoned session are kept, so that an upload still
    /// on its way does not land after the sweep, milliseconds.
    pub session_grace_ms: u64,
    /// How many shards a new store gets; an existing one has as many as it has.
    pub shards: u16,
    /// Where directories of new mounts go.
    pub placement: crate::Placement,
    /// The command logs: what watches and repeated requests can go back to.
    pub log: nokv_shard::Options,
    /// The engine: sizes of memtable and cache, compression.
    pub engine: nokv_engine::Options,
}

impl Options {
    /// Retention unless told: an hour.
    pub const RETENTION_MS_DEFAULT: u64 = 3_600_000;
    /// Grace unless told: ten minutes, longer than any single upload may retry.
    pub const SESSION_GRACE_MS_DEFAULT: u64 = 600_000;
}

impl Default for Options {
    fn default() -> Self {
        Self {
            retention_ms: Self::RETENTION_MS_DEFAULT,
            session_grace_ms: Self::SESSION_GRACE_MS_DEFAULT,
            shards: 1,
            placement: crate::Placement::default(),
            log: nokv_shard::Options::default(),
            engine: nokv_engine::Options::default(),
        }
    }
}
