//! The command line.

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum, builder::Styles};
use tracing_subscriber::{Layer as _, filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use super::{
    database::Database,
    ending::Failure,
    printer::Printer,
    verbs::{
        bench::BenchArgs, completions::CompletionsArgs, event::EventArgs, export::ExportArgs, import::ImportArgs,
        log::LogArgs, migrate::MigrateArgs, receipts::ReceiptsArgs, responses::ResponsesArgs, show::ShowArgs,
        status::StatusArgs, subscriptions::SubscriptionsArgs, sweep::SweepArgs, timers::TimersArgs, trace::TraceArgs,
        types::TypesArgs, verify::VerifyArgs,
    },
};

/// Looks after a store of annals, on SQLite or PostgreSQL
///
/// Data goes to standard output, words to standard error. Only `migrate` changes the schema of a database, or
/// makes one where it is told to: all other verbs refuse an older or a newer schema.
#[derive(Debug, Parser)]
#[command(name = "annals", version, arg_required_else_help = true, max_term_width = 100, styles = Styles::plain())]
#[command(after_help = "\
Exit codes:
  0  done
  1  failed: the words on standard error say why
  2  called wrongly
  3  not found, or a check has failed

Examples:
  export DATABASE_URL=sqlite:orders.db
  annals status                          what is there, and what is behind
  annals subscriptions list              who lags, and why
  annals show order natural:537434       the history of one order
  annals verify                          is everything that was written still there?")]
pub struct Args {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub verb: Verb,
}

/// What there is to do, in the order in which it is looked for.
#[derive(Debug, Subcommand)]
pub enum Verb {
    Status(StatusArgs),
    Types(TypesArgs),
    Show(ShowArgs),
    Event(EventArgs),
    Log(LogArgs),
    Trace(TraceArgs),
    Receipts(ReceiptsArgs),
    Responses(ResponsesArgs),
    Subscriptions(SubscriptionsArgs),
    Timers(TimersArgs),
    Verify(VerifyArgs),
    Export(ExportArgs),
    Import(ImportArgs),
    Sweep(SweepArgs),
    Migrate(MigrateArgs),
    Bench(BenchArgs),
    Completions(CompletionsArgs),
}

/// What every verb takes.
#[derive(Debug, ClapArgs)]
pub struct GlobalArgs {
    /// The database: sqlite:FILE or postgres://USER@HOST/NAME
    ///
    /// It has to be there. In the environment a password is not seen in the list of processes.
    #[arg(
        long,
        value_name = "URL",
        env = "DATABASE_URL",
        hide_env_values = true,
        global = true,
        help_heading = "Global options"
    )]
    pub database_url: Option<String>,

    /// The schema of a PostgreSQL database that has the tables; otherwise the first of the search path
    #[arg(long, value_name = "NAME", env = "ANNALS_SCHEMA", global = true, help_heading = "Global options")]
    pub schema: Option<String>,

    /// How data is written to standard output
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Table, global = true, help_heading = "Global options")]
    pub format: Format,

    /// Say nothing on standard error but errors
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Global options")]
    pub quiet: bool,

    /// Say on standard error what is done; twice: in detail
    #[arg(short, long, action = ArgAction::Count, global = true, help_heading = "Global options")]
    pub verbose: u8,
}

/// How data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// For programs: one document
    Json,
    /// For programs: an object on each line
    Jsonl,
}

/// What every verb works with.
#[derive(Debug)]
pub struct Session {
    pub printer: Printer,
    pub schema: Option<String>,
    database_url: Option<String>,
}

impl GlobalArgs {
    /// Says on standard error what the library says of itself, where that is asked for.
    pub fn listen(&self) {
        let level = match self.verbose {
            0 => return,
            1 => tracing::Level::INFO,
            _ => tracing::Level::DEBUG,
        };
        // Ours alone: what others say may show what a URL holds.
        let ours = Targets::new().with_target("annals", level);
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false).with_target(false);
        tracing_subscriber::registry().with(lines.compact().with_filter(ours)).init();
    }

    pub fn session(&self) -> Session {
        let printer = Printer::new(self.format, self.quiet);
        Session { printer, schema: self.schema.clone(), database_url: self.database_url.clone() }
    }
}

impl Session {
    /// The database's URL. It may hold a password: it is never shown.
    pub fn url(&self) -> Result<&str, Failure> {
        let missing = || Failure::Usage("which database? Give --database-url URL, or set DATABASE_URL".to_owned());
        self.database_url.as_deref().ok_or_else(missing)
    }

    /// Opens the database to look at it only, whatever state it is in.
    pub async fn inspect(&self) -> Result<Database, Failure> {
        Database::inspect(self.url()?, self.schema.as_deref()).await
    }

    /// Opens the database, if it is there and has the schema of this version.
    pub async fn open(&self) -> Result<Database, Failure> {
        Database::open(self.url()?, self.schema.as_deref()).await
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Args;

    #[test]
    fn the_arguments_fit_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_verb_has_an_example() {
        fn look(command: &clap::Command) {
            for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
                if verb.has_subcommands() {
                    look(verb);
                    continue;
                }
                let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("Example") && help.contains("  annals "), "{}", verb.get_name());
                assert!(verb.get_long_about().is_some(), "{} has no more than a line", verb.get_name());
            }
        }
        look(&Args::command());
    }
}
