//! The bytes that a memtable says are the bytes that it takes from the allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use nokv_art::{EntryRef, Memtable, MemtableOptions, Structure};

thread_local! {
    static ALLOCATED_BYTES: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, counting by thread, so that tests beside this one do not count.
struct Counting;

// SAFETY: every call goes to the system's allocator as it came; a counter is not memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED_BYTES.set(ALLOCATED_BYTES.get() + layout.size() as isize);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        ALLOCATED_BYTES.set(ALLOCATED_BYTES.get() - layout.size() as isize);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What the memtable itself and its list of chunks take beside the arena.
const FRAME_BYTES_MAX: isize = 4 << 10;

#[test]
fn a_memtable_takes_what_it_says_and_gives_it_back() {
    let count = if cfg!(miri) { 200 } else { 20_000_u64 };
    for structure in [Structure::Art, Structure::SkipList] {
        let before = ALLOCATED_BYTES.get();
        let options = MemtableOptions {
            structure,
            budget_bytes: 64 << 20,
        };
        let memtable = Memtable::new(options);
        for number in 0..count {
            let key = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
            let value = vec![7; (number % 300) as usize];
            let entry = EntryRef {
                kind: 1,
                value: &value,
            };
            memtable.insert(&key, number, entry);
            if number.is_multiple_of(count / 10) {
                let own = memtable.allocated_bytes() as isize;
                // `value` is still there.
                let taken = ALLOCATED_BYTES.get() - before - value.len() as isize;
                assert!(
                    (own..own + FRAME_BYTES_MAX).contains(&taken),
                    "{own} said, {taken} taken"
                );
            }
        }
        drop(memtable);
        assert_eq!(ALLOCATED_BYTES.get(), before);
    }
}
