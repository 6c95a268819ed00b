//! `annals completions`: what a shell needs to complete the command line.

use std::io;

use clap::{Args as ClapArgs, CommandFactory as _};
use clap_complete::{Shell, generate};

use crate::{
    args::{Args, Session},
    ending::{Ended, Failure},
};

/// Writes what a shell needs to complete the command line
///
/// To standard output, for bash, elvish, fish, powershell or zsh. No database is needed.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  annals completions bash > ~/.local/share/bash-completion/completions/annals
  annals completions fish > ~/.config/fish/completions/annals.fish")]
pub struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Writes it.
pub fn run(_session: &Session, args: &CompletionsArgs) -> Result<Ended, Failure> {
    // Made in memory: what is written to a closed pipe would end in a panic.
    let mut script = Vec::new();
    generate(args.shell, &mut Args::command(), "annals", &mut script);
    let mut out = io::stdout().lock();
    io::Write::write_all(&mut out, &script).map_err(Failure::output)?;
    Ok(Ended::Done)
}
