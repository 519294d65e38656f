//! Which keys are asked for most: a side observer that readers pass in a nanosecond or two.
//!
//! A reader calls [`HotKeys::observe`] with the key it reads. Of every so many calls of a thread
//! one is a sample; only a sample touches shared memory, and only if nobody else holds its stripe:
//! a sample that would wait is dropped. So the observer can neither slow nor block the read path,
//! and under load it loses precision, not truth: what it reports are estimates with a stated error.
//!
//! Each stripe keeps the Space-Saving summary of the keys whose hash falls to it; a key is counted
//! in one stripe only, so the top of all is the merge of the tops. Counts are halved from time to
//! time, so that "hot" means now.
//!
//! Source: Metwally, Agrawal, El Abbadi, "Efficient Computation of Frequent and Top-k Elements in
//! Data Streams", ICDT 2005.

mod observer;
mod space_saving;

pub use observer::{HotKeys, HotKeysOptions};
pub use space_saving::HotKey;
