//! Open files against plain bytes: any edits, several handles, two clients.

use crate::store::{Store, connect_dir, path};
use nokv_client::{
    BlockingFile, Client, ClientOptions, CollectRules, Compression, Creation, Durability,
    FileHandle, FlushOptions, Ongoing, OpenOptions, Parents, Remove, Seek, Truncation,
    UploadOptions, WriteOptions,
};
use nokv_types::{Generation, INLINE_BYTES_MAX, Reason};
use proptest::prelude::*;
use std::ops::Range;

const BLOCK: u64 = 64 << 10;

fn options() -> ClientOptions {
    let upload = UploadOptions {
        block_bytes: 64 << 10,
        pack_bytes_max: 48 << 10,
        packed_bytes_max: 20_000,
        parallel_puts: 3,
        memory_bytes_max: (48 << 10) + (192 << 10),
        compression: Compression::Lz4,
    };
    ClientOptions {
        upload,
        durability: Durability::Buffered,
        ..ClientOptions::default()
    }
}

const CREATE: OpenOptions = OpenOptions {
    creation: Creation::IfMissing(0o644),
    truncation: Truncation::Keep,
};

#[derive(Clone, Debug)]
enum Step {
    Write(u64, u32),
    Append(u32),
    Resize(u64),
    Punch(Range<u64>),
    Zero(Range<u64>),
    Collapse(Range<u64>),
    Insert(Range<u64>),
    Copy(Range<u64>, u64),
    Read(Range<u64>),
    Flush,
    Stage,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let offset = || prop_oneof![3 => 0..3 * BLOCK, 2 => 0..5_000_u64, 1 => Just(BLOCK)];
    let length = || prop_oneof![4 => 1..9_000_u32, 1 => 1..150_000_u32, 2 => 1..200_u32];
    let range =
        move || (offset(), length()).prop_map(|(start, length)| start..start + u64::from(length));
    let step = prop_oneof![
        8 => (offset(), length()).prop_map(|(offset, length)| Step::Write(offset, length)),
        3 => length().prop_map(Step::Append),
        2 => offset().prop_map(Step::Resize),
        1 => Just(Step::Resize(0)),
        2 => range().prop_map(Step::Punch),
        1 => range().prop_map(Step::Zero),
        1 => range().prop_map(Step::Collapse),
        1 => range().prop_map(Step::Insert),
        1 => (range(), offset()).prop_map(|(range, to)| Step::Copy(range, to)),
        3 => range().prop_map(Step::Read),
        3 => Just(Step::Flush),
        1 => Just(Step::Stage),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..40)
}

/// Bytes that differ from write to write.
fn bytes_of(length: u32, seed: usize) -> Vec<u8> {
    let byte = |index: usize| u8::try_from((index * 31 + seed * 17) % 253 + 1).expect("a byte");
    (0..length as usize).map(byte).collect()
}

fn at(offset: u64) -> usize {
    usize::try_from(offset).expect("small")
}

/// A file, what it should be, and what others should see of it.
struct Model {
    handle: FileHandle,
    plain: Vec<u8>,
    flushed: Vec<u8>,
}

impl Model {
    fn set(&mut self, offset: u64, bytes: &[u8]) {
        let end = at(offset) + bytes.len();
        self.plain.resize(self.plain.len().max(end), 0);
        self.plain[at(offset)..end].copy_from_slice(bytes);
    }

    async fn step(&mut self, client: &Client, index: usize, step: &Step) {
        let size = self.plain.len() as u64;
        match step {
            Step::Write(offset, length) => {
                let bytes = bytes_of(*length, index);
                self.handle
                    .write_at(*offset, &bytes)
                    .await
                    .expect("written");
                self.set(*offset, &bytes);
            }
            Step::Append(length) => {
                let bytes = bytes_of(*length, index);
                assert_eq!(self.handle.append(&bytes).await.expect("appended"), size);
                self.set(size, &bytes);
            }
            Step::Resize(size) => {
                self.handle.set_len(*size).expect("set");
                self.plain.resize(at(*size), 0);
            }
            Step::Punch(range) => {
                self.handle.punch(range.clone()).expect("punched");
                self.plain[at(range.start.min(size))..at(range.end.min(size))].fill(0);
            }
            Step::Zero(range) => {
                self.handle.zero(range.clone()).expect("zeroed");
                self.set(range.start, &vec![0; at(range.end - range.start)]);
            }
            Step::Read(range) => self.read(range.clone()).await,
            Step::Flush => {
                let node = self.handle.flush().await.expect("flushed");
                assert_eq!(node.attributes.size, size);
                self.flushed = self.plain.clone();
            }
            Step::Stage => self.handle.stage(),
            Step::Reopen => {
                let second = client.open(&path("/f"), OpenOptions::default()).await;
                self.handle = second.expect("opens");
            }
            shared => self.shared_step(shared).await,
        }
    }

    /// Steps that flush.
    async fn shared_step(&mut self, step: &Step) {
        let size = self.plain.len() as u64;
        match step {
            Step::Collapse(range) => {
                let done = self.handle.collapse(range.clone()).await;
                assert_eq!(done.is_ok(), range.end <= size, "{done:?}");
                if done.is_ok() {
                    self.plain.drain(at(range.start)..at(range.end));
                }
            }
            Step::Insert(range) => {
                let done = self.handle.insert(range.clone()).await;
                let fits = size + (range.end - range.start) <= INLINE_BYTES_MAX as u64;
                let is_legal = range.start <= size;
                assert!(is_legal || done.is_err());
                assert!(done.is_ok() || !is_legal || !fits, "{done:?}");
                if done.is_ok() {
                    let zeros = vec![0; at(range.end - range.start)];
                    self.plain.splice(at(range.start)..at(range.start), zeros);
                }
            }
            Step::Copy(range, to) => {
                let range = range.start.min(size)..range.end.min(size);
                let bytes = self.plain[at(range.start)..at(range.end)].to_vec();
                let handle = self.handle.clone();
                let copied = self.handle.copy_range(&handle, range, *to).await;
                assert_eq!(copied.expect("copied"), bytes.len() as u64);
                if !bytes.is_empty() {
                    self.set(*to, &bytes);
                }
                self.handle.flush().await.expect("flushed");
            }
            other => unreachable!("{other:?} is no such step"),
        }
        self.handle.flush().await.expect("flushed");
        self.flushed = self.plain.clone();
    }

    async fn read(&self, range: Range<u64>) {
        let length = u32::try_from(range.end - range.start).expect("small");
        let read = self
            .handle
            .read_at(range.start, length)
            .await
            .expect("read");
        let size = self.plain.len() as u64;
        let expected = &self.plain[at(range.start.min(size))..at(range.end.min(size))];
        assert!(
            read == expected,
            "{range:?}: {} of {} bytes",
            read.len(),
            expected.len()
        );
    }

    async fn look(&self, other: &Client) {
        assert_eq!(self.handle.size(), self.plain.len() as u64);
        self.read(0..self.plain.len() as u64 + 1).await;
        let (node, mut stream) = other.read(&path("/f"), 0..u64::MAX).await.expect("read");
        let mut seen = Vec::new();
        while let Some(bytes) = stream.next().await.expect("right bytes") {
            seen.extend_from_slice(&bytes);
        }
        assert!(seen == self.flushed, "others see {} bytes", seen.len());
        assert_eq!(node.attributes.size, seen.len() as u64);
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn an_open_file_reads_as_plain_bytes(histories in prop::collection::vec(steps(), 1..3)) {
        run(async {
            let store = Store::new().await;
            let client = Client::embedded(store.service.clone(), options());
            let other = connect_dir(store.dir.path()).await;
            for steps in &histories {
                let handle = client.open(&path("/f"), CREATE).await.expect("opens");
                let mut model = Model { handle, plain: Vec::new(), flushed: Vec::new() };
                for (index, step) in steps.iter().enumerate() {
                    model.step(&client, index, step).await;
                    model.look(&other).await;
                }
                model.handle.flush().await.expect("flushed");
                model.flushed = model.plain.clone();
                drop(std::mem::replace(
                    &mut model.handle,
                    other.open(&path("/f"), OpenOptions::default()).await.expect("opens"),
                ));
                model.look(&client).await;
                drop(model);
                client.remove(&path("/f"), Remove::File).await.expect("removed");
            }
            let checked = client.check().await.expect("checked");
            prop_assert!(checked.problems.is_empty(), "{:?}", checked.problems);
            let rules = CollectRules {
                retention_ms: Some(0),
                uploads: Ongoing::End,
                reads: Ongoing::End,
            };
            client.collect_by(rules).await.expect("collected");
            let checked = client.check().await.expect("checked");
            prop_assert_eq!(checked.blocks, 0);
            drop((client, other));
            store.stop().await;
            Ok(())
        })?;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_write_ranges_and_append_without_losing_each_others() {
    let store = Store::new().await;
    let first = Client::embedded(store.service.clone(), options());
    let second = connect_dir(store.dir.path()).await;
    for size in [100_u32, 50_000] {
        let name = path(&format!("/f{size}"));
        let one = first.open(&name, CREATE).await.expect("opens");
        let base = bytes_of(size, 1);
        one.write_at(0, &base).await.expect("written");
        one.flush().await.expect("flushed");
        let two = second
            .open(&name, OpenOptions::default())
            .await
            .expect("opens");
        one.write_at(10, b"one").await.expect("written");
        two.write_at(20, b"two").await.expect("written");
        one.append(b"-first").await.expect("appended");
        two.append(b"-second").await.expect("appended");
        two.flush().await.expect("flushed");
        one.flush().await.expect("flushed");
        let mut expected = base;
        expected[10..13].copy_from_slice(b"one");
        expected[20..23].copy_from_slice(b"two");
        expected.extend_from_slice(b"-second-first");
        assert_eq!(one.read_at(0, 1 << 20).await.expect("read"), expected);
        two.refresh().await.expect("refreshed");
        assert_eq!(two.read_at(0, 1 << 20).await.expect("read"), expected);
    }
    store.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_that_expects_a_generation_fails_and_keeps_the_edits() {
    let store = Store::new().await;
    let client = Client::embedded(store.service.clone(), options());
    let handle = client.open(&path("/f"), CREATE).await.expect("opens");
    let always = OpenOptions {
        creation: Creation::Always(0o600),
        ..OpenOptions::default()
    };
    let taken = client.open(&path("/f"), always).await;
    assert_eq!(
        taken.expect_err("it is there").reason(),
        Reason::AlreadyExists
    );
    handle.write_at(0, b"mine").await.expect("written");
    let other = connect_dir(store.dir.path()).await;
    let theirs = other
        .open(&path("/f"), OpenOptions::default())
        .await
        .expect("opens");
    theirs.write_at(2, b"theirs").await.expect("written");
    let node = theirs.close().await.expect("flushed");
    let expect = FlushOptions {
        expect: Some(Generation::new(node.generation.get() - 1)),
        ..FlushOptions::default()
    };
    let stale = handle
        .flush_with(expect)
        .await
        .expect_err("another generation");
    assert_eq!(stale.reason(), Reason::StaleGeneration);
    assert!(handle.is_dirty());
    let now = FlushOptions {
        expect: Some(node.generation),
        ..FlushOptions::default()
    };
    handle.flush_with(now).await.expect("flushed");
    assert!(!handle.is_dirty());
    assert_eq!(
        handle.read_at(0, 100).await.expect("read"),
        "minetheirs"[..8].replace("minethei", "mineeirs").as_bytes()
    );
    store.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_has_a_digest_and_holes_are_found() {
    let store = Store::new().await;
    let client = Client::embedded(store.service.clone(), options());
    let handle = client.open(&path("/f"), CREATE).await.expect("opens");
    let mut writer = handle.writer(0);
    let bytes = bytes_of(400_000, 3);
    for part in bytes.chunks(7_777) {
        writer.write(part).await.expect("written");
    }
    assert_eq!(writer.position(), 400_000);
    let node = writer.finish().await.expect("flushed");
    let (g, options) = (path("/g"), WriteOptions::default());
    client
        .write(&g, &bytes[..], options)
        .await
        .expect("published");
    let (published, _) = client.body(&g).await.expect("found");
    assert!(node.body.digest.is_some());
    assert_eq!(
        node.body.digest, published.body.digest,
        "as a publish of the same bytes"
    );
    handle.punch(100_000..200_000).expect("punched");
    handle.set_len(500_000).expect("set");
    for _ in 0..2 {
        assert_eq!(handle.seek(0, Seek::Data), Some(0));
        assert_eq!(handle.seek(5, Seek::Hole), Some(100_000));
        assert_eq!(handle.seek(100_000, Seek::Data), Some(200_000));
        assert_eq!(handle.seek(200_000, Seek::Hole), Some(400_000));
        assert_eq!(handle.seek(400_000, Seek::Data), None);
        assert_eq!(handle.seek(450_000, Seek::Hole), Some(450_000));
        assert_eq!(handle.seek(500_000, Seek::Hole), None);
        handle.flush().await.expect("flushed");
    }
    let past = client.at(client.status().await.expect("status").last_version);
    let old = past
        .open(&path("/f"), OpenOptions::default())
        .await
        .expect("opens");
    let refused = old.write_at(0, b"x").await.expect_err("the past");
    assert_eq!(refused.reason(), Reason::NotPermitted);
    let blocking = BlockingFile::new(handle, tokio::runtime::Handle::current());
    let thread = tokio::task::spawn_blocking(move || {
        blocking.write_at(0, b"thread").expect("written");
        blocking.sync().expect("synced");
        blocking.read_at(0, 6).expect("read")
    });
    assert_eq!(thread.await.expect("it ran"), "thread");
    store.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zeros_between_appends_are_flushed() {
    let store = Store::new().await;
    let client = Client::embedded(store.service.clone(), options());
    let handle = client.open(&path("/f"), CREATE).await.expect("opened");
    handle.append(b"a").await.expect("appended");
    handle.zero(1..2).expect("zeroed");
    handle.append(b"b").await.expect("appended");
    handle.flush().await.expect("flushed");
    assert_eq!(handle.read_at(0, 9).await.expect("read"), &b"a\0b"[..]);
    store.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_between_branches_has_the_bytes_of_its_source() {
    let store = Store::new().await;
    let client = Client::embedded(store.service.clone(), options());
    let write = async |file: &str, bytes: &[u8]| {
        let handle = client.open(&path(file), CREATE).await.expect("opened");
        handle.write_at(0, bytes).await.expect("written");
        handle.flush().await.expect("flushed");
        handle
    };
    client
        .make_dir(&path("/a"), 0o755, Parents::Required)
        .await
        .expect("made");
    write("/a/from", &bytes_of(9000, 1)).await;
    write("/a/to", b"-").await;
    client
        .create_branch(&path("/a"), &path("/b"), None)
        .await
        .expect("branched");
    let trunk = write("/a/from", &bytes_of(9000, 2)).await;
    let to = client.open(&path("/b/to"), CREATE).await.expect("opened");
    assert_eq!(
        to.copy_range(&trunk, 0..9000, 0).await.expect("copied"),
        9000
    );
    let copied = to.read_at(0, 9000).await.expect("read");
    assert!(
        copied == bytes_of(9000, 2),
        "the bytes of the branch's own file"
    );
    store.stop().await;
}
