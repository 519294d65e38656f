//! Edits of bodies: against plain bytes, with snapshots and the collector beside them.

use crate::support::{Store, item, path, reason};
use nokv_namespace::{
    Content, Edit, EditAt, EditBody, Edited, Follow, NewSnapshot, Remove, Target, View,
};
use nokv_types::{
    BlockId, Body, Digest, Extent, Failure, Generation, INLINE_BYTES_MAX, Layout, NodeId, Reason,
    RequestId, SessionId, SnapshotName, Unit,
};
use proptest::prelude::*;
use std::ops::Range;

const FILES: usize = 3;
const SIZE_MAX: u64 = 3 * INLINE_BYTES_MAX as u64;

/// A byte of a unit: what it is depends on which unit it is, so that no two look alike.
fn byte_of(block: BlockId, index: u32) -> u8 {
    let mixed = (block.sequence + 1).wrapping_mul(0x9E37_79B1) ^ index.wrapping_mul(0x85EB_CA77);
    u8::try_from(mixed >> 24).expect("eight bits") | 1
}

fn bytes_of(body: &Body) -> Vec<u8> {
    let mut bytes = vec![0; at(body.size())];
    match body.layout() {
        Layout::Inline(inline) => bytes.copy_from_slice(inline),
        Layout::Extents(extents) => {
            for extent in extents {
                for index in 0..extent.length {
                    let place = at(extent.body_offset) + index as usize;
                    bytes[place] = byte_of(extent.block(), extent.skip + index);
                }
            }
        }
    }
    bytes
}

fn at(offset: u64) -> usize {
    usize::try_from(offset).expect("small")
}

fn edit_of(edits: Vec<Edit>, sessions: Vec<SessionId>) -> EditBody {
    EditBody {
        edits,
        sessions,
        expect: None,
        digest: None,
        mtime: None,
    }
}

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<(u64, u16)>),
    Append(u16),
    Inline(u64, u16),
    Punch(Range<u64>),
    Resize(u64),
    Collapse(Range<u64>),
    Insert(Range<u64>),
    Copy(usize, Range<u64>, u64),
    Publish(u16),
    Snapshot,
    Collect,
}

fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
    let offset = || prop_oneof![2 => 0..SIZE_MAX, 1 => 0..100_u64];
    let range = move || (offset(), 1..2_000_u64).prop_map(|(start, length)| start..start + length);
    let writes = prop::collection::vec((0..600_u64, 1..1_500_u16), 1..8);
    let copy = (0..FILES, range(), offset());
    let step = prop_oneof![
        5 => writes.prop_map(Step::Write),
        2 => (1..900_u16).prop_map(Step::Append),
        2 => (0..100_u64, 1..200_u16).prop_map(|(at, length)| Step::Inline(at, length)),
        2 => range().prop_map(Step::Punch),
        2 => offset().prop_map(Step::Resize),
        1 => range().prop_map(Step::Collapse),
        1 => range().prop_map(Step::Insert),
        3 => copy.prop_map(|(from, range, to)| Step::Copy(from, range, to)),
        1 => (1..5_000_u16).prop_map(Step::Publish),
        1 => Just(Step::Snapshot),
        1 => Just(Step::Collect),
    ];
    prop::collection::vec((0..FILES, step), 1..40)
}

struct World {
    store: Store,
    session: SessionId,
    sequence_next: u32,
    nodes: Vec<NodeId>,
    plain: Vec<Vec<u8>>,
    kept: Vec<(View, Vec<Vec<u8>>)>,
}

impl World {
    fn new() -> Self {
        let store = Store::new();
        let session = store.namespace.open_session(60_000).expect("opened").id;
        let put = |index| store.put(&format!("/f{index}"), b"").expect("put").id;
        let nodes = (0..FILES).map(put).collect();
        Self {
            store,
            session,
            sequence_next: 0,
            nodes,
            plain: vec![Vec::new(); FILES],
            kept: Vec::new(),
        }
    }

    fn unit(&mut self, bytes: u16) -> Unit {
        let block = BlockId {
            session: self.session,
            sequence: self.sequence_next,
        };
        self.sequence_next += 1;
        Unit::plain(block, 0..u32::from(bytes), 0)
    }

    fn edit(&self, file: usize, edits: Vec<Edit>) -> Result<Edited, Failure> {
        let node = Target::Node(self.nodes[file]);
        let edit = edit_of(edits, vec![self.session]);
        let namespace = &self.store.namespace;
        namespace.edit_body(&self.store.context(), node, Follow::No, edit)
    }

    fn set(&mut self, file: usize, offset: u64, bytes: &[u8]) {
        let plain = &mut self.plain[file];
        plain.resize(plain.len().max(at(offset) + bytes.len()), 0);
        plain[at(offset)..at(offset) + bytes.len()].copy_from_slice(bytes);
    }

    fn set_unit(&mut self, file: usize, offset: u64, unit: Unit) {
        let bytes: Vec<_> = (0..unit.plain_bytes)
            .map(|index| byte_of(unit.block, index))
            .collect();
        self.set(file, offset, &bytes);
    }

    /// Whether an edit was done; it may be refused only for bytes that are inline.
    fn done(outcome: Result<Edited, Failure>) -> bool {
        match outcome {
            Ok(_) => true,
            Err(failure) => {
                assert_eq!(failure.reason(), Reason::Unsupported, "{failure}");
                false
            }
        }
    }

    fn write(&mut self, file: usize, pieces: &[(u64, u16)]) {
        let mut position = pieces[0].0 * 7;
        let mut edits = Vec::new();
        let mut written = Vec::new();
        for (gap, length) in pieces {
            let unit = self.unit(*length);
            position += gap;
            written.push((position, unit));
            edits.push(Edit::Write {
                at: EditAt::Offset(position),
                length: u64::from(*length),
                extents: vec![Extent::whole(0, unit)],
            });
            // Every third one is written over by the next.
            position += u64::from(*length) * u64::from(length % 3 != 0);
        }
        if Self::done(self.edit(file, edits)) {
            for (position, unit) in written {
                self.set_unit(file, position, unit);
            }
        }
    }

    fn append(&mut self, file: usize, length: u16) {
        let size = self.plain[file].len() as u64;
        let unit = self.unit(length);
        let edit = Edit::Write {
            at: EditAt::End,
            length: u64::from(length),
            extents: vec![Extent::whole(0, unit)],
        };
        if Self::done(self.edit(file, vec![edit])) {
            self.set_unit(file, size, unit);
        }
    }

    fn write_inline(&mut self, file: usize, offset: u64, length: u16) {
        let bytes = vec![0xA5; usize::from(length)];
        let edit = Edit::WriteInline {
            at: EditAt::Offset(offset),
            bytes: bytes.clone().into(),
        };
        if Self::done(self.edit(file, vec![edit])) {
            self.set(file, offset, &bytes);
        }
    }

    /// Steps out of the bounds of the file.
    fn refused(&self, file: usize, step: &Step) {
        let edit = match step.clone() {
            Step::Collapse(range) => Edit::Collapse(range),
            Step::Insert(range) => Edit::Insert(range),
            Step::Copy(from, range, to) => Edit::Copy {
                from: self.nodes[from],
                range,
                to,
            },
            _ => unreachable!("the pattern above"),
        };
        assert_eq!(reason(self.edit(file, vec![edit])), Reason::InvalidArgument);
    }

    fn step(&mut self, file: usize, step: &Step) {
        let size = self.plain[file].len() as u64;
        match step {
            Step::Write(pieces) => self.write(file, pieces),
            Step::Append(length) => self.append(file, *length),
            Step::Inline(offset, length) => self.write_inline(file, *offset, *length),
            Step::Punch(range) => {
                self.edit(file, vec![Edit::Punch(range.clone())])
                    .expect("punched");
                let range = at(range.start.min(size))..at(range.end.min(size));
                self.plain[file][range].fill(0);
            }
            Step::Resize(size) => {
                if Self::done(self.edit(file, vec![Edit::Resize(*size)])) {
                    self.plain[file].resize(at(*size), 0);
                }
            }
            Step::Collapse(range) if range.end <= size => {
                self.edit(file, vec![Edit::Collapse(range.clone())])
                    .expect("collapsed");
                self.plain[file].drain(at(range.start)..at(range.end));
            }
            Step::Insert(range) if range.start <= size => {
                if Self::done(self.edit(file, vec![Edit::Insert(range.clone())])) {
                    let zeros = vec![0; at(range.end - range.start)];
                    let start = at(range.start);
                    self.plain[file].splice(start..start, zeros);
                }
            }
            Step::Copy(from, range, to) if range.end <= self.plain[*from].len() as u64 => {
                let (range, to) = (range.clone(), *to);
                let bytes = self.plain[*from][at(range.start)..at(range.end)].to_vec();
                let from = self.nodes[*from];
                if Self::done(self.edit(file, vec![Edit::Copy { from, range, to }])) {
                    self.set(file, to, &bytes);
                }
            }
            Step::Collapse(_) | Step::Insert(_) | Step::Copy(..) => self.refused(file, step),
            Step::Publish(length) => self.publish(file, *length),
            Step::Snapshot => self.snapshot(),
            Step::Collect => self.collect(),
        }
    }

    fn publish(&mut self, file: usize, length: u16) {
        let unit = self.unit(length);
        let layout = Layout::Extents(vec![Extent::whole(0, unit)]);
        let body = Body::new(u64::from(length), None, layout).expect("valid");
        let published = self
            .store
            .publish(&format!("/f{file}"), body, Some(self.session));
        published.expect("published");
        self.plain[file].clear();
        self.set_unit(file, 0, unit);
    }

    fn snapshot(&mut self) {
        let name = format!("s{}", self.kept.len());
        let snapshot = NewSnapshot {
            name: SnapshotName::parse(&name).expect("a name"),
            at: None,
            lease_ms: None,
        };
        let context = self.store.context();
        let namespace = &self.store.namespace;
        let made = namespace
            .create_snapshot(&context, &path("/"), snapshot)
            .expect("made");
        self.kept
            .push((self.store.view().at(made.at), self.plain.clone()));
    }

    fn collect(&self) {
        self.store
            .namespace
            .reclaim_within(10, 0)
            .expect("reclaims");
    }

    fn look(&self, view: &View, plain: &[Vec<u8>]) {
        for (file, expected) in plain.iter().enumerate() {
            let (_, body) = self
                .store
                .namespace
                .body(view, &path(&format!("/f{file}")))
                .expect("read");
            assert!(bytes_of(&body) == *expected, "/f{file}");
        }
    }

    fn finish(self) {
        self.look(&self.store.view(), &self.plain);
        for (view, plain) in &self.kept {
            self.look(view, plain);
        }
        let consistent = || {
            let report = self.store.namespace.check().expect("checks");
            report.verdict().expect("consistent");
            report
        };
        consistent();
        for file in 0..FILES {
            let (context, path) = (self.store.context(), path(&format!("/f{file}")));
            let removed = self.store.namespace.remove(&context, &path, Remove::File);
            removed.expect("removed");
        }
        for index in 0..self.kept.len() {
            let name = SnapshotName::parse(&format!("s{index}")).expect("a name");
            let removed = self
                .store
                .namespace
                .remove_snapshot(&self.store.context(), &name);
            removed.expect("removed");
        }
        for _ in 0..100 {
            if !self
                .store
                .namespace
                .reclaim_within(10, 0)
                .expect("reclaims")
                .more
            {
                break;
            }
        }
        let doomed = self.store.namespace.doomed(None, 100_000).expect("doomed");
        self.store
            .namespace
            .forget_doomed(&doomed)
            .expect("forgotten");
        let report = consistent();
        assert_eq!((report.blocks, report.dead_bodies), (0, 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn edited_files_read_as_plain_bytes_and_lose_no_block(steps in steps()) {
        let mut world = World::new();
        for (file, step) in &steps {
            world.step(*file, step);
            world.look(&world.store.view(), &world.plain);
        }
        world.finish();
    }
}

#[test]
fn an_edit_expects_is_repeated_once_and_knows_its_digest() {
    let mut world = World::new();
    let unit = world.unit(10);
    let node = Target::Node(world.nodes[0]);
    let write = || Edit::Write {
        at: EditAt::End,
        length: 10,
        extents: vec![Extent::whole(0, unit)],
    };
    let digest = Digest::from_bytes([7; 32]);
    let edit = EditBody {
        digest: Some((Generation::new(1), digest)),
        expect: Some(Generation::new(1)),
        ..edit_of(vec![write()], vec![world.session])
    };
    let mut context = world.store.context();
    context.request = Some(RequestId::from_bytes([1; 16]));
    let namespace = &world.store.namespace;
    let edited = |edit: &EditBody| namespace.edit_body(&context, node, Follow::No, edit.clone());
    let first = edited(&edit).expect("edited");
    assert_eq!(edited(&edit).expect("the same answer"), first);
    assert_eq!(
        (first.based_on, first.node.generation),
        (Generation::new(1), Generation::new(2))
    );
    assert_eq!(
        (first.node.attributes.size, first.node.body.digest),
        (10, Some(digest))
    );
    let other = edit_of(vec![Edit::Resize(3)], Vec::new());
    assert_eq!(reason(edited(&other)), Reason::RequestReused);
    context.request = None;
    let edited = |edit: EditBody| namespace.edit_body(&context, node, Follow::No, edit);
    assert_eq!(reason(edited(edit.clone())), Reason::StaleGeneration);
    let late = EditBody {
        expect: None,
        ..edit
    };
    let late = edited(late).expect("edited");
    assert_eq!(
        (late.node.body.digest, late.node.attributes.size),
        (None, 20)
    );
    assert_eq!(
        reason(edited(edit_of(Vec::new(), Vec::new()))),
        Reason::InvalidArgument
    );
    let unknown = edit_of(vec![write()], vec![SessionId::new(99)]);
    assert_eq!(reason(edited(unknown)), Reason::SessionExpired);
    let fresh = Unit {
        block: BlockId {
            session: world.session,
            sequence: 77,
        },
        ..unit
    };
    let fresh = Edit::Write {
        at: EditAt::End,
        length: 10,
        extents: vec![Extent::whole(0, fresh)],
    };
    assert_eq!(
        reason(edited(edit_of(vec![fresh], Vec::new()))),
        Reason::InvalidArgument
    );
    let cut = edited(edit_of(vec![Edit::Resize(5)], Vec::new())).expect("cut inside an extent");
    assert_eq!(cut.node.attributes.size, 5);
}

#[test]
fn only_files_have_a_body_to_edit() {
    let store = Store::new();
    store.mkdir("/d").expect("made");
    let publish = item("/l", Content::Symlink("d".into()));
    let publish = nokv_namespace::Publish {
        items: vec![publish],
        parents: nokv_namespace::Parents::Required,
        session: None,
    };
    store
        .namespace
        .publish(&store.context(), publish)
        .expect("linked");
    let edit = |text, follow| {
        let edit = edit_of(vec![Edit::Resize(1)], Vec::new());
        store
            .namespace
            .edit_body(&store.context(), &path(text), follow, edit)
    };
    assert_eq!(reason(edit("/d", Follow::No)), Reason::IsDirectory);
    assert_eq!(reason(edit("/l", Follow::Yes)), Reason::IsDirectory);
    assert_eq!(reason(edit("/l", Follow::No)), Reason::InvalidArgument);
    assert_eq!(reason(edit("/none", Follow::No)), Reason::NotFound);
}

#[test]
fn a_copy_in_a_branch_has_the_bytes_of_the_branch() {
    let store = Store::new();
    let (namespace, context) = (&store.namespace, store.context());
    store.mkdir("/a").expect("made");
    store.put("/a/from", b"trunk").expect("published");
    store.put("/a/to", b"-").expect("published");
    namespace
        .create_branch(&context, &path("/a"), &path("/b"), None)
        .expect("branched");
    store.put("/b/from", b"branch").expect("published");
    let from = namespace.lookup(&store.view(), &path("/b/from"), Follow::No);
    let copy = Edit::Copy {
        from: from.expect("there").id,
        range: 0..5,
        to: 0,
    };
    for (file, bytes) in [("/b/to", &b"branc"[..]), ("/a/to", b"trunk")] {
        let edit = edit_of(vec![copy.clone()], Vec::new());
        namespace
            .edit_body(&context, &path(file), Follow::No, edit)
            .expect("copied");
        let (_, body) = namespace.body(&store.view(), &path(file)).expect("there");
        assert_eq!(bytes_of(&body), bytes, "{file}");
    }
}
