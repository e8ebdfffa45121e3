//! What is shown while it works.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::optimize::{ProgressReporter, Step};
use crate::report::visible;

/// A line on standard error; hidden when that is not a terminal or when quiet. It shows the step, how much of it is done and
/// how long that will take, where that is known.
pub(super) struct Screen {
    bar: ProgressBar,
    quiet: bool,
}

/// With a known end, and without.
const BAR: &str = "{spinner} {msg:34} {wide_bar:.} {percent:>3} % {elapsed:>4}, {eta:>4} left";
const SPINNER: &str = "{spinner} {msg:34} {elapsed:>4}";

impl Screen {
    pub(super) fn new(quiet: bool) -> Self {
        let bar = ProgressBar::no_length();
        if quiet {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let screen = Self { bar, quiet };
        screen.style(SPINNER);
        screen
    }

    fn style(&self, template: &str) {
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("█▌ "));
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.done();
    }
}

impl ProgressReporter for Screen {
    fn step(&self, step: Step) {
        // Not before: what is printed ahead of the first step would share its line.
        self.bar.enable_steady_tick(Duration::from_millis(200));
        self.style(SPINNER);
        self.bar.unset_length();
        self.bar.reset();
        self.bar.set_message(step.to_string());
    }

    fn progress(&self, done: usize, total: usize) {
        if self.bar.length() != Some(total as u64) {
            self.style(BAR);
            self.bar.set_length(total as u64);
        }
        self.bar.set_position(done as u64);
    }

    fn note(&self, what: &str) {
        if !self.quiet {
            self.aside(&|| eprintln!("note: {}", visible(what)));
        }
    }

    fn done(&self) {
        self.bar.finish_and_clear();
    }

    fn aside(&self, show: &dyn Fn()) {
        self.bar.suspend(show);
    }
}
