//! From the errors of the layers below to [`Failure`].

use nokv_shard::codec::Malformed;
use nokv_shard::{Error, Key};
use nokv_types::{Failure, Reason};

/// What to do about damage.
const RESTORE: &str = "restore the store's directory from a copy";

/// A failure of the shard or the engine. `CheckFailed` never gets here: operations plan again.
pub(crate) fn from_shard(error: Error) -> Failure {
    let reason = match &error {
        Error::CheckFailed { .. } => Reason::Conflict,
        Error::RequestReused => Reason::RequestReused,
        Error::TooLarge(_) => Reason::TooLarge,
        Error::NoSpace(_) => Reason::NoSpace,
        Error::Refused(_) => Reason::Unavailable,
        Error::OutcomeUnknown(_) => Reason::OutcomeUnknown,
        Error::Busy(_) => Reason::Busy,
        Error::Corrupt { .. } => Reason::Corrupt,
        Error::Io(_) => Reason::Io,
    };
    let message = match reason {
        Reason::Corrupt => format!("{error}; {RESTORE}"),
        _ => error.to_string(),
    };
    Failure::new(reason, message)
}

/// A failure of an engine read.
pub(crate) fn from_engine(error: nokv_engine::Error) -> Failure {
    from_shard(error.into())
}

/// A record that can't be read.
pub(crate) fn malformed(key: &Key, flaw: &Malformed) -> Failure {
    from_shard(Error::malformed(key, flaw))
}

/// Two records that contradict each other.
pub(crate) fn contradiction(what: impl Into<String>) -> Failure {
    let what = what.into();
    Failure::new(Reason::Corrupt, format!("{what}; {RESTORE}"))
}

/// An argument out of range.
pub(crate) fn invalid(what: impl Into<String>) -> Failure {
    Failure::new(Reason::InvalidArgument, what)
}
