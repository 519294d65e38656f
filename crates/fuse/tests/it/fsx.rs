//! Random operations on the bytes of one file, through several descriptors, against a vector.
//!
//! The number of operations is small here; `FSX_OPERATIONS=1000000` runs as many as one likes, and
//! `FSX_SEED` another sequence.

use crate::store::{Store, Way};
use rustix::fs::{self as sys, FallocateFlags, SeekFrom};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Largest file: above the limits at which a file leaves its node, memory, and one piece.
const SIZE_MAX: u64 = 3 << 20;
const OPERATIONS: u64 = 1500;

/// A plain generator, so that a seed means the same everywhere (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// Mostly small, now and then large.
    fn size(&mut self) -> u64 {
        let bits = 4 + self.below(17);
        self.below(1 << bits)
    }
}

struct Check {
    random: Random,
    model: Vec<u8>,
    limit: u64,
}

impl Check {
    fn place(&mut self) -> (u64, u64) {
        let at = self.random.below(self.limit);
        let length = self.random.size().min(self.limit - at);
        (at, length)
    }

    fn extend(&mut self, to: u64) {
        let to = self.model.len().max(to as usize);
        self.model.resize(to, 0);
    }

    fn step(&mut self, path: &Path, file: &mut File) -> String {
        let (at, length) = self.place();
        match self.random.below(100) {
            0..25 => self.write(file, at, length),
            25..55 => self.read(file, at, length),
            55..65 => {
                file.set_len(at).expect("cuts");
                self.model.resize(at as usize, 0);
                format!("size {at}")
            }
            65..81 if length > 0 => self.allocate(file, at, length),
            81..86 => self.copy(file, at, length),
            86..89 => {
                file.sync_all().expect("syncs");
                "fsync".to_owned()
            }
            89..93 => {
                let opened = File::options().read(true).write(true).open(path);
                *file = opened.expect("opens");
                "reopen".to_owned()
            }
            93..96 => self.seek(file, at),
            _ => {
                let size = file.metadata().expect("stats").len();
                assert_eq!(size, self.model.len() as u64);
                "stat".to_owned()
            }
        }
    }

    fn write(&mut self, file: &File, at: u64, length: u64) -> String {
        let byte = self.random.next() as u8;
        let bytes: Vec<u8> = (0..length).map(|n| byte.wrapping_add(n as u8)).collect();
        file.write_all_at(&bytes, at).expect("writes");
        if length > 0 {
            self.extend(at + length);
            self.model[at as usize..(at + length) as usize].copy_from_slice(&bytes);
        }
        format!("write {at}+{length}")
    }

    fn read(&mut self, file: &File, at: u64, length: u64) -> String {
        let mut bytes = vec![1; length as usize];
        let count = read_all(file, &mut bytes, at);
        let end = self.model.len().min((at + length) as usize);
        let expected = self.model.get(at as usize..end).unwrap_or_default();
        assert_same(&bytes[..count], expected, at);
        format!("read {at}+{length}")
    }

    /// Punches, zeroes, or extends.
    fn allocate(&mut self, file: &File, at: u64, length: u64) -> String {
        let (what, flags) = match self.random.below(3) {
            0 => (
                "punch",
                FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
            ),
            1 => ("zero", FallocateFlags::ZERO_RANGE),
            _ => ("allocate", FallocateFlags::empty()),
        };
        sys::fallocate(file, flags, at, length).expect("allocates");
        if what != "punch" {
            self.extend(at + length);
        }
        let end = self.model.len().min((at + length) as usize);
        if what != "allocate"
            && let Some(range) = self.model.get_mut(at as usize..end)
        {
            range.fill(0);
        }
        format!("{what} {at}+{length}")
    }

    fn copy(&mut self, file: &File, at: u64, length: u64) -> String {
        let to = self.random.below(self.limit - length + 1);
        // What lies beyond the end would be there after all once the copy has made it longer.
        let length = length.min((self.model.len() as u64).saturating_sub(at));
        if at.abs_diff(to) < length || length == 0 {
            return "copy onto itself: left out".to_owned();
        }
        let (mut from_at, mut to_at, mut copied) = (at, to, 0);
        while copied < length {
            let left = (length - copied) as usize;
            let some = sys::copy_file_range(file, Some(&mut from_at), file, Some(&mut to_at), left);
            match some.expect("copies") {
                0 => break,
                some => copied += some as u64,
            }
        }
        assert_eq!(copied, length);
        if copied > 0 {
            self.extend(to + copied);
            let from = at as usize..(at + copied) as usize;
            self.model.copy_within(from, to as usize);
        }
        format!("copy {at}+{length} to {to}")
    }

    /// What is called a hole is zeros; what is called data may be.
    fn seek(&mut self, file: &File, at: u64) -> String {
        let size = self.model.len() as u64;
        let data = sys::seek(file, SeekFrom::Data(at));
        if at >= size {
            assert_eq!(data, Err(rustix::io::Errno::NXIO));
            return format!("seek beyond the end {at}");
        }
        let data = data.unwrap_or(size);
        assert!(
            self.model[at as usize..data as usize]
                .iter()
                .all(|byte| *byte == 0)
        );
        let hole = sys::seek(file, SeekFrom::Hole(at)).expect("there is one at the end");
        assert!(hole <= size && hole >= at);
        format!("seek {at}")
    }
}

fn read_all(file: &File, bytes: &mut [u8], at: u64) -> usize {
    let mut count = 0;
    while count < bytes.len() {
        match file
            .read_at(&mut bytes[count..], at + count as u64)
            .expect("reads")
        {
            0 => break,
            some => count += some,
        }
    }
    count
}

fn assert_same(seen: &[u8], expected: &[u8], at: u64) {
    assert_eq!(seen.len(), expected.len(), "bytes at {at}");
    if let Some(place) = seen
        .iter()
        .zip(expected)
        .position(|(seen, expected)| seen != expected)
    {
        panic!(
            "byte {} is {}, not {}",
            at + place as u64,
            seen[place],
            expected[place]
        );
    }
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

fn run(way: Way, seed: u64) {
    let Some(mut store) = Store::new() else {
        return;
    };
    let mount = store.mount(way);
    let seed = from_environment("FSX_SEED", seed);
    println!("FSX_SEED={seed}");
    let mut random = Random(seed | 1);
    let operations = from_environment("FSX_OPERATIONS", OPERATIONS);
    let mut done = 0;
    for round in 0.. {
        // Each file has a size of its own kind: in its node, in one piece, in many.
        let limit = [3_000, 60_000, 600_000, SIZE_MAX][round % 4];
        let path = mount.join(format!("file-{round}"));
        let mut options = File::options();
        let mut file = options
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .expect("makes");
        let mut check = Check {
            random: Random(random.next()),
            model: Vec::new(),
            limit,
        };
        let mut last = Vec::new();
        for _ in 0..300.min(operations - done) {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                check.step(&path, &mut file)
            }));
            match outcome {
                Ok(said) => last.push(said),
                Err(panic) => {
                    println!("file {round}, after:");
                    last.iter()
                        .rev()
                        .take(40)
                        .rev()
                        .for_each(|said| println!("  {said}"));
                    std::panic::resume_unwind(panic);
                }
            }
            done += 1;
        }
        drop(file);
        assert_same(&std::fs::read(&path).expect("reads"), &check.model, 0);
        if done >= operations {
            break;
        }
    }
    store.check();
}

#[test]
fn bytes_are_what_was_written() {
    run(Way::InProcess, 20_261_121);
}

#[test]
fn bytes_are_what_was_written_over_a_socket() {
    run(Way::Socket, 7);
}
