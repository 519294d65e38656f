//! Quotas.

use nokv_namespace::{Left, Quota, QuotaCheck, QuotaLimits, QuotaState, QuotaUsage, Room};
use nokv_proto::{path_from_wire, present, v1};
use nokv_types::{Failure, NodeId, Version};

/// Limits for the wire.
#[must_use]
pub const fn limits_to_wire(limits: QuotaLimits) -> v1::QuotaAmounts {
    v1::QuotaAmounts {
        bytes: limits.bytes,
        inodes: limits.inodes,
    }
}

/// Limits from the wire; unset: none.
#[must_use]
pub fn limits(message: Option<v1::QuotaAmounts>) -> QuotaLimits {
    let message = message.unwrap_or_default();
    QuotaLimits {
        bytes: message.bytes,
        inodes: message.inodes,
    }
}

/// A usage for the wire.
#[must_use]
pub const fn quota_usage_to_wire(usage: QuotaUsage) -> v1::QuotaAmounts {
    v1::QuotaAmounts {
        bytes: Some(usage.bytes),
        inodes: Some(usage.inodes),
    }
}

fn usage(message: Option<v1::QuotaAmounts>) -> QuotaUsage {
    let message = message.unwrap_or_default();
    QuotaUsage {
        bytes: message.bytes.unwrap_or(0),
        inodes: message.inodes.unwrap_or(0),
    }
}

/// A quota for the wire.
#[must_use]
pub fn quota_to_wire(quota: &Quota) -> v1::Quota {
    v1::Quota {
        directory: quota.directory.as_u64(),
        path: quota
            .path
            .as_ref()
            .map_or_else(Default::default, |path| path.to_bytes().into()),
        limits: Some(limits_to_wire(quota.limits)),
        used: Some(quota_usage_to_wire(quota.usage)),
        counting: quota.state == QuotaState::Counting,
    }
}

/// A quota from the wire. **Errors**: those of a path.
pub fn quota(message: v1::Quota) -> Result<Quota, Failure> {
    let path = match message.path.is_empty() {
        true => None,
        false => Some(path_from_wire(&message.path)?),
    };
    Ok(Quota {
        directory: NodeId::from_u64(message.directory),
        path,
        limits: limits(message.limits),
        usage: usage(message.used),
        state: match message.counting {
            true => QuotaState::Counting,
            false => QuotaState::Active,
        },
    })
}

/// Both counts of a quota, from the wire. **Errors**: `InvalidArgument`.
pub fn quota_check(message: v1::CheckQuotaResponse) -> Result<QuotaCheck, Failure> {
    present("counted", message.counted)?;
    Ok(QuotaCheck {
        version: Version::from_u64(message.version),
        counted: usage(message.counted),
        recounted: usage(message.recounted),
    })
}

/// Room for the wire.
#[must_use]
pub fn room_to_wire(room: Room) -> v1::RoomResponse {
    let limit = |left: Option<Left>| left.map(|left| left.limit);
    let free = |left: Option<Left>| left.map(|left| left.free);
    v1::RoomResponse {
        limits: Some(v1::QuotaAmounts {
            bytes: limit(room.bytes),
            inodes: limit(room.inodes),
        }),
        free: Some(v1::QuotaAmounts {
            bytes: free(room.bytes),
            inodes: free(room.inodes),
        }),
    }
}

/// Room from the wire.
#[must_use]
pub fn room(message: v1::RoomResponse) -> Room {
    let (limits, free) = (
        message.limits.unwrap_or_default(),
        message.free.unwrap_or_default(),
    );
    let left = |limit: Option<u64>, free: Option<u64>| {
        limit.map(|limit| Left {
            limit,
            free: free.unwrap_or(0),
        })
    };
    Room {
        bytes: left(limits.bytes, free.bytes),
        inodes: left(limits.inodes, free.inodes),
    }
}
