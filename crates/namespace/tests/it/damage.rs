//! The check bites, and its repairs mend: records are damaged behind the namespace's back, one kind
//! of problem at a time.

use crate::support::{Store, in_blocks, path, spread};
use nokv_engine::{Batch, Direction, Durability, KeyRange, Keyspace};
use nokv_namespace::{CheckCursor, Options, Problem, ProblemKind, Repair, RepairAction, Repaired};
use nokv_types::{BlockId, Body, Extent, Layout, Unit, Version};
use std::collections::{BTreeMap, BTreeSet};

const NODE: u8 = 1;
const ENTRY: u8 = 2;
const CHUNK: u8 = 4;
const COUNTER: u8 = 6;
const OBJECT: u8 = 8;
const QUOTA_USAGE: u8 = 17;
const NAMES: u8 = 18;

/// A store with a bit of everything.
fn store(shape: &Options) -> Store {
    let store = Store::with(shape.clone());
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

/// The kinds of problems that are found after an [`overwrite`]. What can be mended is mended then,
/// from a plan as it is kept, and a second check finds nothing but what can't.
fn damage(store: &Store, keyspace: u8, key: &[u8], value: Option<&[u8]>) -> Vec<ProblemKind> {
    overwrite(store, keyspace, key, value);
    let problems = problems(store);
    assert!(!problems.is_empty(), "something is wrong");
    let mut kinds: Vec<_> = problems.iter().map(|problem| problem.kind).collect();
    kinds.dedup();
    mend(store, &problems);
    kinds
}

/// What a check in small steps finds, each of which goes on where the last one stopped.
fn problems(store: &Store) -> Vec<Problem> {
    let whole = store.namespace.check().expect("checks").problems;
    for limit in [1, 3] {
        let (mut cursor, mut found) = (Some(CheckCursor::Start), Vec::new());
        while let Some(at) = cursor {
            let step = store.namespace.check_step(at, limit).expect("checks");
            found.extend(step.report.problems);
            let next = step.next.map(|next| next.to_string());
            cursor = next.map(|next| next.parse().expect("a cursor"));
        }
        found.sort();
        let plain = |problems: &[Problem]| -> Vec<_> {
            let problem = |problem: &Problem| (problem.kind, problem.message.clone());
            problems.iter().map(problem).collect()
        };
        assert_eq!(plain(&found), plain(&whole), "steps of {limit}");
    }
    whole
}

/// Applies the repairs of a plan; nothing that has a name loses it, but what leads to nothing.
fn mend(store: &Store, problems: &[Problem]) {
    let before = named(store);
    let repairs = problems
        .iter()
        .filter_map(|problem| problem.repair.as_ref());
    let kept = |repair: &Repair| Repair::decode(&repair.encode()).expect("as it was kept");
    let mut plan: Vec<_> = repairs.map(kept).collect();
    plan.push(Repair {
        at: Version::ZERO,
        action: RepairAction::CountQuotas,
    });
    let done = store
        .namespace
        .repair(&store.context(), &plan)
        .expect("mends");
    for (repair, done) in plan.iter().zip(done) {
        assert!(matches!(done, Repaired::Applied(_)), "{repair}");
    }
    plan.pop();
    let again = store
        .namespace
        .repair(&store.context(), &plan)
        .expect("looks");
    assert!(
        again.iter().all(|done| *done == Repaired::Moved),
        "the state has moved"
    );
    let after = named(store);
    for (name, node) in before {
        assert_eq!(after.get(&name), Some(&node), "{name} is as it was");
    }
    let left = store.namespace.check().expect("checks").problems;
    let left: Vec<_> = left
        .iter()
        .filter(|problem| problem.repair.is_some())
        .collect();
    assert!(left.is_empty(), "{left:?}");
    if problems.iter().all(|problem| problem.repair.is_some()) {
        let report = store.namespace.check().expect("checks");
        report.verdict().expect("nothing is left");
    }
}

/// Every path of the trunk that leads somewhere.
fn named(store: &Store) -> BTreeMap<String, Vec<u8>> {
    let nodes: BTreeSet<_> = records(store, NODE)
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    let mut entries: BTreeMap<Vec<u8>, Vec<(String, Vec<u8>)>> = BTreeMap::new();
    for (key, value) in records(store, ENTRY) {
        let name = String::from_utf8_lossy(&key[12..]).into_owned();
        let child = of_trunk(&value[value.len() - 8..]);
        // The branch that it leads into.
        if value[value.len() - 9] != 0 {
            continue;
        }
        entries
            .entry(key[..12].to_vec())
            .or_default()
            .push((name, child));
    }
    let root = store.namespace.mounts()[0].root.as_u64().to_be_bytes();
    let (mut found, mut left) = (BTreeMap::new(), vec![(String::new(), of_trunk(&root))]);
    while let Some((directory, node)) = left.pop() {
        for (name, child) in entries.get(&node).into_iter().flatten() {
            let path = format!("{directory}/{name}");
            if nodes.contains(child) && path.len() < 40 {
                left.push((path.clone(), child.clone()));
                found.insert(path, child.clone());
            }
        }
    }
    found
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
fn every_kind_of_damage_is_found_and_mended() {
    every_kind_of_damage(&Options::default());
}

#[test]
fn and_so_over_several_shards() {
    every_kind_of_damage(&spread());
}

fn every_kind_of_damage(shape: &Options) {
    use ProblemKind::{
        DanglingEntry, Unreachable, WrongChunks, WrongCount, WrongLinks, WrongPlace, WrongQuota,
        WrongReferences,
    };
    let entry = |key: &[u8], name: &[u8]| key.get(12..) == Some(name);
    let found = store(shape);
    let (key, _) = find(&found, ENTRY, |key| entry(key, b"f"));
    assert_eq!(damage(&found, ENTRY, &key, None), [WrongLinks, WrongCount]);

    let found = store(shape);
    let (key, value) = find(&found, ENTRY, |key| entry(key, b"g"));
    let mut other = value.clone();
    *other.last_mut().expect("not empty") ^= 0x80;
    assert_eq!(
        damage(&found, ENTRY, &key, Some(&other)),
        [DanglingEntry, WrongLinks]
    );

    let found = store(shape);
    let (_, value) = find(&found, ENTRY, |key| entry(key, b"large"));
    let node = of_trunk(&value[value.len() - 8..]);
    let (key, _) = find(&found, NODE, |key| key.starts_with(&node));
    let problems = damage(&found, NODE, &key, None);
    assert!(
        problems.contains(&DanglingEntry) && problems.contains(&WrongChunks),
        "{problems:?}"
    );

    let found = store(shape);
    let (key, _) = find(&found, ENTRY, |key| entry(key, b"large"));
    let problems = damage(&found, ENTRY, &key, None);
    assert_eq!(problems, [Unreachable, WrongCount]);

    let found = store(shape);
    let (from, value) = find(&found, ENTRY, |key| entry(key, b"e"));
    let to = [&from[..from.len() - 1], b"moved"].concat();
    overwrite(&found, ENTRY, &from, None);
    let problems = damage(&found, ENTRY, &to, Some(&value));
    assert_eq!(problems, [WrongPlace]);

    let found = store(shape);
    let (key, _) = find(&found, COUNTER, |_| true);
    assert_eq!(damage(&found, COUNTER, &key, None), [WrongCount]);

    let found = store(shape);
    let (key, _) = find(&found, OBJECT, |_| true);
    assert_eq!(damage(&found, OBJECT, &key, None), [WrongReferences]);

    let found = store(shape);
    let (key, _) = find(&found, CHUNK, |_| true);
    let problems = damage(&found, CHUNK, &key, None);
    assert_eq!(problems, [WrongReferences, WrongChunks]);

    let found = store(shape);
    let limits = nokv_namespace::QuotaLimits::default();
    let set = found
        .namespace
        .set_quota(&found.context(), &path("/"), limits);
    set.expect("set");
    let (key, _) = find(&found, QUOTA_USAGE, |_| true);
    assert_eq!(damage(&found, QUOTA_USAGE, &key, None), [WrongQuota]);

    let found = store(shape);
    let (key, _) = find(&found, NAMES, |_| true);
    assert_eq!(damage(&found, NAMES, &key, None), [WrongLinks]);
}

#[test]
fn a_cycle_is_found() {
    let shape = &Options::default();
    let found = store(shape);
    let (key, value) = find(&found, ENTRY, |key| key.ends_with(b"d"));
    let inside = found.stat("/d/e").expect("there").id.as_u64().to_be_bytes();
    let to = [&of_trunk(&inside)[..], &key[12..]].concat();
    let node = of_trunk(&value[value.len() - 8..]);
    let (node_key, record) = find(&found, NODE, |key| key.starts_with(&node));
    let mut moved = record.clone();
    // Parent, a name of one byte with its length, placement.
    let parent = moved.len() - 8 - 2 - 1;
    moved[parent..parent + 8].copy_from_slice(&inside);
    overwrite(&found, ENTRY, &key, None);
    overwrite(&found, ENTRY, &to, Some(&value));
    overwrite(&found, NODE, &node_key, Some(&moved));
    let report = found.namespace.check().expect("checks");
    let text = format!("{:?}", report.problems);
    assert!(text.contains("inside of itself"), "{text}");
    mend(&found, &problems(&found));
}

#[test]
fn a_record_that_can_t_be_decoded_is_an_error_that_names_it() {
    let shape = &Options::default();
    let found = store(shape);
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
    let shape = &Options::default();
    use ProblemKind::{DanglingEntry, WrongBranch, WrongCount, WrongLinks, WrongXattrs};
    const BRANCH: u8 = 20;
    let branched = || {
        let found = store(shape);
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

/// A check in small steps, beside writers who move, link, remove and publish everywhere.
#[test]
fn writers_beside_a_check_are_no_finding() {
    use nokv_namespace::{Parents, Remove, RenameMode};
    let store = Store::new();
    store.mkdir("/a").expect("made");
    store.mkdir("/b").expect("made");
    let limits = nokv_namespace::QuotaLimits::default();
    let set = store
        .namespace
        .set_quota(&store.context(), &path("/a"), limits);
    set.expect("set");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..2_u32 {
            let (store, stop) = (&store, &stop);
            scope.spawn(move || {
                let namespace = &store.namespace;
                for round in 0_u32.. {
                    if stop.load(std::sync::atomic::Ordering::SeqCst) {
                        break;
                    }
                    let context = nokv_namespace::Context {
                        durability: Durability::Buffered,
                        ..store.context()
                    };
                    let at = |dir: &str| path(&format!("/{dir}/{thread}-{}", round % 7));
                    let made = namespace.make_dir(&context, &at("a"), 0o755, Parents::Create);
                    let inside = path(&format!("{}/f", at("a")));
                    let item = crate::support::item(
                        &inside.to_string(),
                        nokv_namespace::Content::File(crate::support::inline(b"x")),
                    );
                    let publish = nokv_namespace::Publish {
                        items: vec![item],
                        parents: Parents::Required,
                        session: None,
                    };
                    let _busy = (
                        made,
                        namespace.publish(&context, publish),
                        namespace.link(&context, &inside, &at("b")),
                        namespace.rename(&context, &at("a"), &at("b"), RenameMode::Exchange),
                        namespace.remove(&context, &at("b"), Remove::Tree),
                    );
                }
            });
        }
        for limit in [1, 2, 5, 1000].repeat(3) {
            let mut cursor = Some(CheckCursor::Start);
            while let Some(at) = cursor {
                let step = store.namespace.check_step(at, limit).expect("checks");
                assert_eq!(step.report.problems, [], "at {at}, steps of {limit}");
                cursor = step.next;
            }
        }
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
    });
}

#[test]
fn a_repair_is_refused_where_the_state_moved_since() {
    let found = store(&Options::default());
    let (key, _) = find(&found, COUNTER, |_| true);
    overwrite(&found, COUNTER, &key, None);
    let plan: Vec<_> = problems(&found)
        .into_iter()
        .filter_map(|problem| problem.repair)
        .collect();
    assert_eq!(plan.len(), 1);
    found.mkdir("/later").expect("made");
    let done = found
        .namespace
        .repair(&found.context(), &plan)
        .expect("looks");
    assert_eq!(done, [Repaired::Moved]);
    mend(&found, &problems(&found));

    let found = store(&Options::default());
    let (key, _) = find(&found, ENTRY, |key| key.ends_with(b"large"));
    overwrite(&found, ENTRY, &key, None);
    let plan: Vec<_> = problems(&found)
        .into_iter()
        .filter_map(|problem| problem.repair)
        .collect();
    let attach = plan
        .iter()
        .find(|repair| matches!(repair.action, RepairAction::Attach { .. }));
    let attach = attach.expect("planned").clone();
    let one = found
        .namespace
        .repair(&found.context(), std::slice::from_ref(&attach));
    assert!(matches!(one.expect("mends")[..], [Repaired::Applied(_)]));
    let again = found
        .namespace
        .repair(&found.context(), &plan)
        .expect("looks");
    let attached = plan
        .iter()
        .position(|repair| *repair == attach)
        .expect("there");
    assert_eq!(again[attached], Repaired::Moved);
}
