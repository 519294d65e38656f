//! Writing and reading the bytes of records.
//!
//! Every stored record is: one byte of format, then fields in a fixed order, integers as varints
//! (LEB128, at most ten bytes) or fixed big-endian. A reader takes the fields that it knows and
//! leaves the rest: a later format appends fields, so an unknown *tail* is legal and an unknown
//! *format byte* is not.
//!
//! Invariant: no input makes a reader panic or allocate more than the input is long.

use bytes::Bytes;

/// Bytes that are not a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Malformed {
    /// Where in the record.
    pub offset: usize,
    /// What should be there.
    pub expected: &'static str,
    /// What is there.
    pub got: String,
}

/// Builds a record.
#[derive(Debug, Default)]
pub struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    /// A record of this format.
    #[must_use]
    pub fn new(format: u8) -> Self {
        let mut bytes = Vec::with_capacity(64);
        bytes.push(format);
        Self { bytes }
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes.push(value);
        self
    }

    /// An unsigned varint.
    pub fn varint(&mut self, mut value: u64) -> &mut Self {
        while value >= 0x80 {
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        #[expect(clippy::cast_possible_truncation, reason = "below 0x80")]
        self.bytes.push(value as u8);
        self
    }

    /// A signed varint (zigzag: small magnitudes stay short).
    pub fn signed(&mut self, value: i64) -> &mut Self {
        self.varint(((value << 1) ^ (value >> 63)).cast_unsigned())
    }

    /// Eight bytes, big-endian.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Four bytes, big-endian.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Bytes as they are; the reader knows how many.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Bytes with their length in front.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.varint(bytes.len() as u64).raw(bytes)
    }

    /// The record.
    #[must_use]
    pub fn finish(&mut self) -> Bytes {
        Bytes::from(std::mem::take(&mut self.bytes))
    }
}

/// Reads a record.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Decoder<'a> {
    /// A reader of a record that must have this format. **Errors**: another format byte, or none.
    pub fn new(bytes: &'a [u8], format: u8) -> Result<Self, Malformed> {
        let mut decoder = Self { bytes, offset: 0 };
        let found = decoder.u8("format byte")?;
        if found == format {
            Ok(decoder)
        } else {
            Err(Malformed {
                offset: 0,
                expected: "a known format byte",
                got: found.to_string(),
            })
        }
    }

    /// Whether all bytes were read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.offset >= self.bytes.len()
    }

    /// What is wrong at the last read field.
    #[must_use]
    pub fn malformed(&self, expected: &'static str, got: impl ToString) -> Malformed {
        Malformed {
            offset: self.offset,
            expected,
            got: got.to_string(),
        }
    }

    /// The next `count` bytes.
    pub fn raw(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], Malformed> {
        let end = self.offset.checked_add(count);
        let Some(bytes) = end.and_then(|end| self.bytes.get(self.offset..end)) else {
            let left = self.bytes.len().saturating_sub(self.offset);
            return Err(self.malformed(what, format!("{left} bytes left of {count}")));
        };
        self.offset += count;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        let bytes = self.raw(N, what)?;
        bytes
            .try_into()
            .map_err(|_| self.malformed(what, "another length"))
    }

    /// One byte.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, Malformed> {
        Ok(u8::from_be_bytes(self.array(what)?))
    }

    /// Four bytes, big-endian.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(self.array(what)?))
    }

    /// Eight bytes, big-endian.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, Malformed> {
        Ok(u64::from_be_bytes(self.array(what)?))
    }

    /// Sixteen or any other fixed number of bytes.
    pub fn fixed<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        self.array(what)
    }

    /// An unsigned varint.
    pub fn varint(&mut self, what: &'static str) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8(what)?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.malformed(what, "a varint over 64 bits"))
    }

    /// A varint that fits 32 bits.
    pub fn varint32(&mut self, what: &'static str) -> Result<u32, Malformed> {
        let value = self.varint(what)?;
        u32::try_from(value).map_err(|_| self.malformed(what, value))
    }

    /// A signed varint.
    pub fn signed(&mut self, what: &'static str) -> Result<i64, Malformed> {
        let value = self.varint(what)?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// Bytes with their length in front.
    pub fn bytes(&mut self, what: &'static str) -> Result<&'a [u8], Malformed> {
        let count = self.varint(what)?;
        let count = usize::try_from(count).map_err(|_| self.malformed(what, count))?;
        self.raw(count, what)
    }
}

#[cfg(test)]
mod tests {
    use super::{Decoder, Encoder};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(unsigned: u64, signed: i64, bytes: Vec<u8>, tail: Vec<u8>) {
            let mut encoder = Encoder::new(3);
            encoder.varint(unsigned).signed(signed).bytes(&bytes).u64(unsigned).raw(&tail);
            let record = encoder.finish();
            let mut decoder = Decoder::new(&record, 3).expect("format");
            prop_assert_eq!(decoder.varint("a"), Ok(unsigned));
            prop_assert_eq!(decoder.signed("b"), Ok(signed));
            prop_assert_eq!(decoder.bytes("c"), Ok(&bytes[..]));
            prop_assert_eq!(decoder.u64("d"), Ok(unsigned));
            prop_assert_eq!(decoder.is_empty(), tail.is_empty());
        }

        #[test]
        fn no_bytes_make_a_reader_panic(record: Vec<u8>) {
            if let Ok(mut decoder) = Decoder::new(&record, 1) {
                while decoder.varint("x").is_ok() && decoder.bytes("y").is_ok() {}
            }
        }
    }

    #[test]
    fn a_varint_over_64_bits_is_refused() {
        let mut record = vec![1];
        record.extend_from_slice(&[0xff; 9]);
        record.push(2);
        assert!(
            Decoder::new(&record, 1)
                .expect("format")
                .varint("x")
                .is_err()
        );
        assert!(Decoder::new(&record, 2).is_err(), "another format");
    }
}
