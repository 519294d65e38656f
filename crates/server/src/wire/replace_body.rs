//! Bodies replaced by node.

use nokv_namespace::ReplaceBody;
use nokv_proto::v1;
use nokv_proto::{FromWire, present};
use nokv_types::{Body, Failure, Generation, SessionId, TimeNanos};

/// Another body for the wire, without context and target.
#[must_use]
pub fn replace_body_to_wire(new: &ReplaceBody) -> v1::ReplaceBodyRequest {
    v1::ReplaceBodyRequest {
        context: None,
        target: None,
        session: new.session.map_or(0, SessionId::get),
        body: Some((&new.body).into()),
        expect_generation: new.expect.map(Generation::get),
        mtime: new.mtime.map(TimeNanos::get),
        ctime: new.ctime.map(TimeNanos::get),
    }
}

/// Another body from the wire. **Errors**: `InvalidArgument`.
pub fn replace_body(message: v1::ReplaceBodyRequest) -> Result<ReplaceBody, Failure> {
    Ok(ReplaceBody {
        body: Body::from_wire("body", present("body", message.body)?)?,
        session: (message.session != 0).then(|| SessionId::new(message.session)),
        expect: message.expect_generation.map(Generation::new),
        mtime: message.mtime.map(TimeNanos::new),
        ctime: message.ctime.map(TimeNanos::new),
    })
}

#[cfg(test)]
mod tests {
    use super::{replace_body, replace_body_to_wire};
    use bytes::Bytes;
    use nokv_namespace::ReplaceBody;
    use nokv_types::{Body, Generation, Layout, SessionId, TimeNanos};

    #[test]
    fn a_replaced_body_survives_the_wire() {
        let inline = Layout::Inline(Bytes::from_static(b"abc"));
        let full = ReplaceBody {
            body: Body::new(3, None, inline).expect("three bytes"),
            session: Some(SessionId::new(7)),
            expect: Some(Generation::new(0)),
            mtime: Some(TimeNanos::new(-1)),
            ctime: Some(TimeNanos::new(9)),
        };
        let bare = ReplaceBody {
            body: Body::empty(),
            session: None,
            expect: None,
            mtime: None,
            ctime: None,
        };
        for new in [full, bare] {
            assert_eq!(replace_body(replace_body_to_wire(&new)), Ok(new));
        }
    }
}
