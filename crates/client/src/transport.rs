//! The two ways to a store, with one shape.

use crate::remote::Remote;
use nokv_proto::v1::{self, request::Method, response::Result as Answer};
use nokv_proto::{failure_from_wire, invalid};
use nokv_server::{Caller, Service};
use nokv_types::Failure;
use std::sync::Arc;

/// How requests travel.
#[derive(Clone)]
pub(crate) enum Transport {
    /// To the store in this process, without encoding.
    Embedded(Service),
    /// To a server.
    Remote(Arc<Remote>),
}

impl Transport {
    /// Calls a method and takes the answer that `pick` knows.
    ///
    /// **Errors**: those of the method; those of reaching a server ([`Remote::call`]).
    pub(crate) async fn call<T>(
        &self,
        method: Method,
        pick: impl FnOnce(Answer) -> Option<T>,
    ) -> Result<T, Failure> {
        let request = v1::Request {
            deadline_ms: 0,
            method: Some(method),
        };
        let response = match self {
            Self::Embedded(service) => service.call(request, &Caller::Embedded).await,
            Self::Remote(remote) => remote.call(request).await?,
        };
        match response.result {
            Some(Answer::Failure(failure)) => Err(failure_from_wire(&failure)),
            Some(answer) => pick(answer).ok_or_else(mismatched),
            None => Err(mismatched()),
        }
    }
}

fn mismatched() -> Failure {
    invalid(
        "response",
        "answers another question; use the same version of client and server",
    )
}
