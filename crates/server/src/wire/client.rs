//! Client sessions and locks.

use nokv_namespace::{
    Announcement, AnnouncementEnd, Asker, ClientPhase, ClientSession, HeldLock, LockFamily,
    LockKind, LockOutcome, LockOwner, LockPlace, LockRange, LostClaims, WantedLock,
};
use nokv_proto::{invalid, present, v1};
use nokv_types::{BranchId, ClientId, Failure, NodeId};

/// A session for the wire.
#[must_use]
pub fn client_to_wire(session: &ClientSession) -> v1::ClientSession {
    v1::ClientSession {
        client: session.id.get(),
        label: session.label.clone(),
        ttl_ms: session.ttl_ms,
        left_ms: session.left_ms,
        open_count: session.open_count,
        unannounced: session.phase == ClientPhase::Unannounced,
        incarnation: session.incarnation,
    }
}

/// A session from the wire.
#[must_use]
pub fn client(message: v1::ClientSession) -> ClientSession {
    ClientSession {
        id: ClientId::new(message.client),
        label: message.label,
        ttl_ms: message.ttl_ms,
        left_ms: message.left_ms,
        open_count: message.open_count,
        phase: match message.unannounced {
            true => ClientPhase::Unannounced,
            false => ClientPhase::Live,
        },
        incarnation: message.incarnation,
    }
}

/// Who asks, for the wire.
#[must_use]
pub const fn asker_to_wire(asker: Asker) -> v1::Asker {
    v1::Asker {
        client: asker.client.get(),
        number: asker.number,
        answered_below: asker.answered_below,
    }
}

/// Who asks. **Errors**: `InvalidArgument`.
pub fn asker(message: Option<v1::Asker>) -> Result<Asker, Failure> {
    let message = present("asker", message)?;
    Ok(Asker {
        client: ClientId::new(message.client),
        number: message.number,
        answered_below: message.answered_below,
    })
}

/// An open node for the wire.
#[must_use]
pub const fn open_node_to_wire(branch: BranchId, node: NodeId) -> v1::OpenNode {
    v1::OpenNode {
        branch: branch.get(),
        node: node.as_u64(),
    }
}

/// An open node.
#[must_use]
pub const fn open_node(message: v1::OpenNode) -> (BranchId, NodeId) {
    let branch = BranchId::new(message.branch);
    (branch, NodeId::from_u64(message.node))
}

/// A lock that somebody wants, for the wire.
#[must_use]
pub fn lock_to_wire(wanted: &WantedLock) -> v1::Lock {
    v1::Lock {
        branch: wanted.place.branch.get(),
        node: wanted.place.node.as_u64(),
        family: match wanted.place.family {
            LockFamily::Whole => v1::LockFamily::Whole.into(),
            LockFamily::Range => v1::LockFamily::Range.into(),
        },
        owner: wanted.place.owner,
        process: wanted.process,
        kind: match wanted.kind {
            LockKind::Shared => v1::LockKind::Shared.into(),
            LockKind::Exclusive => v1::LockKind::Exclusive.into(),
        },
        start: wanted.range.start(),
        end: wanted.range.end(),
    }
}

/// A lock that somebody wants. **Errors**: `InvalidArgument`.
pub fn lock(message: Option<v1::Lock>) -> Result<WantedLock, Failure> {
    let message = present("lock", message)?;
    let (place, range) = lock_place(&message)?;
    let kind = match v1::LockKind::try_from(message.kind) {
        Ok(v1::LockKind::Shared) => LockKind::Shared,
        Ok(v1::LockKind::Exclusive) => LockKind::Exclusive,
        Ok(v1::LockKind::Unspecified) | Err(_) => {
            return Err(invalid("lock.kind", "is neither shared nor exclusive"));
        }
    };
    Ok(WantedLock {
        place,
        process: message.process,
        kind,
        range,
    })
}

/// Where a lock is, and of which bytes. **Errors**: `InvalidArgument`.
pub fn lock_place(message: &v1::Lock) -> Result<(LockPlace, LockRange), Failure> {
    let family = match v1::LockFamily::try_from(message.family) {
        Ok(v1::LockFamily::Whole) => LockFamily::Whole,
        Ok(v1::LockFamily::Range) => LockFamily::Range,
        Ok(v1::LockFamily::Unspecified) | Err(_) => {
            return Err(invalid("lock.family", "is neither whole nor range"));
        }
    };
    let place = LockPlace {
        branch: BranchId::new(message.branch),
        node: NodeId::from_u64(message.node),
        family,
        owner: message.owner,
    };
    Ok((place, LockRange::new(message.start, message.end)?))
}

/// A lock that somebody holds at a place, for the wire.
#[must_use]
pub fn held_lock_to_wire(place: LockPlace, held: &HeldLock) -> v1::HeldLock {
    let owner = held.owner.number;
    let lock = WantedLock {
        place: LockPlace { owner, ..place },
        process: held.process,
        kind: held.kind,
        range: held.range,
    };
    v1::HeldLock {
        client: held.owner.client.get(),
        lock: Some(lock_to_wire(&lock)),
    }
}

/// A lock that somebody holds. **Errors**: `InvalidArgument`.
pub fn held_lock(message: v1::HeldLock) -> Result<HeldLock, Failure> {
    let wanted = lock(message.lock)?;
    Ok(HeldLock {
        owner: LockOwner {
            client: ClientId::new(message.client),
            number: wanted.place.owner,
        },
        process: wanted.process,
        kind: wanted.kind,
        range: wanted.range,
    })
}

/// What came of asking for a lock at a place, for the wire.
#[must_use]
pub fn lock_outcome_to_wire(place: LockPlace, outcome: &LockOutcome) -> v1::LockResponse {
    let (outcome, held) = match outcome {
        LockOutcome::Granted => (v1::LockOutcome::Granted, None),
        LockOutcome::Held(held) => {
            let held = held_lock_to_wire(place, held);
            (v1::LockOutcome::Held, Some(held))
        }
        LockOutcome::Waiting => (v1::LockOutcome::Waiting, None),
    };
    v1::LockResponse {
        outcome: outcome.into(),
        held,
    }
}

/// What came of asking for a lock. **Errors**: `InvalidArgument`.
pub fn lock_outcome(message: v1::LockResponse) -> Result<LockOutcome, Failure> {
    match v1::LockOutcome::try_from(message.outcome) {
        Ok(v1::LockOutcome::Granted) => Ok(LockOutcome::Granted),
        Ok(v1::LockOutcome::Held) => {
            let held = held_lock(present("held", message.held)?)?;
            Ok(LockOutcome::Held(held))
        }
        Ok(v1::LockOutcome::Waiting) => Ok(LockOutcome::Waiting),
        Ok(v1::LockOutcome::Unspecified) | Err(_) => {
            Err(invalid("outcome", "is none that is known"))
        }
    }
}

/// What a session still has, for the wire.
#[must_use]
pub fn announcement_to_wire(
    (client, incarnation): (ClientId, u64),
    claims: &Announcement,
    end: AnnouncementEnd,
) -> v1::AnnounceClientRequest {
    let opens = claims.opens.iter();
    v1::AnnounceClientRequest {
        client: client.get(),
        incarnation,
        opens: opens
            .map(|(branch, node)| open_node_to_wire(*branch, *node))
            .collect(),
        locks: claims.locks.iter().map(lock_to_wire).collect(),
        more: end == AnnouncementEnd::MoreFollows,
    }
}

/// What a session still has. **Errors**: `InvalidArgument`.
pub fn announcement(
    message: v1::AnnounceClientRequest,
) -> Result<((ClientId, u64), Announcement, AnnouncementEnd), Failure> {
    let locks = message.locks.into_iter().map(|found| lock(Some(found)));
    let claims = Announcement {
        opens: message.opens.into_iter().map(open_node).collect(),
        locks: locks.collect::<Result<_, _>>()?,
    };
    let end = match message.more {
        true => AnnouncementEnd::MoreFollows,
        false => AnnouncementEnd::Complete,
    };
    let session = (ClientId::new(message.client), message.incarnation);
    Ok((session, claims, end))
}

/// What a session does not have any more, for the wire.
#[must_use]
pub fn lost_claims_to_wire(lost: &LostClaims) -> v1::AnnounceClientResponse {
    let opens = lost.opens.iter();
    v1::AnnounceClientResponse {
        opens: opens
            .map(|(branch, node)| open_node_to_wire(*branch, *node))
            .collect(),
        locks: lost.locks.iter().map(lock_to_wire).collect(),
    }
}

/// What a session does not have any more. **Errors**: `InvalidArgument`.
pub fn lost_claims(message: v1::AnnounceClientResponse) -> Result<LostClaims, Failure> {
    let locks = message.locks.into_iter().map(|found| lock(Some(found)));
    Ok(LostClaims {
        opens: message.opens.into_iter().map(open_node).collect(),
        locks: locks.collect::<Result<_, _>>()?,
    })
}
