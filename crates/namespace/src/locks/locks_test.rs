//! The lock table against one that holds a letter for each byte.

use super::{Asked, HeldLock, LockFamily, LockKey, LockKind, LockOwner, LockRange, LockTable};
use super::{Request, WaitId};
use nokv_types::{BranchId, ClientId, NodeId};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const BYTES: u64 = 12;

fn key(node: u64, family: LockFamily) -> LockKey {
    LockKey {
        branch: BranchId::TRUNK,
        node: NodeId::from_u64(node),
        family,
    }
}

fn owner(number: u64) -> LockOwner {
    LockOwner {
        client: ClientId::new(number % 3),
        number,
    }
}

fn lock(number: u64, kind: LockKind, start: u64, end: u64) -> HeldLock {
    HeldLock {
        owner: owner(number),
        process: u32::try_from(number).expect("a small number"),
        kind,
        range: LockRange::new(start, end).expect("a range"),
    }
}

/// What each owner has of each byte of each file.
#[derive(Default)]
struct Oracle {
    bytes: BTreeMap<(u64, u64), BTreeMap<LockOwner, LockKind>>,
}

impl Oracle {
    fn against(&self, node: u64, wanted: &HeldLock) -> bool {
        (wanted.range.start()..=wanted.range.end()).any(|byte| {
            let held = self.bytes.get(&(node, byte)).into_iter().flatten();
            held.into_iter().any(|(owner, kind)| {
                *owner != wanted.owner
                    && (*kind == LockKind::Exclusive || wanted.kind == LockKind::Exclusive)
            })
        })
    }

    fn set(&mut self, node: u64, wanted: &HeldLock) {
        for byte in wanted.range.start()..=wanted.range.end() {
            let held = self.bytes.entry((node, byte)).or_default();
            held.insert(wanted.owner, wanted.kind);
        }
    }

    fn clear(&mut self, node: u64, owner: LockOwner, start: u64, end: u64) {
        for byte in start..=end {
            if let Some(held) = self.bytes.get_mut(&(node, byte)) {
                held.remove(&owner);
            }
        }
    }

    fn end_client(&mut self, client: ClientId) {
        for held in self.bytes.values_mut() {
            held.retain(|owner, _| owner.client != client);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Ask(u64, u64, LockKind, u64, u64, Request),
    Unlock(u64, u64, u64, u64),
    End(u64),
    Leave(usize),
    ComeBack(usize),
    GiveUp(usize),
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    let range = (0..BYTES, 0..BYTES).prop_map(|(a, b)| (a.min(b), a.max(b)));
    let kind = prop_oneof![Just(LockKind::Shared), Just(LockKind::Exclusive)];
    let request = prop_oneof![Just(Request::Once), Just(Request::Waits)];
    prop_oneof![
        8 => (0..2u64, 0..6u64, kind, range.clone(), request).prop_map(
            |(node, owner, kind, (start, end), request)| {
                Step::Ask(node, owner, kind, start, end, request)
            }
        ),
        5 => (0..2u64, 0..6u64, range)
            .prop_map(|(node, owner, (start, end))| Step::Unlock(node, owner, start, end)),
        1 => (0..3u64).prop_map(Step::End),
        1 => any::<usize>().prop_map(Step::Leave),
        1 => any::<usize>().prop_map(Step::ComeBack),
        1 => any::<usize>().prop_map(Step::GiveUp),
        1 => Just(Step::Sweep),
    ]
}

/// The table beside the oracle, and who waits.
struct Pair {
    table: LockTable,
    oracle: Oracle,
    waiting: BTreeMap<WaitId, (u64, HeldLock)>,
    away: BTreeSet<WaitId>,
}

impl Pair {
    fn nth(&self, index: usize) -> Option<WaitId> {
        let count = self.waiting.len().max(1);
        self.waiting.keys().nth(index % count).copied()
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Ask(node, owner, kind, start, end, request) => {
                self.ask(node, lock(owner, kind, start, end), request);
            }
            Step::Unlock(node, number, start, end) => {
                let range = LockRange::new(start, end).expect("a range");
                let key = key(node, LockFamily::Range);
                self.table.give_back(key, owner(number), range);
                self.oracle.clear(node, owner(number), start, end);
            }
            Step::End(client) => {
                let client = ClientId::new(client);
                for id in self.table.end_client(client) {
                    let (_, wanted) = self.waiting.remove(&id).expect("waited");
                    assert_eq!(wanted.owner.client, client);
                }
                self.oracle.end_client(client);
            }
            Step::Leave(index) => {
                if let Some(id) = self.nth(index) {
                    self.table.leave(id, Duration::from_secs(1));
                    self.away.insert(id);
                }
            }
            Step::ComeBack(index) => {
                if let Some(id) = self.nth(index) {
                    assert!(self.table.come_back(id));
                    self.away.remove(&id);
                }
            }
            Step::GiveUp(index) => {
                if let Some(id) = self.nth(index) {
                    assert!(self.table.end_wait(id));
                    self.waiting.remove(&id);
                }
            }
            Step::Sweep => {
                for id in self.table.sweep(Duration::from_secs(2)) {
                    assert!(self.away.contains(&id), "only those who are away");
                    self.waiting.remove(&id);
                }
            }
        }
        self.take_granted();
        self.check();
    }

    fn ask(&mut self, node: u64, wanted: HeldLock, request: Request) {
        let against = self.oracle.against(node, &wanted);
        let asked = self
            .table
            .ask(key(node, LockFamily::Range), wanted, request);
        match asked {
            Asked::Granted => {
                assert!(!against, "granted over another");
                self.oracle.set(node, &wanted);
            }
            Asked::Held(held) => {
                assert!(against && request == Request::Once);
                assert!(held.excludes(&wanted), "what is told is in the way");
            }
            Asked::Waiting(id) => {
                assert_eq!(request, Request::Waits);
                self.waiting.insert(id, (node, wanted));
            }
            Asked::Deadlock => assert!(against && request == Request::Waits),
            Asked::Frozen | Asked::Full => panic!("{asked:?}"),
        }
    }

    fn take_granted(&mut self) {
        for id in self.table.granted() {
            let (node, wanted) = self.waiting.remove(&id).expect("waited");
            assert!(!self.away.contains(&id), "nobody is granted while away");
            assert!(!self.oracle.against(node, &wanted), "granted over another");
            self.oracle.set(node, &wanted);
        }
    }

    /// The table holds what the oracle holds, in as few pieces as can be; nobody waits for nothing.
    fn check(&self) {
        for node in 0..2 {
            let file = self.table.files.get(&key(node, LockFamily::Range));
            let pieces: Vec<_> = file.into_iter().flat_map(|file| file.held.iter()).collect();
            for byte in 0..BYTES {
                let at: BTreeMap<_, _> = pieces
                    .iter()
                    .filter(|held| (held.range.start()..=held.range.end()).contains(&byte))
                    .map(|held| (held.owner, held.kind))
                    .collect();
                let expected = self.oracle.bytes.get(&(node, byte));
                assert_eq!(at, expected.cloned().unwrap_or_default(), "byte {byte}");
            }
            for one in &pieces {
                let mut others = pieces.iter().filter(|other| !std::ptr::eq(**other, *one));
                assert!(!others.any(|other| {
                    (other.owner, other.kind) == (one.owner, one.kind)
                        && (other.range.touches(one.range) || other.range.overlaps(one.range))
                }));
            }
        }
        self.somebody_holds_up_each();
    }

    /// Whoever waits has somebody in the way, or somebody before him, or is away.
    fn somebody_holds_up_each(&self) {
        for (id, (node, wanted)) in &self.waiting {
            let before = self.waiting.range(..id);
            let is_behind = before
                .into_iter()
                .any(|(_, (other, first))| other == node && first.excludes(wanted));
            let held = self.oracle.against(*node, wanted);
            assert!(held || is_behind || self.away.contains(id), "{wanted:?}");
        }
    }
}

proptest! {
    #[test]
    fn it_holds_what_a_table_of_bytes_holds(steps in prop::collection::vec(step(), 1..80)) {
        let mut pair = Pair {
            table: LockTable::default(),
            oracle: Oracle::default(),
            waiting: BTreeMap::new(),
            away: BTreeSet::new(),
        };
        for step in &steps {
            pair.run(step);
        }
        // When all have gone nothing is left.
        for client in 0..3 {
            pair.run(&Step::End(client));
        }
        prop_assert!(pair.waiting.is_empty());
        prop_assert_eq!(pair.table.files.len(), 0);
        prop_assert_eq!(pair.table.waits.len(), 0);
        prop_assert_eq!(pair.table.waits_of.len(), 0);
        prop_assert_eq!(pair.table.pieces, 0);
    }
}

fn ask(table: &mut LockTable, node: u64, wanted: HeldLock, request: Request) -> Asked {
    table.ask(key(node, LockFamily::Range), wanted, request)
}

#[test]
fn a_circle_of_waiters_is_refused_to_the_last() {
    let table = &mut LockTable::default();
    let exclusive = |number| lock(number, LockKind::Exclusive, 0, 0);
    for node in 0..3 {
        assert_eq!(
            ask(table, node, exclusive(node), Request::Once),
            Asked::Granted
        );
    }
    for node in 0..2 {
        let asked = ask(table, node + 1, exclusive(node), Request::Waits);
        assert!(matches!(asked, Asked::Waiting(_)));
    }
    assert_eq!(ask(table, 0, exclusive(2), Request::Waits), Asked::Deadlock);
    // Two that want to change from shared to exclusive.
    let table = &mut LockTable::default();
    let both = |number, kind| lock(number, kind, 0, 9);
    for number in 0..2 {
        let asked = ask(table, 0, both(number, LockKind::Shared), Request::Waits);
        assert_eq!(asked, Asked::Granted);
    }
    let first = ask(table, 0, both(0, LockKind::Exclusive), Request::Waits);
    assert!(matches!(first, Asked::Waiting(_)));
    let second = ask(table, 0, both(1, LockKind::Exclusive), Request::Waits);
    assert_eq!(second, Asked::Deadlock);
}

#[test]
fn who_waits_first_is_not_overtaken() {
    let table = &mut LockTable::default();
    let asked = ask(table, 0, lock(0, LockKind::Shared, 0, 9), Request::Once);
    assert_eq!(asked, Asked::Granted);
    let Asked::Waiting(writer) = ask(table, 0, lock(1, LockKind::Exclusive, 0, 9), Request::Waits)
    else {
        panic!("a reader is there");
    };
    let Asked::Waiting(reader) = ask(table, 0, lock(2, LockKind::Shared, 0, 9), Request::Waits)
    else {
        panic!("a writer came first");
    };
    table.give_back(key(0, LockFamily::Range), owner(0), LockRange::ALL);
    assert_eq!(table.granted(), [writer]);
    table.give_back(key(0, LockFamily::Range), owner(1), LockRange::ALL);
    assert_eq!(table.granted(), [reader]);
}

#[test]
fn nobody_waits_for_ever_because_of_the_order_alone() {
    // 0 reads a file that 1 waits to write; 0 wants to read more of it.
    let table = &mut LockTable::default();
    let asked = ask(table, 0, lock(0, LockKind::Shared, 0, 5), Request::Once);
    assert_eq!(asked, Asked::Granted);
    let asked = ask(table, 0, lock(1, LockKind::Exclusive, 0, 9), Request::Waits);
    assert!(matches!(asked, Asked::Waiting(_)));
    let Asked::Waiting(more) = ask(table, 0, lock(0, LockKind::Shared, 4, 9), Request::Waits)
    else {
        panic!("1 came before");
    };
    assert_eq!(table.granted(), [more], "but waits for 0");
    // The same through a third: 2 holds another file, for which 0 waits behind 1.
    let table = &mut LockTable::default();
    let exclusive = |number| lock(number, LockKind::Exclusive, 0, 0);
    let shared = |number| lock(number, LockKind::Shared, 0, 0);
    assert_eq!(ask(table, 0, shared(2), Request::Once), Asked::Granted);
    assert_eq!(ask(table, 1, exclusive(0), Request::Once), Asked::Granted);
    let asked = ask(table, 0, exclusive(1), Request::Waits);
    assert!(matches!(asked, Asked::Waiting(_)), "1 waits for 2");
    let Asked::Waiting(reader) = ask(table, 0, shared(0), Request::Waits) else {
        panic!("0 waits behind 1");
    };
    let asked = ask(table, 1, exclusive(2), Request::Waits);
    assert!(
        matches!(asked, Asked::Waiting(_)),
        "2 waits for 0: no deadlock"
    );
    assert_eq!(table.granted(), [reader], "0 need not wait for 1");
}

#[test]
fn whole_files_change_kind_as_flock_does() {
    let table = &mut LockTable::default();
    let file = key(0, LockFamily::Whole);
    let all = |number, kind| HeldLock {
        range: LockRange::ALL,
        ..lock(number, kind, 0, 0)
    };
    for number in 0..2 {
        let asked = table.ask(file, all(number, LockKind::Shared), Request::Once);
        assert_eq!(asked, Asked::Granted);
    }
    // Both want to write: the first gives back what he has, so the second can.
    let first = table.ask(file, all(0, LockKind::Exclusive), Request::Waits);
    let Asked::Waiting(first) = first else {
        panic!("another reads");
    };
    let second = table.ask(file, all(1, LockKind::Exclusive), Request::Waits);
    assert!(matches!(second, Asked::Waiting(_)));
    assert_eq!(table.granted(), [first]);
}
