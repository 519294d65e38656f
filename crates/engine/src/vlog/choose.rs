//! Which files to collect: pure, so that every decision is a test.
//!
//! | | when | why |
//! |---|---|---|
//! | A | nothing points at it | not here: it is removed without any copying |
//! | B | its dead share is over the limit | copying its live part frees more than it costs |
//! | C | it is small, and there are many such | every opening of the store begins files; without this their number would only grow |
//!
//! Invariant: what is chosen is sealed, so its dead share can't be a matter of moments.

/// A sealed file, as a choice sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FileUse {
    pub(crate) number: u64,
    /// Bytes of entries.
    pub(crate) bytes: u64,
    /// Bytes of entries that something points at.
    pub(crate) live: u64,
}

/// A file of less than the full size divided by this is small.
const SMALL_PART: u64 = 8;

/// So many small files are tolerated: half of what merging them would make of a full one.
const SMALL_FILES_MAX: usize = 16;

/// What a choice goes by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CollectOptions {
    /// The dead share over which a file is collected, in thousandths.
    pub(crate) garbage_permille: u64,
    /// Size of a full file.
    pub(crate) file_bytes: u64,
}

impl FileUse {
    /// Bytes of entries that nothing points at.
    pub(crate) fn dead(&self) -> u64 {
        self.bytes.saturating_sub(self.live)
    }

    /// Whether more than this share of it is garbage.
    pub(crate) fn is_over(&self, permille: u64) -> bool {
        self.dead().saturating_mul(1000) > self.bytes.saturating_mul(permille)
    }
}

/// The numbers of the files whose live values should move, dirtiest first.
pub(crate) fn choose_files(files: &[FileUse], options: &CollectOptions) -> Vec<u64> {
    let is_small = |file: &&FileUse| file.bytes < options.file_bytes / SMALL_PART;
    let is_live = |file: &&FileUse| file.live > 0;
    let small_count = files.iter().filter(is_live).filter(is_small).count();
    let has_many_small = small_count > SMALL_FILES_MAX;
    let is_wanted = |file: &&FileUse| {
        file.is_over(options.garbage_permille) || (has_many_small && is_small(file))
    };
    let mut chosen: Vec<&FileUse> = files.iter().filter(is_live).filter(is_wanted).collect();
    let share = |file: &FileUse| file.dead().saturating_mul(1000) / file.bytes.max(1);
    chosen.sort_by_key(|file| (std::cmp::Reverse(share(file)), file.number));
    chosen.into_iter().map(|file| file.number).collect()
}

#[cfg(test)]
mod tests {
    use super::{CollectOptions, FileUse, SMALL_FILES_MAX, choose_files};

    const OPTIONS: CollectOptions = CollectOptions {
        garbage_permille: 300,
        file_bytes: 1000,
    };

    fn file(number: u64, bytes: u64, live: u64) -> FileUse {
        FileUse {
            number,
            bytes,
            live,
        }
    }

    fn check(files: &[FileUse], expected: &[u64]) {
        assert_eq!(choose_files(files, &OPTIONS), expected, "{files:?}");
    }

    #[test]
    fn the_dirtiest_come_first_and_clean_ones_not_at_all() {
        check(&[], &[]);
        check(&[file(1, 1000, 1000), file(2, 1000, 700)], &[]);
        check(
            &[file(1, 1000, 699), file(2, 1000, 100), file(3, 1000, 800)],
            &[2, 1],
        );
    }

    #[test]
    fn a_file_that_nothing_points_at_is_not_collected_but_removed() {
        check(&[file(1, 1000, 0)], &[]);
    }

    #[test]
    fn many_small_files_become_one() {
        let mut files: Vec<_> = (0..SMALL_FILES_MAX as u64)
            .map(|n| file(n, 50, 50))
            .collect();
        check(&files, &[]);
        files.push(file(99, 50, 50));
        files.push(file(100, 900, 900));
        assert_eq!(choose_files(&files, &OPTIONS).len(), SMALL_FILES_MAX + 1);
    }
}
