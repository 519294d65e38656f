//! Nodes without a name: what becomes of them.

use crate::clients::{Going, OpenKey};
use crate::failure::{from_engine, malformed};
use crate::plan::Nameless;
use crate::reader::Reader;
use crate::records::nameless;
use crate::spot::Spot;
use crate::{Context, Namespace};
use nokv_engine::{Direction, Engine, KeyRange};
use nokv_shard::{Durability, Key};
use nokv_types::{Failure, Reason, TimeNanos, Version};

impl Namespace {
    /// What a command that was applied changes in what is known of nodes without a name.
    pub(crate) fn after(&self, going: Going<'_>, nameless: Nameless) -> Result<(), Failure> {
        let clients = &self.inner.clients;
        for key in nameless.ended {
            clients.forget_nameless(key);
        }
        let closed = match nameless.kept.is_empty() {
            true => Vec::new(),
            false => clients.set_nameless(&nameless.kept),
        };
        drop(going);
        // Closed while the command was under way.
        self.reclaim_closed(&closed)
    }

    /// Takes nodes away that have no name and that nobody has open any more.
    pub(crate) fn reclaim_closed(&self, keys: &[OpenKey]) -> Result<(), Failure> {
        for (branch, node) in keys {
            let now = TimeNanos::new(self.inner.clock.now_nanos());
            let mut context = Context::new(self.default_mount(), now);
            context.branch = *branch;
            context.durability = Durability::Buffered;
            let reclaimed = self.mutate(&context, 0, |plan| {
                let spot = plan.root.with_node(*node);
                plan.reclaim_nameless(spot)
            });
            match reclaimed {
                // With the branch went the node.
                Err(failure) if failure.reason() == Reason::NotFound => {
                    self.inner.clients.forget_nameless((*branch, *node));
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// The spot of an open node, if it is there.
    pub(crate) fn spot_of(
        &self,
        reader: &Reader<'_>,
        (branch, node): OpenKey,
    ) -> Result<Option<Spot>, Failure> {
        let spot = Spot::live(node, branch, reader.at);
        match reader.node_record(spot) {
            Ok(found) => Ok(found.map(|_| spot)),
            // The branch is gone.
            Err(failure) if failure.reason() == Reason::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

/// The nodes without a name of a store that is opened.
pub(crate) fn read_nameless(engine: &Engine) -> Result<Vec<OpenKey>, Failure> {
    let scan = engine
        .scan(
            nameless::KEYSPACE,
            KeyRange::all(),
            Version::MAX,
            Direction::Forward,
        )
        .map_err(from_engine)?;
    let mut keys = Vec::new();
    for item in scan {
        let (key, _) = item.map_err(from_engine)?;
        let (node, branch) = nameless::node(&key)
            .map_err(|flaw| malformed(&Key::new(nameless::KEYSPACE, &key), &flaw))?;
        keys.push((branch, node));
    }
    Ok(keys)
}
