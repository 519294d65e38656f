//! Several shards: placement, what crosses them, and adding more of them.

use crate::support::{Store, inline, item, path, spread};
use nokv_env::MemoryFileSystem;
use nokv_namespace::{
    Content, Durability, Follow, MergeRun, OnConflict, Options, Parents, Placement, Publish,
    Remove, RenameMode, Scope,
};
use nokv_types::{Failure, Reason, ShardId, Version};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

fn four(placement: Placement) -> Store {
    Store::with(Options {
        placement,
        ..spread()
    })
}

fn shard(store: &Store, text: &str) -> ShardId {
    let placed = store.namespace.placement(&store.view(), &path(text));
    placed.expect("a directory").shard
}

fn consistent(store: &Store) {
    let report = store.namespace.check().expect("checks");
    report.verdict().expect("consistent");
}

#[test]
fn directories_go_where_their_parent_or_the_mount_says_and_files_with_them() {
    let store = four(Placement::Parent);
    store.mkdir("/near").expect("made");
    assert_eq!(shard(&store, "/near"), shard(&store, "/"));
    let (namespace, context) = (&store.namespace, store.context());
    let set = namespace.set_placement(&context, &path("/near"), Some(Placement::Spread));
    set.expect("set");
    let mut shards = BTreeSet::new();
    for number in 0..40 {
        let at = format!("/near/{number}");
        store.mkdir(&at).expect("made");
        let placed = namespace
            .placement(&store.view(), &path(&at))
            .expect("placed");
        assert_eq!(placed.own, Some(Placement::Spread), "children get it");
        let file = store.put(&format!("{at}/file"), b"x").expect("published");
        assert_eq!(file.id.shard(), placed.shard);
        shards.insert(placed.shard);
        store.mkdir(&format!("/far{number}")).expect("made");
        assert_eq!(shard(&store, &format!("/far{number}")), shard(&store, "/"));
    }
    assert_eq!(shards.len(), 4, "all over");
    namespace
        .set_mount_placement("default", Placement::LeastLoaded)
        .expect("set");
    let mut made = BTreeSet::new();
    for number in 0..8 {
        store.mkdir(&format!("/new{number}")).expect("made");
        made.insert(shard(&store, &format!("/new{number}")));
        let placed = namespace
            .placement(&store.view(), &path("/new0"))
            .expect("placed");
        assert_eq!(
            (placed.own, placed.effective),
            (None, Placement::LeastLoaded)
        );
    }
    assert!(
        made.len() > 1 && !made.contains(&shard(&store, "/")),
        "{made:?}"
    );
    let file = namespace.placement(&store.view(), &path("/near/1/file"));
    assert_eq!(
        file.map_err(|failure| failure.reason()),
        Err(Reason::NotDirectory)
    );
    consistent(&store);
}

#[test]
fn each_log_has_the_parts_of_its_shard_and_watchers_hear_all_in_one_order() {
    let store = four(Placement::Spread);
    let (namespace, context) = (&store.namespace, store.context());
    let start = namespace.read_version();
    for name in ["a", "b", "c", "d", "e", "f"] {
        store.mkdir(&format!("/{name}")).expect("made");
    }
    let dirs: Vec<_> = ["/a", "/b", "/c", "/d", "/e", "/f"]
        .map(String::from)
        .into();
    let items = dirs
        .iter()
        .map(|dir| item(&format!("{dir}/x"), Content::File(inline(b"1"))));
    let publish = Publish {
        items: items.collect(),
        parents: Parents::Required,
        session: None,
    };
    let before = namespace.shards();
    let published = namespace.publish(&context, publish).expect("published");
    let touched: BTreeSet<_> = dirs.iter().map(|dir| shard(&store, dir)).collect();
    assert!(touched.len() > 1);
    for (before, after) in before.iter().zip(namespace.shards()) {
        let part = u64::from(touched.contains(&after.shard));
        assert_eq!(
            after.commands,
            before.commands + part,
            "shard {}",
            after.shard
        );
    }
    let mount = store.view().mount;
    let page = namespace
        .changes(mount, Scope::Mount, start, 100)
        .expect("retained");
    let heard: Vec<_> = page
        .changes
        .iter()
        .filter(|change| change.version == published[0].version)
        .map(|change| {
            change
                .to
                .as_ref()
                .expect("named")
                .path
                .as_ref()
                .expect("found")
                .to_string()
        })
        .collect();
    let wanted: Vec<_> = dirs.iter().map(|dir| format!("{dir}/x")).collect();
    assert_eq!(heard, wanted, "in the order of the command, each once");
    let versions: Vec<_> = page.changes.iter().map(|change| change.version).collect();
    assert!(versions.is_sorted());
    for from in versions {
        let rest = namespace
            .changes(mount, Scope::Mount, from, 1)
            .expect("retained");
        let wanted = page.changes.iter().find(|change| change.version > from);
        assert_eq!(rest.changes.first(), wanted, "resumed anywhere");
    }
}

#[test]
fn shards_are_added_while_the_store_is_used() {
    let store = Store::with(Options {
        placement: Placement::Spread,
        ..Options::default()
    });
    let namespace = &store.namespace;
    store.mkdir("/dir").expect("made");
    assert_eq!(namespace.shards().len(), 1);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..60 {
                    let at = format!("/dir/{thread}-{number}");
                    store.mkdir(&at).expect("made");
                    store.put(&format!("{at}/f"), b"x").expect("published");
                    let to = format!("/dir/moved-{thread}-{number}");
                    let (context, to) = (store.context(), path(&to));
                    let moved =
                        store
                            .namespace
                            .rename(&context, &path(&at), &to, RenameMode::Plain);
                    moved.expect("moved");
                }
            });
        }
        for count in [2, 3, 7] {
            namespace.add_shards(count).expect("added");
            namespace
                .register_mount(&store.context(), &format!("m{count}"))
                .expect("made");
        }
    });
    for number in 0..40 {
        store.mkdir(&format!("/after{number}")).expect("made");
    }
    let used = namespace
        .shards()
        .iter()
        .filter(|shard| shard.commands > 4)
        .count();
    assert_eq!(used, 7);
    consistent(&store);
    let fewer = namespace.add_shards(2).map_err(|failure| failure.reason());
    assert_eq!(fewer, Err(Reason::InvalidArgument));
    let more = namespace
        .add_shards(1000)
        .map_err(|failure| failure.reason());
    assert_eq!(more, Err(Reason::InvalidArgument));
    for count in [2, 3, 7] {
        namespace
            .retire_mount(&store.context(), &format!("m{count}"))
            .expect("retired");
    }
    while namespace.reclaim(100).expect("reclaims").more {}
    consistent(&store);
    let positions = namespace.shards();
    let store = Store::on(Arc::new(store.files.crash(1)), Options::default());
    assert_eq!(
        store.namespace.shards(),
        positions,
        "and they are all there again"
    );
    store.mkdir("/again").expect("goes on");
    consistent(&store);
}

/// Commands that touch several shards.
#[derive(Clone, Debug)]
enum Cross {
    Rename(u8, u8, RenameMode),
    Link(u8, u8),
    Publish(Vec<u8>),
    Place(u8),
    Remove(u8),
    Branch(u8),
    Change(u8),
    Merge(u8),
}

fn cross() -> impl Strategy<Value = Cross> {
    let mode = prop::sample::select(vec![RenameMode::Plain, RenameMode::Exchange]);
    prop_oneof![
        (0..6_u8, 0..6_u8, mode).prop_map(|(from, to, mode)| Cross::Rename(from, to, mode)),
        (0..6_u8, 0..6_u8).prop_map(|(from, to)| Cross::Link(from, to)),
        proptest::collection::vec(0..6_u8, 2..6).prop_map(Cross::Publish),
        (0..6_u8).prop_map(Cross::Place),
        (0..6_u8).prop_map(Cross::Remove),
        (0..6_u8).prop_map(Cross::Branch),
        (0..6_u8).prop_map(Cross::Change),
        (0..6_u8).prop_map(Cross::Merge),
    ]
}

impl Cross {
    fn run(&self, store: &Store) -> Result<(), Failure> {
        let (namespace, context) = (&store.namespace, store.context());
        let dir = |number: &u8| path(&format!("/d{number}"));
        let inside = |number: &u8| path(&format!("/d{number}/f{number}"));
        match self {
            Self::Rename(from, to, mode) => namespace
                .rename(&context, &inside(from), &inside(to), *mode)
                .map(drop),
            Self::Link(from, to) => namespace
                .link(&context, &inside(from), &inside(to))
                .map(drop),
            Self::Publish(numbers) => {
                let numbers: BTreeSet<_> = numbers.iter().collect();
                let item = |number: &&u8| {
                    let at = format!("/d{number}/f{number}");
                    item(&at, Content::File(inline(&[**number])))
                };
                let publish = Publish {
                    items: numbers.iter().map(item).collect(),
                    parents: Parents::Create,
                    session: None,
                };
                namespace.publish(&context, publish).map(drop)
            }
            Self::Place(number) => {
                let at = path(&format!("/d{number}/sub/sub"));
                namespace
                    .make_dir(&context, &at, 0o755, Parents::Create)
                    .map(drop)
            }
            Self::Remove(number) => namespace
                .remove(&context, &dir(number), Remove::Tree)
                .map(drop),
            Self::Branch(number) => {
                let to = path(&format!("/b{number}"));
                namespace
                    .create_branch(&context, &dir(number), &to, None)
                    .map(drop)
            }
            Self::Change(number) => {
                let at = path(&format!("/b{number}/in/branch{number}"));
                namespace
                    .make_dir(&context, &at, 0o755, Parents::Create)
                    .map(drop)
            }
            Self::Merge(number) => {
                let from = path(&format!("/b{number}"));
                let (on, run) = (OnConflict::Theirs, MergeRun::Merge);
                namespace
                    .merge(&context, &from, &dir(number), on, run)
                    .map(drop)
            }
        }
    }
}

/// What is in the store, names with sizes.
fn picture(store: &Store, at: Version) -> Vec<(String, u64)> {
    let view = store.view().at(at);
    let (mut found, mut left) = (Vec::new(), vec![String::new()]);
    while let Some(dir) = left.pop() {
        let at = path(if dir.is_empty() { "/" } else { &dir });
        let page = store
            .namespace
            .read_dir_plus(&view, &at, None, 1000)
            .expect("listed");
        for entry in page.entries {
            let child = format!("{dir}/{}", entry.name);
            let attributes = entry.node.attributes;
            found.push((child.clone(), attributes.size));
            if attributes.kind == nokv_types::NodeKind::Directory {
                left.push(child);
            }
        }
    }
    found.sort();
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever of what was not synced is lost: each command is there in all its shards or in none.
    #[test]
    fn a_power_cut_leaves_whole_commands_in_all_shards(
        ops in proptest::collection::vec((cross(), any::<bool>()), 1..40), seed: u64,
    ) {
        let files = Arc::new(MemoryFileSystem::new());
        let mut store = Store::on(Arc::clone(&files), spread());
        let first = store.namespace.read_version();
        let mut versions = vec![(first, picture(&store, first))];
        let mut images = Vec::new();
        for (index, (op, synced)) in ops.iter().enumerate() {
            store.durability = if *synced { Durability::Synced } else { Durability::Buffered };
            let before = store.namespace.read_version();
            let applied = op.run(&store).is_ok();
            let now = store.namespace.read_version();
            versions.push((now, picture(&store, now)));
            // What changes nothing writes nothing, and syncs nothing.
            let kept = (applied && *synced && now > before).then_some(now);
            images.push((files.crash(seed.wrapping_add(index as u64)), kept));
        }
        let mut synced = Version::ZERO;
        for (image, kept) in images {
            synced = kept.unwrap_or(synced);
            let store = Store::on(Arc::new(image), Options::default());
            let now = store.namespace.read_version();
            prop_assert!(now >= synced);
            consistent(&store);
            let wanted = versions.iter().rev().find(|(version, _)| *version <= now);
            let wanted = &wanted.expect("the first").1;
            prop_assert_eq!(&picture(&store, now), wanted);
            let shards = store.namespace.shards();
            prop_assert!(shards.iter().all(|shard| shard.version <= now));
        }
    }
}

#[test]
fn a_directory_is_found_by_node_wherever_it_is() {
    let store = four(Placement::Spread);
    store.mkdir("/a").expect("made");
    let made = store.mkdir("/a/b").expect("made");
    let (namespace, view) = (&store.namespace, store.view());
    let found = namespace.lookup(&view, made.id, Follow::No).expect("found");
    assert_eq!(found, made);
}
