//! How a program answers whoever started it.

use std::{
    error::Error,
    io::{self, ErrorKind},
    iter::successors,
    process::ExitCode,
};

use clap::ValueEnum;

/// Whatever a program can fail with.
pub type AnyError = Box<dyn Error + Send + Sync>;

/// What a program comes to: it has nothing more to say, or has failed.
pub type Done = Result<(), AnyError>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A summary for people
    Text,
    /// One JSON object
    Json,
}

/// Says what went wrong on standard error, with its causes, in one line.
pub fn exit_code(done: Done) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has seen enough, as with `| head`.
        Err(error) if error.downcast_ref().is_some_and(|e: &io::Error| e.kind() == ErrorKind::BrokenPipe) => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            let causes = successors(Some(&*error as &dyn Error), |&error| error.source());
            eprintln!("error: {}", causes.map(ToString::to_string).collect::<Vec<_>>().join(": "));
            ExitCode::FAILURE
        }
    }
}
