//! Shards and placement.

use nokv_namespace::{Placed, Placement, ShardStatus};
use nokv_proto::v1;
use nokv_types::{Failure, NodeId, Reason, ShardId, Version};

/// A shard for the wire.
#[must_use]
pub fn shard_to_wire(shard: &ShardStatus) -> v1::Shard {
    v1::Shard {
        shard: u32::from(shard.shard.get()),
        commands: shard.commands,
        version: shard.version.as_u64(),
        log_bytes: shard.log_bytes,
    }
}

/// A shard from the wire. **Errors**: `InvalidArgument`.
pub fn shard(message: &v1::Shard) -> Result<ShardStatus, Failure> {
    Ok(ShardStatus {
        shard: shard_id(message.shard)?,
        commands: message.commands,
        version: Version::from_u64(message.version),
        log_bytes: message.log_bytes,
    })
}

fn shard_id(number: u32) -> Result<ShardId, Failure> {
    u16::try_from(number).map(ShardId::new).map_err(|_| {
        Failure::new(
            Reason::InvalidArgument,
            format!("{number} is no number of a shard"),
        )
    })
}

/// A placement for the wire.
#[must_use]
pub const fn placement_to_wire(placement: Option<Placement>) -> i32 {
    let placement = match placement {
        None => v1::Placement::Unspecified,
        Some(Placement::Parent) => v1::Placement::Parent,
        Some(Placement::Spread) => v1::Placement::Spread,
        Some(Placement::LeastLoaded) => v1::Placement::LeastLoaded,
    };
    placement as i32
}

/// A placement from the wire. **Errors**: `Unsupported` for one that this program does not know.
pub fn placement(placement: i32) -> Result<Option<Placement>, Failure> {
    match v1::Placement::try_from(placement) {
        Ok(v1::Placement::Unspecified) => Ok(None),
        Ok(v1::Placement::Parent) => Ok(Some(Placement::Parent)),
        Ok(v1::Placement::Spread) => Ok(Some(Placement::Spread)),
        Ok(v1::Placement::LeastLoaded) => Ok(Some(Placement::LeastLoaded)),
        Err(_) => Err(Failure::new(
            Reason::Unsupported,
            format!("placement {placement} is not known here; use a newer version"),
        )),
    }
}

/// What is known of a directory's placement, for the wire.
#[must_use]
pub fn placed_to_wire(placed: &Placed) -> v1::PlacementResponse {
    v1::PlacementResponse {
        directory: placed.directory.as_u64(),
        shard: u32::from(placed.shard.get()),
        own: placement_to_wire(placed.own),
        effective: placement_to_wire(Some(placed.effective)),
    }
}

/// The same from the wire. **Errors**: `InvalidArgument`, `Unsupported`.
pub fn placed(message: &v1::PlacementResponse) -> Result<Placed, Failure> {
    Ok(Placed {
        directory: NodeId::from_u64(message.directory),
        shard: shard_id(message.shard)?,
        own: placement(message.own)?,
        effective: placement(message.effective)?.unwrap_or_default(),
    })
}
