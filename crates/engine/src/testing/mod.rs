//! What several tests of the crate need: a machine without threads, and one that is photographed at
//! every sync.

mod cuts;
mod machine;
mod observed;
mod oracle;
mod run;

pub(crate) use cuts::cut_everywhere;
pub(crate) use machine::still_env;
pub(crate) use observed::{Moment, ObservedFileSystem};
pub(crate) use oracle::Oracle;
pub(crate) use run::{DIR, Run, options, seeds};
