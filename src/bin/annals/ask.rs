//! Asks before something is taken away.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use super::ending::Failure;

/// Goes on where the caller said `--yes`, or says so now.
///
/// Where nobody can be asked it is called wrongly.
pub fn confirm(yes: bool, question: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(format!("{question} Nobody can be asked here: say --yes")));
    }
    write!(io::stderr(), "{question} [y/N] ")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::failed("nothing was done")),
    }
}
