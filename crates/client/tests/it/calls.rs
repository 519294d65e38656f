//! The same questions get the same answers, whichever way they go.

use crate::store::{Store, name, path};
use bytes::Bytes;
use nokv_client::{
    Client, Content, Expect, Follow, NewAttributes, Node, Parents, Place, Publish, PublishItem,
    Remove, RenameMode, ReplaceBody, SetAttributes, SetTime, SetXattr, Target, WriteOptions,
};
use nokv_types::{Body, Failure, Generation, Layout, NodeKind, NsPath, TimeNanos};
use std::fmt::Debug;

/// What was asked and answered, without what differs from run to run.
struct Transcript {
    client: Client,
    root: String,
    lines: Vec<String>,
}

impl Transcript {
    fn path(&self, below: &str) -> NsPath {
        path(&format!("{}{below}", self.root))
    }

    fn note<T: Debug>(&mut self, question: &str, answer: Result<T, Failure>) {
        let answer = match answer {
            Ok(answer) => format!("{answer:?}"),
            Err(failure) => format!("{}: {}", failure.reason().code(), failure.message()),
        };
        self.lines
            .push(format!("{question} -> {}", answer.replace(&self.root, "")));
    }
}

fn shape(node: &Node) -> String {
    let attributes = &node.attributes;
    format!(
        "{}{:04o} uid {} gid {} links {} size {} generation {} {:?}",
        attributes.kind.letter(),
        attributes.mode,
        attributes.uid,
        attributes.gid,
        attributes.links,
        attributes.size,
        node.generation,
        node.body,
    )
}

fn file(path: NsPath, text: &'static str, expect: Expect) -> PublishItem {
    let layout = Layout::Inline(Bytes::from_static(text.as_bytes()));
    let body = Body::new(text.len() as u64, None, layout).expect("valid");
    PublishItem {
        path,
        content: Content::File(body),
        attributes: NewAttributes {
            mtime: Some(TimeNanos::new(7)),
            ..NewAttributes::mode(0o640)
        },
        expect,
    }
}

fn publish(items: Vec<PublishItem>, parents: Parents) -> Publish {
    Publish {
        items,
        parents,
        session: None,
    }
}

async fn make(script: &mut Transcript) {
    let client = script.client.clone();
    for (below, mode, parents) in [
        ("/d", 0o755, Parents::Required),
        ("/d", 0o755, Parents::Required),
        ("/d", 0o755, Parents::Create),
        ("/x/y/z", 0o700, Parents::Required),
        ("/x/y/z", 0o700, Parents::Create),
        ("/mode", 0o10777, Parents::Required),
    ] {
        let made = client.make_dir(&script.path(below), mode, parents).await;
        script.note(
            &format!("mkdir {below} {parents:?}"),
            made.map(|made| shape(&made.node)),
        );
    }
    for (below, target) in [
        ("/l", "d"),
        ("/l", "again"),
        ("/loop", "loop"),
        ("/empty", ""),
    ] {
        let made = client
            .symlink(&script.path(below), Bytes::from_static(target.as_bytes()))
            .await;
        script.note(
            &format!("symlink {below} {target}"),
            made.map(|made| shape(&made.node)),
        );
    }
    let long = client
        .symlink(&script.path("/long"), vec![b'x'; 5000].into())
        .await;
    script.note("symlink long", long.map(|made| shape(&made.node)));
}

async fn publish_some(script: &mut Transcript) {
    let client = script.client.clone();
    let a = script.path("/d/a");
    let one = client
        .publish(publish(
            vec![file(a.clone(), "hello", Expect::Absent)],
            Parents::Required,
        ))
        .await;
    script.note(
        "publish a",
        one.map(|done| {
            done.iter()
                .map(|one| (one.path.clone(), one.generation))
                .collect::<Vec<_>>()
        }),
    );
    for (what, expect) in [
        ("absent", Expect::Absent),
        ("generation 5", Expect::Generation(Generation::new(5))),
        ("generation 1", Expect::Generation(Generation::new(1))),
    ] {
        let again = client
            .publish(publish(
                vec![file(a.clone(), "hello2", expect)],
                Parents::Required,
            ))
            .await;
        script.note(what, again.map(|done| done[0].generation));
    }
    let items = vec![
        file(script.path("/new/dir/f"), "x", Expect::Any),
        file(script.path("/d/sub/none/f"), "y", Expect::Any),
    ];
    let missing = client
        .publish(publish(items.clone(), Parents::Required))
        .await;
    script.note("publish without parents", missing.map(|done| done.len()));
    let gone = client.lookup(&script.path("/new"), Follow::No).await;
    script.note("nothing of it", gone.map(|node| shape(&node)));
    let made = client.publish(publish(items, Parents::Create)).await;
    script.note("publish with parents", made.map(|done| done.len()));
    let none = client.publish(publish(Vec::new(), Parents::Create)).await;
    script.note("publish nothing", none.map(|done| done.len()));
}

async fn read_some(script: &mut Transcript) {
    let client = script.client.clone();
    for (below, follow) in [
        ("/d", Follow::No),
        ("/l", Follow::No),
        ("/l", Follow::Yes),
        ("/l/a", Follow::No),
        ("/d/a/b", Follow::No),
        ("/none", Follow::No),
        ("/loop", Follow::Yes),
        ("/loop", Follow::No),
    ] {
        let found = client.lookup(&script.path(below), follow).await;
        script.note(
            &format!("lookup {below} {follow:?}"),
            found.map(|node| shape(&node)),
        );
    }
    for below in ["/l", "/d", "/none"] {
        let target = client.read_link(&script.path(below)).await;
        script.note(&format!("readlink {below}"), target);
    }
    for below in ["/d/a", "/l/a", "/d", "/none", "/loop"] {
        let body = client.body(&script.path(below)).await;
        script.note(
            &format!("body {below}"),
            body.map(|(node, body)| (shape(&node), body)),
        );
    }
    let usage = client.usage(&script.path("")).await;
    script.note(
        "usage",
        usage.map(|usage| (usage.bytes, usage.files, usage.directories)),
    );
    let page = client.read_dir(&script.path(""), Some(&name("d")), 2).await;
    let names = |page: nokv_client::Page| {
        let entries = page.entries.iter();
        let entries: Vec<_> = entries
            .map(|entry| format!("{} {}", entry.name, shape(&entry.node)))
            .collect();
        (entries, page.next)
    };
    script.note("page", page.map(names));
    let whole = client.read_dir_all(&script.path("")).await;
    script.note("list", whole.map(names));
    let file = client.read_dir(&script.path("/d/a"), None, 10).await;
    script.note("list a file", file.map(names));
}

async fn change_some(script: &mut Transcript) {
    let client = script.client.clone();
    let from = script.path("/d/a");
    let linked = client.link(&from, &script.path("/hard")).await;
    script.note("link", linked.map(|linked| shape(&linked.node)));
    let linked = client
        .link(&script.path("/d"), &script.path("/hard2"))
        .await;
    script.note("link a directory", linked.map(|linked| shape(&linked.node)));
    let changes = SetAttributes {
        mode: Some(0o600),
        mtime: Some(SetTime::To(TimeNanos::new(-99))),
        ..SetAttributes::default()
    };
    let changed = client.set_attributes(&from, Follow::No, changes).await;
    script.note(
        "set",
        changed.map(|changed| (shape(&changed.node), changed.node.attributes.mtime)),
    );
    let changes = SetAttributes {
        mode: Some(0o20000),
        ..SetAttributes::default()
    };
    let changed = client.set_attributes(&from, Follow::No, changes).await;
    script.note("set badly", changed.map(|changed| shape(&changed.node)));
    for (from, to, mode) in [
        ("/d/a", "/moved", RenameMode::Plain),
        ("/moved", "/hard", RenameMode::NoReplace),
        ("/moved", "/x", RenameMode::Plain),
        ("/x", "/x/y/inside", RenameMode::Plain),
        ("/moved", "/none/there", RenameMode::Plain),
        ("/x", "/d", RenameMode::Exchange),
    ] {
        let renamed = client
            .rename(&script.path(from), &script.path(to), mode)
            .await;
        script.note(
            &format!("mv {from} {to} {mode:?}"),
            renamed.map(|renamed| renamed.displaced.is_some()),
        );
    }
    for (below, remove) in [
        ("/d", Remove::File),
        ("/d", Remove::EmptyDirectory),
        ("/moved", Remove::EmptyDirectory),
        ("/moved", Remove::File),
        ("/d", Remove::Tree),
        ("/d", Remove::Tree),
    ] {
        let removed = client.remove(&script.path(below), remove).await;
        script.note(&format!("rm {below} {remove:?}"), removed.map(drop));
    }
    let root = client.remove(&NsPath::root(), Remove::Tree).await;
    script.note("rm /", root.map(drop));
}

async fn nodes(script: &mut Transcript) {
    let client = script.client.on_behalf_of(7, 8);
    let place = script.path("/nodes");
    let made = client.make_dir(&place, 0o755, Parents::Required);
    let directory = made.await.expect("made").node.id;
    for (text, kind) in [
        ("file", NodeKind::File),
        ("pipe", NodeKind::Fifo),
        ("device", NodeKind::CharDevice(259)),
        ("directory", NodeKind::Directory),
        ("file", NodeKind::Socket),
    ] {
        let name = name(text);
        let name = &name;
        let made = client.make_node(Place::Child { directory, name }, kind, 0o640);
        script.note("make_node", made.await.map(|made| shape(&made.node)));
    }
    let name = name("file");
    let file = Target::Child {
        directory,
        name: &name,
    };
    let layout = Layout::Inline(Bytes::from_static(b"body"));
    for expect in [0, 0, 1] {
        let new = ReplaceBody {
            body: Body::new(4, None, layout.clone()).expect("four bytes"),
            session: None,
            expect: Some(Generation::new(expect)),
            mtime: Some(TimeNanos::new(7)),
            ctime: None,
        };
        let replaced = client.replace_body(file, &new).await;
        script.note("replace_body", replaced.map(|changed| shape(&changed.node)));
    }
    let read = client.body(file).await.map(|(_, body)| body);
    script.note("body", read);
    let value = |text: &'static str| Bytes::from_static(text.as_bytes());
    for change in [
        SetXattr::Replace(value("none")),
        SetXattr::Create(value("first")),
        SetXattr::Create(value("second")),
        SetXattr::Put(value("third")),
    ] {
        let set = client.set_xattr(file, b"user.x", change).await;
        script.note("set_xattr", set.map(|changed| shape(&changed.node)));
        script.note("xattr", client.xattr(file, b"user.x").await);
        script.note("xattrs", client.xattrs(file).await);
    }
    for _ in 0..2 {
        let removed = client.set_xattr(file, b"user.x", SetXattr::Remove).await;
        script.note("remove an xattr", removed.map(drop));
    }
    script.note("sync", client.sync().await);
}

async fn walk_and_files(script: &mut Transcript) {
    let client = script.client.clone();
    let big: Vec<u8> = (0..3_000_000_u32)
        .map(|index| (index % 251) as u8)
        .collect();
    for (below, bytes) in [("/files/small", &big[..10]), ("/files/big", &big[..])] {
        let options = WriteOptions {
            parents: Parents::Create,
            ..WriteOptions::default()
        };
        let written = client.write(&script.path(below), bytes, options).await;
        script.note(
            &format!("write {below}"),
            written.map(|written| written.generation),
        );
        let (_, mut stream) = client
            .read(&script.path(below), 0..u64::MAX)
            .await
            .expect("reads");
        let mut read = Vec::new();
        while let Some(chunk) = stream.next().await.expect("verified") {
            read.extend_from_slice(&chunk);
        }
        assert!(read == bytes, "{below} is read as it was written");
    }
    let (node, mut stream) = client
        .read(&script.path("/files/big"), 10..15)
        .await
        .expect("reads");
    script.note(
        "range",
        Ok((shape(&node).contains("Extents"), stream.next().await)),
    );
    let mut walk = client.walk(&script.path(""));
    let mut seen = Vec::new();
    while let Some(entry) = walk.next().await.expect("walks") {
        seen.push(format!(
            "{} {} {}",
            entry.depth,
            entry.path,
            entry.node.attributes.kind.letter()
        ));
    }
    script.note("walk", Ok(seen));
    let mut walk = client.walk(&script.path("/files/small"));
    assert_eq!(
        walk.next().await.expect("walks").map(|entry| entry.depth),
        Some(0)
    );
    assert_eq!(walk.next().await, Ok(None));
    script.note(
        "walk nothing",
        client.walk(&script.path("/none")).next().await,
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_ways_give_the_same_answers() {
    let store = Store::new().await;
    let mut transcripts = Vec::new();
    for (way, client) in store.clients().await {
        let root = format!("/{way:_^10}");
        client
            .make_dir(&path(&root), 0o755, Parents::Required)
            .await
            .expect("made");
        let mut script = Transcript {
            client,
            root,
            lines: Vec::new(),
        };
        make(&mut script).await;
        publish_some(&mut script).await;
        read_some(&mut script).await;
        change_some(&mut script).await;
        nodes(&mut script).await;
        walk_and_files(&mut script).await;
        transcripts.push((way, script.lines));
    }
    let (_, expected) = &transcripts[0];
    assert!(expected.len() > 60, "the script ran");
    for (way, lines) in &transcripts[1..] {
        for (line, expected) in lines.iter().zip(expected) {
            assert_eq!(line, expected, "{way}");
        }
        assert_eq!(lines.len(), expected.len());
    }
    for start in [
        "mkdir /d Required -> AlreadyExists",
        "mkdir /x/y/z Required -> NotFound",
        "mkdir /mode Required -> InvalidArgument",
        "lookup /loop Yes -> SymlinkLoop",
        "mv /x /x/y/inside Plain -> InvalidArgument",
        "rm / -> NotPermitted",
        "generation 5 -> StaleGeneration",
        "body /d -> IsDirectory",
    ] {
        assert!(
            expected.iter().any(|line| line.starts_with(start)),
            "{start}: {expected:#?}"
        );
    }
    store.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_show_one_version_while_the_directory_changes() {
    let store = Store::new().await;
    for (way, client) in store.clients().await {
        let dir = path(&format!("/{way}"));
        client
            .make_dir(&dir, 0o755, Parents::Required)
            .await
            .expect("made");
        let at = |index: u32| path(&format!("/{way}/{index:04}"));
        for index in 0..20 {
            let item = file(at(index), "x", Expect::Any);
            client
                .publish(publish(vec![item], Parents::Required))
                .await
                .expect("published");
        }
        let first = client.read_dir(&dir, None, 7).await.expect("a page");
        for index in 0..20 {
            client
                .remove(&at(index), Remove::File)
                .await
                .expect("removed");
        }
        let pinned = client.at(first.version);
        let mut seen = first.entries.len();
        let mut next = first.next;
        while let Some(after) = next {
            let page = pinned
                .read_dir(&dir, Some(&after), 7)
                .await
                .expect("a page");
            seen += page.entries.len();
            next = page.next;
        }
        assert_eq!(seen, 20, "{way}");
        assert!(
            client
                .read_dir_all(&dir)
                .await
                .expect("listed")
                .entries
                .is_empty()
        );
    }
    store.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_mounts_and_sessions() {
    let store = Store::new().await;
    let mut ids = Vec::new();
    for (way, client) in store.clients().await {
        let status = client.status().await.expect("status");
        assert_eq!(status.objects_url, "memory:");
        assert_eq!(status.store_id.len(), 32);
        ids.push(status.store_id);
        let mount = client.create_mount(way).await.expect("made");
        let again = client.create_mount(way).await.expect_err("taken");
        assert_eq!(again.reason(), nokv_types::Reason::AlreadyExists);
        assert!(client.mounts().await.expect("listed").contains(&mount));
        let other = client.with_mount(mount.id);
        other
            .make_dir(&path("/only-here"), 0o755, Parents::Required)
            .await
            .expect("made");
        let elsewhere = client.lookup(&path("/only-here"), Follow::No).await;
        assert_eq!(
            elsewhere.expect_err("absent").reason(),
            nokv_types::Reason::NotFound
        );
        let session = client.open_session(0).await.expect("opened");
        client.renew_session(session.id, 0).await.expect("renewed");
        client.close_session(session.id).await.expect("closed");
        client
            .close_session(session.id)
            .await
            .expect("closing twice is fine");
        let late = client
            .renew_session(session.id, 0)
            .await
            .expect_err("too late");
        assert_eq!(late.reason(), nokv_types::Reason::SessionExpired);
        client.collect(Some(0)).await.expect("collected");
    }
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]));
    store.stop().await;
}
