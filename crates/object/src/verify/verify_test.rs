//! What is missing, cut, flipped or too much is found; what is right is not touched.

use super::{BodyCheck, Finding, FindingKind, delete_orphans, scrub};
use crate::{BlockStore, BodyReader, Error, MemoryBlocks, ReadOptions, UploadOptions, Uploader};
use bytes::Bytes;
use nokv_env::{Env, MemoryFileSystem, Random, SeededRandom};
use nokv_namespace::{
    Content, Context, Expect, Namespace, NewAttributes, Options, Parents, Publish, PublishItem,
    Remove, View,
};
use nokv_types::{BlockId, Body, Layout, NsPath, SessionId, TimeNanos, Unit};
use std::{path::Path, sync::Arc};

struct Store {
    files: Arc<MemoryFileSystem>,
    namespace: Namespace,
    blocks: Arc<MemoryBlocks>,
}

fn path(text: &str) -> NsPath {
    NsPath::parse(text).expect("a path")
}

impl Store {
    /// Files in packs, and one of several blocks.
    async fn new() -> Self {
        let files = Arc::new(MemoryFileSystem::new());
        let env = Env {
            files: Arc::clone(&files) as _,
            ..Env::memory(1)
        };
        let namespace = Namespace::open(env, Path::new("/store"), Options::default());
        let store = Self {
            files,
            namespace: namespace.expect("opens"),
            blocks: Arc::default(),
        };
        store.publish("/a", &[9_000, 20_000, 300_000]).await;
        store.publish("/b", &[70_000]).await;
        store
    }

    fn context(&self) -> Context {
        Context::new(self.namespace.default_mount(), TimeNanos::new(0))
    }

    async fn publish(&self, directory: &str, lengths: &[usize]) -> SessionId {
        let session = self.namespace.open_session(60_000).expect("opens").id;
        let options = UploadOptions {
            block_bytes: 64 << 10,
            ..UploadOptions::default()
        };
        let (files, blocks) = (Arc::clone(&self.files) as _, Arc::clone(&self.blocks) as _);
        let uploader = Uploader::new(files, blocks, session, options).expect("options");
        let random = SeededRandom::new(3);
        let mut staged = Vec::new();
        for length in lengths {
            let mut bytes = vec![0; *length];
            random.fill(&mut bytes);
            staged.push(
                uploader
                    .upload_bytes(Bytes::from(bytes))
                    .await
                    .expect("staged"),
            );
        }
        let mut items = Vec::new();
        for (index, one) in staged.into_iter().enumerate() {
            items.push(PublishItem {
                path: path(&format!("{directory}/{index}")),
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
        self.namespace.finish_session(session).expect("finished");
        session
    }

    fn body(&self, text: &str) -> Body {
        let view = View::latest(self.namespace.default_mount());
        self.namespace.body(&view, &path(text)).expect("there").1
    }

    fn units(&self, text: &str) -> Vec<Unit> {
        match self.body(text).layout() {
            Layout::Inline(_) => Vec::new(),
            Layout::Extents(extents) => extents.iter().map(|extent| extent.unit).collect(),
        }
    }

    async fn findings(&self, objects_max: u64) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut after = None;
        loop {
            // Each step by a check of its own, as if the one before had died.
            let blocks = Arc::clone(&self.blocks) as _;
            let mut check = BodyCheck::new(self.namespace.clone(), blocks, after);
            let page = check.step(objects_max).await.expect("a step");
            findings.extend(page.findings);
            match page.next {
                Some(next) => after = Some(next),
                None => return findings,
            }
        }
    }

    async fn damaged(&self, bytes_max: u64) -> Vec<(BlockId, bool)> {
        let (mut damaged, mut from) = (Vec::new(), None);
        loop {
            let step = scrub(&self.namespace, &*self.blocks, from, bytes_max).await;
            let step = step.expect("a step");
            for (error, _) in step.damaged {
                match error {
                    Error::DigestMismatch(mismatch) => {
                        damaged.push((mismatch.block.expect("a block"), false));
                    }
                    Error::MissingBlock { block, .. } => damaged.push((block, true)),
                    other => panic!("{other}"),
                }
            }
            match step.next {
                Some(next) => from = Some(next),
                None => return damaged,
            }
        }
    }

    async fn replace(&self, block: BlockId, bytes: Bytes) {
        self.blocks.put(block, bytes).await.expect("puts");
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.expect("a runtime").block_on(work)
}

#[test]
fn a_sound_store_has_no_findings() {
    run(async {
        let store = Store::new().await;
        for step in [1, 1_000_000] {
            assert_eq!(store.findings(step).await, []);
            assert_eq!(store.damaged(step).await, []);
        }
    });
}

#[test]
fn what_is_missing_cut_or_too_much_is_found_and_only_orphans_go() {
    run(async {
        let store = Store::new().await;
        let large = store.units("/a/2");
        let (missing, short) = (large[0].block, large[1]);
        store.blocks.delete_many(&[missing]).await.expect("deletes");
        let bytes = store.blocks.snapshot()[&short.block].slice(..100);
        store.replace(short.block, bytes).await;
        // What the past needs is no orphan, and missed as well.
        let past = store.units("/b/0")[0].block;
        store
            .namespace
            .remove(&store.context(), &path("/b"), Remove::Tree)
            .expect("removed");
        let late = BlockId {
            sequence: 99,
            ..missing
        };
        let unknown = BlockId {
            session: SessionId::new(5),
            sequence: 0,
        };
        for block in [late, unknown] {
            store.replace(block, Bytes::from_static(b"1234567")).await;
        }
        for step in [1, 1_000_000] {
            let found = store.findings(step).await;
            let mut kinds: Vec<_> = found.iter().map(|one| (one.block, one.kind)).collect();
            kinds.sort_unstable();
            let mut wanted = vec![
                (missing, FindingKind::Missing),
                (short.block, FindingKind::Short { got: 100 }),
                (late, FindingKind::Orphan),
                (unknown, FindingKind::Unknown),
            ];
            wanted.sort_unstable();
            assert_eq!(kinds, wanted);
        }
        let damaged = store.damaged(1).await;
        assert_eq!(damaged.len(), 2, "{damaged:?}");
        // Whatever it is told, it deletes what is an orphan, and nothing else.
        let all = [late, unknown, past, short.block];
        let deleted = delete_orphans(&store.namespace, &*store.blocks, &all).await;
        assert_eq!(deleted.expect("deletes"), 1);
        let stored = store.blocks.snapshot();
        assert!(!stored.contains_key(&late));
        assert!(
            [unknown, past, short.block]
                .iter()
                .all(|block| stored.contains_key(block))
        );
    });
}

/// One bit anywhere in a block or in a pack: a reader of that file is told, others read on, and
/// scrub names the object.
#[test]
fn a_flipped_bit_is_found_by_readers_and_by_scrub() {
    run(async {
        let store = Store::new().await;
        let (files, blocks) = (
            Arc::clone(&store.files) as _,
            Arc::clone(&store.blocks) as _,
        );
        let reader = BodyReader::new(files, blocks, ReadOptions::default()).expect("options");
        let texts = ["/a/0", "/a/1", "/a/2", "/b/0"];
        for text in texts {
            for unit in store.units(text) {
                let sound = store.blocks.snapshot()[&unit.block].clone();
                for offset in [0, unit.stored_bytes / 2, unit.stored_bytes - 1] {
                    let mut bytes = sound.to_vec();
                    bytes[(unit.object_offset + offset) as usize] ^= 0x10;
                    store.replace(unit.block, bytes.into()).await;
                    for other in texts {
                        let read = reader.read(&store.body(other)).await;
                        let is_hit = store.units(other).contains(&unit);
                        let is_told = matches!(read, Err(Error::DigestMismatch(_)));
                        assert_eq!(is_told, is_hit, "{other}, {unit:?} at {offset}");
                    }
                    let damaged = store.damaged(1 << 20).await;
                    assert_eq!(damaged, [(unit.block, false)]);
                }
                store.replace(unit.block, sound).await;
            }
        }
    });
}
