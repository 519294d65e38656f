//! What can go wrong, told so that a caller can act.
//!
//! A [`Reason`] is what happened (stable, machine-readable, the same through every door); its
//! [`Class`] is what the caller does about it. The message is one line for a person and says what
//! to do. Lower crates have error types of their own and become a `Failure` at the namespace.

use std::fmt;

/// What the caller does about a failure.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Class {
    /// The request is wrong as it stands: change it.
    Invalid,
    /// What it names does not exist.
    NotFound,
    /// The state does not allow it, or changed under it: look again, then decide.
    Conflict,
    /// The caller may not, or no longer.
    Fenced,
    /// Passing trouble: the same request may succeed later.
    Retry,
    /// A limit or a resource is used up.
    Exhausted,
    /// It may or may not have happened: repeat with the same request id to learn which.
    OutcomeUnknown,
    /// Stored bytes are not what was written.
    Corrupt,
    /// The operating system or the object store failed.
    Io,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $code:literal, $class:ident;)*) => {
        /// What happened. The number and the code are part of the wire protocol and never change.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason, for tables and tests.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The stable code, as in JSON output.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The stable number, as on the wire.
            #[must_use]
            pub const fn number(self) -> u32 {
                match self { $(Self::$name => $number,)* }
            }

            /// The reason with this number; `None` for a number of a newer version.
            #[must_use]
            pub const fn from_number(number: u32) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }

            /// What the caller does about it.
            #[must_use]
            pub const fn class(self) -> Class {
                match self { $(Self::$name => Class::$class,)* }
            }
        }
    };
}

reasons! {
    /// An argument is out of its documented range.
    InvalidArgument = 1, "InvalidArgument", Invalid;
    /// A path is relative, has `..` or a NUL byte.
    InvalidPath = 2, "InvalidPath", Invalid;
    /// A name is empty, reserved, or has `/` or a NUL byte.
    InvalidName = 3, "InvalidName", Invalid;
    /// A name is over its limit.
    NameTooLong = 4, "NameTooLong", Invalid;
    /// A path is over its limit.
    PathTooLong = 5, "PathTooLong", Invalid;
    /// A component of the path, or the node, is not a directory.
    NotDirectory = 6, "NotDirectory", Conflict;
    /// The node is a directory where a file is needed.
    IsDirectory = 7, "IsDirectory", Conflict;
    /// Symbolic links lead in a circle, or too far.
    SymlinkLoop = 8, "SymlinkLoop", Invalid;
    /// The operation would cross a boundary it can't (POSIX `EXDEV`).
    CrossesBoundary = 9, "CrossesBoundary", Invalid;
    /// The operation is not possible on this kind of node, or on the root.
    NotPermitted = 10, "NotPermitted", Invalid;
    /// A message, page, batch or value is over its limit.
    TooLarge = 11, "TooLarge", Invalid;
    /// Not offered by this server or store.
    Unsupported = 12, "Unsupported", Invalid;
    /// No such path, node, attribute, snapshot, branch or mount.
    NotFound = 20, "NotFound", NotFound;
    /// The name is taken.
    AlreadyExists = 30, "AlreadyExists", Conflict;
    /// The directory has entries.
    NotEmpty = 31, "NotEmpty", Conflict;
    /// The body is not of the expected generation.
    StaleGeneration = 32, "StaleGeneration", Conflict;
    /// The state changed under the operation, again and again.
    Conflict = 33, "Conflict", Conflict;
    /// A request id was used before for another request.
    RequestReused = 34, "RequestReused", Conflict;
    /// Somebody else has it: a lock, a store directory.
    Busy = 35, "Busy", Conflict;
    /// Waiting for the lock would never end: its holders wait for the caller.
    Deadlock = 36, "Deadlock", Conflict;
    /// The session has expired: blocks of an upload session may be gone, locks and open files of a
    /// client session are.
    SessionExpired = 40, "SessionExpired", Fenced;
    /// The snapshot's lease has expired.
    SnapshotExpired = 41, "SnapshotExpired", Fenced;
    /// The version or cursor is older than what is retained.
    Compacted = 42, "Compacted", Fenced;
    /// The caller lacks the right.
    PermissionDenied = 43, "PermissionDenied", Fenced;
    /// The caller is not known.
    Unauthenticated = 44, "Unauthenticated", Fenced;
    /// The server has been started anew and must be told first what the client session holds.
    Unannounced = 45, "Unannounced", Fenced;
    /// The server or the object store can't be reached now.
    Unavailable = 50, "Unavailable", Retry;
    /// The deadline passed before the work began.
    DeadlineExceeded = 51, "DeadlineExceeded", Retry;
    /// Too much is under way: come back later.
    Overloaded = 52, "Overloaded", Retry;
    /// The disk or the object store is full.
    NoSpace = 60, "NoSpace", Exhausted;
    /// A quota would be exceeded.
    QuotaExceeded = 61, "QuotaExceeded", Exhausted;
    /// The connection broke, or a sync failed, after the request was sent.
    OutcomeUnknown = 70, "OutcomeUnknown", OutcomeUnknown;
    /// Bytes do not match their checksum or digest; never returned as data.
    DigestMismatch = 80, "DigestMismatch", Corrupt;
    /// A record or file of the store can't be decoded.
    Corrupt = 81, "Corrupt", Corrupt;
    /// A block that a body needs is not in the object store.
    MissingBlock = 82, "MissingBlock", Corrupt;
    /// Any other failure of the operating system or the object store.
    Io = 90, "Io", Io;
}

/// A failed operation: it changed nothing unless its class is [`Class::OutcomeUnknown`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    reason: Reason,
    message: String,
}

impl Failure {
    /// A failure with a one-line message: what failed, on what, and what to do.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }

    /// What happened.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// What the caller does about it.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.reason.class()
    }

    /// The line for a person.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether the same request may succeed later as it is.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self.class(), Class::Retry)
    }

    /// The same failure, saying where it came from: `context: message`.
    #[must_use]
    pub fn context(self, context: impl fmt::Display) -> Self {
        Self {
            reason: self.reason,
            message: format!("{context}: {}", self.message),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::Reason;
    use std::collections::HashSet;

    #[test]
    fn numbers_and_codes_are_unique_and_round_trip() {
        let numbers: HashSet<_> = Reason::ALL.iter().map(|reason| reason.number()).collect();
        let codes: HashSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(numbers.len(), Reason::ALL.len());
        assert_eq!(codes.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            assert_eq!(Reason::from_number(reason.number()), Some(*reason));
        }
        assert_eq!(Reason::from_number(0), None);
    }
}
