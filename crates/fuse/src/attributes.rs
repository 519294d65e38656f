//! From nodes to what stat(2) shows.

use fuser::{FileAttr, FileType, INodeNo, TimeOrNow};
use nokv_client::{Node, SetTime};
use nokv_types::{NodeKind, TimeNanos};
use std::time::{Duration, SystemTime};

/// What stat(2) calls the best size of an access, and the unit of statfs(2).
pub(crate) const ACCESS_BYTES: u32 = 4096;
const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// The attributes of a node, under an inode number.
pub(crate) fn of_node(number: INodeNo, node: &Node) -> FileAttr {
    let attributes = &node.attributes;
    FileAttr {
        ino: number,
        size: attributes.size,
        blocks: attributes.size.div_ceil(512),
        atime: system_time(attributes.atime),
        mtime: system_time(attributes.mtime),
        ctime: system_time(attributes.ctime),
        crtime: system_time(attributes.btime),
        kind: file_type(attributes.kind),
        perm: (attributes.mode & 0o7777) as u16,
        nlink: attributes.links,
        uid: attributes.uid,
        gid: attributes.gid,
        rdev: device(attributes.kind),
        blksize: ACCESS_BYTES,
        flags: 0,
    }
}

/// The type bits of a kind.
pub(crate) const fn file_type(kind: NodeKind) -> FileType {
    match kind {
        NodeKind::File => FileType::RegularFile,
        NodeKind::Directory => FileType::Directory,
        NodeKind::Symlink => FileType::Symlink,
        NodeKind::Fifo => FileType::NamedPipe,
        NodeKind::Socket => FileType::Socket,
        NodeKind::CharDevice(_) => FileType::CharDevice,
        NodeKind::BlockDevice(_) => FileType::BlockDevice,
    }
}

/// The kernel's device numbers have 32 bits.
const fn device(kind: NodeKind) -> u32 {
    match kind {
        NodeKind::CharDevice(device) | NodeKind::BlockDevice(device) => device as u32,
        _ => 0,
    }
}

/// A time for the kernel.
pub(crate) fn system_time(time: TimeNanos) -> SystemTime {
    let nanos = time.get();
    let distance = Duration::from_nanos(nanos.unsigned_abs());
    if nanos >= 0 {
        SystemTime::UNIX_EPOCH + distance
    } else {
        SystemTime::UNIX_EPOCH - distance
    }
}

/// A time as the kernel gave it. Times beyond what 64 bits of nanoseconds can tell (the years 1677
/// to 2262) become the nearest that can be.
pub(crate) fn set_time(time: TimeOrNow) -> SetTime {
    match time {
        TimeOrNow::Now => SetTime::Now,
        TimeOrNow::SpecificTime(time) => SetTime::To(nanos(time)),
    }
}

fn nanos(time: SystemTime) -> TimeNanos {
    let nanos = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        // The kernel's pair of negative seconds and positive nanoseconds arrives here with both
        // counted away from 1970; the nanoseconds count towards it.
        Err(before) => {
            let before = before.duration();
            let seconds = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            seconds
                .checked_mul(-NANOS_PER_SECOND)
                .map_or(i64::MIN, |nanos| nanos + i64::from(before.subsec_nanos()))
        }
    };
    TimeNanos::new(nanos)
}

#[cfg(test)]
mod tests {
    use super::{nanos, system_time};
    use nokv_types::TimeNanos;
    use std::time::{Duration, SystemTime};

    #[test]
    fn times_before_1970_keep_their_nanoseconds() {
        for time in [0, 1, -1, -1_700_000_000, i64::MAX, i64::MIN + 1] {
            let shown = system_time(TimeNanos::new(time));
            let back = match shown.duration_since(SystemTime::UNIX_EPOCH) {
                Ok(after) => after.as_nanos() as i128,
                Err(before) => -(before.duration().as_nanos() as i128),
            };
            assert_eq!(back, i128::from(time));
        }
        // -2 seconds and 300,000,000 nanoseconds, as the library passes it on.
        let passed = SystemTime::UNIX_EPOCH - Duration::new(2, 300_000_000);
        assert_eq!(nanos(passed), TimeNanos::new(-1_700_000_000));
    }
}
