//! A version that stays readable while it is read.
//!
//! Invariant: a reader that dies leaves a snapshot whose lease ends by itself.

use crate::Client;
use nokv_namespace::NewSnapshot;
use nokv_types::{Failure, NsPath, SnapshotName};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Life of the snapshot unless renewed.
const LEASE_MS: u64 = 600_000;
/// Between two renewals: two may fail before it is too late.
const RENEW_PAUSE: Duration = Duration::from_millis(LEASE_MS / 3);

/// A snapshot for as long as this lives.
pub(super) struct Pin {
    client: Client,
    name: SnapshotName,
    renewal: JoinHandle<()>,
}

impl Pin {
    /// A client that reads one version, and what keeps it readable; a snapshot that the client
    /// reads already needs nothing more.
    ///
    /// **Errors**: `Compacted`, `NotFound`, `SnapshotExpired`.
    pub(super) async fn hold(client: &Client) -> Result<(Client, Option<Self>), Failure> {
        if client.snapshot.is_some() {
            return Ok((client.clone(), None));
        }
        let mut id = [0; 8];
        client.shared.env.random.fill(&mut id);
        let new = NewSnapshot {
            name: SnapshotName::parse(&format!("dump-{:016x}", u64::from_be_bytes(id)))?,
            at: client.view.at,
            lease_ms: Some(LEASE_MS),
        };
        let snapshot = client.create_snapshot(&NsPath::root(), &new).await?;
        let (renewed, name) = (client.clone(), new.name.clone());
        let renewal = tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEW_PAUSE).await;
                if let Err(failure) = renewed.renew_snapshot(&name, Some(LEASE_MS)).await {
                    tracing::warn!(%failure, "could not keep the version that is dumped");
                }
            }
        });
        let pin = Self {
            client: client.clone(),
            name: new.name,
            renewal,
        };
        Ok((client.at(snapshot.at), Some(pin)))
    }

    /// Lets it go. A failure costs only that it goes later, by itself.
    pub(super) async fn release(self) {
        if let Err(failure) = self.client.remove_snapshot(&self.name).await {
            tracing::debug!(%failure, "a snapshot is left to expire");
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}
