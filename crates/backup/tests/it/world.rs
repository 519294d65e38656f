//! Files in memory, an object store in memory, and crashes between.

use bytes::Bytes;
use nokv_backup::{BackupPlace, Head, Manifest, ObjectsPlace, make, restore, verify};
use nokv_env::{FileSystem, MemoryFileSystem, OpenMode};
use nokv_object::testing::{Fault, FaultStore, Operation};
use nokv_object::{BlockStore, Error, MemoryBlocks, RESERVED_SESSION};
use nokv_types::{BlockId, Failure, SessionId};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const STAGING: &str = "/staging";
const MANIFESTS: SessionId = SessionId::new(RESERVED_SESSION.get() - 1);

/// When the machine dies.
#[derive(Clone, Debug)]
pub(crate) enum Crash {
    Never,
    /// When so many calls of the object store are left; of the last one the answer is lost.
    After(Arc<AtomicU64>),
    /// Never, but the object store acknowledges parts that it does not have.
    PartsAreLate,
}

impl Crash {
    pub(crate) fn after(calls: u64) -> Self {
        Self::After(Arc::new(AtomicU64::new(calls)))
    }
}

/// What becomes of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Damage {
    Flip,
    Delete,
}

pub(crate) struct World {
    pub(crate) files: Arc<dyn FileSystem>,
    blocks: Arc<MemoryBlocks>,
    deletes: Arc<AtomicU64>,
}

impl World {
    pub(crate) fn new() -> Self {
        let files: Arc<dyn FileSystem> = Arc::new(MemoryFileSystem::new());
        files.create_dir_all(Path::new(STAGING)).expect("memory");
        Self {
            files,
            blocks: Arc::new(MemoryBlocks::new()),
            deletes: Arc::default(),
        }
    }

    /// A file of so many bytes that depend on its name.
    pub(crate) fn write(&self, name: &str, bytes: usize) {
        let path = Path::new(STAGING).join(name);
        let file = self.files.open(&path, OpenMode::Create).expect("memory");
        let salt = name.bytes().fold(0_u8, u8::wrapping_add);
        let content: Vec<u8> = (0..bytes).map(|at| (at % 251) as u8 ^ salt).collect();
        file.write_at(&content, 0).expect("memory");
    }

    pub(crate) fn append(&self, name: &str, bytes: usize) {
        let path = Path::new(STAGING).join(name);
        let file = self.files.open(&path, OpenMode::ReadWrite).expect("there");
        let end = file.len().expect("memory");
        file.write_at(&vec![9; bytes], end).expect("memory");
    }

    pub(crate) fn place(&self, crash: Crash) -> BackupPlace {
        let deletes = Arc::clone(&self.deletes);
        let blocks = Arc::clone(&self.blocks);
        let plan = move |call: &nokv_object::testing::Call| {
            if call.operation == Operation::Delete {
                deletes.fetch_add(1, Ordering::Relaxed);
            }
            let dead = || Some(Fault::Refused(Error::Io("the machine is down".to_owned())));
            match &crash {
                Crash::Never | Crash::PartsAreLate => None,
                Crash::After(left) => {
                    let before = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                        left.checked_sub(1)
                    });
                    match before {
                        Err(_) => dead(),
                        Ok(1) => Some(Fault::AnswerLost),
                        Ok(_) => None,
                    }
                }
            }
        };
        BackupPlace::new(Arc::new(FaultStore::new(blocks, plan)))
    }

    pub(crate) async fn head(&self) -> Head {
        let place = self.place(Crash::Never);
        Head {
            number: place.free_number().await.expect("listed"),
            store_id: "0".repeat(32),
            store_format: 1,
            made_millis: 0,
            version: 7,
            floor: 3,
            held_from: 6,
            last_session: 5,
            objects: ObjectsPlace::default(),
        }
    }

    pub(crate) async fn backup(&self, crash: Crash) -> Result<Manifest, Failure> {
        let is_late = matches!(crash, Crash::PartsAreLate);
        let place = self.place(crash);
        let before = place.list().await?;
        let before = before
            .into_iter()
            .filter_map(|found| found.manifest.ok())
            .next_back();
        let number = place.free_number().await?;
        let head = Head {
            number,
            ..self.head().await
        };
        let files = (&self.files, Path::new(STAGING));
        let made = make(&place, files, head, before.as_ref(), None).await;
        if is_late && let Ok(made) = &made {
            let parts: Vec<_> = made.parts().map(nokv_backup::PartEntry::block).collect();
            self.blocks.delete_many(&parts).await?;
        }
        made
    }

    /// The backups that are there, each of which must be whole.
    pub(crate) async fn whole(&self) -> Vec<Manifest> {
        let found = self.place(Crash::Never).list().await.expect("listed");
        found
            .into_iter()
            .map(|found| found.manifest.expect("a manifest is whole or absent"))
            .collect()
    }

    /// Verifies a backup and restores it.
    pub(crate) async fn check(&self, manifest: &Manifest) {
        let place = self.place(Crash::Never);
        let verified = verify(&place, manifest, None).await.expect("read");
        assert_eq!(verified.flaws, vec![], "backup {}", manifest.number);
        let files: Arc<dyn FileSystem> = Arc::new(MemoryFileSystem::new());
        let to = (&files, Path::new("/restored"));
        restore(&place, manifest, to, None).await.expect("whole");
        for entry in &manifest.files {
            let read = |files: &Arc<dyn FileSystem>, dir: &str| {
                let path = Path::new(dir).join(&entry.name);
                let file = files.open(&path, OpenMode::Read).expect("there");
                let length = usize::try_from(entry.bytes).expect("small");
                let mut bytes = vec![0; length];
                file.read_exact_at(&mut bytes, 0).expect("as long as told");
                bytes
            };
            // Files only grow at their end, so what was backed up is how they begin.
            let (restored, source) = (read(&files, "/restored"), read(&self.files, STAGING));
            assert!(restored == source, "{} of {}", entry.name, manifest.number);
        }
    }

    /// Every object is a manifest or a part that one names.
    pub(crate) async fn assert_nothing_left(&self) {
        let manifests = self.whole().await;
        let parts = manifests.iter().flat_map(Manifest::parts);
        let mut needed: BTreeSet<BlockId> = parts.map(nokv_backup::PartEntry::block).collect();
        needed.extend(manifests.iter().map(|manifest| BlockId {
            session: MANIFESTS,
            sequence: manifest.number,
        }));
        let there: BTreeSet<_> = self.objects().into_keys().collect();
        assert_eq!(there, needed);
    }

    pub(crate) async fn damage(&self, block: BlockId, damage: Damage) {
        match damage {
            Damage::Delete => self.blocks.delete_many(&[block]).await.expect("memory"),
            Damage::Flip => {
                let mut bytes = self.objects()[&block].to_vec();
                bytes[0] ^= 1;
                self.blocks.put(block, bytes.into()).await.expect("memory");
            }
        }
    }

    pub(crate) async fn damage_manifest(&self, manifest: &Manifest) {
        let block = BlockId {
            session: MANIFESTS,
            sequence: manifest.number,
        };
        self.damage(block, Damage::Flip).await;
    }

    pub(crate) fn calls(&self, operation: Operation) -> u64 {
        assert_eq!(operation, Operation::Delete, "the only one that is counted");
        self.deletes.load(Ordering::Relaxed)
    }

    fn objects(&self) -> BTreeMap<BlockId, Bytes> {
        self.blocks.snapshot()
    }
}
