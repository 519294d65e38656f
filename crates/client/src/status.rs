//! What a store says of itself.

use nokv_proto::v1;
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

impl Status {
    pub(crate) fn from_wire(status: v1::StatusResponse) -> Self {
        let figures = status.figures.into_iter();
        Self {
            store_id: status
                .store_id
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            server_version: status.server_version,
            format_version: status.format_version,
            objects_url: status.objects_url,
            uptime_ms: status.uptime_ms,
            last_version: Version::from_u64(status.last_version),
            process_id: status.process_id,
            request_count: status.request_count,
            figures: figures.map(|figure| (figure.name, figure.value)).collect(),
        }
    }
}

/// What a check of the namespace counted, and what does not fit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checked {
    /// The version that was checked.
    pub version: Version,
    /// Nodes of any kind.
    pub nodes: u64,
    /// Entries of directories.
    pub entries: u64,
    /// Bodies out of sight that are not reclaimed yet.
    pub dead_bodies: u64,
    /// Blocks with references.
    pub blocks: u64,
    /// What does not fit, the first 10,000: its kind, and what and where in one line.
    pub problems: Vec<(String, String)>,
}
