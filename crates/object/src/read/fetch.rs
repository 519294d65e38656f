//! One GET, verified.
//!
//! Invariant: bytes leave this module only after the CRC-32C of the whole unit that they are in
//! was right.

use super::{
    options::VERIFY_ATTEMPTS_MAX,
    plan::{Fetch, Part},
};
use crate::{BlockStore, Error, Mismatch, blocking, checksum, encoding};
use bytes::Bytes;
use nokv_types::{BlockId, Body, Digest, Encoding, Unit};
use std::{fmt, sync::Arc};
use tokio::sync::Semaphore;

/// A body's name in messages, formatted only when there is something to say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyName {
    digest: Option<Digest>,
    size: u64,
}

impl BodyName {
    pub(crate) fn of(body: &Body) -> Self {
        Self {
            digest: body.digest(),
            size: body.size(),
        }
    }
}

impl fmt::Display for BodyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.digest {
            Some(digest) => write!(f, "body {digest} of {} bytes", self.size),
            None => write!(f, "a body of {} bytes", self.size),
        }
    }
}

/// Fetches with a limit on how many run at once.
#[derive(Clone)]
pub(crate) struct Fetcher {
    pub(crate) store: Arc<dyn BlockStore>,
    pub(crate) gets: Arc<Semaphore>,
}

impl Fetcher {
    /// The object's bytes in the range of a fetch, perhaps fewer.
    pub(crate) async fn get(&self, name: BodyName, fetch: &Fetch) -> Result<Bytes, Error> {
        let _turn = self
            .gets
            .acquire()
            .await
            .expect("the semaphore is never closed");
        let got = self.store.get_range(fetch.block, fetch.range.clone()).await;
        got.map_err(|error| match error {
            Error::MissingBlock { block, place, .. } => Error::MissingBlock {
                body: name.to_string(),
                block,
                place,
            },
            other => other,
        })
    }

    /// The wanted bytes of each part, verified.
    pub(crate) async fn fetch(&self, name: BodyName, fetch: Fetch) -> Result<Vec<Bytes>, Error> {
        let bytes = self.get(name, &fetch).await?;
        let mut wanted = Vec::with_capacity(fetch.parts.len());
        for part in &fetch.parts {
            wanted.push(self.part(name, &fetch, &bytes, part).await?);
        }
        Ok(wanted)
    }

    /// The wanted bytes of one part out of what a GET brought; fetches again what is damaged.
    pub(crate) async fn part(
        &self,
        name: BodyName,
        fetch: &Fetch,
        bytes: &Bytes,
        part: &Part,
    ) -> Result<Bytes, Error> {
        let unit = &part.unit;
        let skip = unit.object_offset.saturating_sub(fetch.range.start) as usize;
        let mut stored = cut(bytes, skip, unit.stored_bytes as usize);
        for attempt in 1.. {
            match self.verify(name, unit, &stored) {
                Ok(()) => break,
                Err(damage) if attempt >= VERIFY_ATTEMPTS_MAX => return Err(damage),
                Err(damage) => tracing::warn!(%damage, "fetching a damaged unit again"),
            }
            let again = Fetch {
                block: unit.block,
                range: unit.object_range(),
                parts: Vec::new(),
            };
            stored = self.get(name, &again).await?;
        }
        let plain = self.decode(name, unit, stored).await?;
        Ok(cut(&plain, part.wanted.start as usize, part.wanted.len()))
    }

    fn verify(&self, name: BodyName, unit: &Unit, stored: &Bytes) -> Result<(), Error> {
        let (expected, got) = if stored.len() != unit.stored_bytes as usize {
            (
                format!("{} bytes", unit.stored_bytes),
                format!("{} bytes", stored.len()),
            )
        } else {
            let got = checksum::crc32c(stored);
            if got == unit.crc32c {
                return Ok(());
            }
            (
                format!("crc32c {:08x}", unit.crc32c),
                format!("crc32c {got:08x}"),
            )
        };
        Err(self.damaged(name, unit.block, expected, got))
    }

    /// The plain bytes of a unit whose stored bytes were right.
    async fn decode(&self, name: BodyName, unit: &Unit, stored: Bytes) -> Result<Bytes, Error> {
        if unit.encoding == Encoding::Plain {
            return Ok(stored);
        }
        let (encoding, plain_bytes) = (unit.encoding, unit.plain_bytes as usize);
        let decoded = blocking(move || Ok(encoding::decode(encoding, &stored, plain_bytes)));
        decoded.await?.ok_or_else(|| {
            let expected = format!("{plain_bytes} bytes as {}", encoding.name());
            self.damaged(name, unit.block, expected, "something else".to_owned())
        })
    }

    fn damaged(&self, name: BodyName, block: BlockId, expected: String, got: String) -> Error {
        Error::DigestMismatch(Box::new(Mismatch {
            body: name.to_string(),
            block: Some(block),
            place: self.store.place(block),
            expected,
            got,
        }))
    }
}

/// The error of a body whose blocks are right and whose whole is not; `Ok` when it is, or nothing
/// is known.
pub(crate) fn verify_whole(name: BodyName, got: Digest) -> Result<(), Error> {
    match name.digest {
        Some(expected) if expected != got => Err(Error::DigestMismatch(Box::new(Mismatch {
            body: name.to_string(),
            block: None,
            place: String::new(),
            expected: expected.to_string(),
            got: got.to_string(),
        }))),
        _ => Ok(()),
    }
}

/// `length` bytes from `skip`, or what there is of them.
fn cut(bytes: &Bytes, skip: usize, length: usize) -> Bytes {
    let start = skip.min(bytes.len());
    let end = start.saturating_add(length).min(bytes.len());
    bytes.slice(start..end)
}
