//! Decoding of requests from strangers, with a bound on memory.
//!
//! An empty element of a repeated field weighs two bytes on the wire and up to two hundred in
//! memory, so a frame of 16 MiB could ask for gigabytes. Before a request is decoded, its repeated
//! fields are counted by stepping over the bytes, which allocates nothing.
//!
//! Invariant: decoding takes at most a small multiple of the frame (see [`ELEMENT_BYTES_MIN`]).

use bytes::Bytes;
use nokv_types::{Failure, Reason};
use prost::Message;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// Fewest bytes that a valid element of a repeated field takes on the wire, header included: a
/// published path (path, content) and an extent (length, session, checksum) take more, a target by
/// node is two heads and a number.
const ELEMENT_BYTES_MIN: usize = 4;

/// Repeated fields of requests, each as the way from `Request` down by field numbers.
const REPEATED: [&[u32]; 6] = [
    &[26, 3],       // publish, items
    &[26, 3, 2, 4], // publish, items, file, extents
    &[30, 2],       // read_plan, targets
    &[160, 4],      // dump, after
    &[161, 2],      // load, directories
    &[161, 4],      // load, known
];

/// Decodes a request.
///
/// **Errors**: [`Reason::InvalidArgument`] when the bytes are no such message, [`Reason::TooLarge`]
/// when its repeated fields hold more elements than its bytes can mean.
pub fn decode_message<M: Message + Default>(bytes: Bytes) -> Result<M, Failure> {
    for path in REPEATED {
        let mut rest = bytes.len() / ELEMENT_BYTES_MIN;
        count(&bytes, path, &mut rest)?;
    }
    M::decode(bytes).map_err(|error| malformed(&error.to_string()))
}

/// Takes one from `rest` for each element that lies at the end of `path` below `message`.
fn count(mut message: &[u8], path: &[u32], rest: &mut usize) -> Result<(), Failure> {
    let Some((field, below)) = path.split_first() else {
        *rest = rest.checked_sub(1).ok_or_else(|| {
            Failure::new(
                Reason::TooLarge,
                "request has more elements than its bytes can mean; send valid ones",
            )
        })?;
        return Ok(());
    };
    while !message.is_empty() {
        let (number, wire_type) =
            decode_key(&mut message).map_err(|error| malformed(&error.to_string()))?;
        if number == *field && wire_type == WireType::LengthDelimited {
            let length =
                decode_varint(&mut message).map_err(|error| malformed(&error.to_string()))?;
            let (inner, after) = usize::try_from(length)
                .ok()
                .and_then(|length| message.split_at_checked(length))
                .ok_or_else(|| malformed("a field reaches past the end"))?;
            count(inner, below, rest)?;
            message = after;
        } else {
            skip_field(wire_type, number, &mut message, DecodeContext::default())
                .map_err(|error| malformed(&error.to_string()))?;
        }
    }
    Ok(())
}

fn malformed(flaw: &str) -> Failure {
    Failure::new(
        Reason::InvalidArgument,
        format!("request can't be decoded: {flaw}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1;

    fn publish(items: Vec<v1::PublishItem>) -> Bytes {
        let publish = v1::PublishRequest {
            items,
            ..v1::PublishRequest::default()
        };
        let method = Some(v1::request::Method::Publish(publish));
        let request = v1::Request {
            deadline_ms: 0,
            method,
        };
        request.encode_to_vec().into()
    }

    #[test]
    fn empty_elements_are_refused_before_they_take_memory() {
        let bytes = publish(vec![v1::PublishItem::default(); 1000]);
        let failure = decode_message::<v1::Request>(bytes).expect_err("refused");
        assert_eq!(failure.reason(), Reason::TooLarge);

        let body = v1::Body {
            extents: vec![v1::Extent::default(); 1000],
            ..v1::Body::default()
        };
        let item = v1::PublishItem {
            content: Some(v1::publish_item::Content::File(body)),
            ..v1::PublishItem::default()
        };
        let failure = decode_message::<v1::Request>(publish(vec![item])).expect_err("refused");
        assert_eq!(failure.reason(), Reason::TooLarge);
    }

    #[test]
    fn the_smallest_valid_elements_pass() {
        let item = v1::PublishItem {
            path: Bytes::from_static(b"/a"),
            content: Some(v1::publish_item::Content::Directory(v1::Empty {})),
            ..v1::PublishItem::default()
        };
        let request = decode_message::<v1::Request>(publish(vec![item; 1000])).expect("valid");
        assert!(matches!(
            request.method,
            Some(v1::request::Method::Publish(publish)) if publish.items.len() == 1000
        ));
        let target = v1::Target {
            target: Some(v1::target::Target::Node(1)),
        };
        let plan = v1::ReadPlanRequest {
            view: None,
            targets: vec![target; 1024],
            ..v1::ReadPlanRequest::default()
        };
        let method = Some(v1::request::Method::ReadPlan(plan));
        let request = v1::Request {
            deadline_ms: 0,
            method,
        };
        assert!(decode_message::<v1::Request>(request.encode_to_vec().into()).is_ok());
    }
}
