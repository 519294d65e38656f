//! Edits of bodies.

use nokv_namespace::{Edit, EditAt, EditBody, Edited, Follow, Target};
use nokv_proto::v1::{self, edit::Edit as WireEdit};
use nokv_proto::{digest_from_wire, extents_from_wire, present};
use nokv_types::{Failure, Generation, NodeId, SessionId, TimeNanos, Version};
use std::ops::Range;

/// An edit of a body for the wire, without its context.
#[must_use]
pub fn edit_body_to_wire(
    target: Target<'_>,
    follow: Follow,
    edit: &EditBody,
) -> v1::EditBodyRequest {
    let (digest_base, digest) = match &edit.digest {
        None => (0, Vec::new()),
        Some((base, digest)) => (base.get(), digest.as_bytes().to_vec()),
    };
    v1::EditBodyRequest {
        context: None,
        target: Some(super::target_to_wire(target)),
        follow: super::follow_to_wire(follow).into(),
        edits: edit.edits.iter().map(edit_to_wire).collect(),
        sessions: edit.sessions.iter().map(|session| session.get()).collect(),
        expect: edit.expect.map(Generation::get),
        digest: digest.into(),
        digest_base,
        mtime: edit.mtime.map(TimeNanos::get),
    }
}

/// What to edit in a body, from the wire; its target and context were taken out. **Errors**:
/// `InvalidArgument`, naming the field.
pub fn edit_body(message: v1::EditBodyRequest) -> Result<EditBody, Failure> {
    let digest = digest_from_wire("digest", &message.digest)?;
    let base = Generation::new(message.digest_base);
    let edits = message.edits.into_iter().map(edit);
    Ok(EditBody {
        edits: edits.collect::<Result<_, _>>()?,
        sessions: message.sessions.into_iter().map(SessionId::new).collect(),
        expect: message.expect.map(Generation::new),
        digest: digest.map(|digest| (base, digest)),
        mtime: message.mtime.map(TimeNanos::new),
    })
}

fn edit_to_wire(edit: &Edit) -> v1::Edit {
    let edit = match edit {
        Edit::Write {
            at,
            length,
            extents,
        } => WireEdit::Write(v1::WriteEdit {
            offset: offset_to_wire(*at),
            length: *length,
            extents: extents.iter().copied().map(Into::into).collect(),
        }),
        Edit::WriteInline { at, bytes } => WireEdit::Inline(v1::InlineEdit {
            offset: offset_to_wire(*at),
            data: bytes.clone(),
        }),
        Edit::Punch(range) => WireEdit::Punch(range_to_wire(range)),
        Edit::Resize(size) => WireEdit::Resize(*size),
        Edit::Collapse(range) => WireEdit::Collapse(range_to_wire(range)),
        Edit::Insert(range) => WireEdit::Insert(range_to_wire(range)),
        Edit::Copy { from, range, to } => WireEdit::Copy(v1::CopyEdit {
            node: from.as_u64(),
            range: Some(range_to_wire(range)),
            offset: *to,
        }),
    };
    v1::Edit { edit: Some(edit) }
}

fn edit(message: v1::Edit) -> Result<Edit, Failure> {
    Ok(match present("edit", message.edit)? {
        WireEdit::Write(write) => Edit::Write {
            at: edit_at(write.offset),
            length: write.length,
            extents: extents_from_wire("edit.write.extents", write.extents)?,
        },
        WireEdit::Inline(inline) => Edit::WriteInline {
            at: edit_at(inline.offset),
            bytes: inline.data,
        },
        WireEdit::Punch(message) => Edit::Punch(range(message)),
        WireEdit::Resize(size) => Edit::Resize(size),
        WireEdit::Collapse(message) => Edit::Collapse(range(message)),
        WireEdit::Insert(message) => Edit::Insert(range(message)),
        WireEdit::Copy(copy) => Edit::Copy {
            from: NodeId::from_u64(copy.node),
            range: range(present("edit.copy.range", copy.range)?),
            to: copy.offset,
        },
    })
}

const fn offset_to_wire(at: EditAt) -> Option<u64> {
    match at {
        EditAt::Offset(offset) => Some(offset),
        EditAt::End => None,
    }
}

fn edit_at(offset: Option<u64>) -> EditAt {
    offset.map_or(EditAt::End, EditAt::Offset)
}

const fn range_to_wire(range: &Range<u64>) -> v1::ByteRange {
    v1::ByteRange {
        start: range.start,
        end: range.end,
    }
}

const fn range(message: v1::ByteRange) -> Range<u64> {
    message.start..message.end
}

/// The answer of an edit for the wire.
#[must_use]
pub fn edited_to_wire(edited: &Edited) -> v1::EditBodyResponse {
    v1::EditBodyResponse {
        version: edited.version.as_u64(),
        node: Some(super::node_to_wire(&edited.node)),
        based_on: edited.based_on.get(),
    }
}

/// The answer of an edit. **Errors**: `InvalidArgument`.
pub fn edited(message: v1::EditBodyResponse) -> Result<Edited, Failure> {
    Ok(Edited {
        version: Version::from_u64(message.version),
        node: super::node("node", present("node", message.node)?)?,
        based_on: Generation::new(message.based_on),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nokv_types::{BlockId, Digest, Extent, Unit};

    #[test]
    fn edits_survive() {
        let block = BlockId {
            session: SessionId::new(3),
            sequence: 4,
        };
        let node = NodeId::from_u64(9);
        let extents = vec![Extent::whole(2, Unit::plain(block, 5..9, 6))];
        let write = |at| Edit::Write {
            at,
            length: 7,
            extents: extents.clone(),
        };
        let inline = |at| Edit::WriteInline {
            at,
            bytes: "abc".into(),
        };
        let edits = vec![
            write(EditAt::Offset(0)),
            write(EditAt::End),
            inline(EditAt::Offset(8)),
            inline(EditAt::End),
            Edit::Punch(1..2),
            Edit::Resize(3),
            Edit::Collapse(4..5),
            Edit::Insert(6..7),
            Edit::Copy {
                from: node,
                range: 8..9,
                to: 10,
            },
        ];
        let digest = Digest::from_bytes([3; 32]);
        let original = EditBody {
            edits,
            sessions: vec![SessionId::new(3)],
            expect: Some(Generation::new(5)),
            digest: Some((Generation::new(6), digest)),
            mtime: Some(TimeNanos::new(-7)),
        };
        let wire = edit_body_to_wire(Target::Node(node), Follow::Yes, &original);
        assert_eq!(edit_body(wire), Ok(original));
        let nothing = v1::EditBodyRequest {
            edits: vec![v1::Edit { edit: None }],
            ..v1::EditBodyRequest::default()
        };
        assert!(edit_body(nothing).is_err());
    }
}
