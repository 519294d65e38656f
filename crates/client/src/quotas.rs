//! Quotas.

use crate::Client;
use nokv_namespace::{Quota, QuotaCheck, QuotaLimits, Room, Target};
use nokv_proto::present;
use nokv_proto::v1::{self, request::Method, response::Result as Answer};
use nokv_server::wire;
use nokv_types::{Failure, NsPath};

/// Takes the answer of one method.
macro_rules! pick {
    ($kind:ident) => {
        |answer| match answer {
            Answer::$kind(answer) => Some(answer),
            _ => None,
        }
    };
}

/// Quotas of the client's mount.
impl Client {
    /// Limits what a directory may hold; for the root, the mount. What is there counts, also if it
    /// is more. The server reads all of it, unless there is a quota already.
    ///
    /// **Errors**: `NotFound`, `NotDirectory`; `Unsupported` in a branch.
    pub async fn set_quota(
        &self,
        directory: &NsPath,
        limits: QuotaLimits,
    ) -> Result<Quota, Failure> {
        self.quota_call(Method::SetQuota(v1::SetQuotaRequest {
            context: Some(self.context()),
            directory: Some(target(directory)),
            limits: Some(wire::limits_to_wire(limits)),
        }))
        .await
    }

    /// Removes the quota of a directory. **Errors**: `NotFound`.
    pub async fn remove_quota(&self, directory: &NsPath) -> Result<Quota, Failure> {
        self.quota_call(Method::RemoveQuota(v1::RemoveQuotaRequest {
            context: Some(self.context()),
            directory: Some(target(directory)),
        }))
        .await
    }

    /// The quota of a directory itself. **Errors**: `NotFound`.
    pub async fn quota(&self, directory: &NsPath) -> Result<Quota, Failure> {
        self.quota_call(Method::GetQuota(v1::GetQuotaRequest {
            mount: self.view.mount.get(),
            directory: Some(target(directory)),
        }))
        .await
    }

    /// The quotas of the mount.
    pub async fn quotas(&self) -> Result<Vec<Quota>, Failure> {
        let method = Method::ListQuotas(v1::ListQuotasRequest {
            mount: self.view.mount.get(),
        });
        let transport = &self.shared.transport;
        let listed = transport.call(method, pick!(ListQuotas)).await?;
        listed.quotas.into_iter().map(wire::quota).collect()
    }

    /// Counts again what a quota has counted; the server reads all that is below.
    ///
    /// **Errors**: `NotFound`; `Conflict` while it is being counted the first time.
    pub async fn check_quota(&self, directory: &NsPath) -> Result<QuotaCheck, Failure> {
        let method = Method::CheckQuota(v1::CheckQuotaRequest {
            mount: self.view.mount.get(),
            directory: Some(target(directory)),
        });
        let transport = &self.shared.transport;
        wire::quota_check(transport.call(method, pick!(CheckQuota)).await?)
    }

    /// The room that is left for a file, or below a directory. **Errors**: as [`Client::lookup`].
    pub async fn room<'a>(&self, node: impl Into<Target<'a>>) -> Result<Room, Failure> {
        let method = Method::Room(v1::RoomRequest {
            view: Some(self.view_to_wire()),
            target: Some(wire::target_to_wire(node.into())),
        });
        let transport = &self.shared.transport;
        Ok(wire::room(transport.call(method, pick!(Room)).await?))
    }

    async fn quota_call(&self, method: Method) -> Result<Quota, Failure> {
        let transport = &self.shared.transport;
        let answer = transport.call(method, pick!(Quota)).await?;
        wire::quota(present("quota", answer.quota)?)
    }
}

fn target(path: &NsPath) -> v1::Target {
    wire::target_to_wire(Target::Path(path))
}
