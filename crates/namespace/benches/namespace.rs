//! Rates of the namespace over the real file system: `cargo bench -p nokv-namespace -- [--quick]
//! [creates|lookups|listings|branches]`.
//!
//! Prints one line a workload. Each says what is batched and how durable it is; nothing is
//! asserted.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use nokv_env::Env;
use nokv_namespace::{
    Content, Context, Durability, Expect, Follow, MergeRun, Namespace, NewAttributes, NewSnapshot,
    OnConflict, Options, Parents, Publish, PublishItem, View,
};
use nokv_types::{Body, MountId, Name, NodeId, NsPath, SnapshotName, TimeNanos};
use std::time::Duration;

struct Bench {
    env: Env,
    namespace: Namespace,
    mount: MountId,
    scale: u64,
}

fn path(text: &str) -> NsPath {
    NsPath::parse(text).expect("valid")
}

fn name(number: u64) -> Name {
    Name::new(format!("file-{number:08}")).expect("valid")
}

impl Bench {
    fn context(&self, durability: Durability) -> Context {
        let now = TimeNanos::new(self.env.clock.now_nanos());
        Context {
            durability,
            ..Context::new(self.mount, now)
        }
    }

    fn view(&self) -> View {
        View::latest(self.mount)
    }

    fn report(&self, what: &str, count: u64, work: impl FnOnce()) {
        let start = self.env.clock.monotonic();
        work();
        let took = self
            .env
            .clock
            .monotonic()
            .saturating_sub(start)
            .max(Duration::from_nanos(1));
        println!("{what:<55} {:>12.0}/s", count as f64 / took.as_secs_f64());
    }

    /// The median and the longest of some rounds.
    fn time(&self, what: &str, rounds: u64, work: impl Fn(u64)) {
        let mut times: Vec<_> = (0..rounds)
            .map(|round| {
                let start = self.env.clock.monotonic();
                work(round);
                self.env.clock.monotonic().saturating_sub(start)
            })
            .collect();
        times.sort_unstable();
        let micros = |time: Option<&Duration>| time.map_or(0, Duration::as_micros);
        let (median, longest) = (micros(times.get(times.len() / 2)), micros(times.last()));
        println!("{what:<55} {median:>9} us, at most {longest} us");
    }

    fn directory(&self, text: &str) -> NodeId {
        let context = self.context(Durability::Buffered);
        let made = self
            .namespace
            .make_dir(&context, &path(text), 0o755, Parents::Create);
        made.expect("made").node.id
    }

    fn create_one_by_one(&self, text: &str, count: u64, durability: Durability) {
        let directory = path(text);
        for number in 0..count {
            let path = directory.join(&name(number)).expect("short");
            self.namespace
                .publish(&self.context(durability), files(vec![path]))
                .expect("made");
        }
    }

    fn create_batched(&self, text: &str, count: u64, batch: u64) {
        let directory = path(text);
        let mut number = 0;
        while number < count {
            let paths = (number..count.min(number + batch))
                .map(|number| directory.join(&name(number)).expect("short"))
                .collect();
            let context = self.context(Durability::Buffered);
            self.namespace
                .publish(&context, files(paths))
                .expect("made");
            number += batch;
        }
    }

    fn page_through(&self, directory: NodeId) -> u64 {
        let (mut after, mut count, mut view) = (None, 0, self.view());
        loop {
            let page = self
                .namespace
                .read_dir_plus(&view, directory, after.as_ref(), 4096);
            let page = page.expect("page");
            count += page.entries.len() as u64;
            view = view.at(page.version);
            match page.next {
                None => return count,
                next => after = next,
            }
        }
    }
}

fn files(paths: Vec<NsPath>) -> Publish {
    let item = |path| PublishItem {
        path,
        content: Content::File(Body::empty()),
        attributes: NewAttributes::mode(0o644),
        expect: Expect::Absent,
    };
    Publish {
        items: paths.into_iter().map(item).collect(),
        parents: Parents::Required,
        session: None,
    }
}

fn threads(count: u64, work: impl Fn(u64) + Sync) {
    let work = &work;
    std::thread::scope(|scope| {
        for thread in 0..count {
            scope.spawn(move || work(thread));
        }
    });
}

fn run(bench: &Bench, part: Option<&str>) {
    let count = 200_000 / bench.scale;
    let wanted = |name: &str| part.is_none_or(|part| part == name);
    if wanted("creates") {
        creates(bench, count);
    }
    if wanted("lookups") {
        lookups(bench, count);
    }
    if wanted("listings") {
        listings(bench, count);
    }
    if wanted("branches") {
        branches(bench);
    }
}

fn creates(bench: &Bench, count: u64) {
    let scale = bench.scale;
    bench.directory("/batched");
    bench.report(
        "create, buffered, 1 caller, 256 a publish",
        count * 2,
        || {
            bench.create_batched("/batched", count * 2, 256);
        },
    );
    bench.directory("/single");
    bench.report("create, buffered, 1 caller, one by one", count, || {
        bench.create_one_by_one("/single", count, Durability::Buffered);
    });
    for (callers, durability) in [
        (4, Durability::Buffered),
        (16, Durability::Buffered),
        (1, Durability::Synced),
        (16, Durability::Synced),
    ] {
        let each = if durability == Durability::Synced {
            2_000 / scale
        } else {
            count / callers
        };
        for thread in 0..callers {
            bench.directory(&format!("/{callers}-{durability:?}/{thread}"));
        }
        let what = format!("create, {durability:?}, {callers} callers, one by one");
        bench.report(&what, each * callers, || {
            threads(callers, |thread| {
                let directory = format!("/{callers}-{durability:?}/{thread}");
                bench.create_one_by_one(&directory, each, durability);
            });
        });
    }
    bench.directory("/16-shared");
    bench.report(
        "create, Synced, 16 callers, one directory",
        16 * 2_000 / scale,
        || {
            threads(16, |thread| {
                for number in 0..2_000 / scale {
                    let path = path(&format!("/16-shared/{thread}-{number}"));
                    let context = bench.context(Durability::Synced);
                    bench
                        .namespace
                        .publish(&context, files(vec![path]))
                        .expect("made");
                }
            });
        },
    );
}

fn lookups(bench: &Bench, count: u64) {
    let deep = "/d1/d2/d3/d4/d5/d6/d7";
    bench.directory(deep);
    bench.create_batched(deep, 10_000, 256);
    let directory = path(deep);
    let paths: Vec<NsPath> = (0..10_000)
        .map(|number| directory.join(&name(number)).expect("short"))
        .collect();
    let look = |path: &NsPath| {
        bench
            .namespace
            .lookup(&bench.view(), path, Follow::No)
            .expect("found");
    };
    bench.report("lookup by path, depth 8, 1 caller", count * 2, || {
        paths
            .iter()
            .cycle()
            .take((count * 2) as usize)
            .for_each(look);
    });
    bench.report("lookup by path, depth 8, 2 callers", count * 4, || {
        threads(2, |_| {
            paths
                .iter()
                .cycle()
                .take((count * 2) as usize)
                .for_each(look)
        });
    });
    let node = bench
        .namespace
        .lookup(&bench.view(), &paths[0], Follow::No)
        .expect("found")
        .id;
    bench.report("lookup by node, 1 caller", count * 2, || {
        for _ in 0..count * 2 {
            bench
                .namespace
                .lookup(&bench.view(), node, Follow::No)
                .expect("found");
        }
    });
}

/// Times of what should not depend on the size of a tree, and of what depends on its changes.
fn branches(bench: &Bench) {
    const ROUNDS: u64 = 50;
    let million = 1_000_000 / bench.scale;
    for (what, descendants) in [("ten", 10), ("large", million)] {
        let per_directory = 1000.min(descendants);
        for number in 0..descendants / per_directory {
            let directory = format!("/{what}/{number}");
            bench.directory(&directory);
            bench.create_batched(&directory, per_directory, 256);
        }
        let context = bench.context(Durability::Buffered);
        let source = path(&format!("/{what}"));
        bench.time(
            &format!("snapshot of {descendants} files"),
            ROUNDS,
            |round| {
                let new = NewSnapshot {
                    name: SnapshotName::parse(&format!("{what}{round}")).expect("legal"),
                    at: None,
                    lease_ms: None,
                };
                bench
                    .namespace
                    .create_snapshot(&context, &source, new)
                    .expect("made");
            },
        );
        bench.time(&format!("branch of {descendants} files"), ROUNDS, |round| {
            let to = path(&format!("/{what}-branch-{round}"));
            bench
                .namespace
                .create_branch(&context, &source, &to, None)
                .expect("made");
        });
    }
    changes_of_a_branch(bench);
}

fn changes_of_a_branch(bench: &Bench) {
    let (branch, source) = (path("/large-branch-0"), path("/large"));
    for number in 0..100 {
        let to = branch.join(&Name::new(number.to_string()).expect("legal"));
        let to = to.expect("short").join(&name(number));
        let mut publish = files(vec![to.expect("short")]);
        publish.items[0].expect = Expect::Any;
        publish.items[0].attributes = NewAttributes::mode(0o600);
        publish.parents = Parents::Create;
        let context = bench.context(Durability::Buffered);
        bench.namespace.publish(&context, publish).expect("made");
    }
    let view = bench.view();
    bench.time("diff of 100 changes in the large tree", 10, |_| {
        let (from, to) = ((&view, (&source).into()), (&view, (&branch).into()));
        let page = bench.namespace.diff(from, to, 0, 1000).expect("compared");
        assert!(page.differences.len() >= 100);
    });
    let context = bench.context(Durability::Buffered);
    for (what, run, rounds) in [
        ("merge of 100 changes, tried", MergeRun::DryRun, 10),
        ("merge of 100 changes", MergeRun::Merge, 1),
    ] {
        bench.time(what, rounds, |_| {
            let choice = OnConflict::Fail;
            let merged = bench
                .namespace
                .merge(&context, &branch, &source, choice, run);
            assert!(merged.expect("merged").changes >= 100);
        });
    }
    let at = bench.namespace.read_version();
    bench.time("restore of the large tree", 1, |_| {
        bench
            .namespace
            .restore(&context, &source, at)
            .expect("restored");
    });
}

fn listings(bench: &Bench, count: u64) {
    let large = bench.directory("/listed");
    bench.create_batched("/listed", count * 2, 256);
    bench.report("readdirplus, 4,096 a page, memtable", count * 2, || {
        assert_eq!(bench.page_through(large), count * 2);
    });
    bench.namespace.engine().flush().expect("flushed");
    bench.report(
        "readdirplus, 4,096 a page, tables, first",
        count * 2,
        || {
            assert_eq!(bench.page_through(large), count * 2);
        },
    );
    bench.report(
        "readdirplus, 4,096 a page, tables, again",
        count * 2,
        || {
            assert_eq!(bench.page_through(large), count * 2);
        },
    );
    bench.report(
        "check, nodes",
        bench.namespace.check().expect("checked").nodes,
        || {
            bench
                .namespace
                .check()
                .expect("checked")
                .verdict()
                .expect("consistent");
        },
    );
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let env = Env::real();
    let dir = tempfile::tempdir().expect("a directory");
    let namespace = Namespace::open(env.clone(), dir.path(), Options::default()).expect("opens");
    let mount = namespace.default_mount();
    let bench = Bench {
        env,
        mount,
        namespace,
        scale: if quick { 20 } else { 1 },
    };
    let part = std::env::args()
        .find(|argument| ["creates", "lookups", "listings"].contains(&argument.as_str()));
    run(&bench, part.as_deref());
    println!("{:?}", bench.namespace.engine().stats());
}
