//! What a person at a terminal sees meanwhile: how far the import is, and what it did not take.

use std::{
    fmt::Display,
    fs::File,
    io::{IsTerminal as _, Read, stderr},
    sync::atomic::{AtomicU64, Ordering},
};

use indicatif::{ProgressBar, ProgressStyle};

/// How many lines are complained about one by one. The rest is a number.
const COMPLAINTS_SHOWN: u64 = 20;

/// Shows a progress bar on a terminal, and complaints wherever standard error goes.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    complaints: AtomicU64,
}

impl Progress {
    /// Begins at nothing of `bytes`.
    pub fn of(bytes: u64) -> Self {
        let bar = if stderr().is_terminal() { ProgressBar::new(bytes) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {percent:>3} %  {elapsed} gone, {eta} to go") {
            bar.set_style(style);
        }
        Self { bar, complaints: AtomicU64::new(0) }
    }

    /// Moves on with every byte that is read from the file.
    pub fn watch(&self, file: File) -> impl Read + Send + 'static {
        self.bar.wrap_read(file)
    }

    /// Says what is wrong with a line.
    pub fn complain(&self, line: u64, problem: &dyn Display) {
        if self.complaints.fetch_add(1, Ordering::Relaxed) < COMPLAINTS_SHOWN {
            self.bar.suspend(|| eprintln!("line {line}: {problem}"));
        }
    }

    /// Takes the bar away, and counts the complaints that were not shown.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
        let made = self.complaints.load(Ordering::Relaxed);
        if made > COMPLAINTS_SHOWN {
            eprintln!("and {} more lines", made - COMPLAINTS_SHOWN);
        }
    }
}
