//! Which backups go.

/// What is kept.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Keep {
    /// The newest so many.
    pub count: Option<u32>,
    /// Those that are younger, milliseconds.
    pub age_millis: Option<u64>,
}

/// The numbers of those to remove, of backups with these numbers and times, oldest first. The
/// newest stays in any case; without a rule all stay; with both a backup stays that either keeps.
#[must_use]
pub fn choose_expired(backups: &[(u32, u64)], keep: Keep, now_millis: u64) -> Vec<u32> {
    if keep == Keep::default() {
        return Vec::new();
    }
    let newest_first = backups.iter().rev().enumerate();
    let expired = newest_first.filter(|(rank, (_, made_millis))| {
        let within_count = keep.count.is_some_and(|count| *rank < count as usize);
        let age = now_millis.saturating_sub(*made_millis);
        let within_age = keep.age_millis.is_some_and(|most| age < most);
        *rank > 0 && !within_count && !within_age
    });
    let mut numbers: Vec<u32> = expired.map(|(_, (number, _))| *number).collect();
    numbers.sort_unstable();
    numbers
}

#[cfg(test)]
mod tests {
    use super::{Keep, choose_expired};

    #[test]
    fn the_newest_and_what_a_rule_keeps_stay() {
        let backups = [(1, 100), (4, 200), (5, 300), (9, 400)];
        let chosen = |count, age_millis| choose_expired(&backups, Keep { count, age_millis }, 401);
        assert_eq!(chosen(None, None), Vec::<u32>::new());
        assert_eq!(chosen(Some(2), None), vec![1, 4]);
        assert_eq!(chosen(Some(0), None), vec![1, 4, 5], "the newest stays");
        assert_eq!(chosen(None, Some(102)), vec![1, 4]);
        assert_eq!(chosen(None, Some(0)), vec![1, 4, 5]);
        assert_eq!(chosen(Some(3), Some(102)), vec![1], "either keeps");
        assert_eq!(chosen(Some(9), None), Vec::<u32>::new());
    }
}
