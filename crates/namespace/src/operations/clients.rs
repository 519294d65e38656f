//! Client sessions: opening, renewing, announcing, ending.
//!
//! Bound: what a session has is free at the latest its time to live, the interval at which
//! [`Namespace::expire_clients`] is called and one sync after its last renewal.

use crate::clients::{Lapsed, Stored};
use crate::failure::{from_engine, from_shard, invalid, malformed};
use crate::records::client::{self, ClientRecord};
use crate::{
    ANNOUNCEMENT_ITEMS_MAX, Announcement, AnnouncementEnd, CLIENT_LABEL_BYTES_MAX,
    CLIENT_TTL_MS_MAX, CLIENT_TTL_MS_MIN, ClientSession, LostClaims, Namespace, NewClientSession,
};
use nokv_engine::{Direction, Engine, KeyRange};
use nokv_shard::{Check, Command, Durability, Key, Write};
use nokv_types::{ClientId, Failure, Reason, Version};
use std::time::Duration;

/// Nodes without a name that one round takes away: a command each.
const RECLAIMED_AT_ONCE: usize = 1_024;

impl Namespace {
    /// Opens a client session, on disk before it returns.
    ///
    /// **Errors**: `InvalidArgument` for the time to live or the label; `Overloaded`.
    pub fn open_client(&self, new: &NewClientSession) -> Result<ClientSession, Failure> {
        if !(CLIENT_TTL_MS_MIN..=CLIENT_TTL_MS_MAX).contains(&new.ttl_ms) {
            return Err(invalid(format!(
                "a client session lives {CLIENT_TTL_MS_MIN} to {CLIENT_TTL_MS_MAX} ms, not {}",
                new.ttl_ms
            )));
        }
        if new.label.len() > CLIENT_LABEL_BYTES_MAX {
            return Err(invalid(format!(
                "a label of {} bytes is over {CLIENT_LABEL_BYTES_MAX}",
                new.label.len()
            )));
        }
        self.inner.clients.admit()?;
        // Out of the numbers of upload sessions: both are given once.
        let id = ClientId::new(self.inner.ids.session(self.shard())?.get());
        let record = ClientRecord {
            ttl_ms: new.ttl_ms,
            label: new.label.clone(),
        };
        let command = Command {
            checks: vec![Check::Absent(client::key(id))],
            writes: vec![Write::Put(client::key(id), record.encode())],
            ..Command::default()
        };
        let executed = self.shard().execute(command, Durability::Synced);
        executed.map_err(from_shard)?;
        let stored = Stored {
            client: id,
            label: record.label,
            ttl: Duration::from_millis(record.ttl_ms),
        };
        Ok(self.inner.clients.begin(stored, self.monotonic()))
    }

    /// Lets a session live its time to live from now on. Says whether it must be announced.
    ///
    /// **Errors**: `SessionExpired`.
    pub fn renew_client(&self, client: ClientId) -> Result<ClientSession, Failure> {
        self.inner.clients.renew(client, self.monotonic())
    }

    /// Ends a session with all it has. Idempotent.
    pub fn close_client(&self, client: ClientId) -> Result<(), Failure> {
        let lapsed = self.inner.clients.stop(client);
        self.end_clients(lapsed.into_iter().collect())
    }

    /// The sessions, in order of their numbers.
    #[must_use]
    pub fn clients(&self) -> Vec<ClientSession> {
        self.inner.clients.list(self.monotonic())
    }

    /// Ends the sessions whose time is over; how many. Also gives up those who wait for a lock and
    /// did not come back. To be called every second or so.
    pub fn expire_clients(&self) -> Result<usize, Failure> {
        let now = self.monotonic();
        self.inner.clients.sweep_waits(now);
        let lapsed = self.inner.clients.stop_lapsed(now);
        let count = lapsed.len();
        self.end_clients(lapsed)?;
        // What a failure, or a restart, has left.
        let closed = self.inner.clients.closed(RECLAIMED_AT_ONCE);
        self.reclaim_closed(&closed)?;
        Ok(count)
    }

    /// Says what a session from before the store was opened still had: then it has that again. With
    /// the last announcement it can do everything again. What is said once more is not done twice.
    ///
    /// Returns what it does not have any more.
    /// **Errors**: `SessionExpired`; `TooLarge`; `Unannounced` for another incarnation: renew
    /// first.
    pub fn announce_client(
        &self,
        (client, incarnation): (ClientId, u64),
        claims: &Announcement,
        end: AnnouncementEnd,
    ) -> Result<LostClaims, Failure> {
        if claims.opens.len() + claims.locks.len() > ANNOUNCEMENT_ITEMS_MAX {
            return Err(Failure::new(
                Reason::TooLarge,
                format!("more than {ANNOUNCEMENT_ITEMS_MAX} claims at once; send them in parts"),
            ));
        }
        let clients = &self.inner.clients;
        let now = self.monotonic();
        if clients.claim((client, incarnation), claims, now)? {
            let reader = self.newest_reader();
            for key in &claims.opens {
                if self.spot_of(&reader, *key)?.is_none() {
                    clients.lose(client, *key);
                }
            }
            if end == AnnouncementEnd::Complete {
                let closed = clients.announced(client);
                self.reclaim_closed(&closed)?;
            }
        }
        Ok(clients.lost(client))
    }

    /// Time for leases.
    pub(crate) fn monotonic(&self) -> Duration {
        self.inner.clock.monotonic()
    }

    /// Ends sessions on disk, then gives what they had to others.
    fn end_clients(&self, lapsed: Vec<Lapsed>) -> Result<(), Failure> {
        if lapsed.is_empty() {
            return Ok(());
        }
        let deletes = lapsed
            .iter()
            .map(|Lapsed(id)| Write::Delete(client::key(*id)));
        let command = Command {
            writes: deletes.collect(),
            ..Command::default()
        };
        let executed = self.shard().execute(command, Durability::Synced);
        executed.map_err(from_shard)?;
        let mut closed = Vec::new();
        for lapsed in lapsed {
            closed.extend(self.inner.clients.end(lapsed));
        }
        self.reclaim_closed(&closed)
    }
}

/// The sessions of a store that is opened.
pub(crate) fn read_clients(engine: &Engine) -> Result<Vec<Stored>, Failure> {
    let scan = engine
        .scan(
            client::KEYSPACE,
            KeyRange::all(),
            Version::MAX,
            Direction::Forward,
        )
        .map_err(from_engine)?;
    let mut stored = Vec::new();
    for item in scan {
        let (key, found) = item.map_err(from_engine)?;
        let flaw = |flaw| malformed(&Key::new(client::KEYSPACE, &key), &flaw);
        let record = ClientRecord::decode(&found.value).map_err(flaw)?;
        stored.push(Stored {
            client: client::client(&key).map_err(flaw)?,
            label: record.label,
            ttl: Duration::from_millis(record.ttl_ms),
        });
    }
    Ok(stored)
}
