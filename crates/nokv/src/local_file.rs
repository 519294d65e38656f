//! A local file, or standard input and output, read and written from the beginning to the end.
//!
//! Invariant: a file that is written has its name only when all of it is there, synced: until then
//! it is `NAME.partial`.

use nokv_env::{Env, File, OpenMode};
use nokv_types::{Failure, Reason};
use std::ffi::OsString;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes read or written at a time.
const BUFFER_BYTES: usize = 256 << 10;

/// A file, or standard input or output for `-`.
pub(crate) fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// What a command reads.
pub(crate) struct Input {
    /// From the beginning.
    pub(crate) reader: BufReader<Box<dyn Read + Send>>,
    /// Its length, where known.
    pub(crate) bytes: Option<u64>,
}

/// Opens what a command reads. **Errors**: `NotFound`, `PermissionDenied`, `Io`.
pub(crate) fn open(path: &Path) -> Result<Input, Failure> {
    if is_standard(path) {
        return Ok(Input {
            reader: BufReader::with_capacity(BUFFER_BYTES, Box::new(io::stdin())),
            bytes: None,
        });
    }
    let failed = |error: io::Error| failure("read", path, &error);
    let file = Env::real()
        .files
        .open(path, OpenMode::Read)
        .map_err(failed)?;
    let bytes = Some(file.len().map_err(failed)?);
    let reader: Box<dyn Read + Send> = Box::new(Sequential { file, offset: 0 });
    let reader = BufReader::with_capacity(BUFFER_BYTES, reader);
    Ok(Input { reader, bytes })
}

/// What a command writes.
pub(crate) struct Output {
    path: PathBuf,
    partial: PathBuf,
    file: Option<Arc<dyn File>>,
}

impl Output {
    /// Makes it, to be written. **Errors**: `NotFound`, `PermissionDenied`, `NoSpace`, `Io`.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        let mut partial = OsString::from(path);
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file = match is_standard(path) {
            true => None,
            false => {
                let file = Env::real().files.open(&partial, OpenMode::Create);
                Some(file.map_err(|error| failure("write", &partial, &error))?)
            }
        };
        Ok(Self {
            path: path.to_owned(),
            partial,
            file,
        })
    }

    /// Where to write.
    pub(crate) fn writer(&self) -> BufWriter<Box<dyn Write + Send>> {
        let writer: Box<dyn Write + Send> = match &self.file {
            None => Box::new(io::stdout()),
            Some(file) => Box::new(Sequential {
                file: Arc::clone(file),
                offset: 0,
            }),
        };
        BufWriter::with_capacity(BUFFER_BYTES, writer)
    }

    /// Gives it its name, durably, after all was flushed; its length, where it is a file.
    pub(crate) fn finish(self) -> Result<Option<u64>, Failure> {
        let Some(file) = &self.file else {
            return Ok(None);
        };
        let files = Env::real().files;
        let named = || {
            file.sync_data()?;
            let bytes = file.len()?;
            files.rename(&self.partial, &self.path)?;
            let parent = self.path.parent();
            let parent = parent.filter(|parent| !parent.as_os_str().is_empty());
            files.sync_dir(parent.unwrap_or(Path::new(".")))?;
            Ok(bytes)
        };
        let bytes = named().map_err(|error| failure("write", &self.path, &error))?;
        Ok(Some(bytes))
    }

    /// Removes what was written.
    pub(crate) fn abandon(self) {
        if self.file.is_some() {
            // It is named so that everybody sees that it is no whole file.
            drop(Env::real().files.remove(&self.partial));
        }
    }
}

/// A file that is gone through once.
struct Sequential {
    file: Arc<dyn File>,
    offset: u64,
}

impl Read for Sequential {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

impl Write for Sequential {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(bytes, self.offset)?;
        self.offset += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn failure(action: &str, path: &Path, error: &io::Error) -> Failure {
    let reason = match error.kind() {
        io::ErrorKind::NotFound => Reason::NotFound,
        io::ErrorKind::PermissionDenied => Reason::PermissionDenied,
        io::ErrorKind::StorageFull => Reason::NoSpace,
        _ => Reason::Io,
    };
    Failure::new(
        reason,
        format!("can't {action} {}: {error}", path.display()),
    )
}
