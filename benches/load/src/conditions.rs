//! What a measurement depends on and says nothing about by itself.

use std::{fmt, fs, io::Write as _, path::Path, thread::available_parallelism, time::Instant};

use annals_contest::percentile;
use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use sqlx::{Connection as _, PgConnection, Row as _, SqliteConnection};

use crate::server::RunServer;

/// How often the disk is asked.
const SYNCS: usize = 100;

/// What is written each time: a page of the log.
const SYNC_BYTES: usize = 4_096;

/// The machine, the disk and the settings.
#[derive(Debug, Serialize)]
pub(crate) struct Conditions {
    cpus: usize,
    cpu_model: String,
    kernel: String,
    sqlite: String,
    settings: &'static str,
    postgres: Option<ServerConditions>,
    /// One, five and fifteen minutes, before anything was measured.
    load_average: String,
    /// Writing a page and having it on the disk.
    fsync_p50_us: u64,
    fsync_p99_us: u64,
}

/// A server, as it was found.
#[derive(Debug, Serialize)]
struct ServerConditions {
    version: String,
    settings: Vec<(String, String)>,
    /// Whether it was started for this run.
    is_ours: bool,
    /// A commit that writes a few bytes to the log and nothing else: a round trip and an fsync.
    commit_p50_us: u64,
    commit_p99_us: u64,
}

/// What decides how durable a commit is, and what it costs.
const SETTINGS: [&str; 9] = [
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_sync_method",
    "commit_delay",
    "synchronous_standby_names",
    "shared_buffers",
    "max_connections",
    "jit",
];

const COMMIT_BYTES: &str = "SELECT pg_logical_emit_message(true, 'annals-load', 'a few bytes')";

impl ServerConditions {
    async fn of(server: &RunServer) -> Result<Self> {
        let mut connection = PgConnection::connect(server.url()).await?;
        let version = sqlx::query_scalar("SELECT version()").fetch_one(&mut connection).await?;
        let sql = "SELECT name, current_setting(name) FROM unnest($1::text[]) AS name";
        let rows = sqlx::query(sql).bind(SETTINGS.as_slice()).fetch_all(&mut connection).await?;
        let settings: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        for durable in ["fsync", "synchronous_commit", "full_page_writes"] {
            let is_on = settings.iter().any(|(name, value)| name == durable && value != "off");
            ensure!(is_on, "{durable} is off: nothing is measured that can be lost");
        }
        let mut commits = Vec::with_capacity(SYNCS);
        for _ in 0..SYNCS {
            let began = Instant::now();
            sqlx::query(COMMIT_BYTES).execute(&mut connection).await?;
            commits.push(u64::try_from(began.elapsed().as_nanos())?);
        }
        commits.sort_unstable();
        let [commit_p50_us, commit_p99_us] = [0.5, 0.99].map(|share| percentile(&commits, share) / 1_000);
        Ok(Self { version, settings, is_ours: server.is_ours(), commit_p50_us, commit_p99_us })
    }
}

impl fmt::Display for ServerConditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings: Vec<_> = self.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let whose = if self.is_ours { "started for this run" } else { "found running" };
        writeln!(f, "{}, {whose}: {}", self.version, settings.join(", "))?;
        writeln!(f, "a commit of a few bytes there: p50 {} µs, p99 {} µs", self.commit_p50_us, self.commit_p99_us)
    }
}

impl Conditions {
    pub(crate) async fn of(directory: &Path, server: Option<&RunServer>) -> Result<Self> {
        let load_average = read("/proc/loadavg").split_whitespace().take(3).collect::<Vec<_>>().join(" ");
        let syncs = sync_latencies(directory).context("measuring the disk")?;
        let mut connection = SqliteConnection::connect("sqlite::memory:").await?;
        let sqlite = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut connection).await?;
        Ok(Self {
            cpus: available_parallelism()?.get(),
            cpu_model: cpu_model(),
            kernel: read("/proc/sys/kernel/osrelease"),
            sqlite,
            settings: "journal_mode=WAL, synchronous=FULL, busy_timeout=5000",
            postgres: match server {
                Some(server) => Some(ServerConditions::of(server).await.context("asking PostgreSQL")?),
                None => None,
            },
            load_average,
            fsync_p50_us: percentile(&syncs, 0.5) / 1_000,
            fsync_p99_us: percentile(&syncs, 0.99) / 1_000,
        })
    }
}

/// Writes a page at the end of a file and waits for the disk, again and again. Sorted, in nanoseconds.
fn sync_latencies(directory: &Path) -> Result<Vec<u64>> {
    let path = directory.join("fsync");
    let mut file = fs::File::create(&path)?;
    let mut latencies = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let began = Instant::now();
        file.write_all(&[0x5a; SYNC_BYTES])?;
        file.sync_data()?;
        latencies.push(u64::try_from(began.elapsed().as_nanos())?);
    }
    fs::remove_file(path)?;
    latencies.sort_unstable();
    Ok(latencies)
}

fn cpu_model() -> String {
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or_else(|| "unknown".to_owned(), |(_, model)| model.to_owned())
}

/// A file of the kernel's; nothing where there is none.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} CPUs ({}), Linux {}", self.cpus, self.cpu_model, self.kernel)?;
        writeln!(f, "SQLite {}: {}", self.sqlite, self.settings)?;
        self.postgres.iter().try_for_each(|postgres| postgres.fmt(f))?;
        writeln!(f, "load average before: {}", self.load_average)?;
        writeln!(f, "write and fdatasync of 4 KiB: p50 {} µs, p99 {} µs", self.fsync_p50_us, self.fsync_p99_us)
    }
}
