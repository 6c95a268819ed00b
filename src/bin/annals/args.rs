//! The command line.

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use super::sweep::SweepArgs;

/// Looks after a store of annals, on SQLite or PostgreSQL.
///
/// Data goes to standard output, words to standard error. Exit codes: 0 done, 1 failed, 2 called wrongly. The schema is
/// never changed: a database with an older or a newer one is refused.
#[derive(Debug, Parser)]
#[command(name = "annals", version, arg_required_else_help = true, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    pub verb: Verb,
}

/// What there is to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    Sweep(SweepArgs),
}

/// Which database.
#[derive(Debug, ClapArgs)]
pub struct DatabaseArgs {
    /// The database: sqlite:FILE or postgres://USER@HOST/NAME.
    ///
    /// It has to be there. In the environment a password is not seen in the list of processes.
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: String,
}

/// How data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs: one object on one line.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Args;

    #[test]
    fn the_arguments_fit_together() {
        Args::command().debug_assert();
    }
}
