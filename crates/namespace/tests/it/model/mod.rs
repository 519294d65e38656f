//! A model of the namespace that is obviously right: maps in memory, a full copy for each version.

mod branches;
mod crashes;
mod histories;
mod quotas;
mod snapshots;
mod state;
