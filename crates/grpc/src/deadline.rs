//! How long a caller waits: `grpc-timeout`, as milliseconds for the handler.
//!
//! Tonic drops a call whose time is over; the handler must know it too, so that work which has not
//! begun by then does not begin.

use std::time::Duration;
use tonic::metadata::MetadataMap;

/// The header (gRPC over HTTP/2, "Timeout").
const HEADER: &str = "grpc-timeout";
/// Digits that the header may have.
const DIGITS_MAX: usize = 8;

/// Milliseconds that the caller waits, rounded up; 0 without a limit, and for what can't be read.
pub(crate) fn deadline_ms(metadata: &MetadataMap) -> u32 {
    let header = metadata.get(HEADER).and_then(|value| value.to_str().ok());
    let Some(timeout) = header.and_then(parse) else {
        return 0;
    };
    let ms = timeout.as_micros().div_ceil(1000);
    u32::try_from(ms).unwrap_or(u32::MAX).max(1)
}

fn parse(header: &str) -> Option<Duration> {
    let (digits, unit) = header.split_at_checked(header.len().checked_sub(1)?)?;
    let is_number = (1..=DIGITS_MAX).contains(&digits.len());
    let number: u64 = digits.parse().ok().filter(|_| is_number)?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::deadline_ms;
    use tonic::metadata::MetadataMap;

    #[test]
    fn every_unit_is_understood_and_nonsense_is_no_limit() {
        let table = [
            ("1S", 1000),
            ("2500m", 2500),
            ("1n", 1),
            ("1001u", 2),
            ("2M", 120_000),
            ("99999999H", u32::MAX),
            ("0m", 1),
            ("", 0),
            ("S", 0),
            ("5x", 0),
            ("123456789S", 0),
            ("-1S", 0),
            ("5\u{20ac}", 0),
        ];
        for (header, ms) in table {
            let mut metadata = MetadataMap::new();
            if let Ok(value) = header.parse() {
                metadata.insert("grpc-timeout", value);
            }
            assert_eq!(deadline_ms(&metadata), ms, "{header}");
        }
        assert_eq!(deadline_ms(&MetadataMap::new()), 0);
    }
}
