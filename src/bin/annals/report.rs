//! What is written, and where.

use std::{
    error::Error as StdError,
    io::{self, ErrorKind, Write as _},
    process::ExitCode,
};

/// Writes data. Whoever reads it may have had enough: that is no failure.
pub fn data(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Says something. Nobody may be listening.
pub fn words(text: &str) {
    let _ = writeln!(io::stderr().lock(), "annals: {text}");
}

/// Says what has failed, with what lies beneath it.
pub fn failure(error: &(dyn StdError + 'static)) -> ExitCode {
    let mut text = error.to_string();
    let mut beneath = error.source();
    while let Some(error) = beneath {
        text.push_str(": ");
        text.push_str(&error.to_string());
        beneath = error.source();
    }
    words(&masked(&text));
    ExitCode::from(1)
}

/// Says how it is called; also where it was asked for, which is no failure.
pub fn usage(error: &clap::Error) -> ExitCode {
    let text = masked(&error.to_string());
    if error.use_stderr() {
        let _ = io::stderr().lock().write_all(text.as_bytes());
        return ExitCode::from(2);
    }
    match data(&text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure(&error),
    }
}

/// Hides who and by which password, wherever a text shows a URL.
fn masked(text: &str) -> String {
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
