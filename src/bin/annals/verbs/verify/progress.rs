//! How far the check has come, for whoever waits.

use std::{
    io::{self, IsTerminal as _},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Instant,
};

use annals::read::{Stage, VerifyProgress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::printer::Printer;

/// How often it is drawn at the most, in times a second.
const DRAWS: u8 = 8;

/// A bar on standard error, where somebody sits in front of it.
///
/// With `-v` a line for each tenth as well, wherever it goes.
pub struct Bar {
    bar: Option<ProgressBar>,
    stage: AtomicU8,
    tenths: Mutex<Tenths>,
}

/// What was said with `-v`.
struct Tenths {
    said: u64,
    done: u64,
    at: Instant,
}

impl Bar {
    pub fn new(printer: &Printer) -> Self {
        let is_seen = !printer.is_quiet() && io::stderr().is_terminal();
        let bar = is_seen.then(|| ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(DRAWS)));
        let tenths = Mutex::new(Tenths { said: 0, done: 0, at: Instant::now() });
        Self { bar, stage: AtomicU8::new(u8::MAX), tenths }
    }

    /// Shows how far it is.
    pub fn show(&self, far: &VerifyProgress) {
        let counts = far.counts;
        let (number, what, done, all) = match far.stage {
            // Where positions have holes there are fewer events.
            Stage::Streams => (0, "events by aggregate", counts.events, Some(far.head.get().max(counts.events))),
            Stage::Log => (1, "events by position", counts.places, Some(counts.events.max(counts.places))),
            Stage::Checkpoints => (2, "checkpoints", counts.checkpoints, None),
            Stage::ParkedEvents => (3, "parked events", counts.parked_events, None),
            _ => (4, "the rest", 0, None),
        };
        let is_next = self.stage.swap(number, Ordering::Relaxed) != number;
        if let Some(all) = all {
            self.say(is_next, what, (done, all));
        }
        let Some(bar) = &self.bar else { return };
        if is_next {
            bar.reset();
            bar.set_style(style(all.is_some()));
            bar.set_message(what);
        }
        match all {
            Some(all) => bar.set_length(all),
            None => bar.unset_length(),
        }
        bar.set_position(done);
    }

    /// Says it for each tenth, with the rate since the one before.
    fn say(&self, is_next: bool, what: &str, (done, all): (u64, u64)) {
        let mut tenths = self.tenths.lock().unwrap_or_else(PoisonError::into_inner);
        if is_next {
            *tenths = Tenths { said: 0, done: 0, at: Instant::now() };
        }
        let tenth = done.saturating_mul(10) / all.max(1);
        if tenth <= tenths.said {
            return;
        }
        let millis = u64::try_from(tenths.at.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let per_second = (done - tenths.done).saturating_mul(1_000) / millis;
        self.aside(|| tracing::info!(done, of = all, per_second, "checking {what}"));
        *tenths = Tenths { said: tenth, done, at: Instant::now() };
    }

    /// Does something to the terminal that the bar must not be in the way of.
    pub fn aside<T>(&self, act: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(act),
            None => act(),
        }
    }

    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(has_end: bool) -> ProgressStyle {
    let template = if has_end {
        "checking {msg}  {human_pos} of {human_len}  {bar:24}  {per_sec}  {eta} left"
    } else {
        "checking {msg}  {human_pos}"
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
