//! Making durable what was read back and was never promised.
//!
//! After a failed sync the kernel may count pages as written that never reached the device: they
//! are read as long as the machine runs, a second sync says that it worked and does nothing, and a
//! power cut takes them. A process that dies after such a failure leaves that state to the one that
//! opens the store next. So what was not promised is written once more before it is synced.

use std::io;

use nokv_env::File;

/// Bytes written at once.
const STEP_BYTES: u64 = 1 << 20;

/// Writes the bytes from `from` to `to` where they are, so that the next sync covers them.
pub(crate) fn refresh(file: &dyn File, from: u64, to: u64) -> io::Result<()> {
    let mut offset = from;
    while offset < to {
        let length = usize::try_from(STEP_BYTES.min(to - offset)).unwrap_or(0);
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, offset)?;
        file.write_at(&bytes, offset)?;
        offset += length as u64;
    }
    Ok(())
}
