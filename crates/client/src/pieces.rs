//! Pieces of many files at once: one question, few GETs.
//!
//! A training job reads thousands of small samples in an order of its own. One by one, each costs a
//! round trip to the server and one to the object store; together, one plan names all their bytes,
//! and what lies near each other in an object comes with one GET.

use crate::Client;
use crate::calls::PLAN_ITEMS_MAX;
use bytes::Bytes;
use nokv_namespace::Target;
use nokv_object::{BodyReader, Piece, READ_BYTES_MAX, ReadOptions};
use nokv_proto::v1;
use nokv_types::{Failure, NsPath};
use std::ops::Range;

/// A range of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PieceOf {
    /// The file; a symbolic link at the end of its path is followed.
    pub path: NsPath,
    /// Which bytes; cut at the file's end.
    pub range: Range<u64>,
}

impl PieceOf {
    /// All of a file.
    #[must_use]
    pub const fn whole(path: NsPath) -> Self {
        Self {
            path,
            range: 0..u64::MAX,
        }
    }
}

impl Client {
    /// Pieces of many files. **Shape**: any number of pieces; each at most 64 MiB.
    ///
    /// **Guarantees**: results in the order of `pieces`, each of one generation of its file,
    /// verified; a piece that is a whole file against its digest. Not all of one version,
    /// unless the client reads at one. **Errors**: those of asking; each piece fails by itself
    /// as [`Client::read`] does.
    pub async fn read_pieces(
        &self,
        pieces: &[PieceOf],
    ) -> Result<Vec<Result<Bytes, Failure>>, Failure> {
        let reader = self.reader(ReadOptions::default()).await?;
        let mut results = Vec::with_capacity(pieces.len());
        let mut rest = pieces;
        while !rest.is_empty() {
            let (asked, _) = rest.split_at(rest.len().min(PLAN_ITEMS_MAX));
            let targets: Vec<_> = asked.iter().map(|it| Target::Path(&it.path)).collect();
            let ranges = asked.iter().map(|it| to_wire(&it.range)).collect();
            let found = self.plan(&targets, ranges).await?;
            if found.is_empty() {
                return Err(nokv_proto::invalid("results", "are empty"));
            }
            let (planned, left) = rest.split_at(found.len().min(asked.len()));
            rest = left;
            let mut batch = Vec::new();
            for (piece, found) in planned.iter().zip(found) {
                let body = found
                    .map(|(_, body)| body)
                    .map_err(|it| it.context(&piece.path));
                batch.push(body.map(|body| Piece {
                    body,
                    range: piece.range.clone(),
                }));
            }
            results.extend(read_batch(&reader, batch).await?);
        }
        Ok(results)
    }
}

/// Reads what is planned, as much at once as a reader takes.
async fn read_batch(
    reader: &BodyReader,
    batch: Vec<Result<Piece, Failure>>,
) -> Result<Vec<Result<Bytes, Failure>>, Failure> {
    let mut results = Vec::with_capacity(batch.len());
    let mut together = Vec::new();
    let mut bytes = 0;
    // The places in `results` that wait for what is read together.
    let mut places = Vec::new();
    for piece in batch {
        let piece = match piece {
            Ok(piece) => piece,
            Err(failure) => {
                results.push(Err(failure));
                continue;
            }
        };
        let more = piece.bytes();
        if bytes + more > READ_BYTES_MAX && !together.is_empty() {
            settle(reader, &mut results, &mut places, &mut together).await?;
            bytes = 0;
        }
        bytes += more;
        places.push(results.len());
        results.push(Ok(Bytes::new()));
        together.push(piece);
    }
    settle(reader, &mut results, &mut places, &mut together).await?;
    Ok(results)
}

async fn settle(
    reader: &BodyReader,
    results: &mut [Result<Bytes, Failure>],
    places: &mut Vec<usize>,
    together: &mut Vec<Piece>,
) -> Result<(), Failure> {
    let read = reader.read_pieces(together).await?;
    for (place, read) in places.drain(..).zip(read) {
        if let Some(slot) = results.get_mut(place) {
            *slot = read.map_err(Failure::from);
        }
    }
    together.clear();
    Ok(())
}

fn to_wire(range: &Range<u64>) -> v1::PlanRange {
    let length = range.end.saturating_sub(range.start);
    v1::PlanRange {
        offset: range.start,
        // 0 asks for all, which an empty range does not want; one byte more costs nothing.
        length: length.max(1),
    }
}
