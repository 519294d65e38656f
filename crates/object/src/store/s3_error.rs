//! What an S3 server's answer means, in one line that says what to do.
//!
//! The `object_store` crate keeps the status and the body of an answer in a private type, so they
//! are read from its text. Invariant: only the error *code* of an answer is ever repeated, never
//! its body, because the body of a signature error contains the signed request with its session
//! token.

use crate::Error;
use object_store::client::{HttpError, HttpErrorKind};
use std::error::Error as StdError;

/// What is known about a failed request.
#[derive(Debug, Default)]
struct Answer {
    status: Option<u16>,
    code: Option<String>,
    transport: Option<(HttpErrorKind, String)>,
    credentials: bool,
}

/// Says what a failed request means. `action` is like `store s3://bucket/key`, `endpoint` where it
/// went.
pub(crate) fn classify(action: &str, endpoint: &str, error: &object_store::Error) -> Error {
    let answer = read(error);
    if let Some((kind, cause)) = &answer.transport {
        return transport(action, endpoint, &answer, *kind, cause);
    }
    let code = answer.code.as_deref().unwrap_or("no code");
    let status = answer
        .status
        .map_or_else(|| "no status".to_owned(), |status| status.to_string());
    let said = format!("can't {action}: {endpoint} answered {status} {code}");
    match (code, answer.status) {
        ("NoSuchBucket", _) => {
            Error::NotFound(format!("{said}; create the bucket, or correct its name"))
        }
        ("InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "ExpiredToken", _)
        | (_, Some(401)) => Error::Unauthenticated(format!(
            "{said}; check the access key, the secret and their expiry"
        )),
        ("RequestTimeTooSkewed", _) => {
            Error::Unauthenticated(format!("{said}; set the clock of this machine"))
        }
        (
            "AuthorizationHeaderMalformed"
            | "PermanentRedirect"
            | "IllegalLocationConstraintException",
            _,
        )
        | (_, Some(301 | 307)) => Error::Invalid(format!(
            "{said}; the bucket is in another region: set the region"
        )),
        ("InvalidBucketName", _) => Error::Invalid(format!("{said}; correct the bucket's name")),
        ("QuotaExceeded" | "XMinioStorageFull" | "StorageFull", _) | (_, Some(507)) => {
            Error::NoSpace(format!("{said}; free space in the object store"))
        }
        (
            "SlowDown" | "RequestTimeout" | "Throttling" | "ServiceUnavailable" | "InternalError",
            _,
        )
        | (_, Some(408 | 429 | 500 | 502..=504)) => {
            Error::Unavailable(format!("{said}; try again later"))
        }
        (_, Some(403)) => Error::PermissionDenied(format!(
            "{said}; give these credentials read, write, list and delete rights on the bucket"
        )),
        (_, Some(404)) => Error::NotFound(format!("{said}; check the bucket and the endpoint")),
        (_, None) if answer.credentials => Error::Unauthenticated(format!(
            "can't {action}: no credentials; set AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY, or use ~/.aws/credentials"
        )),
        (_, None) => Error::Io(format!(
            "can't {action}: {endpoint}: {}",
            first_line(&error.to_string())
        )),
        _ => Error::Io(said),
    }
}

fn transport(
    action: &str,
    endpoint: &str,
    answer: &Answer,
    kind: HttpErrorKind,
    cause: &str,
) -> Error {
    if answer.credentials {
        return Error::Unauthenticated(format!(
            "can't {action}: no credentials, and this machine has no instance metadata; give an access key, \
             set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use ~/.aws/credentials"
        ));
    }
    match kind {
        HttpErrorKind::Connect => Error::Unavailable(format!(
            "can't {action}: can't connect to {endpoint}: {cause}; check the endpoint and that the server runs"
        )),
        HttpErrorKind::Timeout => Error::Unavailable(format!(
            "can't {action}: {endpoint} did not answer in time; check the endpoint and the network"
        )),
        _ => Error::Unavailable(format!(
            "can't {action}: the connection to {endpoint} broke: {cause}"
        )),
    }
}

/// Whether an error says that the range starts behind the end of the object.
pub(crate) fn is_range_error(error: &object_store::Error) -> bool {
    let answer = read(error);
    answer.status == Some(416) || answer.code.as_deref() == Some("InvalidRange")
}

/// Whether a 404 means the object rather than the bucket.
pub(crate) fn is_missing_object(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. })
        && read(error).code.as_deref() != Some("NoSuchBucket")
}

fn read(error: &object_store::Error) -> Answer {
    let mut answer = Answer::default();
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(current) = next {
        let text = current.to_string();
        answer.credentials |= text.contains("latest/api/token") || text.contains("credential");
        answer.status = answer
            .status
            .or_else(|| number_after(&text, "status code: "));
        answer.code = answer.code.take().or_else(|| code_in(&text));
        if let Some(http) = current.downcast_ref::<HttpError>() {
            answer.transport = Some((http.kind(), root_cause(http)));
        }
        if text.contains("redirect without LOCATION") {
            answer.status = Some(301);
        }
        next = current.source();
    }
    answer
}

/// The last cause: "Connection refused (os error 111)" rather than "error sending request".
fn root_cause(error: &HttpError) -> String {
    let mut cause: &dyn StdError = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    first_line(&cause.to_string())
}

fn number_after(text: &str, mark: &str) -> Option<u16> {
    let (_, rest) = text.split_once(mark)?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// The code in an S3 error document; only if it looks like one.
fn code_in(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let is_code = code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_code.then(|| code.to_owned())
}

fn first_line(text: &str) -> String {
    text.lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(200)
        .collect()
}
