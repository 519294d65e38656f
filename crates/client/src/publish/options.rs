//! What the caller of a publish chooses and learns.

use crate::tree::OnPut;
use nokv_namespace::Published;
use nokv_object::SubtreeHash;
use nokv_types::{Generation, Name, RequestId, Version};
use std::fmt;
use std::path::PathBuf;

/// How [`crate::Client::publish_tree`] works.
#[derive(Clone)]
pub struct PublishOptions {
    /// What must be at the path before.
    pub expect: PublishExpect,
    /// A symbolic link beside the path that leads to it from the same moment on.
    pub latest: Option<Name>,
    /// Names the publish: the same id with the same content again is answered as the first time,
    /// and changes nothing.
    pub request: Option<RequestId>,
    /// The directory of journals; without one, an attempt that breaks off is not resumed.
    pub journal_dir: Option<PathBuf>,
    /// How long what was uploaded waits for the next attempt, milliseconds; at most a day.
    pub resume_ms: u32,
    /// Files uploaded at once, 1..=256.
    pub parallel: usize,
    /// Told of everything that happens.
    pub on_event: Option<OnPut>,
}

/// What must be at the path of a publish.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PublishExpect {
    /// Anything: a file is replaced, a directory merged.
    #[default]
    Any,
    /// Nothing.
    Absent,
    /// A file with this generation; only for a file.
    Generation(Generation),
}

impl PublishOptions {
    /// An hour: longer than a machine takes to restart.
    pub const RESUME_MS_DEFAULT: u32 = 3_600_000;

    /// The request id that a text stands for: half of its BLAKE3.
    #[must_use]
    pub fn request_named(text: &str) -> RequestId {
        let digest = SubtreeHash::join(&[SubtreeHash::of(text.as_bytes(), 0)]);
        let digest = digest.expect("one part is a whole");
        let (id, _) = digest
            .as_bytes()
            .split_first_chunk::<16>()
            .expect("32 bytes");
        RequestId::from_bytes(*id)
    }
}

impl Default for PublishOptions {
    fn default() -> Self {
        Self {
            expect: PublishExpect::Any,
            latest: None,
            request: None,
            journal_dir: None,
            resume_ms: Self::RESUME_MS_DEFAULT,
            parallel: 16,
            on_event: None,
        }
    }
}

impl fmt::Debug for PublishOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishOptions")
            .field("expect", &self.expect)
            .field("latest", &self.latest)
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

/// What a publish did.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct PublishReport {
    /// What is visible now, in the order of the walk; the link to it is the last.
    pub published: Vec<Published>,
    /// The version from which on it is visible.
    pub version: Version,
    /// Files.
    pub file_count: u64,
    /// Directories.
    pub directory_count: u64,
    /// Symbolic links, without the one to the whole.
    pub symlink_count: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Files that an earlier attempt had sent.
    pub resumed_count: u64,
    /// Their bytes.
    pub resumed_bytes: u64,
}
