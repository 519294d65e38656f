//! One fetch of a unit at a time: whoever comes second waits for the first.
//!
//! Invariants:
//! - a unit has at most one leader; it leaves the map when its leader ends, however it ends;
//! - a leader that is dropped leaves no answer: the next one who asks leads.

use crate::Error;
use bytes::Bytes;
use nokv_types::{BlockId, Unit};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};
use tokio::sync::watch;

/// A unit, by where it is.
type Key = (BlockId, u32, u32);

/// The plain bytes of a unit, or why there is none; `None` until known.
type Answer = Option<Result<Bytes, Error>>;

/// The fetches under way.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<Key, watch::Receiver<Answer>>>);

/// What somebody who wants a unit is to do.
pub(crate) enum Turn {
    /// Fetch it, then [`Lead::land`].
    Lead(Lead),
    /// Wait for the one who does.
    Follow(Follow),
}

/// The right, and the duty, to fetch a unit.
pub(crate) struct Lead {
    flights: Arc<Flights>,
    key: Key,
    answer: watch::Sender<Answer>,
}

/// Somebody else's fetch.
pub(crate) struct Follow(watch::Receiver<Answer>);

fn key(unit: &Unit) -> Key {
    (unit.block, unit.object_offset, unit.stored_bytes)
}

impl Flights {
    /// Whose turn it is.
    pub(super) fn turn(self: &Arc<Self>, unit: &Unit) -> Turn {
        let key = key(unit);
        let mut flights = self.0.lock();
        if let Some(receiver) = flights.get(&key) {
            return Turn::Follow(Follow(receiver.clone()));
        }
        let (answer, receiver) = watch::channel(None);
        flights.insert(key, receiver);
        Turn::Lead(Lead {
            flights: Arc::clone(self),
            key,
            answer,
        })
    }
}

impl Lead {
    /// Tells the followers.
    pub(crate) fn land(self, answer: Result<Bytes, Error>) {
        // Nobody may have waited.
        self.answer.send_replace(Some(answer));
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.flights.0.lock().remove(&self.key);
    }
}

impl Follow {
    /// The leader's answer; `None` when it was dropped before it had one.
    pub(crate) async fn wait(mut self) -> Answer {
        match self.0.wait_for(Option::is_some).await {
            Ok(answer) => answer.clone(),
            Err(_dropped) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nokv_types::SessionId;

    fn unit() -> Unit {
        let block = BlockId {
            session: SessionId::new(1),
            sequence: 1,
        };
        Unit::plain(block, 7..10, 0)
    }

    #[tokio::test]
    async fn the_second_gets_what_the_first_fetched() {
        let flights = Arc::new(Flights::default());
        let Turn::Lead(lead) = flights.turn(&unit()) else {
            panic!("the first leads");
        };
        let Turn::Follow(follow) = flights.turn(&unit()) else {
            panic!("the second follows");
        };
        lead.land(Ok(Bytes::from_static(b"abc")));
        assert_eq!(follow.wait().await, Some(Ok(Bytes::from_static(b"abc"))));
        assert!(matches!(flights.turn(&unit()), Turn::Lead(_)));
    }

    #[tokio::test]
    async fn a_leader_that_is_dropped_is_replaced() {
        let flights = Arc::new(Flights::default());
        let first = flights.turn(&unit());
        let Turn::Follow(follow) = flights.turn(&unit()) else {
            panic!("the second follows");
        };
        drop(first);
        assert_eq!(follow.wait().await, None);
        assert!(matches!(flights.turn(&unit()), Turn::Lead(_)));
    }
}
