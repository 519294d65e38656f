//! Collection of garbage, asked for by hand.

use crate::{Client, Collected};
use nokv_proto::v1::{self, request::Method, response::Result as Answer};
use nokv_types::Failure;

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
}
