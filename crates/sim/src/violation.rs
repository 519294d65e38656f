//! What a run found wrong.

use std::any::Any;
use std::fmt;

/// One thing that is not as the model says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// The invariant, by its name in [`crate::INVARIANTS`].
    pub invariant: &'static str,
    /// What was expected and what was found.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.message)
    }
}

/// A check that failed.
pub(crate) fn broken<T>(
    invariant: &'static str,
    message: impl Into<String>,
) -> Result<T, Violation> {
    let message = message.into();
    Err(Violation { invariant, message })
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without text").to_string()
}
