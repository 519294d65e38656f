//! The mount through the kernel: over a store in this process, and over a socket.
//!
//! Where there is no /dev/fuse, or no right to mount, the tests say so and pass.
#![expect(
    clippy::disallowed_methods,
    reason = "these tests are about what a program sees through the system's own calls"
)]
#![expect(
    clippy::print_stdout,
    reason = "seeds, and why nothing was tested, belong in the output of tests"
)]

mod conformance;
mod fsx;
mod kernel_oracle;
mod program;
mod store;
mod two_mounts;
