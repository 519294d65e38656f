//! How far a transfer is: a bar on a terminal, nothing anywhere else.

use crate::output::Output;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Redraws a second: enough to look alive, too few to cost anything.
const DRAWS_PER_SECOND: u8 = 10;
const TEMPLATE: &str = "{msg} {wide_bar:.cyan/dim} {binary_bytes:>10} of {binary_total_bytes:<10} {binary_bytes_per_sec:>12}";

/// The bar of one transfer; clones draw the same one.
#[derive(Clone)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar on standard error if that is a terminal and the user wants to hear.
    pub(crate) fn new(output: &Output, verb: &'static str) -> Self {
        let is_wanted = !output.is_quiet() && !output.is_json();
        let target = if is_wanted {
            // Hides itself when standard error is no terminal.
            ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND)
        } else {
            ProgressDrawTarget::hidden()
        };
        let style = ProgressStyle::with_template(TEMPLATE)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("━━╌");
        let bar = ProgressBar::with_draw_target(Some(0), target).with_style(style);
        Self(bar.with_message(verb))
    }

    /// A count of things on standard error, for what has no end that is known.
    pub(crate) fn counting(output: &Output, verb: &'static str, things: &str) -> Self {
        let Self(bar) = Self::new(output, verb);
        let template = format!("{{msg}} {{human_pos}} {things} {{spinner}} {{per_sec}}");
        let style = ProgressStyle::with_template(&template);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Self(bar)
    }

    /// The whole has grown.
    pub(crate) fn found(&self, bytes: u64) {
        self.0.inc_length(bytes);
    }

    /// So much more is done.
    pub(crate) fn done(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// Prints something while the bar stands aside.
    pub(crate) fn suspend(&self, print: impl FnOnce()) {
        self.0.suspend(print);
    }

    /// Removes the bar, so that what is printed next stands alone.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
