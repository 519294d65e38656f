//! Which number the kernel gets for which reason: the one table of the mount.
//!
//! Invariant: every reason has its row; what an application can act on keeps its POSIX name, what
//! it cannot is `EIO`.

use fuser::Errno;
use nokv_types::{Failure, Reason};

/// The number of a failure.
///
/// | reason | number | why this one |
/// |---|---|---|
/// | a name or path that is too long | `ENAMETOOLONG` | |
/// | what can't be on this kind of node | `EPERM` | as link(2) of a directory |
/// | a body that was replaced meanwhile, a session or snapshot that ended | `ESTALE` | open it again |
/// | quota | `EDQUOT` | and not `ENOSPC`: another directory may have room |
/// | trouble that outlasted the patience of the mount | `EIO` | `EAGAIN` means something else for files |
pub(crate) fn of_failure(failure: &Failure) -> Errno {
    let errno = of_reason(failure.reason());
    if errno.code() == Errno::EIO.code() {
        tracing::warn!(%failure, "an operation failed");
    }
    errno
}

fn of_reason(reason: Reason) -> Errno {
    match reason {
        Reason::InvalidArgument | Reason::InvalidPath | Reason::InvalidName => Errno::EINVAL,
        Reason::NameTooLong | Reason::PathTooLong => Errno::ENAMETOOLONG,
        Reason::NotDirectory => Errno::ENOTDIR,
        Reason::IsDirectory => Errno::EISDIR,
        Reason::SymlinkLoop => Errno::ELOOP,
        Reason::CrossesBoundary => Errno::EXDEV,
        Reason::NotPermitted => Errno::EPERM,
        Reason::TooLarge => Errno::E2BIG,
        Reason::Unsupported => Errno::EOPNOTSUPP,
        Reason::NotFound => Errno::ENOENT,
        Reason::AlreadyExists => Errno::EEXIST,
        Reason::NotEmpty => Errno::ENOTEMPTY,
        Reason::Deadlock => Errno::EDEADLK,
        Reason::StaleGeneration
        | Reason::SessionExpired
        | Reason::Unannounced
        | Reason::SnapshotExpired
        | Reason::Compacted => Errno::ESTALE,
        Reason::Busy => Errno::EBUSY,
        Reason::PermissionDenied | Reason::Unauthenticated => Errno::EACCES,
        Reason::NoSpace => Errno::ENOSPC,
        Reason::QuotaExceeded => Errno::EDQUOT,
        Reason::Conflict
        | Reason::RequestReused
        | Reason::Unavailable
        | Reason::DeadlineExceeded
        | Reason::Overloaded
        | Reason::OutcomeUnknown
        | Reason::DigestMismatch
        | Reason::Corrupt
        | Reason::MissingBlock
        | Reason::Io => Errno::EIO,
    }
}

#[cfg(test)]
mod tests {
    use super::of_reason;
    use fuser::Errno;
    use nokv_types::{Class, Reason};

    #[test]
    fn what_an_application_can_act_on_is_no_io_error() {
        for reason in Reason::ALL {
            let is_io = of_reason(*reason).code() == Errno::EIO.code();
            let may_be_io = matches!(
                reason.class(),
                Class::Conflict | Class::Retry | Class::OutcomeUnknown | Class::Corrupt | Class::Io
            );
            assert!(!is_io || may_be_io, "{reason:?}");
        }
    }
}
