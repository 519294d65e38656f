//! What several tests of the crate need: a machine without threads, and one that is photographed at
//! every sync.

mod cuts;
mod machine;
mod observed;
mod oracle;

pub(crate) use cuts::cut_everywhere;
pub(crate) use machine::still_env;
pub(crate) use observed::ObservedFileSystem;
pub(crate) use oracle::Oracle;
