//! A store in memory, and short ways to say things.

use bytes::Bytes;
use nokv_env::{Env, ManualClock, MemoryFileSystem};
use nokv_namespace::{
    Content, Context, Durability, Expect, Follow, Namespace, NewAttributes, Node, Options, Parents,
    Placement, Publish, PublishItem, View,
};
use nokv_types::{
    BlockId, Body, Extent, Failure, Layout, NsPath, Reason, SessionId, TimeNanos, Unit,
};
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;

/// Where the clock of a test begins, milliseconds.
pub(crate) const START_MILLIS: u64 = 1_800_000_000_000;

pub(crate) struct Store {
    pub(crate) files: Arc<MemoryFileSystem>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) namespace: Namespace,
    pub(crate) durability: Durability,
}

impl Store {
    /// Four shards, directories spread over them: what holds there holds in one.
    pub(crate) fn new() -> Self {
        Self::with(spread())
    }

    pub(crate) fn with(options: Options) -> Self {
        Self::on(Arc::new(MemoryFileSystem::new()), options)
    }

    /// The store that is in these files, or a new one.
    pub(crate) fn on(files: Arc<MemoryFileSystem>, options: Options) -> Self {
        let clock = Arc::new(ManualClock::new());
        clock.advance(std::time::Duration::from_millis(START_MILLIS));
        let env = Env {
            clock: Arc::clone(&clock) as _,
            files: Arc::clone(&files) as _,
            ..Env::memory(1)
        };
        let namespace = Namespace::open(env, Path::new("/store"), options).expect("opens");
        Self {
            files,
            clock,
            namespace,
            durability: Durability::Synced,
        }
    }

    /// Milliseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        nokv_env::Clock::now_millis(&*self.clock)
    }

    pub(crate) fn view(&self) -> View {
        View::latest(self.namespace.default_mount())
    }

    pub(crate) fn context(&self) -> Context {
        let now = TimeNanos::new(nokv_env::Clock::now_nanos(&*self.clock));
        let context = Context::new(self.namespace.default_mount(), now);
        Context {
            durability: self.durability,
            ..context
        }
    }

    pub(crate) fn mkdir(&self, text: &str) -> Result<Node, Failure> {
        let made =
            self.namespace
                .make_dir(&self.context(), &path(text), 0o755, Parents::Required)?;
        Ok(made.node)
    }

    pub(crate) fn put(&self, text: &str, body: &[u8]) -> Result<Node, Failure> {
        self.publish(text, inline(body), None)?;
        self.stat(text)
    }

    pub(crate) fn publish(
        &self,
        text: &str,
        body: Body,
        session: Option<SessionId>,
    ) -> Result<(), Failure> {
        let items = vec![item(text, Content::File(body))];
        let publish = Publish {
            items,
            parents: Parents::Required,
            session,
        };
        self.namespace.publish(&self.context(), publish)?;
        Ok(())
    }

    pub(crate) fn stat(&self, text: &str) -> Result<Node, Failure> {
        self.namespace.lookup(&self.view(), &path(text), Follow::No)
    }

    pub(crate) fn names(&self, text: &str) -> Vec<String> {
        let page = self
            .namespace
            .read_dir_plus(&self.view(), &path(text), None, 1000)
            .expect("lists");
        assert_eq!(page.directory.attributes.size, page.entries.len() as u64);
        page.entries
            .iter()
            .map(|entry| entry.name.to_string())
            .collect()
    }
}

/// Options of a store of four shards with directories all over.
pub(crate) fn spread() -> Options {
    Options {
        shards: 4,
        placement: Placement::Spread,
        ..Options::default()
    }
}

/// One shard, or four.
pub(crate) fn shape() -> impl Strategy<Value = Options> {
    prop::sample::select(vec![Options::default(), spread()])
}

pub(crate) fn path(text: &str) -> NsPath {
    NsPath::parse(text).expect("a valid path")
}

pub(crate) fn inline(body: &[u8]) -> Body {
    let layout = Layout::Inline(Bytes::copy_from_slice(body));
    Body::new(body.len() as u64, None, layout).expect("a valid body")
}

pub(crate) fn item(text: &str, content: Content) -> PublishItem {
    let attributes = NewAttributes::mode(0o644);
    PublishItem {
        path: path(text),
        content,
        attributes,
        expect: Expect::Any,
    }
}

/// A body of one extent in each of these blocks.
pub(crate) fn in_blocks(session: SessionId, sequences: &[u32]) -> Body {
    let extents: Vec<_> = sequences
        .iter()
        .enumerate()
        .map(|(index, sequence)| {
            let sequence = *sequence;
            let unit = Unit::plain(BlockId { session, sequence }, 0..10, 7);
            Extent::whole(index as u64 * 10, unit)
        })
        .collect();
    Body::new(extents.len() as u64 * 10, None, Layout::Extents(extents)).expect("a valid body")
}

pub(crate) fn reason<T: std::fmt::Debug>(result: Result<T, Failure>) -> Reason {
    let failure = result.expect_err("must fail");
    assert!(!failure.message().contains('\n'), "one line: {failure}");
    failure.reason()
}
