//! How surely a command is kept when the call returns.

/// When a call returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// When the command is ordered and visible. A power failure may lose the last moments: whole
    /// commands from the end, never part of one, never one from the middle.
    Buffered,
    /// When the command, and with it all before, is on disk. One sync serves all who wait.
    Synced,
}
