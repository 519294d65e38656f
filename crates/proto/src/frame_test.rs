//! Frames under generated damage: cut, flipped, oversized, split at any byte.

use crate::v1::{self, request::Method};
use crate::{
    FRAME_BYTES_MAX, Frame, FrameError, HEADER_BYTES, decode_frame, decode_message, encode_frame,
    missing_bytes,
};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

fn request(data: Vec<u8>) -> v1::Request {
    let put = v1::PutBlockRequest {
        block: Some(v1::BlockId {
            session: 7,
            sequence: 9,
        }),
        data: data.into(),
    };
    v1::Request {
        deadline_ms: 5,
        method: Some(Method::PutBlock(put)),
    }
}

fn encoded(frames: &[(u64, Vec<u8>)]) -> BytesMut {
    let mut buffer = BytesMut::new();
    for (id, data) in frames {
        encode_frame(*id, &request(data.clone()), &mut buffer).expect("small");
    }
    buffer
}

fn frames() -> impl Strategy<Value = Vec<(u64, Vec<u8>)>> {
    prop::collection::vec(
        (any::<u64>(), prop::collection::vec(any::<u8>(), 0..200)),
        1..5,
    )
}

proptest! {
    #[test]
    fn frames_come_out_as_they_went_in_however_the_bytes_are_split(
        frames in frames(),
        splits in prop::collection::vec(1_usize..40, 1..60),
    ) {
        let bytes = encoded(&frames).freeze();
        let mut buffer = BytesMut::new();
        let mut found = Vec::new();
        let mut rest = &bytes[..];
        let mut sizes = splits.iter().cycle();
        while !rest.is_empty() {
            let (part, after) = rest.split_at(rest.len().min(*sizes.next().expect("a cycle")));
            buffer.extend_from_slice(part);
            rest = after;
            while let Some(Frame { id, message }) = decode_frame(&mut buffer).expect("whole") {
                found.push((id, decode_message::<v1::Request>(message).expect("valid")));
            }
        }
        let expected: Vec<_> =
            frames.into_iter().map(|(id, data)| (id, request(data))).collect();
        prop_assert_eq!(found, expected);
        prop_assert!(buffer.is_empty());
    }

    #[test]
    fn a_cut_frame_waits_and_takes_nothing(
        data in prop::collection::vec(any::<u8>(), 0..200),
        cut in any::<prop::sample::Index>(),
    ) {
        let whole = encoded(&[(3, data)]);
        let cut = cut.index(whole.len());
        let mut buffer = BytesMut::from(&whole[..cut]);
        prop_assert_eq!(decode_frame(&mut buffer), Ok(None));
        prop_assert_eq!(buffer.len(), cut);
        let missing = missing_bytes(&buffer).expect("a right header");
        prop_assert!(missing > 0 && missing <= whole.len() - cut);
    }

    #[test]
    fn a_flipped_bit_never_gives_a_frame(
        data in prop::collection::vec(any::<u8>(), 0..200),
        bit in any::<prop::sample::Index>(),
    ) {
        let mut buffer = encoded(&[(3, data)]);
        let bit = bit.index(buffer.len() * 8);
        buffer[bit / 8] ^= 1 << (bit % 8);
        // A larger length makes it wait for more, which is right; a frame would be wrong.
        prop_assert!(!matches!(decode_frame(&mut buffer), Ok(Some(_))));
    }

    #[test]
    fn any_bytes_are_decoded_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut buffer = BytesMut::from(&bytes[..]);
        while let Ok(Some(frame)) = decode_frame(&mut buffer) {
            drop(decode_message::<v1::Request>(frame.message));
        }
        drop(decode_message::<v1::Request>(Bytes::from(bytes)));
    }
}

#[test]
fn an_oversized_frame_is_refused_from_its_header() {
    let mut buffer = BytesMut::new();
    buffer.extend_from_slice(&u32::MAX.to_le_bytes());
    buffer.extend_from_slice(&[0; HEADER_BYTES - 4]);
    let length = u64::from(u32::MAX);
    let refusal = FrameError::TooLarge { length, id: 0 };
    assert_eq!(missing_bytes(&buffer), Err(refusal));
    assert_eq!(decode_frame(&mut buffer), Err(refusal));
}

#[test]
fn an_oversized_message_is_not_encoded() {
    let mut buffer = BytesMut::new();
    let refused = encode_frame(1, &request(vec![0; FRAME_BYTES_MAX]), &mut buffer);
    assert!(matches!(refused, Err(FrameError::TooLarge { id: 1, .. })));
    assert!(buffer.is_empty());
}
