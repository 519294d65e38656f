//! Hybrid time: the version of every record.
//!
//! A version is `milliseconds since 1970 << 18 | counter`: it orders all commits of a shard, and
//! "as of ten minutes ago" is a version that anybody can compute. 46 bits of milliseconds last
//! until the year 4199; the counter admits 262,144 commits in a millisecond, and a shard that needs
//! more runs ahead of the clock.

use std::fmt;

/// A point in the history of a shard.
///
/// **Shape**: 64 bits, `milliseconds << 18 | counter`. **Guarantees**: a shard never assigns one
/// twice nor a smaller one after a larger. Reading "at" a version sees all commits with a version
/// at or below it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(u64);

impl Version {
    /// Bits of the counter below the milliseconds.
    pub const COUNTER_BITS: u32 = 18;
    /// Before every commit.
    pub const ZERO: Self = Self(0);
    /// After every commit: a read at `MAX` sees the newest state.
    pub const MAX: Self = Self(u64::MAX);

    /// The version with these 64 bits.
    #[must_use]
    pub const fn from_u64(bits: u64) -> Self {
        Self(bits)
    }

    /// The 64 bits, for codecs.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The first version of a millisecond since 1970; saturates after the year 4199.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        if millis >= 1 << (64 - Self::COUNTER_BITS) {
            return Self::MAX;
        }
        Self(millis << Self::COUNTER_BITS)
    }

    /// The last version of a millisecond: a read at it sees all that was committed in that
    /// millisecond.
    #[must_use]
    pub const fn end_of_millis(millis: u64) -> Self {
        Self(Self::from_millis(millis).0 | ((1 << Self::COUNTER_BITS) - 1))
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0 >> Self::COUNTER_BITS
    }

    /// The version after this one; saturates at [`Version::MAX`].
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The version before this one; saturates at [`Version::ZERO`].
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The version of the next commit: later than `self` and not before the clock.
    #[must_use]
    pub fn advance(self, now_millis: u64) -> Self {
        self.next().max(Self::from_millis(now_millis))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn advance_never_goes_back_when_the_clock_does() {
        let late = Version::from_millis(1_000);
        assert!(late.advance(10) > late);
        assert_eq!(late.advance(10), late.next());
        assert_eq!(late.advance(2_000).millis(), 2_000);
    }

    #[test]
    fn a_millisecond_contains_its_versions() {
        let end = Version::end_of_millis(7);
        assert_eq!(end.millis(), 7);
        assert_eq!(end.next(), Version::from_millis(8));
        assert_eq!(Version::from_millis(u64::MAX), Version::MAX);
    }
}
