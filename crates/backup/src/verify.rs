//! Reading a backup back, to know that it can be restored.

use crate::make::OnPart;
use crate::manifest::Manifest;
use crate::place::BackupPlace;
use crate::restore::read;
use futures::{StreamExt, stream};
use nokv_types::{Failure, Reason};

/// Parts that are fetched at once.
const PARALLEL_GETS: usize = 4;

/// Something of a backup that is damaged or missing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flaw {
    /// The file.
    pub file: String,
    /// Where in it.
    pub offset: u64,
    /// What is wrong, naming the object.
    pub message: String,
}

/// What was read.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Verified {
    /// Files.
    pub file_count: u64,
    /// Their bytes.
    pub byte_count: u64,
    /// What is wrong.
    pub flaws: Vec<Flaw>,
}

/// Reads every byte of a backup. **Errors**: those of the object store; what is damaged or missing
/// is no error but an answer.
pub async fn verify(
    place: &BackupPlace,
    manifest: &Manifest,
    on_part: Option<OnPart>,
) -> Result<Verified, Failure> {
    let mut verified = Verified::default();
    for file in &manifest.files {
        verified.file_count += 1;
        verified.byte_count += file.bytes;
        let reads: Vec<_> = file.parts.iter().map(|part| read(place, part)).collect();
        let mut reading = stream::iter(reads).buffered(PARALLEL_GETS);
        let mut lengths = file.parts.iter().map(|part| u64::from(part.bytes));
        let mut offset = 0;
        while let Some(read) = reading.next().await {
            let bytes = lengths.next().unwrap_or(0);
            match read {
                Ok(_) => {}
                Err(failure) if failure.reason() == Reason::Corrupt => {
                    verified.flaws.push(Flaw {
                        file: file.name.clone(),
                        offset,
                        message: failure.message().to_owned(),
                    });
                }
                Err(failure) => return Err(failure),
            }
            offset += bytes;
            if let Some(on_part) = &on_part {
                on_part(bytes, true);
            }
        }
    }
    Ok(verified)
}
