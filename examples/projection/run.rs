//! Running the projection: what a service does beside its other work.

use std::{
    fmt::Display,
    future::{Future, pending},
    io::{IsTerminal as _, Write as _, stderr, stdout},
    str::FromStr as _,
    time::Duration,
};

use annals::{Error, Position, Progress, Projection, ProjectionStore, Projector, Transactional, Work};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use sqlx::sqlite::SqliteConnectOptions;
use tokio::time::interval;

use crate::{
    answer::{Done, Format},
    args::Task,
    database::{Database, without_secrets},
    read_model::ReadModel,
    report::{Report, Standing},
    sales::SalesByDay,
};

const FIRST_IMPORT: &str = "import some first, with `cargo run --release --example order -- FILE.csv`, or see the story \
                            that this program tells without a command";

/// Does what the command line says, on the database that it names.
pub async fn run(task: Task) -> Done {
    let url = &task.place().database_url;
    if is_missing(url) {
        return Err(format!("there is no database {}, hence no orders: {FIRST_IMPORT}", without_secrets(url)).into());
    }
    match Database::open(url, None).await? {
        Database::Sqlite(store) => run_on(&store, &task).await,
        #[cfg(feature = "postgres")]
        Database::Postgres(store) => run_on(&store, &task).await,
    }
}

/// A mistyped name is not to make a database.
fn is_missing(url: &str) -> bool {
    let file = SqliteConnectOptions::from_str(url);
    url.starts_with("sqlite:") && file.is_ok_and(|file| !file.get_filename().exists())
}

/// The same on either database: a projector takes any store whose connection its projection takes.
async fn run_on<S>(store: &S, task: &Task) -> Done
where
    S: ProjectionStore,
    SalesByDay: Projection<<<S as Transactional>::Work as Work>::Connection>,
{
    if store.head().await? == Position::START {
        eprintln!("there are no orders yet: {FIRST_IMPORT}");
    }
    let mut projector = Projector::new(store, SalesByDay)?;
    if let Task::Run { pace, .. } | Task::Rebuild { pace, .. } = task {
        projector = projector.batch_events(pace.batch_events.into()).lease(Duration::from_millis(pace.lease.into()));
    }
    let place = task.place();
    match task {
        Task::Run { until_caught_up: true, .. } => {
            with_bar(projector.catch_up(), || projector.progress()).await?;
        }
        // Told to stop it ends what it is at, and lets go of its lease. Killed it does neither, and nothing is lost.
        Task::Run { until_caught_up: false, .. } => {
            with_bar(projector.run(ctrl_c()), || projector.progress()).await?;
        }
        Task::Rebuild { .. } => with_bar(projector.rebuild(), || projector.rebuild_progress()).await?,
        Task::Progress { .. } => {
            let progress = projector.progress().await?.ok_or("nobody has run the projection on this database yet")?;
            return print(&Standing::from(progress), place.format);
        }
    }

    let position = projector.progress().await?.map_or(Position::START, |progress| progress.position);
    let rows = ReadModel::connect(&place.database_url).await?.rows().await?;
    print(&Report::new(without_secrets(&place.database_url), position.get(), rows), place.format)
}

/// Writes a result to standard output.
fn print(result: &(impl Display + Serialize), format: Format) -> Done {
    let text = match format {
        Format::Text => result.to_string(),
        Format::Json => serde_json::to_string(result)? + "\n",
    };
    Ok(stdout().write_all(text.as_bytes())?)
}

/// Is ready when a person has pressed Ctrl-C.
async fn ctrl_c() {
    if tokio::signal::ctrl_c().await.is_err() {
        pending().await
    }
}

/// How often the progress bar looks how far the projection is.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Works, and meanwhile shows people at a terminal how far it is.
async fn with_bar<F>(
    work: impl Future<Output = Result<(), Error>> + Send,
    progress: impl Fn() -> F + Send + Sync,
) -> Result<(), Error>
where
    F: Future<Output = Result<Option<Progress>, Error>> + Send,
{
    if !stderr().is_terminal() {
        return work.await;
    }
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {msg}") {
        bar.set_style(style);
    }
    let look = async {
        let mut times = interval(LOOK_EVERY);
        loop {
            times.tick().await;
            if let Ok(Some(Progress { position, lag_events, .. })) = progress().await {
                // Positions have holes, so the bar is about right, and the number of events behind is exact.
                bar.set_length(position.get() + lag_events);
                bar.set_position(position.get());
                bar.set_message(format!("position {position}, {lag_events} events behind"));
            }
        }
    };
    tokio::select! {
        done = work => {
            bar.finish_and_clear();
            done
        }
        never = look => never,
    }
}
