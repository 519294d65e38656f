//! Numbers, times and modes as a person reads them.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use nokv_types::{Attributes, NodeKind, TimeNanos};

/// Bytes in binary units with one digit behind the point: `0 B`, `4.0 KiB`, `1.5 GiB`.
pub(crate) fn human_bytes(bytes: u64) -> String {
    bytesize::ByteSize::b(bytes).display().iec().to_string()
}

/// The time of milliseconds since 1970.
pub(crate) fn time(millis: u64) -> TimeNanos {
    let nanos = i64::try_from(millis).map_or(i64::MAX, |millis| millis.saturating_mul(1_000_000));
    TimeNanos::new(nanos)
}

/// A time to the minute in the local zone: `2026-11-21 04:30`.
pub(crate) fn minute(time: TimeNanos) -> String {
    format_local(time, "%Y-%m-%d %H:%M")
}

/// A time to the nanosecond in the local zone, with the zone.
pub(crate) fn nanosecond(time: TimeNanos) -> String {
    format_local(time, "%Y-%m-%d %H:%M:%S.%9f %:z")
}

/// A time for programs: RFC 3339 in UTC, to the nanosecond where it has them.
pub(crate) fn rfc3339(time: TimeNanos) -> String {
    timestamp(time).to_string()
}

fn format_local(time: TimeNanos, format: &str) -> String {
    timestamp(time)
        .to_zoned(TimeZone::system())
        .strftime(format)
        .to_string()
}

fn timestamp(time: TimeNanos) -> Timestamp {
    // 64 bits of nanoseconds span the years 1677 to 2262, jiff's the years -9999 to 9999.
    Timestamp::from_nanosecond(i128::from(time.get())).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Kind and permissions as `ls -l` shows them: `drwxr-xr-x`.
pub(crate) fn mode(attributes: &Attributes) -> String {
    let bit = |mask: u32, letter: char| {
        if attributes.mode & mask != 0 {
            letter
        } else {
            '-'
        }
    };
    let special = |execute: u32, mask: u32, letter: char| match (
        attributes.mode & mask != 0,
        attributes.mode & execute != 0,
    ) {
        (false, false) => '-',
        (false, true) => 'x',
        (true, true) => letter,
        (true, false) => letter.to_ascii_uppercase(),
    };
    [
        attributes.kind.letter(),
        bit(0o400, 'r'),
        bit(0o200, 'w'),
        special(0o100, 0o4000, 's'),
        bit(0o040, 'r'),
        bit(0o020, 'w'),
        special(0o010, 0o2000, 's'),
        bit(0o004, 'r'),
        bit(0o002, 'w'),
        special(0o001, 0o1000, 't'),
    ]
    .iter()
    .collect()
}

/// The word for a kind, in text and JSON.
pub(crate) const fn kind(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::File => "file",
        NodeKind::Directory => "directory",
        NodeKind::Symlink => "symlink",
        NodeKind::Fifo => "fifo",
        NodeKind::Socket => "socket",
        NodeKind::CharDevice(_) => "char-device",
        NodeKind::BlockDevice(_) => "block-device",
    }
}

/// `1 file`, `2 files`.
pub(crate) fn count(number: u64, singular: &str, plural: &str) -> String {
    let noun = if number == 1 { singular } else { plural };
    format!("{number} {noun}")
}

#[cfg(test)]
mod tests {
    use super::{count, human_bytes, mode, rfc3339};
    use nokv_types::{Attributes, NodeKind, TimeNanos};

    fn shown(bits: u32) -> String {
        let time = TimeNanos::new(0);
        let kind = NodeKind::File;
        let (uid, gid, links, size) = (0, 0, 1, 0);
        let times = (time, time, time, time);
        let (atime, mtime, ctime, btime) = times;
        mode(&Attributes {
            kind,
            mode: bits,
            uid,
            gid,
            links,
            size,
            atime,
            mtime,
            ctime,
            btime,
        })
    }

    #[test]
    fn modes_look_like_those_of_ls() {
        assert_eq!(shown(0o644), "-rw-r--r--");
        assert_eq!(shown(0o7777), "-rwsrwsrwt");
        assert_eq!(shown(0o7000), "---S--S--T");
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(human_bytes(0), "0 B");
        assert_eq!(human_bytes(4096), "4.0 KiB");
        assert_eq!(count(1, "file", "files"), "1 file");
        assert_eq!(
            rfc3339(TimeNanos::new(-1)),
            "1969-12-31T23:59:59.999999999Z"
        );
    }
}
