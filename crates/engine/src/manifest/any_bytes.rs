//! What the decoders of this folder do with any bytes at all: nothing but answer. Shared by the
//! property test and by the fuzz target.

use std::path::Path;

use nokv_env::{Env, OpenMode};

use super::{
    current::{CURRENT_NAME, read_current},
    edit::Edit,
    layout::HEAD_BYTES,
    reader,
    state::State,
};
use crate::LogMode;

/// The bytes as a manifest, as an edit behind its checksum, and as `CURRENT`.
pub(crate) fn manifest(bytes: &[u8]) {
    let path = Path::new("/store/manifest");
    if let Ok(read) = reader::read(path, 1, bytes, 0) {
        assert!(read.offset as usize <= bytes.len() && read.offset as usize > HEAD_BYTES);
    }
    reader::read(path, 1, bytes, bytes.len() as u64).ok();
    if let Some(edit) = Edit::decode(bytes) {
        assert_eq!(Edit::decode(&edit.encode()), Some(edit.clone()));
        State::new(LogMode::default()).apply(&edit).ok();
    }
    let env = Env::memory(1);
    let dir = Path::new("/store");
    env.files.create_dir_all(dir).expect("memory");
    let file = env.files.open(&dir.join(CURRENT_NAME), OpenMode::Create);
    file.and_then(|file| file.write_at(bytes, 0))
        .expect("memory");
    read_current(&env, dir).ok();
}
