//! Variable-length integers: seven bits a byte, lowest first, the high bit says that more follow
//! (LEB128).

/// The longest encoding of a `u64`, bytes.
pub(crate) const VARINT_BYTES_MAX: usize = 10;

/// Appends `number`.
#[expect(clippy::cast_possible_truncation, reason = "masked to seven bits")]
pub(crate) fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number as u8) | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// The bytes that [`put`] makes of `number`.
pub(crate) fn length(number: u64) -> usize {
    let bits = 64 - (number | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Takes a number off the front; `None` when the bytes end within it or it is over 64 bits.
pub(crate) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for index in 0..VARINT_BYTES_MAX {
        let byte = *bytes.get(index)?;
        let shift = index * 7;
        let part = u64::from(byte & 0x7F);
        if shift == 63 && part > 1 {
            return None;
        }
        number |= part << shift;
        if byte & 0x80 == 0 {
            *bytes = bytes.get(index + 1..)?;
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_survives(number: u64, shift in 0..64_u32) {
            let number = number >> shift;
            let mut bytes = Vec::new();
            super::put(&mut bytes, number);
            bytes.push(0xAA);
            let mut rest = bytes.as_slice();
            prop_assert_eq!(super::take(&mut rest), Some(number));
            prop_assert_eq!(rest, &[0xAA][..]);
            let cut = bytes.len() - 2;
            prop_assert_eq!(super::take(&mut bytes.get(..cut).unwrap()), None);
        }
    }

    #[test]
    fn an_overlong_number_is_refused() {
        assert_eq!(super::take(&mut [0xFF; 11].as_slice()), None);
    }
}
