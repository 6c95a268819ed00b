//! How it ends: exit codes, and what is said of a failure.

use std::{
    error::Error as StdError,
    io::{self, ErrorKind, Write as _},
    process::ExitCode,
};

use annals::{Error, Fault};

use super::printer::{Printer, say};

/// How a verb has come to its end.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// What was asked for is done.
    Done,
    /// There is no such thing, or a check has failed: why, in a sentence, where that was not said.
    No(String),
}

/// Why a verb has not come to its end.
#[derive(Debug)]
pub enum Failure {
    /// It was called wrongly: how else, in a sentence.
    Usage(String),
    /// Whoever reads standard output has had enough.
    Closed,
    /// Something failed.
    Failed(Box<dyn StdError + Send + Sync>),
}

impl Failure {
    /// Something failed that is said best in a sentence of its own.
    pub fn failed(words: impl Into<String>) -> Self {
        Self::Failed(words.into().into())
    }

    /// Data could not be written to standard output.
    pub fn output(error: io::Error) -> Self {
        if error.kind() == ErrorKind::BrokenPipe { Self::Closed } else { Self::Failed(error.into()) }
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// The exit code, after what there is to say.
pub fn code(printer: &Printer, ended: Result<Ended, Failure>) -> ExitCode {
    match ended {
        Ok(Ended::Done) | Err(Failure::Closed) => ExitCode::SUCCESS,
        Ok(Ended::No(why)) => {
            if !why.is_empty() {
                printer.words(why);
            }
            ExitCode::from(3)
        }
        Err(Failure::Usage(how)) => {
            say(&format!("{}\n\nFor more information, try 'annals --help'.", masked(&how)));
            ExitCode::from(2)
        }
        Err(Failure::Failed(error)) => {
            say(&masked(&with_sources(&*error)));
            if matches!(error.downcast_ref(), Some(Error::Backend { fault: Fault::Corrupt, .. })) {
                printer.words("what is damaged, and where, is for `annals verify` to say");
            }
            ExitCode::from(1)
        }
    }
}

/// What has failed, with what lies beneath it.
pub fn with_sources(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut beneath = error.source();
    while let Some(error) = beneath {
        let more = error.to_string();
        // Some drivers say the same of what lies beneath.
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        beneath = error.source();
    }
    text
}

/// Says how it is called; also where it was asked for, which is no failure.
pub fn usage(error: &clap::Error) -> ExitCode {
    let text = error.to_string();
    if error.use_stderr() {
        // It quotes what was typed.
        let _ = io::stderr().lock().write_all(masked(&text).as_bytes());
        return ExitCode::from(2);
    }
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::output) {
        Ok(()) | Err(Failure::Closed) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(1),
    }
}

/// Hides who and by which password, wherever a text shows a URL.
pub fn masked(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("://") {
        let (before, after) = rest.split_at(start + 3);
        shown.push_str(before);
        let end = after.find([' ', '\'', '"', '\n']).unwrap_or(after.len());
        // A password may hold anything, an `@` and a `/` too.
        rest = after[..end].rfind('@').map_or(after, |at| {
            shown.push('…');
            &after[at..]
        });
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn passwords_are_hidden() {
        for (text, shown) in [
            ("no URL", "no URL"),
            ("'postgres://ann:s3cr@t:x/y@db/shop' and sqlite://file", "'postgres://…@db/shop' and sqlite://file"),
            ("postgres://db/shop", "postgres://db/shop"),
        ] {
            assert_eq!(masked(text), shown);
        }
    }
}
