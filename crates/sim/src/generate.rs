//! From a seed to a script.
//!
//! Every seed first chooses what it is about (a few clients, which kinds of operations, small
//! tables or none, power cuts or none), so that rare things happen often in some runs instead of
//! seldom in all.

use crate::model::{Choice, Expected, Item, Limits, Put, Removal, Rename, XattrChange};
use crate::op::{By, Mount, Op, Path, Place, Step};
use nokv_env::SeededRandom;

/// What a seed is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Profile {
    /// Clients, 1 to 4.
    pub clients: usize,
    /// Steps of the script.
    pub steps: usize,
    /// Branches, merges, restores.
    pub branches: bool,
    /// Quotas.
    pub quotas: bool,
    /// Snapshots and collection.
    pub snapshots: bool,
    /// Mounts that come and go.
    pub mounts: bool,
    /// Power cuts.
    pub cuts: bool,
    /// Memtables so small that tables and compactions happen.
    pub tables: bool,
    /// Writes that are answered before they are on disk.
    pub buffered: bool,
}

/// Watchers of a run.
pub(crate) const WATCHERS: usize = 2;

impl Profile {
    /// What this seed is about.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let random = SeededRandom::new(seed ^ 0xA5A5_5A5A_0F0F_F0F0);
        let often = |percent| random.below(100) < percent;
        let branches = often(55);
        let tables = often(20);
        Self {
            clients: 1 + random.below(4) as usize,
            steps: 20 + random.below(140) as usize,
            branches,
            quotas: !branches && often(50),
            snapshots: often(60),
            mounts: often(20),
            cuts: often(50),
            tables,
            buffered: !tables && often(60),
        }
    }
}

/// The script of a seed.
#[must_use]
pub fn script(seed: u64) -> (Profile, Vec<Step>) {
    let profile = Profile::of(seed);
    let generator = Generator {
        random: SeededRandom::new(seed),
        profile,
    };
    let first = |path: Path| Step::Begin {
        client: 0,
        mount: Mount::Default,
        op: Op::MakeDir {
            at: Place { path, by: By::Path },
            parents: false,
        },
        synced: true,
    };
    let mut steps = vec![first(vec!["t"]), first(vec!["t", "a"]), first(vec!["u"])];
    steps.extend((0..profile.steps).map(|_| generator.step()));
    (profile, steps)
}

struct Generator {
    random: SeededRandom,
    profile: Profile,
}

impl Generator {
    fn below(&self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    fn often(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Clone>(&self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize].clone()
    }

    fn top(&self) -> &'static str {
        match self.profile.branches {
            true => self.pick(&["t", "t", "x", "x", "y", "z", "u"]),
            false => self.pick(&["t", "t", "t", "u"]),
        }
    }

    fn path(&self) -> Path {
        // Names of the root are left alone where branches hang there.
        if !self.profile.branches && self.often(3) {
            return if self.often(50) {
                vec![]
            } else {
                vec![self.top()]
            };
        }
        let mut path = vec![self.top()];
        for _ in 0..self.pick(&[1, 1, 1, 2, 2, 3]) {
            path.push(self.pick(&["a", "b", "c"]));
        }
        path
    }

    fn place(&self) -> Place {
        let by = match self.often(25) {
            true => By::Node,
            false => By::Path,
        };
        Place {
            path: self.path(),
            by,
        }
    }

    fn back(&self) -> u8 {
        // Mostly what was just now.
        match self.often(60) {
            true => self.below(6) as u8,
            false => self.below(200) as u8,
        }
    }

    fn step(&self) -> Step {
        let profile = &self.profile;
        let client = self.below(profile.clients as u64) as usize;
        match self.below(100) {
            0..14 if profile.clients > 1 => Step::Go(client),
            14..18 => {
                let watcher = self.below(WATCHERS as u64) as usize;
                Step::Listen(watcher, 1 + self.below(5) as usize)
            }
            18 => Step::Kill(self.below(WATCHERS as u64) as usize),
            19 => Step::Note(self.below(WATCHERS as u64) as usize),
            20..23 => Step::Read(self.back()),
            23 => Step::ReadSnapshots,
            24..28 => Step::Compare,
            28 => Step::Wait(self.pick(&[1, 1000, 70_000, 4_000_000])),
            // With tables, threads of the engine write the log too, in an order of their own.
            29 if profile.cuts && !profile.tables => Step::Arm(1 + self.below(12)),
            30 if profile.cuts => Step::Cut(self.below(u64::MAX)),
            31 if self.often(50) => Step::Reopen,
            _ => Step::Begin {
                client,
                mount: match profile.mounts && self.often(15) {
                    true => Mount::Other,
                    false => Mount::Default,
                },
                op: self.op(),
                synced: !profile.buffered || self.often(25),
            },
        }
    }

    fn op(&self) -> Op {
        let profile = &self.profile;
        if profile.branches && self.often(25) {
            return self.branch_op();
        }
        if profile.snapshots && self.often(12) {
            return self.snapshot_op();
        }
        if profile.quotas && self.often(12) {
            let at = self.path();
            return match self.often(80) {
                true => Op::SetQuota {
                    at,
                    limits: self.limits(),
                },
                false => Op::RemoveQuota { at },
            };
        }
        if profile.mounts && self.often(6) {
            return match self.often(60) {
                true => Op::RegisterMount,
                false => Op::RetireMount,
            };
        }
        if (profile.snapshots || profile.quotas) && self.often(5) {
            return Op::Collect {
                limit: 1 + self.below(20) as usize,
                everything: self.often(40),
            };
        }
        self.plain_op()
    }

    fn plain_op(&self) -> Op {
        match self.below(100) {
            0..20 => Op::MakeDir {
                at: self.place(),
                parents: self.often(30),
            },
            20..24 => Op::MakeNode {
                at: self.place(),
                pipe: self.often(50),
            },
            24..29 => Op::Symlink {
                at: self.place(),
                target: self.pick(&["a", "../b", "/t/a", "b/c", "/", "c/../a", "."]),
            },
            29..35 => Op::Link {
                from: self.place(),
                to: self.place(),
            },
            35..57 => Op::Publish {
                items: (0..1 + self.below(3)).map(|_| self.item()).collect(),
                parents: self.often(30),
            },
            57..74 => Op::Rename {
                from: self.place(),
                to: self.place(),
                mode: self.pick(&[
                    Rename::Plain,
                    Rename::Plain,
                    Rename::NoReplace,
                    Rename::Exchange,
                ]),
            },
            74..84 => Op::Remove {
                at: self.place(),
                what: self.pick(&[Removal::File, Removal::EmptyDirectory, Removal::Tree]),
            },
            84..90 => Op::SetAttributes {
                at: self.place(),
                follow: self.often(50),
                mode: self.often(70).then(|| self.below(0o777) as u32),
                mtime: self.often(30).then(|| self.below(1000) as i64),
                size: self.often(30).then(|| self.below(6) as usize),
            },
            90..95 => Op::SetXattr {
                at: self.place(),
                follow: self.often(50),
                name: self.pick(&["user.p", "user.q"]),
                change: self.xattr_change(),
            },
            _ => Op::Repeat {
                back: self.below(4) as u8,
            },
        }
    }

    fn xattr_change(&self) -> XattrChange {
        let value = self.below(4) as u8;
        match self.below(5) {
            0 => XattrChange::Create(value),
            1 => XattrChange::Replace(value),
            2 => XattrChange::Remove,
            _ => XattrChange::Put(value),
        }
    }

    fn item(&self) -> Item {
        let byte = self.below(256) as u8;
        Item {
            path: self.path(),
            put: match self.below(10) {
                0 => Put::Directory,
                1 => Put::Symlink(self.pick(&["a", "../b", "/t/a"])),
                _ => Put::File(vec![byte; usize::from(byte % 6)]),
            },
            mode: u32::from(byte),
            expected: match self.below(6) {
                0 => Expected::Absent,
                1 => Expected::Generation(1 + self.below(2)),
                _ => Expected::Any,
            },
        }
    }

    fn snapshot_op(&self) -> Op {
        let name = self.below(4) as u8;
        match self.below(10) {
            0..6 => Op::Snapshot {
                name,
                back: self.often(30).then(|| self.back()),
                lease: self.often(40),
            },
            6 => Op::RenewSnapshot {
                name,
                lease: self.often(70),
            },
            7..9 => Op::RemoveSnapshot { name },
            _ => Op::Collect {
                limit: 1 + self.below(50) as usize,
                everything: self.often(60),
            },
        }
    }

    fn branch_path(&self) -> Path {
        vec![self.pick(&["x", "y", "z"])]
    }

    fn source(&self) -> Path {
        match self.below(10) {
            0..5 => vec!["t"],
            5..8 => vec![self.pick(&["x", "y", "z"])],
            _ => self.path(),
        }
    }

    fn branch_op(&self) -> Op {
        match self.below(100) {
            0..34 => Op::Branch {
                source: self.source(),
                to: self.branch_path(),
                back: self.often(25).then(|| self.back()),
            },
            34..40 => Op::Remove {
                at: Place {
                    path: self.branch_path(),
                    by: By::Path,
                },
                what: Removal::Tree,
            },
            40..72 => Op::Merge {
                source: self.branch_path(),
                target: self.source(),
                choice: self.pick(&[Choice::Fail, Choice::Ours, Choice::Theirs]),
                dry: self.often(15),
            },
            72..82 => Op::Restore {
                at: match self.often(50) {
                    true => self.source(),
                    false => self.path(),
                },
                back: self.back(),
            },
            82..96 => Op::Undo { back: self.back() },
            _ => Op::Collect {
                limit: 1 + self.below(30) as usize,
                everything: self.often(30),
            },
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            bytes: self.often(50).then(|| self.below(16)),
            inodes: self.often(50).then(|| self.below(14)),
        }
    }
}
