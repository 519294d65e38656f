//! The store that fails as planned.
//!
//! Invariant: without a fault a call is exactly that of the store behind; with one, only what the
//! fault says differs, and what the trait's contract allows stays possible (an error after the
//! effect, a part of a batch deleted).

use crate::{BlockEntry, BlockStore, Error};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use nokv_types::{BlockId, SessionId};
use parking_lot::Mutex;
use std::{collections::HashMap, fmt, ops::Range, sync::Arc};

/// Kinds of calls.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Operation {
    /// [`BlockStore::put`].
    Put,
    /// [`BlockStore::get_range`].
    Get,
    /// [`BlockStore::delete_many`].
    Delete,
    /// [`BlockStore::list_session`].
    List,
    /// [`BlockStore::list_sessions`].
    ListAll,
    /// [`BlockStore::forget_session`].
    Forget,
}

/// A call, as a plan sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    /// What.
    pub operation: Operation,
    /// On which objects; for a session its object 0, for all sessions none.
    pub blocks: Vec<BlockId>,
    /// How many calls with this operation and first object came before.
    pub attempt: u32,
}

/// What goes wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// This error; nothing happens.
    Refused(Error),
    /// It happens, and then [`Error::Unavailable`]: the answer was lost. A deletion of several does
    /// the first half.
    AnswerLost,
    /// Put: the network holds it back. [`Error::Unavailable`] now, and the object appears when
    /// [`FaultStore::land`] says so.
    Late,
    /// Get: one bit is another, chosen by this number.
    BitFlipped(u64),
    /// Get: the last byte does not come.
    Truncated,
    /// Get: there is no such object. List: the last object is left out.
    Missing,
}

type Plan = dyn Fn(&Call) -> Option<Fault> + Send + Sync;

/// A store that fails as planned.
pub struct FaultStore {
    store: Arc<dyn BlockStore>,
    plan: Box<Plan>,
    attempts: Mutex<HashMap<(Operation, Option<BlockId>), u32>>,
    faults: Mutex<Vec<(Call, Fault)>>,
    late: Mutex<Vec<(BlockId, Bytes)>>,
}

impl FaultStore {
    /// Faults by `plan` in front of `store`.
    pub fn new(
        store: Arc<dyn BlockStore>,
        plan: impl Fn(&Call) -> Option<Fault> + Send + Sync + 'static,
    ) -> Self {
        Self {
            store,
            plan: Box::new(plan),
            attempts: Mutex::default(),
            faults: Mutex::default(),
            late: Mutex::default(),
        }
    }

    /// Has the puts that were held back arrive.
    pub async fn land(&self) -> Result<(), Error> {
        let late = std::mem::take(&mut *self.late.lock());
        for (block, bytes) in late {
            self.store.put(block, bytes).await?;
        }
        Ok(())
    }

    /// What has gone wrong so far: a test of faults that never happened shows nothing.
    #[must_use]
    pub fn faults(&self) -> Vec<(Call, Fault)> {
        self.faults.lock().clone()
    }

    fn fault(&self, operation: Operation, blocks: &[BlockId]) -> Option<Fault> {
        let first = blocks.first().copied();
        let mut attempts = self.attempts.lock();
        let count = attempts.entry((operation, first)).or_default();
        let call = Call {
            operation,
            blocks: blocks.to_vec(),
            attempt: *count,
        };
        *count += 1;
        drop(attempts);
        let fault = (self.plan)(&call)?;
        self.faults.lock().push((call, fault.clone()));
        Some(fault)
    }
}

fn answer_lost() -> Error {
    Error::Unavailable("the answer was lost on its way".to_owned())
}

fn session_block(session: SessionId) -> BlockId {
    BlockId {
        session,
        sequence: 0,
    }
}

impl fmt::Debug for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} with faults", self.store)
    }
}

#[async_trait]
impl BlockStore for FaultStore {
    async fn put(&self, block: BlockId, bytes: Bytes) -> Result<(), Error> {
        match self.fault(Operation::Put, &[block]) {
            Some(Fault::Refused(error)) => Err(error),
            Some(Fault::AnswerLost) => self.store.put(block, bytes).await.and(Err(answer_lost())),
            Some(Fault::Late) => {
                self.late.lock().push((block, bytes));
                Err(answer_lost())
            }
            _ => self.store.put(block, bytes).await,
        }
    }

    async fn get_range(&self, block: BlockId, range: Range<u32>) -> Result<Bytes, Error> {
        let fault = self.fault(Operation::Get, &[block]);
        match &fault {
            Some(Fault::Refused(error)) => return Err(error.clone()),
            Some(Fault::AnswerLost) => return Err(answer_lost()),
            Some(Fault::Missing) => {
                let place = self.store.place(block);
                return Err(Error::MissingBlock {
                    body: "a body".to_owned(),
                    block,
                    place,
                });
            }
            _ => {}
        }
        let bytes = self.store.get_range(block, range).await?;
        Ok(match fault {
            Some(Fault::BitFlipped(number)) => flip(&bytes, number),
            Some(Fault::Truncated) => bytes.slice(..bytes.len().saturating_sub(1)),
            _ => bytes,
        })
    }

    async fn delete_many(&self, blocks: &[BlockId]) -> Result<(), Error> {
        match self.fault(Operation::Delete, blocks) {
            Some(Fault::Refused(error)) => Err(error),
            Some(Fault::AnswerLost) => {
                let (first, _) = blocks.split_at(blocks.len().div_ceil(2));
                self.store.delete_many(first).await.and(Err(answer_lost()))
            }
            _ => self.store.delete_many(blocks).await,
        }
    }

    async fn list_session(&self, session: SessionId) -> Result<Vec<BlockEntry>, Error> {
        match self.fault(Operation::List, &[session_block(session)]) {
            Some(Fault::Refused(error)) => Err(error),
            Some(Fault::AnswerLost) => Err(answer_lost()),
            Some(Fault::Missing) => {
                let mut entries = self.store.list_session(session).await?;
                entries.pop();
                Ok(entries)
            }
            _ => self.store.list_session(session).await,
        }
    }

    async fn list_sessions(&self) -> Result<Vec<SessionId>, Error> {
        match self.fault(Operation::ListAll, &[]) {
            Some(Fault::Refused(error)) => Err(error),
            Some(Fault::AnswerLost) => Err(answer_lost()),
            _ => self.store.list_sessions().await,
        }
    }

    async fn forget_session(&self, session: SessionId) -> Result<(), Error> {
        match self.fault(Operation::Forget, &[session_block(session)]) {
            Some(Fault::Refused(error)) => Err(error),
            Some(Fault::AnswerLost) => self
                .store
                .forget_session(session)
                .await
                .and(Err(answer_lost())),
            _ => self.store.forget_session(session).await,
        }
    }

    async fn probe(&self) -> Result<(), Error> {
        self.store.probe().await
    }

    fn place(&self, block: BlockId) -> String {
        self.store.place(block)
    }
}

fn flip(bytes: &[u8], number: u64) -> Bytes {
    let mut bytes = BytesMut::from(bytes);
    let at = usize::try_from(number >> 3)
        .unwrap_or(0)
        .checked_rem(bytes.len());
    if let Some(byte) = at.and_then(|at| bytes.get_mut(at)) {
        *byte ^= 1 << (number & 7);
    }
    bytes.freeze()
}
