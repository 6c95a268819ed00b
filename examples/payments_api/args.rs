//! The command line.

use std::{net::SocketAddr, time::Duration};

use clap::Parser;

use super::api_error::Style;

/// A payments service whose requests are safe to retry.
///
/// Prints the address it listens on as its first line, and runs until Ctrl-C or SIGTERM.
#[derive(Debug, Parser)]
#[command(name = "payments_api")]
pub struct Args {
    /// Where to listen. Port 0: any that is free
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// The database: sqlite:FILE, made where there is none, or postgres://USER@HOST/NAME. Any number of processes may
    /// share one
    #[arg(long, value_name = "URL", default_value = "sqlite:payments.db")]
    pub database_url: String,

    /// A Redis in front of the database, for stored answers: redis://HOST:PORT
    #[arg(long, value_name = "URL")]
    pub redis_url: Option<String>,

    /// How errors look, and with stripe also what is stored: every answer, as Stripe does, 500s included
    #[arg(long, value_name = "STYLE", value_enum, default_value_t = Style::Ietf)]
    pub errors: Style,

    /// How long a request waits for another under its key before it is answered 409. Unless told: not at all
    #[arg(long, value_name = "SECONDS", value_parser = seconds::<0, 300_000>)]
    pub in_flight_wait: Option<Duration>,

    /// How long a key stays with a process that gives no sign of life; then a retry takes over
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds::<100, 3_600_000>)]
    pub lease: Duration,

    /// How long after its lease has lapsed a request is finished without its client, if that has not come back
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds::<0, 3_600_000>)]
    pub finish_abandoned_after: Duration,

    /// How often a request is begun, where process after process dies over it, before it is given up
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub attempts: u32,

    /// How long stored answers are kept. What has happened once happens once after that, too: the charge knows its key
    #[arg(long, value_name = "SECONDS", default_value = "86400", value_parser = seconds::<1_000, 31_536_000_000>)]
    pub keep_for: Duration,
}

/// Reads seconds, also parts of one, within bounds in milliseconds.
fn seconds<const LEAST: u64, const MOST: u64>(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_millis(LEAST)..=Duration::from_millis(MOST);
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|seconds| bounds.contains(seconds)).ok_or_else(|| {
        format!("a number of seconds, {} to {}", bounds.start().as_secs_f64(), bounds.end().as_secs_f64())
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_fit_together() {
        Args::command().debug_assert();
        let args = Args::try_parse_from(["payments_api", "--lease", "0.5", "--in-flight-wait", "0"]).unwrap();
        assert_eq!((args.lease, args.in_flight_wait), (Duration::from_millis(500), Some(Duration::ZERO)));
        assert_eq!(args.attempts, 5);
        assert!(Args::try_parse_from(["payments_api", "--attempts", "0"]).is_err());
        for unfit in ["", "-1", "0.05", "3601", "nan", "inf", "soon"] {
            assert!(Args::try_parse_from(["payments_api", "--lease", unfit]).is_err(), "{unfit:?}");
        }
        assert!(Args::try_parse_from(["payments_api", "--listen", "localhost"]).is_err());
    }
}
