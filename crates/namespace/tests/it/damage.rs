//! The check bites: records are damaged behind the namespace's back, one kind of problem at a time.

use crate::support::{Store, in_blocks, path};
use nokv_engine::{Batch, Direction, Durability, KeyRange, Keyspace};
use nokv_namespace::ProblemKind;
use nokv_types::{BlockId, Body, Extent, Layout, Unit, Version};

const NODE: u8 = 1;
const ENTRY: u8 = 2;
const CHUNK: u8 = 4;
const COUNTER: u8 = 6;
const OBJECT: u8 = 8;
const QUOTA_USAGE: u8 = 17;
const NAMES: u8 = 18;

/// A store with a bit of everything.
fn store() -> Store {
    let store = Store::with(nokv_namespace::Options::default());
    store.mkdir("/d").expect("made");
    store.mkdir("/d/e").expect("made");
    let session = store.namespace.open_session(60_000).expect("opened").id;
    store
        .publish("/d/f", in_blocks(session, &[1]), Some(session))
        .expect("published");
    store
        .namespace
        .link(&store.context(), &path("/d/f"), &path("/d/e/g"))
        .expect("linked");
    let sequence = 2;
    let extents = (0..20_u32).map(|index| {
        let unit = Unit::plain(BlockId { session, sequence }, index..index + 1, 0);
        Extent::whole(u64::from(index), unit)
    });
    let large = Body::new(20, None, Layout::Extents(extents.collect())).expect("valid");
    store
        .publish("/large", large, Some(session))
        .expect("published");
    store
        .namespace
        .check()
        .expect("checks")
        .verdict()
        .expect("consistent");
    store
}

fn records(store: &Store, keyspace: u8) -> Vec<(Vec<u8>, Vec<u8>)> {
    let scan = store.namespace.engine().scan(
        Keyspace::new(keyspace),
        KeyRange::all(),
        Version::MAX,
        Direction::Forward,
    );
    scan.expect("scans")
        .map(|item| item.expect("read"))
        .map(|(key, record)| (key.to_vec(), record.value.to_vec()))
        .collect()
}

/// Deletes (`None`) or rewrites one record.
fn overwrite(store: &Store, keyspace: u8, key: &[u8], value: Option<&[u8]>) {
    let engine = store.namespace.engine();
    let version = engine.last_version().next();
    let mut batch = Batch::new();
    match value {
        Some(value) => batch.put(Keyspace::new(keyspace), key, value, version),
        None => batch.delete(Keyspace::new(keyspace), key, version),
    }
    engine.write(batch, Durability::Synced).expect("written");
    // The namespace reads at the version of its own last command.
    store.namespace.open_session(1).expect("opened");
}

/// The kinds of problems that are found after an [`overwrite`].
fn damage(store: &Store, keyspace: u8, key: &[u8], value: Option<&[u8]>) -> Vec<ProblemKind> {
    overwrite(store, keyspace, key, value);
    let report = store.namespace.check().expect("checks");
    report.verdict().expect_err("something is wrong");
    let mut kinds: Vec<_> = report.problems.iter().map(|problem| problem.kind).collect();
    kinds.dedup();
    kinds
}

fn find(store: &Store, keyspace: u8, what: impl Fn(&[u8]) -> bool) -> (Vec<u8>, Vec<u8>) {
    let found = records(store, keyspace)
        .into_iter()
        .find(|(key, _)| what(key));
    found.expect("there is such a record")
}

/// What the keys of a node of the trunk begin with: shard, branch, number.
fn of_trunk(node: &[u8]) -> Vec<u8> {
    [&node[..2], &[0; 4], &node[2..8]].concat()
}

#[test]
fn every_kind_of_damage_is_found() {
    use ProblemKind::{
        DanglingEntry, Unreachable, WrongChunks, WrongCount, WrongLinks, WrongPlace, WrongQuota,
        WrongReferences,
    };
    let entry = |key: &[u8], name: &[u8]| key.get(12..) == Some(name);
    let found = store();
    let (key, _) = find(&found, ENTRY, |key| entry(key, b"f"));
    assert_eq!(damage(&found, ENTRY, &key, None), [WrongLinks, WrongCount]);

    let found = store();
    let (key, value) = find(&found, ENTRY, |key| entry(key, b"g"));
    let mut other = value.clone();
    *other.last_mut().expect("not empty") ^= 0x80;
    assert_eq!(
        damage(&found, ENTRY, &key, Some(&other)),
        [DanglingEntry, WrongLinks]
    );

    let found = store();
    let (_, value) = find(&found, ENTRY, |key| entry(key, b"large"));
    let node = of_trunk(&value[value.len() - 8..]);
    let (key, _) = find(&found, NODE, |key| key.starts_with(&node));
    let problems = damage(&found, NODE, &key, None);
    assert!(
        problems.contains(&DanglingEntry) && problems.contains(&WrongChunks),
        "{problems:?}"
    );

    let found = store();
    let (key, _) = find(&found, ENTRY, |key| entry(key, b"large"));
    let problems = damage(&found, ENTRY, &key, None);
    assert_eq!(problems, [Unreachable, WrongCount]);

    let found = store();
    let (from, value) = find(&found, ENTRY, |key| entry(key, b"e"));
    let to = [&from[..from.len() - 1], b"moved"].concat();
    damage(&found, ENTRY, &from, None);
    let problems = damage(&found, ENTRY, &to, Some(&value));
    assert_eq!(problems, [WrongPlace]);

    let found = store();
    let (key, _) = find(&found, COUNTER, |_| true);
    assert_eq!(damage(&found, COUNTER, &key, None), [WrongCount]);

    let found = store();
    let (key, _) = find(&found, OBJECT, |_| true);
    assert_eq!(damage(&found, OBJECT, &key, None), [WrongReferences]);

    let found = store();
    let (key, _) = find(&found, CHUNK, |_| true);
    let problems = damage(&found, CHUNK, &key, None);
    assert_eq!(problems, [WrongReferences, WrongChunks]);

    let found = store();
    let limits = nokv_namespace::QuotaLimits::default();
    let set = found
        .namespace
        .set_quota(&found.context(), &path("/"), limits);
    set.expect("set");
    let (key, _) = find(&found, QUOTA_USAGE, |_| true);
    assert_eq!(damage(&found, QUOTA_USAGE, &key, None), [WrongQuota]);

    let found = store();
    let (key, _) = find(&found, NAMES, |_| true);
    assert_eq!(damage(&found, NAMES, &key, None), [WrongLinks]);
}

#[test]
fn a_cycle_is_found() {
    let found = store();
    let (key, value) = find(&found, ENTRY, |key| key.ends_with(b"d"));
    let inside = found.stat("/d/e").expect("there").id.as_u64().to_be_bytes();
    let to = [&of_trunk(&inside)[..], &key[12..]].concat();
    let node = of_trunk(&value[value.len() - 8..]);
    let (node_key, record) = find(&found, NODE, |key| key.starts_with(&node));
    let mut moved = record.clone();
    // Parent, a name of one byte with its length, placement.
    let parent = moved.len() - 8 - 2 - 1;
    moved[parent..parent + 8].copy_from_slice(&inside);
    damage(&found, ENTRY, &key, None);
    overwrite(&found, ENTRY, &to, Some(&value));
    overwrite(&found, NODE, &node_key, Some(&moved));
    let report = found.namespace.check().expect("checks");
    let text = format!("{:?}", report.problems);
    assert!(text.contains("inside of itself"), "{text}");
}

#[test]
fn a_record_that_can_t_be_decoded_is_an_error_that_names_it() {
    let found = store();
    let (key, _) = find(&found, NODE, |_| true);
    overwrite(&found, NODE, &key, Some(&[9, 9, 9]));
    let failure = found.namespace.check().expect_err("damaged");
    assert_eq!(failure.reason(), nokv_types::Reason::Corrupt);
    assert!(
        failure
            .message()
            .contains("expected a known format byte, got 9"),
        "{failure}"
    );
}

#[test]
fn damage_of_a_branch_is_found() {
    use ProblemKind::{DanglingEntry, WrongBranch, WrongCount, WrongLinks, WrongXattrs};
    const BRANCH: u8 = 20;
    let branched = || {
        let found = store();
        let (context, source) = (found.context(), path("/d"));
        let made = found
            .namespace
            .create_branch(&context, &source, &path("/b"), None);
        made.expect("branched");
        found.put("/b/own", b"own").expect("put");
        found.put("/b/f", b"other").expect("put");
        found
            .namespace
            .check()
            .expect("checks")
            .verdict()
            .expect("consistent");
        found
    };
    // Records of the branch have its number after the shard.
    let own = |key: &[u8]| key[..6] == [0, 0, 0, 0, 0, 1];
    let found = branched();
    let (key, _) = find(&found, ENTRY, |key| own(key) && key.ends_with(b"own"));
    assert_eq!(damage(&found, ENTRY, &key, None), [WrongLinks, WrongCount]);

    let found = branched();
    let (key, _) = find(&found, NODE, own);
    let problems = damage(&found, NODE, &key, Some(&[0]));
    assert_eq!(problems, [DanglingEntry]);

    let found = branched();
    let (key, _) = find(&found, COUNTER, own);
    assert_eq!(damage(&found, COUNTER, &key, None), [WrongCount]);

    let found = branched();
    let (key, _) = find(&found, NODE, own);
    let attribute = [&key[..], b"user.x"].concat();
    assert_eq!(damage(&found, 3, &attribute, Some(&[1])), [WrongXattrs]);

    let found = branched();
    let (key, _) = find(&found, BRANCH, |key| key[0] == 0);
    assert_eq!(damage(&found, BRANCH, &key, None), [WrongBranch]);

    let found = branched();
    let (key, _) = find(&found, ENTRY, |key| key.ends_with(b"b"));
    let problems = damage(&found, ENTRY, &key, None);
    assert_eq!(problems, [WrongCount, WrongBranch]);
}
