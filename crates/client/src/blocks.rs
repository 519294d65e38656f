//! Where a client finds blocks: the object store itself where it can, else through the server.
//!
//! Invariant: the object store is used directly only when it carries the mark of the very store
//! that the server has open: the same URL can mean another place on another machine.

use crate::remote::Remote;
use async_trait::async_trait;
use bytes::Bytes;
use nokv_object::{BlockEntry, BlockStore, Error};
use nokv_proto::v1::{self, request::Method, response::Result as Answer};
use nokv_proto::{BLOCK_BYTES_RPC_MAX, failure_from_wire};
use nokv_types::{BlockId, Failure, SessionId};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Blocks through the server.
pub(crate) struct ServerBlocks {
    remote: Arc<Remote>,
}

impl ServerBlocks {
    pub(crate) fn new(remote: Arc<Remote>) -> Self {
        Self { remote }
    }

    async fn call(&self, method: Method) -> Result<Answer, Error> {
        let request = v1::Request {
            deadline_ms: 0,
            method: Some(method),
        };
        match self.remote.call(request).await?.result {
            Some(Answer::Failure(failure)) => Err(failure_from_wire(&failure).into()),
            Some(answer) => Ok(answer),
            None => Err(Error::Io("the server sent an empty answer".to_owned())),
        }
    }

    async fn get_part(&self, block: BlockId, range: Range<u32>) -> Result<Bytes, Error> {
        let get = v1::GetBlockRequest {
            block: Some(block.into()),
            offset: range.start,
            length: range.end - range.start,
        };
        match self.call(Method::GetBlock(get)).await? {
            Answer::GetBlock(got) => Ok(got.data),
            _ => Err(unexpected()),
        }
    }
}

impl fmt::Debug for ServerBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the object store behind the server")
    }
}

#[async_trait]
impl BlockStore for ServerBlocks {
    async fn put(&self, block: BlockId, bytes: Bytes) -> Result<(), Error> {
        let put = v1::PutBlockRequest {
            block: Some(block.into()),
            data: bytes,
        };
        match self.call(Method::PutBlock(put)).await? {
            Answer::PutBlock(_) => Ok(()),
            _ => Err(unexpected()),
        }
    }

    async fn get_range(&self, block: BlockId, range: Range<u32>) -> Result<Bytes, Error> {
        const PART_BYTES: u32 = BLOCK_BYTES_RPC_MAX as u32;
        if range.len() <= BLOCK_BYTES_RPC_MAX {
            return self.get_part(block, range).await;
        }
        let mut whole = Vec::with_capacity(range.len());
        let mut start = range.start;
        while start < range.end {
            let end = range.end.min(start.saturating_add(PART_BYTES));
            let part = self.get_part(block, start..end).await?;
            whole.extend_from_slice(&part);
            if part.len() < (end - start) as usize {
                break;
            }
            start = end;
        }
        Ok(whole.into())
    }

    async fn delete_many(&self, _blocks: &[BlockId]) -> Result<(), Error> {
        Err(servers_business())
    }

    async fn list_session(&self, _session: SessionId) -> Result<Vec<BlockEntry>, Error> {
        Err(servers_business())
    }

    async fn list_sessions(&self) -> Result<Vec<SessionId>, Error> {
        Err(servers_business())
    }

    async fn probe(&self) -> Result<(), Error> {
        self.call(Method::Status(v1::StatusRequest::default()))
            .await
            .map(drop)
    }

    fn place(&self, block: BlockId) -> String {
        format!("block {block} behind the server")
    }
}

fn unexpected() -> Error {
    Error::Io("the server answered another question; use the same version of both".to_owned())
}

/// Only the server collects.
fn servers_business() -> Error {
    Error::Namespace(Failure::new(
        nokv_types::Reason::Unsupported,
        "collection is the server's business; ask it with `nokv gc`",
    ))
}
