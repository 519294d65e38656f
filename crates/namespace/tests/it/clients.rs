//! Client sessions: leases, locks that end with them, restarts.

use crate::support::{Store, reason};
use nokv_namespace::{
    Announcement, AnnouncementEnd, Asker, ClientPhase, ClientSession, LockFamily, LockKind,
    LockOrWait, LockOutcome, LockPlace, LockRange, LostClaims, NewClientSession, Options,
    WantedLock,
};
use nokv_types::{BranchId, ClientId, Failure, NodeId, Reason};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

const TTL_MS: u64 = 10_000;

pub(crate) fn session(store: &Store) -> ClientId {
    let new = NewClientSession {
        label: "test".to_owned(),
        ttl_ms: TTL_MS,
    };
    store.namespace.open_client(&new).expect("opens").id
}

/// The store as it is after the process was killed.
pub(crate) fn restart(store: Store) -> Store {
    let files = Arc::clone(&store.files);
    let now = nokv_env::Clock::monotonic(&*store.clock);
    drop(store);
    let reopened = Store::on(files, Options::default());
    let at = nokv_env::Clock::monotonic(&*reopened.clock);
    reopened.clock.advance(now.saturating_sub(at));
    reopened
}

fn later(store: &Store, millis: u64) {
    store.clock.advance(Duration::from_millis(millis));
    store.namespace.expire_clients().expect("expires");
}

fn bytes(node: NodeId, owner: u64, kind: LockKind, start: u64, end: u64) -> WantedLock {
    let place = LockPlace {
        branch: BranchId::TRUNK,
        node,
        family: LockFamily::Range,
        owner,
    };
    let range = LockRange::new(start, end).expect("a range");
    WantedLock {
        place,
        process: 7,
        kind,
        range,
    }
}

fn exclusive(node: NodeId) -> WantedLock {
    bytes(node, 1, LockKind::Exclusive, 0, u64::MAX)
}

fn holds(store: &Store, client: ClientId, wanted: &WantedLock) -> bool {
    let asked = store.namespace.try_lock(Asker::of(client), wanted);
    asked.expect("is asked") == LockOutcome::Granted
}

/// Waits for a lock; what the callback hears.
fn wait(
    store: &Store,
    asker: Asker,
    wanted: &WantedLock,
) -> (LockOrWait, Receiver<Result<(), Failure>>) {
    let (sender, receiver) = channel();
    let wake = move |woken| sender.send(woken).expect("is heard");
    let asked = store.namespace.wait_for_lock(asker, wanted, wake);
    (asked.expect("waits"), receiver)
}

#[test]
fn a_lease_only_extends_and_ends_with_all_locks() {
    let store = Store::new();
    let file = store.put("/f", b"x").expect("puts").id;
    let (first, second) = (session(&store), session(&store));
    assert!(holds(&store, first, &exclusive(file)));
    assert!(!holds(&store, second, &exclusive(file)));
    for _ in 0..5 {
        later(&store, TTL_MS - 1);
        store.namespace.renew_client(second).expect("renews");
        let renewed = store.namespace.renew_client(first).expect("renews");
        assert_eq!(renewed.left_ms, TTL_MS);
    }
    let (_waiting, woken) = wait(&store, Asker::of(second), &exclusive(file));
    later(&store, TTL_MS / 2);
    store.namespace.renew_client(second).expect("renews");
    assert_eq!(woken.try_recv(), Err(TryRecvError::Empty));
    later(&store, TTL_MS / 2 + 1);
    assert_eq!(woken.try_recv(), Ok(Ok(())), "the first is over");
    assert_eq!(
        reason(store.namespace.renew_client(first)),
        Reason::SessionExpired
    );
    let late = store.namespace.try_lock(Asker::of(first), &exclusive(file));
    assert_eq!(reason(late), Reason::SessionExpired);
    assert_eq!(store.namespace.clients().len(), 1);
}

#[test]
fn closing_gives_all_back_and_ends_waiting() {
    let store = Store::new();
    let file = store.put("/f", b"x").expect("puts").id;
    let (first, second) = (session(&store), session(&store));
    assert!(holds(&store, first, &exclusive(file)));
    let (_waiting, woken) = wait(&store, Asker::of(second), &exclusive(file));
    store.namespace.close_client(second).expect("closes");
    let ended = woken.try_recv().expect("is told");
    assert_eq!(reason(ended), Reason::SessionExpired);
    store.namespace.close_client(first).expect("closes");
    store.namespace.close_client(first).expect("closes twice");
    assert!(holds(&store, session(&store), &exclusive(file)));
}

#[test]
fn locks_are_split_joined_and_told() {
    let store = Store::new();
    let file = store.put("/f", b"x").expect("puts").id;
    let (first, second) = (session(&store), session(&store));
    assert!(holds(
        &store,
        first,
        &bytes(file, 1, LockKind::Exclusive, 0, 99)
    ));
    let place = exclusive(file).place;
    let middle = LockRange::new(40, 59).expect("a range");
    store
        .namespace
        .unlock(Asker::of(first), &place, middle)
        .expect("unlocks");
    assert!(holds(
        &store,
        second,
        &bytes(file, 9, LockKind::Shared, 45, 50)
    ));
    let test = |client, wanted: &WantedLock| {
        let found = store.namespace.test_lock(client, wanted).expect("is told");
        found.map(|held| (held.owner.client, held.range.start(), held.range.end()))
    };
    let all = bytes(file, 3, LockKind::Shared, 0, 200);
    assert_eq!(test(second, &all), Some((first, 0, 39)));
    assert_eq!(
        test(second, &bytes(file, 3, LockKind::Shared, 50, 70)),
        Some((first, 60, 99))
    );
    assert_eq!(test(first, &bytes(file, 1, LockKind::Shared, 0, 99)), None);
    // The two families know nothing of each other.
    let whole = WantedLock {
        place: LockPlace {
            family: LockFamily::Whole,
            ..place
        },
        ..exclusive(file)
    };
    assert!(holds(&store, second, &whole));
    assert!(!holds(&store, first, &whole));
    let missing = store
        .namespace
        .try_lock(Asker::of(first), &exclusive(NodeId::from_u64(99_999)));
    assert_eq!(reason(missing), Reason::NotFound);
}

#[test]
fn a_request_that_arrives_again_is_done_once() {
    let store = Store::new();
    let file = store.put("/f", b"x").expect("puts").id;
    let (first, second) = (session(&store), session(&store));
    let asker = |number, answered_below| Asker {
        client: first,
        number,
        answered_below,
    };
    let wanted = exclusive(file);
    let lock = |asker| store.namespace.try_lock(asker, &wanted);
    assert_eq!(lock(asker(1, 1)), Ok(LockOutcome::Granted));
    store
        .namespace
        .unlock(asker(2, 1), &wanted.place, LockRange::ALL)
        .expect("unlocks");
    // A copy of the first, that was on its way all the time.
    assert_eq!(lock(asker(1, 1)), Ok(LockOutcome::Granted));
    assert!(holds(&store, second, &wanted), "nobody holds it");
    assert_eq!(
        reason(lock(asker(1, 3))),
        Reason::Conflict,
        "nobody waits for this"
    );
}

#[test]
fn a_place_is_kept_between_requests_for_a_while() {
    let store = Store::new();
    let file = store.put("/f", b"x").expect("puts").id;
    let [holder, first, second] = [(); 3].map(|()| session(&store));
    let wanted = exclusive(file);
    assert!(holds(&store, holder, &wanted));
    let numbered = |client| Asker {
        client,
        number: 1,
        answered_below: 1,
    };
    let (waiting, _) = wait(&store, numbered(first), &wanted);
    let (_second, second_woken) = wait(&store, numbered(second), &wanted);
    drop(waiting);
    let unlock = |client| {
        let asker = Asker::of(client);
        let unlocked = store.namespace.unlock(asker, &wanted.place, LockRange::ALL);
        unlocked.expect("unlocks");
    };
    unlock(holder);
    assert_eq!(
        second_woken.try_recv(),
        Err(TryRecvError::Empty),
        "the first has his place"
    );
    let (back, _) = wait(&store, numbered(first), &wanted);
    assert!(matches!(back, LockOrWait::Granted), "he is back");
    unlock(first);
    assert_eq!(second_woken.try_recv(), Ok(Ok(())));
    // One who does not come back loses it.
    let again = |client| Asker {
        client,
        number: 2,
        answered_below: 2,
    };
    let (waiting, _) = wait(&store, again(first), &wanted);
    let (_third, third_woken) = wait(&store, again(holder), &wanted);
    drop(waiting);
    unlock(second);
    later(&store, 5_001);
    assert_eq!(third_woken.try_recv(), Ok(Ok(())));
    // One who gave up is not granted.
    let (_waiting, woken) = wait(&store, again(second), &wanted);
    let given_up = store.namespace.give_up_lock(again(second));
    assert_eq!(given_up, Ok(LockOutcome::Waiting));
    unlock(holder);
    assert_eq!(woken.try_recv(), Err(TryRecvError::Disconnected));
    assert!(holds(&store, first, &wanted));
}

fn renewed(store: &Store, client: ClientId) -> ClientSession {
    store.namespace.renew_client(client).expect("renews")
}

fn announce(store: &Store, client: ClientId, claims: &Announcement) -> LostClaims {
    let incarnation = renewed(store, client).incarnation;
    let announced =
        store
            .namespace
            .announce_client((client, incarnation), claims, AnnouncementEnd::Complete);
    announced.expect("is announced")
}

#[test]
fn locks_survive_a_restart_without_two_holders() {
    let store = Store::new();
    let file = store.put("/f", b"x").expect("puts").id;
    let (holder, other) = (session(&store), session(&store));
    let wanted = exclusive(file);
    assert!(holds(&store, holder, &wanted));
    let store = restart(store);
    // Nothing is granted before all have said what they have.
    let late = session(&store);
    let denied = store.namespace.try_lock(Asker::of(late), &wanted);
    assert_eq!(reason(denied), Reason::Unavailable);
    let (_waiting, woken) = wait(&store, Asker::of(late), &wanted);
    let unannounced = store.namespace.try_lock(Asker::of(other), &wanted);
    assert_eq!(reason(unannounced), Reason::Unannounced);
    assert_eq!(renewed(&store, other).phase, ClientPhase::Unannounced);
    assert_eq!(
        announce(&store, other, &Announcement::default()),
        LostClaims::default()
    );
    let claims = Announcement {
        opens: Vec::new(),
        locks: vec![wanted],
    };
    assert_eq!(announce(&store, holder, &claims), LostClaims::default());
    assert_eq!(
        announce(&store, holder, &claims),
        LostClaims::default(),
        "again"
    );
    assert!(!holds(&store, other, &wanted));
    assert_eq!(woken.try_recv(), Err(TryRecvError::Empty));
    store
        .namespace
        .unlock(Asker::of(holder), &wanted.place, LockRange::ALL)
        .expect("unlocks");
    assert_eq!(woken.try_recv(), Ok(Ok(())));
}

#[test]
fn who_says_nothing_after_a_restart_ends_in_his_time_however_often_he_renews() {
    let store = Store::new();
    let file = store.put("/f", b"x").expect("puts").id;
    let silent = session(&store);
    let wanted = exclusive(file);
    assert!(holds(&store, silent, &wanted));
    let store = restart(store);
    let other = session(&store);
    for _ in 0..4 {
        assert!(renewed(&store, silent).left_ms <= TTL_MS);
        later(&store, TTL_MS / 4);
    }
    renewed(&store, other);
    let (waiting, woken) = wait(&store, Asker::of(other), &wanted);
    later(&store, 1);
    assert_eq!(woken.try_recv(), Ok(Ok(())));
    drop(waiting);
    assert_eq!(
        reason(store.namespace.renew_client(silent)),
        Reason::SessionExpired
    );
    // Its end is on disk.
    let store = restart(store);
    assert_eq!(store.namespace.clients().len(), 1);
}
