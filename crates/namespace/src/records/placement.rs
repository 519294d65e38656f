//! The byte that says where new directories go.

use crate::Placement;
use nokv_shard::codec::{Decoder, Malformed};

/// The byte of what is set, 0 for nothing.
pub(super) const fn encode_placement(placement: Option<Placement>) -> u8 {
    match placement {
        None => 0,
        Some(Placement::Parent) => 1,
        Some(Placement::Spread) => 2,
        Some(Placement::LeastLoaded) => 3,
    }
}

pub(super) fn decode_placement(decoder: &mut Decoder<'_>) -> Result<Option<Placement>, Malformed> {
    Ok(match decoder.u8("placement")? {
        0 => None,
        1 => Some(Placement::Parent),
        2 => Some(Placement::Spread),
        3 => Some(Placement::LeastLoaded),
        byte => return Err(decoder.malformed("placement 0 to 3", byte)),
    })
}
