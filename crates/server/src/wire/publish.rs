//! Publishes.

use nokv_namespace::{
    Content, Expect, NewAttributes, PUBLISH_ITEMS_MAX, Publish, PublishItem, Published,
};
use nokv_proto::v1::{self, expect::Condition, publish_item::Content as WireContent};
use nokv_proto::{FromWire, invalid, mode_from_wire, path_from_wire, present};
use nokv_types::{
    Body, Failure, Generation, NodeId, NsPath, Reason, SessionId, TimeNanos, Version,
};

/// A publish for the wire, without its context.
#[must_use]
pub fn publish_to_wire(publish: &Publish) -> v1::PublishRequest {
    v1::PublishRequest {
        context: None,
        session: publish.session.map_or(0, SessionId::get),
        items: publish.items.iter().map(item_to_wire).collect(),
        parents: super::parents_to_wire(publish.parents).into(),
    }
}

/// A publish from the wire. **Errors**: `InvalidArgument`, `TooLarge`, those of paths, each naming
/// the item.
pub fn publish(message: v1::PublishRequest) -> Result<Publish, Failure> {
    let count = message.items.len();
    if count == 0 {
        return Err(invalid("items", "is empty; publish at least one path"));
    }
    if count > PUBLISH_ITEMS_MAX {
        return Err(Failure::new(
            Reason::TooLarge,
            format!("publish of {count} items is over {PUBLISH_ITEMS_MAX}; publish them in parts"),
        ));
    }
    let items = message.items.into_iter();
    Ok(Publish {
        items: items.map(item).collect::<Result<_, _>>()?,
        parents: super::parents(message.parents)?,
        session: (message.session != 0).then(|| SessionId::new(message.session)),
    })
}

fn item_to_wire(item: &PublishItem) -> v1::PublishItem {
    let content = match &item.content {
        Content::File(body) => WireContent::File(body.into()),
        Content::Directory => WireContent::Directory(v1::Empty {}),
        Content::Symlink(target) => WireContent::Symlink(target.clone()),
    };
    let condition = match item.expect {
        Expect::Any => None,
        Expect::Absent => Some(Condition::Absent(v1::Empty {})),
        Expect::Generation(generation) => Some(Condition::Generation(generation.get())),
    };
    v1::PublishItem {
        path: item.path.to_bytes().into(),
        mode: item.attributes.mode,
        uid: item.attributes.uid,
        gid: item.attributes.gid,
        mtime: item.attributes.mtime.map(TimeNanos::get),
        expect: condition.map(|condition| v1::Expect {
            condition: Some(condition),
        }),
        content: Some(content),
    }
}

fn item(message: v1::PublishItem) -> Result<PublishItem, Failure> {
    let path = path_from_wire(&message.path)?;
    let content = present("content", message.content).and_then(|content| match content {
        WireContent::File(body) => Body::from_wire("file", body).map(Content::File),
        WireContent::Directory(_) => Ok(Content::Directory),
        WireContent::Symlink(target) => Ok(Content::Symlink(target)),
    });
    let content = content.map_err(|failure| failure.context(&path))?;
    let mode = mode_from_wire("mode", message.mode).map_err(|failure| failure.context(&path))?;
    let condition = message.expect.and_then(|expect| expect.condition);
    Ok(PublishItem {
        path,
        content,
        attributes: NewAttributes {
            mode,
            uid: message.uid,
            gid: message.gid,
            mtime: message.mtime.map(TimeNanos::new),
        },
        expect: match condition {
            None => Expect::Any,
            Some(Condition::Absent(_)) => Expect::Absent,
            Some(Condition::Generation(generation)) => {
                Expect::Generation(Generation::new(generation))
            }
        },
    })
}

/// The answer of a publish for the wire.
#[must_use]
pub fn published_to_wire(published: &[Published]) -> v1::PublishResponse {
    let one = |published: &Published| v1::Published {
        node: published.node.as_u64(),
        generation: published.generation.get(),
    };
    v1::PublishResponse {
        published: published.iter().map(one).collect(),
        version: published
            .first()
            .map_or(0, |published| published.version.as_u64()),
    }
}

/// The answer of a publish of `paths`. **Errors**: `InvalidArgument` when the server answered for
/// other paths.
pub fn published(
    paths: Vec<NsPath>,
    message: v1::PublishResponse,
) -> Result<Vec<Published>, Failure> {
    if message.published.len() != paths.len() {
        return Err(invalid("published", "does not answer every item"));
    }
    let version = Version::from_u64(message.version);
    let answers = paths.into_iter().zip(message.published);
    Ok(answers
        .map(|(path, answer)| Published {
            path,
            node: NodeId::from_u64(answer.node),
            generation: Generation::new(answer.generation),
            version,
        })
        .collect())
}
