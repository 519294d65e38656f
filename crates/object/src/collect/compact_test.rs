//! What compaction brings, and what it leaves alone.

use super::{
    CollectOptions, Collector, CompactOptions,
    world_test::{open, path, run},
};
use crate::{
    BlockStore, BodyReader, MemoryBlocks, ReadOptions, Report, UploadOptions, Uploader,
    testing::{Fault, FaultStore, Operation},
};
use bytes::Bytes;
use nokv_env::{Clock, ManualClock, MemoryFileSystem, Random, SeededRandom};
use nokv_namespace::{
    Content, Context, Expect, Namespace, NewAttributes, NewSnapshot, Parents, Publish, PublishItem,
    Remove, View,
};
use nokv_types::{Layout, SnapshotName, TimeNanos};
use std::{collections::BTreeMap, sync::Arc};

struct Store {
    clock: Arc<ManualClock>,
    files: Arc<MemoryFileSystem>,
    namespace: Namespace,
    blocks: Arc<MemoryBlocks>,
    contents: BTreeMap<String, Bytes>,
    random: SeededRandom,
}

impl Store {
    /// A store with this many files of about 20 KiB, in packs.
    async fn with_files(count: usize) -> Self {
        let files = Arc::new(MemoryFileSystem::new());
        let clock = Arc::new(ManualClock::new());
        clock.advance(std::time::Duration::from_secs(1_800_000_000));
        let mut store = Self {
            namespace: open(&files, &clock),
            files,
            clock,
            blocks: Arc::default(),
            contents: BTreeMap::new(),
            random: SeededRandom::new(11),
        };
        store.publish(count).await;
        store
    }

    fn context(&self) -> Context {
        let now = TimeNanos::new(self.clock.now_nanos());
        Context::new(self.namespace.default_mount(), now)
    }

    async fn publish(&mut self, count: usize) {
        let session = self.namespace.open_session(60_000).expect("opens").id;
        let options = UploadOptions {
            pack_bytes_max: 1 << 20,
            packed_bytes_max: 100_000,
            ..UploadOptions::default()
        };
        let (files, blocks) = (Arc::clone(&self.files) as _, Arc::clone(&self.blocks) as _);
        let uploader = Uploader::new(files, blocks, session, options).expect("options");
        let mut staged = Vec::new();
        for index in 0..count {
            let length = 5_000 + self.random.below(30_000);
            let mut bytes = vec![0; usize::try_from(length).expect("small")];
            self.random.fill(&mut bytes);
            let bytes = Bytes::from(bytes);
            staged.push(uploader.upload_bytes(bytes.clone()).await.expect("staged"));
            self.contents.insert(format!("/f/{index}"), bytes);
        }
        let mut items = Vec::new();
        for (index, one) in staged.into_iter().enumerate() {
            items.push(PublishItem {
                path: path(&format!("/f/{index}")),
                content: Content::File(one.durable().await.expect("durable")),
                attributes: NewAttributes::mode(0o644),
                expect: Expect::Any,
            });
        }
        let publish = Publish {
            items,
            parents: Parents::Create,
            session: Some(session),
        };
        self.namespace
            .publish(&self.context(), publish)
            .expect("published");
        self.namespace.close_session(session).expect("closed");
    }

    /// Removes all but one of so many.
    fn thin_out(&mut self, one_in: u64) {
        for text in self.contents.keys().cloned().collect::<Vec<_>>() {
            if self.random.below(one_in) != 0 {
                self.namespace
                    .remove(&self.context(), &path(&text), Remove::File)
                    .expect("removed");
                self.contents.remove(&text);
            }
        }
    }

    async fn collect(&self, blocks: Arc<dyn BlockStore>, compact: CompactOptions) -> Report {
        let options = CollectOptions {
            compact,
            ..CollectOptions::default()
        };
        let clock = Arc::clone(&self.clock) as _;
        let collector = Collector::new(self.namespace.clone(), blocks, clock, options);
        let mut moved = 0;
        for _ in 0..20 {
            let mut report = collector.round_within(0).await.expect("a round");
            moved += report.moved_parts;
            if !report.more || report.first_error.is_some() {
                report.moved_parts = moved;
                return report;
            }
        }
        panic!("there is always something to do");
    }

    fn stored_bytes(&self) -> usize {
        self.blocks.snapshot().values().map(Bytes::len).sum()
    }

    fn live_bytes(&self) -> usize {
        self.contents.values().map(Bytes::len).sum()
    }

    async fn check(&self) {
        let (files, blocks) = (Arc::clone(&self.files) as _, Arc::clone(&self.blocks) as _);
        let reader = BodyReader::new(files, blocks, ReadOptions::default()).expect("options");
        let view = View::latest(self.namespace.default_mount());
        for (text, content) in &self.contents {
            let (_, body) = self.namespace.body(&view, &path(text)).expect("there");
            assert_eq!(&reader.read(&body).await.expect("whole"), content, "{text}");
        }
        let report = self.namespace.check().expect("checks");
        report.verdict().expect("consistent");
    }
}

#[test]
fn what_is_stored_is_at_most_a_tenth_more_than_what_lives() {
    for one_in in [2, 5, 20] {
        run(async {
            let mut store = Store::with_files(300).await;
            store.thin_out(one_in);
            let off = CompactOptions {
                waste_percent_max: 100,
                ..CompactOptions::default()
            };
            let blocks = Arc::clone(&store.blocks) as Arc<dyn BlockStore>;
            store.collect(Arc::clone(&blocks), off).await;
            let (before, live) = (store.stored_bytes(), store.live_bytes());
            assert!(before > live * 11 / 10, "packs are kept: {before}, {live}");
            let options = CompactOptions {
                waste_bytes_min: 0,
                ..CompactOptions::default()
            };
            let report = store.collect(blocks, options).await;
            let after = store.stored_bytes();
            println!("1 in {one_in}: {live} live, {before} before, {after} after, {report:?}");
            assert!(after <= live * 11 / 10, "{after} bytes for {live}");
            store.check().await;
        });
    }
}

#[test]
fn what_the_past_keeps_is_not_copied() {
    run(async {
        let mut store = Store::with_files(100).await;
        let new = NewSnapshot {
            name: SnapshotName::parse("s").expect("a name"),
            at: None,
            lease_ms: None,
        };
        store
            .namespace
            .create_snapshot(&store.context(), &path("/"), new)
            .expect("made");
        store.thin_out(10);
        let options = CompactOptions {
            waste_bytes_min: 0,
            ..CompactOptions::default()
        };
        let before = store.stored_bytes();
        let blocks = Arc::clone(&store.blocks) as Arc<dyn BlockStore>;
        let report = store.collect(blocks, options).await;
        assert_eq!((report.moved_parts, store.stored_bytes()), (0, before));
        store.check().await;
    });
}

/// What is damaged stays where it is, so that whoever reads it is told; the rest moves.
#[test]
fn damage_is_not_copied() {
    run(async {
        let mut store = Store::with_files(100).await;
        store.thin_out(4);
        let view = View::latest(store.namespace.default_mount());
        let text = store.contents.keys().next().expect("one is left").clone();
        let (_, body) = store.namespace.body(&view, &path(&text)).expect("there");
        let Layout::Extents(extents) = body.layout() else {
            panic!("it has extents");
        };
        let unit = extents[0].unit;
        let damaged = FaultStore::new(Arc::clone(&store.blocks) as _, move |call| {
            let hits = call.operation == Operation::Get && call.blocks.contains(&unit.block);
            hits.then_some(Fault::Missing)
        });
        let options = CompactOptions {
            waste_bytes_min: 0,
            ..CompactOptions::default()
        };
        let report = store.collect(Arc::new(damaged), options).await;
        assert!(report.damaged_units > 0, "{report:?}");
        assert!(store.blocks.snapshot().contains_key(&unit.block));
        let (_, after) = store.namespace.body(&view, &path(&text)).expect("there");
        assert_eq!(after, body);
        store.check().await;
    });
}
