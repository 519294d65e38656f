//! Pieces of many files at once are what they are one by one: by every way, also from the cache.

use crate::store::{Store, path};
use nokv_client::{CacheConfig, CacheDir, Parents, PieceOf, WriteOptions};
use nokv_types::Reason;

/// Inline, packed, and of several blocks.
const SIZES: [usize; 6] = [0, 100, 5_000, 300_000, 9_000_000, 20_000];

fn bytes_of(number: usize, size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 31 + number) as u8).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pieces_are_what_the_files_hold() {
    let store = Store::new().await;
    let cache = tempfile::TempDir::new().expect("a directory");
    let clients = store.clients().await;
    let options = WriteOptions {
        parents: Parents::Create,
        ..WriteOptions::default()
    };
    for (number, size) in SIZES.into_iter().enumerate() {
        let bytes = bytes_of(number, size);
        let file = path(&format!("/d/{number}"));
        let written = clients[0].1.write(&file, &bytes[..], options).await;
        written.expect("published");
    }
    let mut wanted = Vec::new();
    for round in 0..40_usize {
        let number = round % SIZES.len();
        let start = (round * 7_919_777) % (SIZES[number] + 2);
        let range = start as u64..(start + round * 1_000) as u64;
        wanted.push((number, range));
        if round < SIZES.len() {
            wanted.push((number, 0..u64::MAX));
        }
    }
    let pieces: Vec<PieceOf> = wanted
        .iter()
        .map(|(number, range)| PieceOf {
            path: path(&format!("/d/{number}")),
            range: range.clone(),
        })
        .chain([PieceOf::whole(path("/none"))])
        .collect();
    for (way, client) in &clients {
        let config = CacheConfig {
            dir: CacheDir::At(cache.path().to_owned()),
            ..CacheConfig::default()
        };
        let client = client.with_cache(config);
        for round in 0..2 {
            let mut got = client.read_pieces(&pieces).await.expect("planned");
            let missing = got.pop().expect("one for each");
            assert_eq!(missing.expect_err("not there").reason(), Reason::NotFound);
            for ((number, range), got) in wanted.iter().zip(got) {
                let all = bytes_of(*number, SIZES[*number]);
                let end = all.len().min(range.end as usize);
                let expected = &all[end.min(range.start as usize)..end];
                let got = got.unwrap_or_else(|failure| panic!("{way}: {failure}"));
                assert!(got == expected, "{way}, round {round}: {number} {range:?}");
            }
        }
        let stats = client.cache_stats();
        assert!(stats.memory_hits + stats.disk_hits > 0, "{way}: {stats:?}");
    }
    store.stop().await;
}
