//! Bodies whose bytes move: the same for every reader of every version, and no reference is lost.

use crate::support::{Store, item, path, reason};
use nokv_namespace::{Content, NewSnapshot, Parents, Publish, Reference, Relocation, Remove, View};
use nokv_types::{BlockId, Body, Extent, Layout, Reason, SessionId, SnapshotName, Unit, Version};
use proptest::prelude::*;
use std::collections::BTreeMap;

const PATHS: [&str; 4] = ["/a", "/b", "/d/c", "/d/e"];
/// Embedded, of one chunk, of three.
const EXTENT_COUNTS: [u32; 4] = [1, 3, 40, 1_030];

/// What a body shows, wherever it is.
type Shown = Vec<(u64, u32, u32)>;

fn shown(body: &Body) -> Shown {
    match body.layout() {
        Layout::Inline(_) => Vec::new(),
        Layout::Extents(extents) => extents
            .iter()
            .map(|extent| (extent.body_offset, extent.length, extent.unit.crc32c))
            .collect(),
    }
}

struct World {
    store: Store,
    files: BTreeMap<&'static str, Shown>,
    snapshots: Vec<(SnapshotName, Version, BTreeMap<&'static str, Shown>)>,
    number: u32,
}

impl World {
    fn new() -> Self {
        let store = Store::new();
        store.mkdir("/d").expect("made");
        Self {
            store,
            files: BTreeMap::new(),
            snapshots: Vec::new(),
            number: 0,
        }
    }

    fn session(&self) -> SessionId {
        self.store.namespace.open_session(60_000).expect("opens").id
    }

    fn end(&self, session: SessionId) {
        self.store.namespace.close_session(session).expect("closes");
        self.store.namespace.finish_session(session).expect("ends");
    }

    fn publish(&mut self, text: &'static str, count: u32) {
        let session = self.session();
        self.number += 1;
        let number = self.number;
        let extent = |index: u32| {
            let block = BlockId {
                session,
                sequence: index / 3,
            };
            let start = index % 3 * 10;
            let unit = Unit::plain(block, start..start + 10, number * 10_000 + index);
            Extent::whole(u64::from(index) * 10, unit)
        };
        let extents: Vec<_> = (0..count).map(extent).collect();
        let body = Body::new(u64::from(count) * 10, None, Layout::Extents(extents));
        let body = body.expect("valid");
        self.files.insert(text, shown(&body));
        let publish = Publish {
            items: vec![item(text, Content::File(body))],
            parents: Parents::Required,
            session: Some(session),
        };
        let context = self.store.context();
        self.store
            .namespace
            .publish(&context, publish)
            .expect("published");
        self.end(session);
    }

    fn references(&self) -> Vec<Reference> {
        let (mut all, mut from) = (Vec::new(), None);
        loop {
            let page = self.store.namespace.references(from.as_ref(), 3);
            let page = page.expect("a page");
            all.extend(page.references);
            match page.next {
                Some(next) => from = Some(next),
                None => return all,
            }
        }
    }

    /// Moves some of the parts of live bodies.
    fn relocate(&self, choice: u64) {
        let session = self.session();
        let mut sequence = 0;
        let mut moves = Vec::new();
        for (index, reference) in self.references().into_iter().enumerate() {
            let is_chosen = choice >> (index % 64) & 1 == 1;
            if !is_chosen || !reference.holder.part.is_live() {
                continue;
            }
            let mut to = reference.extents.clone();
            for extent in &mut to {
                extent.unit.block = BlockId { session, sequence };
                sequence += 1;
            }
            moves.push(Relocation {
                holder: reference.holder,
                from: reference.extents,
                to,
            });
        }
        let moved = self.store.namespace.relocate(session, &moves);
        assert_eq!(moved.expect("moves"), moves.len() as u64);
        let again = self.store.namespace.relocate(session, &moves);
        assert_eq!(again.expect("nothing"), 0, "they lie elsewhere now");
        self.end(session);
    }

    fn snapshot(&mut self) {
        self.number += 1;
        let name = SnapshotName::parse(&format!("s{}", self.number)).expect("a name");
        let new = NewSnapshot {
            name: name.clone(),
            at: None,
            lease_ms: None,
        };
        let context = self.store.context();
        let made = self
            .store
            .namespace
            .create_snapshot(&context, &path("/"), new)
            .expect("made");
        self.snapshots.push((name, made.at, self.files.clone()));
    }

    fn drop_snapshot(&mut self, index: usize) {
        if index < self.snapshots.len() {
            let (name, ..) = self.snapshots.remove(index);
            let context = self.store.context();
            let removed = self.store.namespace.remove_snapshot(&context, &name);
            removed.expect("removed");
        }
    }

    fn remove(&mut self, text: &'static str) {
        if self.files.remove(text).is_some() {
            let context = self.store.context();
            let removed = self
                .store
                .namespace
                .remove(&context, &path(text), Remove::File);
            removed.expect("removed");
        }
    }

    fn reclaim(&self) {
        while self
            .store
            .namespace
            .reclaim_within(50, 0)
            .expect("reclaims")
            .more
        {}
        let doomed = self.store.namespace.doomed(None, 100_000).expect("doomed");
        self.store.namespace.forget_doomed(&doomed).expect("gone");
    }

    fn check_view(&self, view: &View, files: &BTreeMap<&'static str, Shown>) {
        for text in PATHS {
            let found = self.store.namespace.body(view, &path(text));
            let Some(wanted) = files.get(text) else {
                assert_eq!(reason(found), Reason::NotFound);
                continue;
            };
            let body = found.expect("a body").1;
            assert_eq!(&shown(&body), wanted, "{text}");
            let Layout::Extents(extents) = body.layout() else {
                panic!("{text} has no extents");
            };
            let blocks: Vec<_> = extents.iter().map(Extent::block).collect();
            let referenced = self.store.namespace.is_referenced(&blocks).expect("asked");
            assert!(referenced.iter().all(|is| *is), "{text} at {view:?}");
        }
    }

    fn check(&self) {
        let latest = self.store.view();
        self.check_view(&latest, &self.files);
        for (_, at, files) in &self.snapshots {
            self.check_view(&latest.at(*at), files);
        }
        let report = self.store.namespace.check().expect("checks");
        report.verdict().expect("consistent");
    }

    fn check_the_end(&mut self) {
        while !self.snapshots.is_empty() {
            self.drop_snapshot(0);
        }
        PATHS.iter().for_each(|text| self.remove(text));
        self.reclaim();
        self.reclaim();
        let report = self.store.namespace.check().expect("checks");
        report.verdict().expect("consistent");
        assert_eq!((report.blocks, report.dead_bodies), (0, 0));
        assert_eq!(self.references(), []);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_moves_is_the_same_body_at_every_version(
        steps in proptest::collection::vec((0..10_u8, any::<u64>()), 1..16),
    ) {
        let mut world = World::new();
        for (step, number) in steps {
            let pick = |count: usize| usize::try_from(number % count as u64).expect("small");
            match step {
                0..3 => {
                    let count = EXTENT_COUNTS[pick(97) % EXTENT_COUNTS.len()];
                    world.publish(PATHS[pick(PATHS.len())], count);
                }
                3..6 => world.relocate(number | 1),
                6 => world.snapshot(),
                7 => world.drop_snapshot(pick(3)),
                8 => world.remove(PATHS[pick(PATHS.len())]),
                _ => world.reclaim(),
            }
            world.check();
        }
        world.check_the_end();
    }
}

#[test]
fn only_the_same_bytes_move_and_only_in_a_session() {
    let mut world = World::new();
    world.publish("/a", 3);
    let reference = world.references().remove(0);
    let part = Relocation {
        holder: reference.holder,
        from: reference.extents.clone(),
        to: reference.extents,
    };
    let move_to = |session, change: &dyn Fn(&mut Extent)| {
        let mut part = part.clone();
        part.to.iter_mut().for_each(change);
        world.store.namespace.relocate(session, &[part])
    };
    let (session, other) = (world.session(), world.session());
    let to_session = |extent: &mut Extent| extent.unit.block.session = session;
    assert_eq!(
        reason(move_to(session, &|extent| extent.unit.crc32c += 1)),
        Reason::InvalidArgument
    );
    assert_eq!(reason(move_to(other, &to_session)), Reason::MissingBlock);
    world.store.namespace.close_session(other).expect("closed");
    assert_eq!(reason(move_to(other, &to_session)), Reason::SessionExpired);
    let before = world.store.stat("/a").expect("there");
    assert_eq!(move_to(session, &to_session).expect("moved"), 1);
    let after = world.store.stat("/a").expect("there");
    assert_eq!(after.generation, before.generation);
    assert_eq!(after.attributes, before.attributes);
    world.check();
}
