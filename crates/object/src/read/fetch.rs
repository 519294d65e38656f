//! One GET, verified.
//!
//! Invariant: bytes leave this module only after the CRC-32C of the whole unit that they are in
//! was right.

use super::{
    cached,
    hedge::Hedge,
    options::{Keep, VERIFY_ATTEMPTS_MAX},
    plan::{Fetch, Part},
};
use crate::{BlockCache, BlockStore, Error, Mismatch, blocking, checksum, encoding};
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
    /// A body of which nothing is known.
    pub(super) const UNKNOWN: Self = Self {
        digest: None,
        size: 0,
    };

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

/// Which body the part with this index is of.
pub(crate) type NameOf<'a> = &'a (dyn Fn(usize) -> BodyName + Send + Sync);

/// A verified unit.
pub(super) struct Whole {
    pub(super) stored: Bytes,
    pub(super) plain: Bytes,
    /// Whether `stored` lies in what the GET brought, beside its neighbours.
    pub(super) is_of_get: bool,
}

/// What a GET brought.
pub(super) struct Wholes {
    /// All of it, gaps included; `None` after an error.
    pub(super) bytes: Option<Bytes>,
    /// The units, one for each part.
    pub(super) wholes: Vec<Result<Whole, Error>>,
}

/// Fetches with a limit on how many run at once, and a cache, if any, before them.
#[derive(Clone)]
pub(crate) struct Fetcher {
    pub(crate) store: Arc<dyn BlockStore>,
    pub(crate) gets: Arc<Semaphore>,
    pub(crate) cache: Option<Arc<BlockCache>>,
    /// Where the cache keeps what is fetched.
    pub(crate) keep: Keep,
    pub(super) hedge: Option<Arc<Hedge>>,
}

impl Fetcher {
    /// The object's bytes in the range of a fetch, perhaps fewer.
    async fn get(&self, name: BodyName, fetch: &Fetch) -> Result<Bytes, Error> {
        let _turn = self
            .gets
            .acquire()
            .await
            .expect("the semaphore is never closed");
        let got = match &self.hedge {
            Some(hedge) => hedge.get(&*self.store, fetch.block, &fetch.range).await,
            None => self.store.get_range(fetch.block, fetch.range.clone()).await,
        };
        got.map_err(|error| match error {
            Error::MissingBlock { block, place, .. } => Error::MissingBlock {
                body: name.to_string(),
                block,
                place,
            },
            other => other,
        })
    }

    /// The wanted bytes of each part, verified, or the first error.
    pub(crate) async fn fetch(&self, name: BodyName, fetch: Fetch) -> Result<Vec<Bytes>, Error> {
        let each = self.fetch_each(&fetch, &|_| name).await;
        each.into_iter().collect()
    }

    /// The wanted bytes of each part, verified, or what is wrong with it; `name_of` says which body
    /// a part is of.
    pub(crate) async fn fetch_each(
        &self,
        fetch: &Fetch,
        name_of: NameOf<'_>,
    ) -> Vec<Result<Bytes, Error>> {
        if let Some(cache) = &self.cache {
            return cached::fetch_each(self, cache, fetch, name_of).await;
        }
        let wholes = self.wholes(fetch, name_of).await.wholes;
        let wanted = |(whole, part): (Result<Whole, Error>, &Part)| {
            whole.map(|whole| cut_wanted(&whole.plain, part))
        };
        wholes.into_iter().zip(&fetch.parts).map(wanted).collect()
    }

    /// The wanted bytes of each part if the cache has them all at hand.
    pub(crate) fn ready(&self, fetch: &Fetch) -> Option<Vec<Bytes>> {
        let cache = self.cache.as_ref()?;
        let ready = |part: &Part| cache.ready(&part.unit, &part.wanted);
        fetch.parts.iter().map(ready).collect()
    }

    /// Whether a part need not be fetched, at the price of a look at its first byte.
    pub(super) fn has(&self, part: &Part) -> bool {
        let first = 0..part.unit.plain_bytes.min(1);
        let cache = self.cache.as_ref();
        cache.is_some_and(|cache| cache.ready(&part.unit, &first).is_some())
    }

    /// One GET, and the unit of each part out of it, verified.
    pub(super) async fn wholes(&self, fetch: &Fetch, name_of: NameOf<'_>) -> Wholes {
        let got = self.get(name_of(0), fetch).await;
        let mut wholes = Vec::with_capacity(fetch.parts.len());
        for (index, part) in fetch.parts.iter().enumerate() {
            let name = name_of(index);
            wholes.push(match &got {
                Ok(bytes) => self.whole(name, fetch, bytes, part).await,
                Err(error) => Err(error.clone().for_body(&name.to_string())),
            });
        }
        Wholes {
            bytes: got.ok(),
            wholes,
        }
    }

    /// The unit of one part out of what a GET brought; fetches again what is damaged.
    async fn whole(
        &self,
        name: BodyName,
        fetch: &Fetch,
        bytes: &Bytes,
        part: &Part,
    ) -> Result<Whole, Error> {
        let unit = &part.unit;
        let skip = unit.object_offset.saturating_sub(fetch.range.start) as usize;
        let mut stored = cut(bytes, skip, unit.stored_bytes as usize);
        let mut is_of_get = true;
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
            is_of_get = false;
        }
        let plain = self.decode(name, unit, stored.clone()).await?;
        Ok(Whole {
            stored,
            plain,
            is_of_get,
        })
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

/// The wanted bytes of a verified unit.
pub(super) fn cut_wanted(plain: &Bytes, part: &Part) -> Bytes {
    cut(plain, part.wanted.start as usize, part.wanted.len())
}

/// `length` bytes from `skip`, or what there is of them.
fn cut(bytes: &Bytes, skip: usize, length: usize) -> Bytes {
    let start = skip.min(bytes.len());
    let end = start.saturating_add(length).min(bytes.len());
    bytes.slice(start..end)
}
