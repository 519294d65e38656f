//! The memtable from outside: generated operations against an ordered map.

mod limits;
mod memory;
mod model;

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, proptest};

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 4 } else { 256 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_memtable_answers_like_an_ordered_map(
        bytes in vec(any::<u8>(), 0..if cfg!(miri) { 300 } else { 4_000 }),
    ) {
        model::check(&bytes);
    }
}
