//! A run: the script against the namespace, beside the model.
//!
//! Reading order: [`ask`] (from a step to a call), [`expect`] (what the model says), [`judge`]
//! (whether the answer is that), [`compare`] (the whole state), [`watch`], [`power`] (cuts and
//! reopening), [`steps`] (the script).

mod ask;
mod compare;
mod expect;
mod judge;
mod power;
mod steps;
mod watch;

pub use steps::Trace;

pub(crate) use steps::{Run, run};

use crate::model::{Event, World};
use nokv_types::Version;
use std::sync::Arc;

/// The world after a command that changed something.
#[derive(Clone)]
pub(crate) struct Moment {
    pub(crate) version: Version,
    pub(crate) world: Arc<World>,
    /// What the command announced; `None`: more than the model can say.
    pub(crate) events: Option<Vec<Event>>,
    /// Whether the model can say what taking it back does.
    pub(crate) plain: bool,
}
