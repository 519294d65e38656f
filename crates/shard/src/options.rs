//! What an operator may choose.

/// Options of a store's shards: limits of all their logs together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// How long change records are kept, milliseconds: how far back a watch can resume.
    pub log_ms: u64,
    /// How many bytes of change records are kept at most; the oldest go first.
    pub log_bytes: u64,
    /// How long a repeated request gets its first answer, milliseconds; at most `log_ms`.
    pub dedupe_ms: u64,
    /// How many requests are remembered at most; the oldest go first.
    pub dedupe_count: u64,
}

impl Default for Options {
    /// An hour and 1 GiB of log, which at 40,000 commands a second still is minutes; a million
    /// requests.
    fn default() -> Self {
        Self {
            log_ms: 3_600_000,
            log_bytes: 1 << 30,
            dedupe_ms: 3_600_000,
            dedupe_count: 1 << 20,
        }
    }
}
