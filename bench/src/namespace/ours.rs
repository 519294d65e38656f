//! Our namespace, embedded: the same calls as the service makes.

use super::subject::{
    BATCH_FILES, CREATE_DIRECTORIES, LOOKUP_FILES, Subject, create_path, list_name, lookup_path,
};
use crate::ycsb::Durability;
use anyhow::{Context as _, Result};
use nokv_env::Env;
use nokv_namespace::{
    Content, Context, Expect, Follow, Namespace, NewAttributes, Options, PAGE_ENTRIES_MAX, Parents,
    Publish, PublishItem, View,
};
use nokv_types::{Body, MountId, NsPath, TimeNanos};
use std::path::Path;

/// Permissions of what is made.
const MODE: u32 = 0o644;

/// An open store with its default mount.
pub(crate) struct Ours {
    namespace: Namespace,
    mount: MountId,
    durability: Durability,
    clock: std::sync::Arc<dyn nokv_env::Clock>,
}

impl Ours {
    /// Opens a new store.
    pub(crate) fn open(dir: &Path, durability: Durability) -> Result<Self> {
        let env = Env::real();
        let clock = env.clock.clone();
        let namespace = Namespace::open(env, dir, Options::default())?;
        let mount = namespace.mount("default")?.id;
        Ok(Self {
            namespace,
            mount,
            durability,
            clock,
        })
    }

    fn context(&self, durability: Durability) -> Context {
        let mut context = Context::new(self.mount, TimeNanos::new(self.clock.now_nanos()));
        context.durability = match durability {
            Durability::Buffered => nokv_namespace::Durability::Buffered,
            Durability::Synced => nokv_namespace::Durability::Synced,
        };
        context
    }

    fn publish(&self, durability: Durability, paths: Vec<NsPath>, parents: Parents) -> Result<()> {
        let items = paths
            .into_iter()
            .map(|path| PublishItem {
                path,
                content: Content::File(Body::empty()),
                attributes: NewAttributes::mode(MODE),
                expect: Expect::Absent,
            })
            .collect();
        let publish = Publish {
            items,
            parents,
            session: None,
        };
        self.namespace.publish(&self.context(durability), publish)?;
        Ok(())
    }

    fn publish_many(&self, paths: impl Iterator<Item = Result<NsPath>>) -> Result<()> {
        let paths = paths.collect::<Result<Vec<_>>>()?;
        for chunk in paths.chunks(BATCH_FILES as usize) {
            self.publish(Durability::Buffered, chunk.to_vec(), Parents::Create)?;
        }
        Ok(())
    }
}

fn parse(text: &str) -> Result<NsPath> {
    NsPath::parse(text).with_context(|| format!("parse {text}"))
}

fn path_of_created(caller: u32, index: u64) -> Result<NsPath> {
    let (directory, name) = create_path(caller, index);
    parse(&format!("/create/{directory}/{name}"))
}

impl Subject for Ours {
    fn prepare_create(&self) -> Result<()> {
        for directory in 0..CREATE_DIRECTORIES {
            let path = parse(&format!("/create/{directory}"))?;
            let context = self.context(Durability::Buffered);
            self.namespace
                .make_dir(&context, &path, 0o755, Parents::Create)?;
        }
        Ok(())
    }

    fn create(&self, caller: u32, index: u64) -> Result<()> {
        let path = path_of_created(caller, index)?;
        self.publish(self.durability, vec![path], Parents::Required)
    }

    fn create_batch(&self, first: u64) -> Result<()> {
        // One directory, as when a tree is put.
        let paths = (first..first + BATCH_FILES)
            .map(|index| parse(&format!("/create/0/{}", list_name(index))))
            .collect::<Result<_>>()?;
        self.publish(self.durability, paths, Parents::Required)
    }

    fn prepare_lookup(&self) -> Result<()> {
        self.publish_many(
            (0..LOOKUP_FILES).map(|index| parse(&format!("/{}", lookup_path(index).join("/")))),
        )
    }

    fn lookup(&self, index: u64) -> Result<u64> {
        let path = parse(&format!("/{}", lookup_path(index).join("/")))?;
        let node = self
            .namespace
            .lookup(&View::latest(self.mount), &path, Follow::Yes)?;
        Ok(node.attributes.size)
    }

    fn prepare_list(&self, entries: u64) -> Result<()> {
        self.publish_many((0..entries).map(|index| parse(&format!("/listed/{}", list_name(index)))))
    }

    fn list(&self) -> Result<u64> {
        let path = parse("/listed")?;
        let (mut view, mut after, mut count) = (View::latest(self.mount), None, 0);
        loop {
            let page =
                self.namespace
                    .read_dir_plus(&view, &path, after.as_ref(), PAGE_ENTRIES_MAX)?;
            count += page.entries.len() as u64;
            view = view.at(page.version);
            after = page.next;
            if after.is_none() {
                return Ok(count);
            }
        }
    }
}
