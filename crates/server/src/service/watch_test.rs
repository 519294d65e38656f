//! The hub over a namespace in memory: who hears what, and how much waiting costs.

use super::watch::{Ask, Hub, Listen, Waiting};
use nokv_env::Env;
use nokv_namespace::{Context, Namespace, Options, Parents, Scope};
use nokv_types::{NodeId, NsPath, TimeNanos, Version};
use std::path::Path;
use std::time::Duration;

fn store() -> Namespace {
    let env = Env::memory(1);
    Namespace::open(env, Path::new("/store"), Options::default()).expect("opens")
}

fn mkdir(namespace: &Namespace, path: &str) -> NodeId {
    let context = Context {
        durability: nokv_namespace::Durability::Buffered,
        ..Context::new(namespace.default_mount(), TimeNanos::new(0))
    };
    let path = NsPath::parse(path).expect("valid");
    let made = namespace.make_dir(&context, &path, 0o755, Parents::Required);
    made.expect("made").node.id
}

fn ask(namespace: &Namespace, scope: Scope, after: Version) -> Ask {
    Ask {
        mount: namespace.default_mount(),
        scope,
        after,
        limit: 100,
    }
}

/// Lets the reader catch up.
fn tell(hub: &Hub, namespace: &Namespace) {
    let mut feed = namespace.feed();
    hub.state.lock().is_running = true;
    while hub.state.lock().through < namespace.read_version() && hub.step(namespace, &mut feed) {}
}

#[tokio::test]
async fn only_those_in_scope_are_woken_and_none_hears_twice() {
    let (namespace, hub) = (store(), Hub::default());
    let tops: Vec<_> = (0..100)
        .map(|top| mkdir(&namespace, &format!("/{top}")))
        .collect();
    let start = namespace.read_version();
    let mut waiting = Vec::new();
    for top in &tops {
        let asked = ask(&namespace, Scope::Tree(*top), start);
        match hub.listen(&namespace, asked).expect("listens") {
            Listen::Wait(_, receiver) => waiting.push(receiver),
            _ => panic!("nothing has happened"),
        }
    }
    let inside = mkdir(&namespace, "/7/inside");
    tell(&hub, &namespace);
    for (top, receiver) in waiting.iter_mut().enumerate() {
        match receiver.try_recv() {
            Ok(heard) => {
                let (heard, through) = heard.expect("told");
                assert_eq!((top, heard.len()), (7, 1));
                assert_eq!(heard[0].change.node, inside);
                assert_eq!(through, namespace.read_version());
                let asked = ask(&namespace, Scope::Tree(tops[7]), through);
                let again = hub.listen(&namespace, asked).expect("listens");
                assert!(matches!(again, Listen::Wait(..)), "heard twice");
            }
            Err(_) => assert_ne!(top, 7, "not told"),
        }
    }
    let late = ask(&namespace, Scope::Tree(tops[7]), start);
    match hub.listen(&namespace, late).expect("listens") {
        Listen::Heard(heard, _) => assert_eq!(heard.len(), 1, "what came between is remembered"),
        _ => panic!("it has happened"),
    }
    let before = ask(&namespace, Scope::Mount, start.previous());
    let before = hub.listen(&namespace, before).expect("listens");
    assert!(matches!(before, Listen::Read), "before what is remembered");
}

#[tokio::test]
async fn a_wait_ends_by_time_with_a_newer_cursor_and_leaves_nothing() {
    let (namespace, hub) = (store(), Hub::default());
    let top = mkdir(&namespace, "/top");
    let start = namespace.read_version();
    let listen = |after| {
        let asked = ask(&namespace, Scope::Node(top), after);
        match hub.listen(&namespace, asked).expect("listens") {
            Listen::Wait(id, receiver) => (id, receiver),
            _ => panic!("nothing has happened in scope"),
        }
    };
    let (id, receiver) = listen(start);
    mkdir(&namespace, "/elsewhere");
    tell(&hub, &namespace);
    let heard = hub
        .wait(id, receiver, Duration::ZERO)
        .await
        .expect("in time");
    assert_eq!((heard.0.len(), heard.1), (0, namespace.read_version()));
    let (id, receiver) = listen(heard.1);
    drop(hub.wait(id, receiver, Duration::from_secs(60)));
    let (id, _) = listen(heard.1);
    assert!(hub.state.lock().forget(id));
    hub.stop();
    let state = hub.state.lock();
    assert!(state.waiting.is_empty() && state.nodes.is_empty());
    drop(state);
    let stopped = hub.listen(&namespace, ask(&namespace, Scope::Mount, heard.1));
    assert!(stopped.is_err(), "nobody waits any more");
}

#[tokio::test]
async fn ten_thousand_watchers_take_less_than_four_kibibytes_each() {
    let (namespace, hub) = (store(), Hub::default());
    let top = mkdir(&namespace, "/top");
    let start = namespace.read_version();
    let waits: Vec<_> = (0..10_000)
        .map(|_| {
            let asked = ask(&namespace, Scope::Tree(top), start);
            match hub.listen(&namespace, asked).expect("listens") {
                Listen::Wait(id, receiver) => hub.wait(id, receiver, Duration::from_secs(60)),
                _ => panic!("nothing has happened"),
            }
        })
        .collect();
    let task = size_of_val(&waits[0]);
    // The registration, its place in two maps, and the channel.
    let entry = size_of::<Waiting>() + 256;
    assert!(task + entry < 4096, "{task} and {entry} bytes");
    mkdir(&namespace, "/top/inside");
    tell(&hub, &namespace);
    for wait in waits {
        assert_eq!(wait.await.expect("told").0.len(), 1);
    }
}
