//! How requests are run: polled where they were read, left to the runtime when they wait; and what
//! the kernel is asked for when a mount begins.

use crate::core::Core;
use fuser::{InitFlags, KernelConfig};
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::task::{Context, Waker};
use tokio::runtime::Handle;

/// Most bytes of a write: what one request of the kernel can carry.
const WRITE_BYTES_MAX: u32 = 1 << 20;
/// Bytes that the kernel reads ahead: with a round trip of a millisecond that is 4 GB/s.
const READ_AHEAD_BYTES: u32 = 4 << 20;
/// Requests of read-ahead and write-back under way at once.
const BACKGROUND_MAX: u16 = 64;

/// What the kernel is asked to do, if it can.
const WANTED: [InitFlags; 14] = [
    InitFlags::FUSE_ASYNC_READ,
    InitFlags::FUSE_ASYNC_DIO,
    InitFlags::FUSE_PARALLEL_DIROPS,
    InitFlags::FUSE_DO_READDIRPLUS,
    InitFlags::FUSE_READDIRPLUS_AUTO,
    InitFlags::FUSE_HANDLE_KILLPRIV_V2,
    InitFlags::FUSE_CACHE_SYMLINKS,
    InitFlags::FUSE_POSIX_LOCKS,
    InitFlags::FUSE_FLOCK_LOCKS,
    InitFlags::FUSE_DONT_MASK,
    InitFlags::FUSE_POSIX_ACL,
    // Pages go when they are told to, not when a time changes: this mount's own writes keep
    // theirs.
    InitFlags::FUSE_EXPLICIT_INVAL_DATA,
    InitFlags::FUSE_NO_EXPORT_SUPPORT,
    InitFlags::FUSE_MAX_PAGES,
];

/// The file system as the kernel sees it.
pub(crate) struct Door {
    pub(crate) core: Arc<Core>,
    runtime: Handle,
}

/// Runs one operation and answers it; `$reply` is moved into both arms.
macro_rules! serve {
    ($door:expr, $operation:ident, $number:expr, |$core:ident| $work:expr,
     $reply:ident => |$answer:pat_param| $told:expr) => {{
        let $core = Arc::clone(&$door.core);
        let number: INodeNo = $number;
        let start = $core.env.clock.monotonic();
        $door.run(async move {
            let error = match $work.await {
                Ok($answer) => {
                    $told;
                    None
                }
                Err(error) => {
                    $reply.error(error);
                    Some(error)
                }
            };
            let took = $core.env.clock.monotonic().saturating_sub(start);
            $core
                .stats
                .count(Operation::$operation, number, took, error);
        });
    }};
}

impl Door {
    pub(crate) const fn new(core: Arc<Core>, runtime: Handle) -> Self {
        Self { core, runtime }
    }

    /// Polls once here, then leaves it to the runtime.
    pub(crate) fn run(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut work = Box::pin(work);
        let _inside = self.runtime.enter();
        let mut context = Context::from_waker(Waker::noop());
        if work.as_mut().poll(&mut context).is_pending() {
            self.runtime.spawn(work);
        }
    }
}

/// Settles with the kernel what both can do. **Errors**: it takes no requests of our size.
pub(crate) fn configure(config: &mut KernelConfig) -> io::Result<()> {
    // Each answers with what it would have taken: what a kernel does not know it leaves out.
    let refused = |_| io::Error::other("the kernel takes no requests of this size");
    config.set_max_write(WRITE_BYTES_MAX).map_err(refused)?;
    if let Err(most) = config.set_max_readahead(READ_AHEAD_BYTES) {
        config.set_max_readahead(most).map_err(refused)?;
    }
    config
        .set_max_background(BACKGROUND_MAX)
        .map_err(|_| refused(0))?;
    for flag in WANTED {
        if config.add_capabilities(flag).is_err() {
            tracing::debug!(?flag, "this kernel does without");
        }
    }
    Ok(())
}

pub(crate) use serve;
