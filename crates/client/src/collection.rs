//! Collection of garbage, asked for by hand.

use crate::{Client, Collected};
use nokv_proto::v1::{self, request::Method, response::Result as Answer};
use nokv_server::wire;
use nokv_types::{BlockId, Failure, NsPath};

/// What a collection does about what is under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Ongoing {
    /// It waits for it.
    #[default]
    Respect,
    /// It ends it: only where it is known that nobody is at it. Whoever is all the same fails, and
    /// can begin again.
    End,
}

/// What a collection takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CollectRules {
    /// Retention for this time, milliseconds; `None` is the store's own. 0 takes all that only the
    /// past can see.
    pub retention_ms: Option<u64>,
    /// Upload sessions: what they have uploaded and not published.
    pub uploads: Ongoing,
    /// Leases of reads: what was replaced or removed since.
    pub reads: Ongoing,
}

impl Client {
    /// Collects what nothing can see any more; `retention_ms` overrides the store's for this time.
    pub async fn collect(&self, retention_ms: Option<u64>) -> Result<Collected, Failure> {
        let rules = CollectRules {
            retention_ms,
            ..CollectRules::default()
        };
        self.collect_by(rules).await
    }

    /// The same by other rules.
    pub async fn collect_by(&self, rules: CollectRules) -> Result<Collected, Failure> {
        let method = Method::Collect(v1::CollectRequest {
            retention_ms: rules.retention_ms,
            abandon_uploads: rules.uploads == Ongoing::End,
            end_reads: rules.reads == Ongoing::End,
        });
        let pick = |answer| match answer {
            Answer::Collect(done) => Some(done),
            _ => None,
        };
        let done = self.shared.transport.call(method, pick).await?;
        Ok(Collected {
            session_count: done.session_count,
            body_count: done.body_count,
            object_count: done.object_count,
            failed_count: done.failed_count,
        })
    }

    /// Why an object, or each body of a file, stays or goes.
    pub async fn explain(&self, about: Subject<'_>) -> Result<v1::ExplainResponse, Failure> {
        let (target, block) = match about {
            Subject::File(path) => (Some(wire::target_to_wire(path.into())), None),
            Subject::Object(block) => (None, Some(block.into())),
        };
        let method = Method::Explain(v1::ExplainRequest {
            view: Some(self.view_to_wire()),
            target,
            block,
        });
        let pick = |answer| match answer {
            Answer::Explain(explained) => Some(explained),
            _ => None,
        };
        self.shared.transport.call(method, pick).await
    }

    /// What a collection with this retention (`None`: the store's) would take now.
    pub async fn outlook(&self, retention_ms: Option<u64>) -> Result<v1::OutlookResponse, Failure> {
        let method = Method::Outlook(v1::OutlookRequest { retention_ms });
        let pick = |answer| match answer {
            Answer::Outlook(outlook) => Some(outlook),
            _ => None,
        };
        self.shared.transport.call(method, pick).await
    }

    /// The next step of a check that what bodies need is there, after what the last one said.
    pub async fn check_bodies(
        &self,
        after_session: Option<u64>,
    ) -> Result<v1::CheckBodiesResponse, Failure> {
        let method = Method::CheckBodies(v1::CheckBodiesRequest { after_session });
        let pick = |answer| match answer {
            Answer::CheckBodies(page) => Some(page),
            _ => None,
        };
        self.shared.transport.call(method, pick).await
    }

    /// Deletes those of at most 1,000 objects that are orphans; how many were.
    pub async fn delete_orphans(&self, blocks: Vec<BlockId>) -> Result<u64, Failure> {
        let blocks = blocks.into_iter().map(Into::into).collect();
        let method = Method::DeleteOrphans(v1::DeleteOrphansRequest { blocks });
        let pick = |answer| match answer {
            Answer::DeleteOrphans(done) => Some(done.deleted),
            _ => None,
        };
        self.shared.transport.call(method, pick).await
    }

    /// Reads the next bodies back, about `bytes_max` bytes of them, from where the store remembers
    /// or from the beginning.
    pub async fn scrub(
        &self,
        from: ScrubFrom,
        bytes_max: u64,
    ) -> Result<v1::ScrubResponse, Failure> {
        let method = Method::Scrub(v1::ScrubRequest {
            restart: from == ScrubFrom::Beginning,
            bytes_max,
        });
        let pick = |answer| match answer {
            Answer::Scrub(step) => Some(step),
            _ => None,
        };
        self.shared.transport.call(method, pick).await
    }
}

/// What an explanation is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject<'a> {
    /// The bodies of a file.
    File(&'a NsPath),
    /// Those in an object.
    Object(BlockId),
}

/// Where reading back begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScrubFrom {
    /// Where it stopped.
    Kept,
    /// At the beginning.
    Beginning,
}
