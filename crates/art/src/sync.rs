//! The atomics of this crate: the standard ones, or, in its own unit tests, the same with a
//! scheduling point before each operation.
//!
//! Purpose: let the shuttle tests explore every order of the readers' loads and the writer's stores
//! without a second build of the crate. Outside a shuttle run the scheduling point is one
//! thread-local read, so that the other unit tests (and Miri, which explores weak memory) use the
//! real atomics.
//!
//! Invariant: every word that a reader may load while a writer stores is one of these types.

#[cfg(not(test))]
pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicU64};

#[cfg(test)]
pub(crate) use interleaved::{AtomicPtr, AtomicU8, AtomicU32, AtomicU64, explore};

#[cfg(test)]
mod interleaved {
    use std::cell::Cell;
    use std::sync::atomic::{self, Ordering};

    thread_local! {
        static EXPLORING: Cell<bool> = const { Cell::new(false) };
    }

    /// Runs `run` (a call of shuttle) with scheduling points on. Shuttle's threads are coroutines
    /// of the calling thread, so a thread-local flag reaches all of them.
    pub(crate) fn explore(run: impl FnOnce()) {
        EXPLORING.set(true);
        run();
        EXPLORING.set(false);
    }

    fn schedule() {
        if EXPLORING.get() {
            let point = shuttle::sync::atomic::AtomicBool::new(false);
            point.load(Ordering::SeqCst);
        }
    }

    #[repr(transparent)]
    pub(crate) struct AtomicPtr<T>(atomic::AtomicPtr<T>);

    impl<T> AtomicPtr<T> {
        pub(crate) const fn new(pointer: *mut T) -> Self {
            Self(atomic::AtomicPtr::new(pointer))
        }

        pub(crate) fn load(&self, order: Ordering) -> *mut T {
            schedule();
            self.0.load(order)
        }

        pub(crate) fn store(&self, pointer: *mut T, order: Ordering) {
            schedule();
            self.0.store(pointer, order);
        }
    }

    macro_rules! integer {
        ($name:ident, $value:ty) => {
            #[repr(transparent)]
            pub(crate) struct $name(atomic::$name);

            impl $name {
                pub(crate) const fn new(value: $value) -> Self {
                    Self(atomic::$name::new(value))
                }

                pub(crate) fn load(&self, order: Ordering) -> $value {
                    schedule();
                    self.0.load(order)
                }

                pub(crate) fn store(&self, value: $value, order: Ordering) {
                    schedule();
                    self.0.store(value, order);
                }
            }
        };
    }

    integer!(AtomicU8, u8);
    integer!(AtomicU32, u32);
    integer!(AtomicU64, u64);
}
