//! Pieces of many bodies with few GETs: what a reader of samples wants.
//!
//! Invariants:
//! - every piece has exactly one result, in the order of the input; one damaged body fails alone;
//! - pieces of one object that lie near each other come with one GET, whichever bodies they are of.

use super::{
    fetch::{BodyName, verify_whole},
    options::READ_BYTES_MAX,
    plan::{Fetch, plan_many},
    reader::BodyReader,
    stream::zeros,
};
use crate::{Error, checksum};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};
use nokv_types::{Body, Extent, Layout};
use std::ops::Range;

/// A range of a body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// The body, or as much of its layout as shows the range.
    pub body: Body,
    /// Which bytes; cut at the body's end.
    pub range: Range<u64>,
}

/// Which piece a part of a GET is for, and where in the body it goes.
type Mark = (usize, u64);

/// What has come of a piece: bytes by their place in the body.
type Gathered = Result<Vec<(u64, Bytes)>, Error>;

impl Piece {
    /// How many bytes it is.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let end = self.range.end.min(self.body.size());
        end.saturating_sub(self.range.start)
    }
}

impl BodyReader {
    /// Pieces of many bodies. **Shape**: at most [`READ_BYTES_MAX`] bytes together.
    ///
    /// **Guarantees**: results in the order of `pieces`; a piece that is a whole body is verified
    /// against its digest. **Errors**: [`Error::Invalid`] for more bytes; each piece fails by
    /// itself as [`Self::read_range`] does.
    pub async fn read_pieces(&self, pieces: &[Piece]) -> Result<Vec<Result<Bytes, Error>>, Error> {
        let bytes: u64 = pieces.iter().map(Piece::bytes).sum();
        if bytes > READ_BYTES_MAX {
            return Err(Error::Invalid(format!(
                "{} pieces of {bytes} bytes are over {READ_BYTES_MAX}: read fewer at once",
                pieces.len()
            )));
        }
        let mut wanted: Vec<(Extent, Mark)> = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            if let Layout::Extents(extents) = piece.body.layout() {
                let first = extents.partition_point(|it| it.end() <= piece.range.start);
                let shown = extents
                    .iter()
                    .skip(first)
                    .map_while(|it| it.cut(&piece.range));
                wanted.extend(shown.map(|extent| (extent, (index, extent.body_offset))));
            }
        }
        let mut gathered: Vec<Gathered> = pieces.iter().map(|_| Ok(Vec::new())).collect();
        let mut running = stream::iter(plan_many(wanted))
            .map(|(fetch, marks)| self.fetch_marked(fetch, marks, pieces))
            .buffer_unordered(self.options.parallel_gets);
        while let Some(fetched) = running.next().await {
            for ((index, place), bytes) in fetched {
                if let Some(slot) = gathered.get_mut(index) {
                    gather(slot, place, bytes);
                }
            }
        }
        let put_together = |(gathered, piece): (Gathered, &Piece)| assemble(gathered?, piece);
        Ok(gathered.into_iter().zip(pieces).map(put_together).collect())
    }

    async fn fetch_marked(
        &self,
        fetch: Fetch,
        marks: Vec<Mark>,
        pieces: &[Piece],
    ) -> Vec<(Mark, Result<Bytes, Error>)> {
        let fetched = match self.fetcher.ready(&fetch) {
            Some(ready) => ready.into_iter().map(Ok).collect(),
            None => {
                let piece = |part: usize| marks.get(part).and_then(|(index, _)| pieces.get(*index));
                let name_of = |part: usize| {
                    piece(part).map_or(BodyName::UNKNOWN, |piece| BodyName::of(&piece.body))
                };
                self.fetcher.fetch_each(&fetch, &name_of).await
            }
        };
        marks.into_iter().zip(fetched).collect()
    }
}

fn gather(slot: &mut Gathered, place: u64, bytes: Result<Bytes, Error>) {
    match (slot.as_mut(), bytes) {
        (Ok(parts), Ok(bytes)) => parts.push((place, bytes)),
        (Ok(_), Err(error)) => *slot = Err(error),
        (Err(_), _) => {}
    }
}

/// The bytes of a piece out of its parts, holes filled with zeros.
fn assemble(mut parts: Vec<(u64, Bytes)>, piece: &Piece) -> Result<Bytes, Error> {
    let end = piece.range.end.min(piece.body.size());
    let start = piece.range.start.min(end);
    let length = usize::try_from(end - start).unwrap_or(usize::MAX);
    parts.sort_by_key(|(place, _)| *place);
    let bytes = match (piece.body.layout(), parts.as_slice()) {
        (Layout::Inline(bytes), _) => {
            let at = |offset: u64| {
                usize::try_from(offset)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len())
            };
            bytes.slice(at(start)..at(end))
        }
        (Layout::Extents(_), [(_, only)]) if only.len() == length => only.clone(),
        (Layout::Extents(_), parts) => {
            let mut all = BytesMut::with_capacity(length);
            for (place, part) in parts {
                fill(&mut all, place.saturating_sub(start));
                all.extend_from_slice(part);
            }
            fill(&mut all, end - start);
            all.freeze()
        }
    };
    if start == 0 && end == piece.body.size() && piece.body.digest().is_some() {
        verify_whole(BodyName::of(&piece.body), checksum::digest(&bytes))?;
    }
    Ok(bytes)
}

/// Zeros up to a length.
fn fill(all: &mut BytesMut, length: u64) {
    for chunk in zeros(length.saturating_sub(all.len() as u64)) {
        all.extend_from_slice(&chunk);
    }
}
