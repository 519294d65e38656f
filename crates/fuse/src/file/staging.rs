//! Where written bytes wait for a flush: in memory while they are few, else in a file without a
//! name, at the offsets that they have in their file.
//!
//! Invariants:
//! - the bytes of all stagings in memory stay below [`MEMORY_BYTES_MAX`];
//! - the file has no name, so nothing is left behind however the process ends.

use nokv_env::{Env, File, OpenMode};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of one file kept in memory: most files are smaller, and a file of its own costs more than
/// copying this much.
const FILE_MEMORY_BYTES_MAX: u64 = 1 << 20;
/// Bytes of all files kept in memory: a tree that is unpacked meets it only when flushes lag.
pub(crate) const MEMORY_BYTES_MAX: u64 = 256 << 20;

/// What stagings of a mount share.
pub(crate) struct Stagings {
    env: Env,
    dir: PathBuf,
    memory_bytes: AtomicU64,
    next: AtomicU64,
}

/// The staging of one file.
pub(crate) struct Staging {
    stagings: Arc<Stagings>,
    bytes: Bytes,
}

enum Bytes {
    Memory(Vec<u8>),
    File(Arc<dyn File>),
}

impl Stagings {
    pub(crate) fn new(env: Env, dir: PathBuf) -> Self {
        Self {
            env,
            dir,
            memory_bytes: AtomicU64::new(0),
            next: AtomicU64::new(0),
        }
    }

    /// A file that is gone when it is closed.
    fn file(&self) -> io::Result<Arc<dyn File>> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let name = format!(
            "nokv-{}-{number}-{:016x}",
            std::process::id(),
            self.env.random.next_u64()
        );
        let path = self.dir.join(name);
        let file = self.env.files.open(&path, OpenMode::CreateNew)?;
        self.env.files.remove(&path)?;
        Ok(file)
    }
}

impl Staging {
    pub(crate) fn new(stagings: Arc<Stagings>) -> Self {
        Self {
            stagings,
            bytes: Bytes::Memory(Vec::new()),
        }
    }

    /// Keeps bytes. **Errors**: those of the disk.
    pub(crate) fn write(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let end = offset + data.len() as u64;
        if let Bytes::Memory(memory) = &mut self.bytes {
            let more = end.saturating_sub(memory.len() as u64);
            if end <= FILE_MEMORY_BYTES_MAX && self.stagings.reserve(more) {
                if more > 0 {
                    memory.resize(end as usize, 0);
                }
                memory[offset as usize..end as usize].copy_from_slice(data);
                return Ok(());
            }
            let file = self.stagings.file()?;
            file.write_at(memory, 0)?;
            self.clear();
            self.bytes = Bytes::File(file);
        }
        match &self.bytes {
            Bytes::File(file) => file.write_at(data, offset),
            Bytes::Memory(_) => Ok(()),
        }
    }

    /// Fills `buffer` with bytes that were written; where nothing was, it leaves zeros.
    pub(crate) fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match &self.bytes {
            Bytes::Memory(memory) => {
                let from = (offset as usize).min(memory.len());
                let to = (from + buffer.len()).min(memory.len());
                buffer[..to - from].copy_from_slice(&memory[from..to]);
                Ok(())
            }
            Bytes::File(file) => file.read_full_at(buffer, offset).map(drop),
        }
    }

    /// Forgets all bytes.
    pub(crate) fn clear(&mut self) {
        if let Bytes::Memory(memory) = &self.bytes {
            let bytes = memory.len() as u64;
            self.stagings
                .memory_bytes
                .fetch_sub(bytes, Ordering::Relaxed);
        }
        self.bytes = Bytes::Memory(Vec::new());
    }
}

impl Stagings {
    /// Takes memory if there is some.
    fn reserve(&self, bytes: u64) -> bool {
        let before = self.memory_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes <= MEMORY_BYTES_MAX {
            return true;
        }
        self.memory_bytes.fetch_sub(bytes, Ordering::Relaxed);
        false
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{FILE_MEMORY_BYTES_MAX, Staging, Stagings};
    use nokv_env::Env;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    #[test]
    fn bytes_stay_what_they_were_wherever_they_are() {
        let dir = tempfile::tempdir().expect("a directory");
        let stagings = Arc::new(Stagings::new(Env::real(), dir.path().to_owned()));
        let mut staging = Staging::new(Arc::clone(&stagings));
        staging.write(5, b"hello").expect("memory");
        staging
            .write(FILE_MEMORY_BYTES_MAX - 2, b"far")
            .expect("a file");
        staging.write(6, b"a").expect("a file");
        let mut read = [9; 5];
        staging.read(5, &mut read).expect("reads");
        assert_eq!(&read, b"hallo");
        staging
            .read(FILE_MEMORY_BYTES_MAX - 2, &mut read[..3])
            .expect("reads");
        assert_eq!(&read[..3], b"far");
        assert_eq!(stagings.memory_bytes.load(Ordering::Relaxed), 0);
        assert_eq!(
            dir.path().read_dir().expect("lists").count(),
            0,
            "no name is left"
        );
        staging.clear();
        staging.write(0, b"again").expect("memory");
        assert_eq!(stagings.memory_bytes.load(Ordering::Relaxed), 5);
        drop(staging);
        assert_eq!(stagings.memory_bytes.load(Ordering::Relaxed), 0);
    }
}
