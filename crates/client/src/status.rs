//! What a store says of itself.

use nokv_types::Version;

/// The store and who serves it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// 32 hexadecimal digits, chosen when the store was created.
    pub store_id: String,
    /// Version of the server; this program's when the store is open in process.
    pub server_version: String,
    /// Version of the format on disk.
    pub format_version: u32,
    /// Where bodies are, without credentials.
    pub objects_url: String,
    /// Milliseconds since the store was opened.
    pub uptime_ms: u64,
    /// Version of the newest commit.
    pub last_version: Version,
    /// The process that has the store open.
    pub process_id: u32,
    /// Requests answered since then.
    pub request_count: u64,
    /// More figures, by name, for a person.
    pub figures: Vec<(String, u64)>,
}
