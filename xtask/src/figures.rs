//! Figures that a person reads and that are no timed tests.

use anyhow::{Result, bail};

/// First contact: start-up, idle memory, binary size.
pub(crate) fn first_try() -> Result<()> {
    bail!("not built yet")
}

/// A large real tree and checkpoint files, put and got back.
pub(crate) fn real_input(_arguments: &[String]) -> Result<()> {
    bail!("not built yet")
}
