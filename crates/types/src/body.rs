//! Where the bytes of a file are: extents over immutable blocks, or inline in the node.

use crate::{Extent, Failure, Reason, SessionId};
use bytes::Bytes;
use std::fmt;

/// Bytes of a block unless a mount says otherwise.
pub const BLOCK_BYTES_DEFAULT: u32 = 4 << 20;
/// Smallest block size a mount may choose.
pub const BLOCK_BYTES_MIN: u32 = 64 << 10;
/// Largest block size a mount may choose.
pub const BLOCK_BYTES_MAX: u32 = 64 << 20;
/// Largest body kept inline in its node: below this a round trip to the object store costs more
/// than the bytes weigh in the metadata.
pub const INLINE_BYTES_MAX: usize = 4096;

/// BLAKE3 of a whole body.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("blake3:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// An immutable object in the object store: the `sequence`-th that an upload session wrote. Never
/// reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BlockId {
    /// The session that uploaded it.
    pub session: SessionId,
    /// Its number within the session.
    pub sequence: u32,
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}/{:08x}", self.session.get(), self.sequence)
    }
}

/// How a body is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Layout {
    /// The bytes themselves, at most [`INLINE_BYTES_MAX`].
    Inline(Bytes),
    /// Extents in ascending order without overlap.
    Extents(Vec<Extent>),
}

/// A body: what a reader needs to fetch and verify one generation of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Body {
    size: u64,
    digest: Option<Digest>,
    layout: Layout,
}

impl Body {
    /// A body of no bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            size: 0,
            digest: None,
            layout: Layout::Inline(Bytes::new()),
        }
    }

    /// Builds a body. `digest` is the BLAKE3 of all bytes, or `None` when the writer never saw them
    /// in order (random writes); block checksums protect it either way.
    ///
    /// **Errors**: [`Reason::InvalidArgument`] when inline bytes are not exactly `size` or too
    /// many, or when extents are empty, out of order, overlapping, or reach past `size`.
    pub fn new(size: u64, digest: Option<Digest>, layout: Layout) -> Result<Self, Failure> {
        let invalid = |flaw: String| Err(Failure::new(Reason::InvalidArgument, flaw));
        match &layout {
            Layout::Inline(bytes) => {
                if bytes.len() > INLINE_BYTES_MAX || bytes.len() as u64 != size {
                    return invalid(format!("{} inline bytes in a body of {size}", bytes.len()));
                }
            }
            Layout::Extents(extents) => {
                let mut end = 0;
                for extent in extents {
                    let fits = extent.is_sound() && extent.body_offset >= end;
                    if !fits || extent.end() > size {
                        return invalid(format!("extent {extent:?} does not fit a body of {size}"));
                    }
                    end = extent.end();
                }
            }
        }
        Ok(Self {
            size,
            digest,
            layout,
        })
    }

    /// Bytes of the body, holes included.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// BLAKE3 of all bytes, where known.
    #[must_use]
    pub const fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Where the bytes are.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unit;

    fn extent(body_offset: u64, length: u32) -> Extent {
        let block = BlockId {
            session: SessionId::new(1),
            sequence: 0,
        };
        Extent::whole(body_offset, Unit::plain(block, 0..length, 0))
    }

    #[test]
    fn extents_must_be_ordered_and_fit() {
        let body = |size, extents| Body::new(size, None, Layout::Extents(extents));
        assert!(
            body(10, vec![extent(0, 4), extent(6, 4)]).is_ok(),
            "a hole is legal"
        );
        assert!(
            body(10, vec![extent(0, 4), extent(3, 4)]).is_err(),
            "overlap"
        );
        assert!(body(10, vec![extent(6, 4), extent(0, 4)]).is_err(), "order");
        assert!(body(10, vec![extent(7, 4)]).is_err(), "past the end");
        assert!(body(10, vec![extent(0, 0)]).is_err(), "empty");
        assert!(
            body(u64::MAX, vec![extent(u64::MAX, 4)]).is_err(),
            "overflow"
        );
    }

    #[test]
    fn inline_bytes_are_the_body() {
        assert!(Body::new(3, None, Layout::Inline(Bytes::from_static(b"abc"))).is_ok());
        assert!(Body::new(4, None, Layout::Inline(Bytes::from_static(b"abc"))).is_err());
        let large = Bytes::from(vec![0; INLINE_BYTES_MAX + 1]);
        assert!(Body::new(large.len() as u64, None, Layout::Inline(large)).is_err());
    }
}
