//! Quotas.

use super::changes::context;
use super::reads::view;
use super::store::Inner;
use crate::wire;
use nokv_namespace::Quota;
use nokv_proto::v1::{self, response::Result as Answer};
use nokv_types::{Failure, MountId};

pub(super) fn set(inner: &Inner, ask: v1::SetQuotaRequest) -> Result<Answer, Failure> {
    let context = context(inner, ask.context)?;
    let directory = wire::target("directory", ask.directory)?;
    let limits = wire::limits(ask.limits);
    inner
        .namespace
        .set_quota(&context, &directory, limits)
        .map(|quota| answer(&quota))
}

pub(super) fn remove(inner: &Inner, ask: v1::RemoveQuotaRequest) -> Result<Answer, Failure> {
    let context = context(inner, ask.context)?;
    let directory = wire::target("directory", ask.directory)?;
    inner
        .namespace
        .remove_quota(&context, &directory)
        .map(|quota| answer(&quota))
}

pub(super) fn get(inner: &Inner, ask: v1::GetQuotaRequest) -> Result<Answer, Failure> {
    let mount = inner.mount_or_default(MountId::new(ask.mount));
    let directory = wire::target("directory", ask.directory)?;
    inner
        .namespace
        .quota(mount, &directory)
        .map(|quota| answer(&quota))
}

pub(super) fn list(inner: &Inner, ask: v1::ListQuotasRequest) -> Result<Answer, Failure> {
    let mount = inner.mount_or_default(MountId::new(ask.mount));
    let quotas = inner.namespace.quotas(mount)?;
    let quotas = quotas.iter().map(wire::quota_to_wire).collect();
    Ok(Answer::ListQuotas(v1::ListQuotasResponse { quotas }))
}

pub(super) fn check(inner: &Inner, ask: v1::CheckQuotaRequest) -> Result<Answer, Failure> {
    let mount = inner.mount_or_default(MountId::new(ask.mount));
    let directory = wire::target("directory", ask.directory)?;
    let check = inner.namespace.check_quota(mount, &directory)?;
    Ok(Answer::CheckQuota(v1::CheckQuotaResponse {
        version: check.version.as_u64(),
        counted: Some(wire::quota_usage_to_wire(check.counted)),
        recounted: Some(wire::quota_usage_to_wire(check.recounted)),
    }))
}

pub(super) fn room(inner: &Inner, ask: v1::RoomRequest) -> Result<Answer, Failure> {
    let target = wire::target("target", ask.target)?;
    let room = inner.namespace.room(&view(inner, ask.view)?, &target)?;
    Ok(Answer::Room(wire::room_to_wire(room)))
}

fn answer(quota: &Quota) -> Answer {
    Answer::Quota(v1::QuotaResponse {
        quota: Some(wire::quota_to_wire(quota)),
    })
}
