//! Failures as gRPC statuses.
//!
//! The code is the coarse one that generic clients and proxies know; the reason itself, which is
//! finer and stable, travels as `google.rpc.ErrorInfo` with the domain `nokv`, and a `RetryInfo`
//! tells generic clients what may be repeated.

use nokv_types::{Class, Failure, Reason};
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The domain of our reasons in `google.rpc.ErrorInfo`.
const DOMAIN: &str = "nokv";
/// What a generic client waits before it repeats: our own clients know better.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// The status of a failed call.
pub(crate) fn status(failure: &Failure) -> Status {
    let reason = failure.reason();
    let class = format!("{:?}", reason.class());
    let metadata = [
        ("class".to_owned(), class),
        ("number".to_owned(), reason.number().to_string()),
    ];
    let mut details = ErrorDetails::new();
    details.set_error_info(reason.code(), DOMAIN, metadata);
    if failure.is_retryable() {
        details.set_retry_info(Some(RETRY_AFTER));
    }
    Status::with_error_details(code(reason), failure.message(), details)
}

/// The code of a reason: by its class, but where gRPC has a name of its own for it.
fn code(reason: Reason) -> Code {
    match reason {
        Reason::AlreadyExists => Code::AlreadyExists,
        Reason::PermissionDenied => Code::PermissionDenied,
        Reason::Unauthenticated => Code::Unauthenticated,
        Reason::DeadlineExceeded => Code::DeadlineExceeded,
        Reason::Overloaded => Code::ResourceExhausted,
        Reason::Unsupported => Code::Unimplemented,
        Reason::Compacted => Code::OutOfRange,
        Reason::Conflict => Code::Aborted,
        _ => match reason.class() {
            Class::Invalid => Code::InvalidArgument,
            Class::NotFound => Code::NotFound,
            Class::Conflict | Class::Fenced => Code::FailedPrecondition,
            Class::Retry => Code::Unavailable,
            Class::Exhausted => Code::ResourceExhausted,
            Class::OutcomeUnknown => Code::Unknown,
            Class::Corrupt => Code::DataLoss,
            Class::Io => Code::Internal,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::status;
    use nokv_types::{Failure, Reason};
    use tonic_types::StatusExt;

    #[test]
    fn every_reason_comes_back_by_its_name() {
        for reason in Reason::ALL {
            let failure = Failure::new(*reason, "what, on what, what to do");
            let status = status(&failure);
            assert_eq!(status.message(), failure.message());
            let info = status.get_details_error_info().expect("an ErrorInfo");
            assert_eq!(info.reason, reason.code());
            assert_eq!(info.metadata["number"], reason.number().to_string());
            let is_retryable = status.get_details_retry_info().is_some();
            assert_eq!(is_retryable, failure.is_retryable(), "{reason:?}");
            assert_ne!(status.code(), tonic::Code::Ok);
        }
    }
}
