//! The bytes of files in a dump.
//!
//! Invariants: a body comes once, behind the first name of its node; bytes are verified before they
//! are written; memory is bounded by [`PARALLEL_READS`] small bodies, whatever the size of a file.

use super::save::{DumpEvent, written};
use crate::Client;
use bytes::Bytes;
use futures::{StreamExt, stream};
use nokv_dump::{Content, DumpWriter, Identity, Item, Items, NodeItem};
use nokv_namespace::DumpPage;
use nokv_object::{BodyReader, ReadOptions};
use nokv_types::{Body, Failure, Layout};
use std::collections::HashSet;
use std::io::Write;
use std::ops::Range;
use tokio::task::block_in_place;

/// Small bodies that are read at once.
const PARALLEL_READS: usize = 16;
/// A body up to this size is read beside others; a larger one streams by itself.
const SMALL_BYTES_MAX: u64 = 1 << 20;
/// Most bytes of one piece of data: what a reader of the dump has in memory.
const PIECE_BYTES_MAX: usize = 1 << 20;

/// Writes nodes with their bodies.
pub(super) struct BodyWriter {
    reader: BodyReader,
    /// Nodes with several names that were written.
    seen: HashSet<Identity>,
}

impl BodyWriter {
    pub(super) async fn new(client: &Client) -> Result<Self, Failure> {
        Ok(Self {
            reader: client.reader(ReadOptions::default()).await?,
            seen: HashSet::new(),
        })
    }

    /// Writes the nodes of a page; bytes of their bodies.
    pub(super) async fn write<W: Write>(
        &mut self,
        writer: &mut DumpWriter<W>,
        page: &DumpPage,
        tell: &(impl Fn(DumpEvent) + Sync),
    ) -> Result<u64, Failure> {
        let mut nodes = Vec::new();
        for item in Items::new(page.nodes.clone()) {
            if let Item::Node(node) = item? {
                let first = node.links == 1 || self.seen.insert(node.node);
                nodes.push((node, first));
            }
        }
        let reader = &self.reader;
        let read = |(node, first): (Box<NodeItem>, bool)| async move {
            let small = match body_of(&node).filter(|_| first) {
                Some(body) if body.size() <= SMALL_BYTES_MAX => {
                    let mut pieces = Vec::new();
                    for run in runs(body) {
                        let bytes = reader.read_range(body, run.clone()).await?;
                        pieces.push((run.start, bytes));
                    }
                    Some(pieces)
                }
                _ => None,
            };
            Ok::<_, Failure>((node, first, small))
        };
        let mut total = 0;
        let mut reading = stream::iter(nodes).map(read).buffered(PARALLEL_READS);
        while let Some(read) = reading.next().await {
            let (node, first, small) = read?;
            block_in_place(|| writer.node(&node)).map_err(|error| written(&error))?;
            let mut bytes_written = 0;
            match (small, body_of(&node).filter(|_| first)) {
                (Some(pieces), _) => {
                    for (offset, bytes) in pieces {
                        bytes_written += write_piece(writer, offset, &bytes)?;
                    }
                }
                (None, Some(body)) => {
                    for run in runs(body) {
                        let mut offset = run.start;
                        let mut stream = reader.stream(body, run);
                        while let Some(bytes) = stream.next().await.transpose()? {
                            let count = write_piece(writer, offset, &bytes)?;
                            tell(DumpEvent::Data(count));
                            (offset, total) = (offset + count, total + count);
                        }
                    }
                }
                (None, None) => {}
            }
            if bytes_written > 0 {
                tell(DumpEvent::Data(bytes_written));
                total += bytes_written;
            }
        }
        Ok(total)
    }
}

fn write_piece<W: Write>(
    writer: &mut DumpWriter<W>,
    mut offset: u64,
    bytes: &Bytes,
) -> Result<u64, Failure> {
    for piece in bytes.chunks(PIECE_BYTES_MAX) {
        let data = block_in_place(|| writer.data(offset, piece));
        data.map_err(|error| written(&error))?;
        offset += piece.len() as u64;
    }
    Ok(bytes.len() as u64)
}

fn body_of(node: &NodeItem) -> Option<&Body> {
    match &node.content {
        Content::Body(body) if node.has_extents() => Some(body),
        _ => None,
    }
}

/// The ranges of a body that are no holes.
fn runs(body: &Body) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    if let Layout::Extents(extents) = body.layout() {
        for extent in extents {
            match runs.last_mut() {
                Some(run) if run.end == extent.body_offset => run.end = extent.end(),
                _ => runs.push(extent.body_offset..extent.end()),
            }
        }
    }
    runs
}
