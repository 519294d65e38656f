//! Whose an object store is: one object in it names the store.
//!
//! Invariants: a store writes blocks only where its own mark is. What breaks otherwise: two stores
//! over one bucket number their sessions alike and overwrite each other's bodies; a client with a
//! different bucket of the same URL uploads bodies to where the server never looks.
//!
//! **Shape**: block `ffffffffffffffff/00000000`, which no session has, holds the 16 bytes of the
//! store id.

use nokv_object::{BlockStore, Error};
use nokv_types::{BlockId, Failure, Reason, SessionId};

/// The session that no upload gets.
pub(crate) const SESSION: SessionId = nokv_object::RESERVED_SESSION;

const BLOCK: BlockId = BlockId {
    session: SESSION,
    sequence: 0,
};
const ID_BYTES: u32 = 16;

/// What an object store says of its owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mark {
    /// Nothing: it is new, or another place.
    Missing,
    /// This store's.
    Own,
    /// Another store's.
    Foreign,
}

/// Reads the mark. **Errors**: those of the object store.
pub(crate) async fn read(blocks: &dyn BlockStore, store_id: [u8; 16]) -> Result<Mark, Error> {
    match blocks.get_range(BLOCK, 0..ID_BYTES).await {
        Ok(bytes) if *bytes == store_id => Ok(Mark::Own),
        Ok(_) => Ok(Mark::Foreign),
        Err(Error::MissingBlock { .. }) => Ok(Mark::Missing),
        Err(error) => Err(error),
    }
}

/// Makes sure that the object store is this store's, marking it when `is_new`.
///
/// **Errors**: `Conflict` when it is another store's, `NotFound` when it should be marked and is
/// not; those of the object store.
pub(crate) async fn claim(
    blocks: &dyn BlockStore,
    store_id: [u8; 16],
    is_new: IsNew,
) -> Result<(), Failure> {
    match (read(blocks, store_id).await?, is_new) {
        (Mark::Own, _) => Ok(()),
        (Mark::Missing, IsNew::Yes) => {
            blocks.put(BLOCK, store_id.to_vec().into()).await?;
            Ok(())
        }
        (Mark::Missing, IsNew::No) => Err(Failure::new(
            Reason::NotFound,
            format!(
                "{blocks:?} does not hold the bodies of this store; give the --objects that it was created with"
            ),
        )),
        (Mark::Foreign, _) => Err(Failure::new(
            Reason::Conflict,
            format!("{blocks:?} belongs to another store; choose another bucket, prefix or folder"),
        )),
    }
}

/// Whether an object store may be unmarked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum IsNew {
    /// It is being created, or forgets everything when the process ends.
    Yes,
    /// It was in use before.
    No,
}
