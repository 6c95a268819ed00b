//! How far it is.

use std::{borrow::Cow, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar on standard error, if that is a terminal.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    /// `length`: of what is gone through, where it is known.
    pub fn new(is_shown: bool, length: Option<u64>) -> Self {
        // Hidden by itself where standard error is no terminal.
        let target = if is_shown { ProgressDrawTarget::stderr_with_hz(5) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(length, target);
        let style = ProgressStyle::with_template("{bar:30} {percent:>3}%  {msg}  {elapsed}, {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_millis(500));
        Self(bar)
    }

    pub fn show(&self, done: u64, length: u64, message: impl Into<Cow<'static, str>>) {
        self.0.set_length(length.max(1));
        self.0.set_position(done.min(length));
        self.0.set_message(message);
    }

    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
