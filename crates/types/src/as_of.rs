//! "As of when": how a person names a moment of the past.
//!
//! The three ways to say it can't be mixed up: a number is a version, a name begins with a letter,
//! everything else is a time.

use crate::{Failure, Reason, Version};
use std::fmt;
use std::sync::Arc;

/// Longest name of a snapshot, bytes.
pub const SNAPSHOT_NAME_BYTES_MAX: usize = 128;

/// The name of a snapshot: a letter, then letters, digits, `-`, `_` and `.`; at most
/// [`SNAPSHOT_NAME_BYTES_MAX`] bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SnapshotName(Arc<str>);

impl SnapshotName {
    /// The name that this text is. **Errors**: `InvalidName`.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let begins_well = text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
        if begins_well && text.len() <= SNAPSHOT_NAME_BYTES_MAX && text.bytes().all(legal) {
            return Ok(Self(text.into()));
        }
        Err(Failure::new(
            Reason::InvalidName,
            format!(
                "snapshot name {text:?} must be a letter, then letters, digits, '-', '_' or '.', \
                 at most {SNAPSHOT_NAME_BYTES_MAX} bytes"
            ),
        ))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A moment of the past.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum AsOf {
    /// A version.
    Version(Version),
    /// A snapshot.
    Snapshot(SnapshotName),
}

impl AsOf {
    /// Reads what a person wrote: the name of a snapshot, a version, or a time: RFC 3339
    /// (`2026-11-21T09:30:00Z`), `10m ago`, `-10m` (units `ms s m h d w`). A time means all that
    /// was committed up to and in its millisecond.
    ///
    /// **Errors**: `InvalidArgument`, saying what is understood.
    pub fn parse(text: &str, now_millis: u64) -> Result<Self, Failure> {
        let text = text.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return match text.parse() {
                Ok(bits) => Ok(Self::Version(Version::from_u64(bits))),
                Err(_) => Err(unclear(text)),
            };
        }
        if text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic) {
            return SnapshotName::parse(text).map(Self::Snapshot);
        }
        let millis = ago(text, now_millis).or_else(|| rfc3339_millis(text));
        let millis = millis.ok_or_else(|| unclear(text))?;
        Ok(Self::Version(Version::end_of_millis(millis)))
    }
}

fn unclear(text: &str) -> Failure {
    Failure::new(
        Reason::InvalidArgument,
        format!(
            "{text:?} is no moment; give the name of a snapshot, a version, or a time such as \
             2026-11-21T09:30:00Z, '10m ago' or -10m"
        ),
    )
}

/// `10m ago`, `-10m`.
fn ago(text: &str, now_millis: u64) -> Option<u64> {
    let span = match text.strip_prefix('-') {
        Some(span) => span,
        None => text.strip_suffix("ago")?,
    };
    now_millis.checked_sub(parse_span_millis(span.trim())?)
}

/// A span of time in milliseconds: a number and one of `ms s m h d w`, as `90s` or `2h`.
#[must_use]
pub fn parse_span_millis(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let millis = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 604_800_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(millis)
}

/// A time as RFC 3339 has it, with `T`, `t` or a space, seconds optional, a fraction optional, `Z`
/// or an offset. Milliseconds since 1970; parts of one are cut off.
#[must_use]
pub fn rfc3339_millis(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| digits.parse().ok())?
    };
    let sign = |at: usize, of: &str| text.get(at..=at).filter(|found| of.contains(*found));
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    sign(4, "-")?;
    sign(7, "-")?;
    sign(10, "Tt ")?;
    let (hour, minute) = (number(11, 13)?, number(14, 16)?);
    sign(13, ":")?;
    let (second, mut rest) = match sign(16, ":") {
        Some(_) => (number(17, 19)?, text.get(19..)?),
        None => (0, text.get(16..)?),
    };
    let mut millis = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        let (fraction, after) = fraction.split_at_checked(digits).filter(|_| digits > 0)?;
        let padded = format!("{fraction:0<3}");
        millis = padded.get(..3)?.parse::<i64>().ok()?;
        rest = after;
    }
    let offset = offset_minutes(rest)?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of_month = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    let valid = (1..=days_of_month).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    let days = days_since_1970(year, month, day);
    let minutes = (days * 24 + hour) * 60 + minute - offset;
    let total = (minutes * 60 + second) * 1000 + millis;
    u64::try_from(total).ok().filter(|_| valid)
}

/// `Z`, `z`, `+02:00`.
fn offset_minutes(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let number = |digits: &str| -> Option<i64> {
        let two = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        two.then(|| digits.parse().ok())?
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
///
/// **Source**: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn millis(text: &str) -> Option<u64> {
        match AsOf::parse(text, NOW) {
            Ok(AsOf::Version(version)) => Some(version.millis()),
            _ => None,
        }
    }

    #[test]
    fn times_are_read_as_written() {
        for (text, wanted) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:00:00Z", 951_825_600_000),
            ("2026-11-21T09:30:00.125Z", 1_795_253_400_125),
            ("2026-11-21T09:30:00.1259Z", 1_795_253_400_125),
            ("2026-11-21 11:30:00+02:00", 1_795_253_400_000),
            ("2026-11-21t04:30-05:00", 1_795_253_400_000),
            ("10m ago", NOW - 600_000),
            ("-10m", NOW - 600_000),
            ("90 s ago", NOW - 90_000),
            ("-2w", NOW - 1_209_600_000),
        ] {
            assert_eq!(millis(text), Some(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused_with_advice() {
        for text in [
            "",
            " ",
            "-",
            "-10",
            "-10x",
            "10m",
            "2026-02-29T00:00:00Z",
            "-99999999999999w",
            "2026-11-21",
            "2026-11-21T24:00:00Z",
            "2026-11-21T09:30:00",
            "2026-11-21T09:30:00.Z",
            "2026-11-21T09:30:00+2:00",
            "99999999999999999999",
            "1960-01-01T00:00:00Z",
            "a b",
            "2026-11-21T09:30:00Zß",
            "ß026-11-21T09:30:00Z",
        ] {
            assert!(AsOf::parse(text, NOW).is_err(), "{text}");
        }
    }

    #[test]
    fn names_versions_and_times_can_not_be_mixed_up() {
        let version = AsOf::Version(Version::from_u64(42));
        assert_eq!(AsOf::parse("42", NOW), Ok(version));
        let name = SnapshotName::parse("v1.0-rc_2").expect("a name");
        assert_eq!(AsOf::parse("v1.0-rc_2", NOW), Ok(AsOf::Snapshot(name)));
        for text in ["", "1a", "-a", ".a", "a/b", "a b", "ä", &"a".repeat(129)] {
            assert!(SnapshotName::parse(text).is_err(), "{text}");
        }
    }
}
