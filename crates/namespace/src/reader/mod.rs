//! Reading records at one version, through the layers of a branch.
//!
//! Invariant: all reads of one operation go through one [`Reader`], so they see one version.
//!
//! [`read`] has single records, [`pages`] directories with what is in them, [`describe`] the public
//! form of a node.

mod describe;
mod pages;
mod read;

pub(crate) use describe::describe;
pub(crate) use pages::ChildRecord;
pub(crate) use read::{Found, Reader, dangling};
