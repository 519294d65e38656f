//! The measurements as data.

use crate::ycsb::Durability;
use serde::{Deserialize, Serialize};

/// What is done over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Operation {
    /// One file, one command.
    Create,
    /// A thousand files, one command; the rate counts files.
    CreateBatch,
    /// A path of eight components.
    Lookup,
    /// A whole directory with attributes; the rate counts entries.
    List,
}

/// One measurement.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Workload {
    /// What.
    pub(crate) operation: Operation,
    /// By how many.
    pub(crate) threads: u32,
    /// How surely.
    pub(crate) durability: Durability,
}

use Durability::{Buffered, Synced};
use Operation::{Create, CreateBatch, List, Lookup};

const fn of(operation: Operation, threads: u32, durability: Durability) -> Workload {
    Workload {
        operation,
        threads,
        durability,
    }
}

/// All of them.
pub(crate) const WORKLOADS: &[Workload] = &[
    of(CreateBatch, 1, Buffered),
    of(Create, 1, Buffered),
    of(Create, 16, Buffered),
    of(Create, 16, Synced),
    of(Lookup, 1, Buffered),
    of(Lookup, 16, Buffered),
    of(List, 1, Buffered),
];

impl Operation {
    /// As in the rows.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::CreateBatch => "create-batch [files]",
            Self::Lookup => "lookup-depth-8",
            Self::List => "readdirplus [entries]",
        }
    }
}
