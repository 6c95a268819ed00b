//! The runner: who does what the process decides.

use std::{future::Future, time::Duration};

#[cfg(feature = "postgres")]
use annals::PostgresStore;
use annals::{
    CheckpointStore, Error, Repository, SqliteStore,
    process::{Call, ProcessRunner, Processes, UndoCall},
    store::{StepStore, TimerStore},
};

use crate::{
    database::Database,
    fulfilment::{Fulfilment, process_id},
    order::Order,
    payments::{Charge, Charged, Payments},
    shipment::Shipment,
    stock::Stock,
};

/// How many articles a runner keeps in mind.
const CACHED: usize = 1_000;

/// How long a runner that was killed stands in the way of the next.
const LEASE: Duration = Duration::from_secs(1);

/// How often a fulfilment is tried that cannot go on, with which pauses, before it is parked.
const ATTEMPTS: u32 = 200;
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long a call of the payment service may take, with all its attempts.
const CALL: Duration = Duration::from_secs(5);

/// How often a runner looks for what is due.
const POLL: Duration = Duration::from_millis(50);

/// A runner on a database of either kind.
#[derive(Debug)]
pub enum Runner {
    Sqlite(ProcessRunner<Fulfilment, SqliteStore>),
    #[cfg(feature = "postgres")]
    Postgres(ProcessRunner<Fulfilment, PostgresStore>),
}

/// Commands go to the aggregates, calls to the payment service, each under the key of its step.
pub fn runner<S>(store: &S, payments: &Payments) -> Result<ProcessRunner<Fulfilment, S>, Error>
where
    S: CheckpointStore + StepStore + TimerStore + Clone + 'static,
{
    let (charging, refunding) = (payments.clone(), payments.clone());
    Ok(ProcessRunner::new(store)?
        .commands(Repository::<Order>::new(store))
        .commands(Repository::<Stock>::new(store).cached(CACHED))
        .commands(Repository::<Shipment>::new(store))
        .call("charge", move |call: Call<Charge>| {
            let payments = charging.clone();
            async move { payments.charge(call.key, &call.request).await }
        })
        .undo("refund", move |undo: UndoCall<Charge, Charged>| {
            let payments = refunding.clone();
            async move { payments.refund(undo.key, undo.action_key, &undo.request, undo.result).await }
        }))
}

/// What is the same on both kinds of database.
macro_rules! on_either {
    ($self:expr, $runner:ident => $does:expr) => {
        match $self {
            Runner::Sqlite($runner) => $does,
            #[cfg(feature = "postgres")]
            Runner::Postgres($runner) => $does,
        }
    };
}

impl Runner {
    pub fn on(database: &Database, payments: &Payments) -> Result<Self, Error> {
        Ok(match database {
            Database::Sqlite(store) => Self::Sqlite(runner(store, payments)?),
            #[cfg(feature = "postgres")]
            Database::Postgres(store) => Self::Postgres(runner(store, payments)?),
        })
    }

    /// For a run in which runners are killed: their leases lapse soon, and nothing is given up soon.
    pub fn impatient(self) -> Self {
        macro_rules! set {
            ($runner:expr) => {
                $runner.lease(LEASE).attempts(ATTEMPTS, SHORTEST_PAUSE, LONGEST_PAUSE).call_timeout(CALL).poll(POLL)
            };
        }
        match self {
            Self::Sqlite(runner) => Self::Sqlite(set!(runner)),
            #[cfg(feature = "postgres")]
            Self::Postgres(runner) => Self::Postgres(set!(runner)),
        }
    }

    /// Handles what is there and due, and returns.
    pub async fn catch_up(&self) -> Result<(), Error> {
        on_either!(self, runner => runner.catch_up().await.map(|_| ()))
    }

    /// Runs until it is told to stop.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
        on_either!(self, runner => runner.run(shutdown).await.map(|_| ()))
    }
}

/// How a fulfilment stands that has not ended: in a line.
pub async fn standing(database: &Database, number: &str) -> Result<String, Error> {
    let id = process_id(number);
    let view = match database {
        Database::Sqlite(store) => Processes::<Fulfilment, _>::new(store).find(id).await?,
        #[cfg(feature = "postgres")]
        Database::Postgres(store) => Processes::<Fulfilment, _>::new(store).find(id).await?,
    };
    let Some(view) = view else { return Ok(format!("{number}: its fulfilment has not begun")) };
    let status = view.process.status().as_str();
    Ok(match view.due {
        None => format!("{number}: {status}, and waits for nothing"),
        Some(due) => {
            let failure = due.failure.as_ref().map_or("nothing failed", |failure| &*failure.message);
            format!("{number}: {status}, {:?}, due at {:?}, attempt {}: {failure}", due.state, due.due_at, due.attempts)
        }
    })
}
