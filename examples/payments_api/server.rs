//! The service as a process: what it is made of, how it begins and how it ends.

use std::{
    io::{self, Write as _},
    sync::Arc,
    time::Duration,
};

use annals::{
    Clock, EventStore, ResponseStore, Retention, Scope, Sweeper,
    http::{FailurePolicy, IdempotencyLayer, InFlight},
    process::Completer,
};
use axum::http::request::Parts;
use tokio::{net::TcpListener, sync::watch, time::timeout};

use super::{
    account::Account,
    answer::{AnyError, Done},
    api_error::Style,
    args::Args,
    database::Database,
    routes::{Api, POLICY, resumer, router},
};

/// How long the end waits for what is under way; what is left then is taken over by a retry once its lease has lapsed.
const LAST_REQUESTS: Duration = Duration::from_secs(20);

/// Runs the service until it is told to end.
pub async fn run(args: Args) -> Done {
    if let Some(url) = &args.redis_url {
        can_use_redis(url)?;
    }
    let listener = TcpListener::bind(args.listen).await?;
    let stores = Stores::open(&args, None).await?;
    let layer = layer(Arc::clone(&stores.responses), &args)?;
    let api = Api::new(&stores.events);
    let service = router(&api, &layer, args.errors);

    // First of all, and at once: whoever has started this waits for it.
    writeln!(io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    io::stdout().flush()?;

    let (end, ended) = watch::channel(false);
    let serving = axum::serve(listener, service).with_graceful_shutdown(end_of(ended.clone()));
    let serving = tokio::spawn(serving.into_future());
    // Beside the requests: what has expired is deleted, a little at a time.
    let sweeper = Sweeper::new(&stores.expiring);
    let sweeping = tokio::spawn({
        let ended = ended.clone();
        async move { sweeper.run(end_of(ended)).await }
    });
    // Who has sent a request and died before its answer still gets what was asked for.
    let resumer = Arc::new(resumer(&api, &layer, args.errors));
    let completer = Completer::new(Arc::clone(&stores.responses), resumer)
        .lapsed_for(args.finish_abandoned_after)
        .poll(args.finish_abandoned_after.clamp(Duration::from_millis(100), Duration::from_secs(30)));
    let completing = tokio::spawn(async move { completer.run(end_of(ended)).await });
    told_to_end().await?;
    end.send_replace(true);
    let all_served = timeout(LAST_REQUESTS, serving).await;
    // What clients have begun and no longer wait for.
    if !layer.drain(LAST_REQUESTS).await {
        eprintln!(
            "ended with {} requests under way: retries take over when their leases have lapsed",
            layer.under_way()
        );
    }
    // A batch is short; what hangs is not waited for.
    for beside in [sweeping, completing] {
        if let Ok(ended) = timeout(LAST_REQUESTS, beside).await {
            ended??;
        }
    }
    stores.close().await;
    match all_served {
        Ok(served) => Ok(served??),
        Err(_) => Ok(()),
    }
}

/// The layer, as this service wants it.
pub fn layer(responses: Arc<dyn ResponseStore>, args: &Args) -> Result<IdempotencyLayer, AnyError> {
    let scope = |request: &Parts| Scope::new(&request.extensions.get::<Account>()?.0).ok();
    let builder = IdempotencyLayer::builder(responses, scope)
        .policy_url(POLICY)
        // What a client expects of the charge is a part of what it asks for.
        .fingerprint_headers(["if-match", "stripe-version", "stripe-account"])
        .keep_requests()
        .lease(args.lease)
        .attempts(args.attempts)
        .keep_for(args.keep_for)
        .in_flight(args.in_flight_wait.map_or(InFlight::Reject, InFlight::Wait));
    Ok(match args.errors {
        Style::Ietf => builder,
        Style::Stripe => builder.failure_policy(FailurePolicy::StoreAll),
    }
    .errors(args.errors.into())
    .build()?)
}

/// One database, by what is asked of it.
#[derive(Debug)]
pub struct Stores {
    pub database: Database,
    pub events: Arc<dyn EventStore>,
    pub responses: Arc<dyn ResponseStore>,
    pub expiring: Arc<dyn Retention>,
}

impl Stores {
    /// Opens the database, and Redis in front of its answers. Times are the machine's, unless another clock is given.
    pub async fn open(args: &Args, clock: Option<Arc<dyn Clock>>) -> Result<Self, AnyError> {
        let stores = match Database::open(&args.database_url, clock).await? {
            Database::Sqlite(store) => Self::of(Database::Sqlite(store.clone()), store),
            #[cfg(feature = "postgres")]
            Database::Postgres(store) => Self::of(Database::Postgres(store.clone()), store),
        };
        #[cfg(feature = "redis")]
        if let Some(url) = &args.redis_url {
            let responses = Arc::clone(&stores.responses);
            let responses = Arc::new(annals::RedisResponses::connect(url, responses).await?);
            return Ok(Self { responses, ..stores });
        }
        Ok(stores)
    }

    fn of(database: Database, store: impl EventStore + ResponseStore + Retention + Clone + 'static) -> Self {
        Self {
            database,
            events: Arc::new(store.clone()),
            responses: Arc::new(store.clone()),
            expiring: Arc::new(store),
        }
    }

    async fn close(&self) {
        match &self.database {
            Database::Sqlite(store) => store.close().await,
            #[cfg(feature = "postgres")]
            Database::Postgres(store) => store.close().await,
        }
    }
}

/// Says what is wrong with a Redis before anything is made. (Redis being away is nothing wrong: the database answers.)
fn can_use_redis(url: &str) -> Done {
    match url.split_once(':') {
        _ if cfg!(not(feature = "redis")) => {
            Err("this program was built without Redis: build it with cargo run --features http,redis --example …"
                .into())
        }
        Some(("redis" | "unix" | "redis+unix", _)) => Ok(()),
        _ => Err("a Redis is named by a URL such as redis://127.0.0.1:6379".into()),
    }
}

/// Ready when the service is told to end.
async fn end_of(mut ended: watch::Receiver<bool>) {
    // Also when nobody is left to tell.
    let _ = ended.wait_for(|ended| *ended).await;
}

/// Ends with Ctrl-C, or with SIGTERM, by which service managers end a process.
async fn told_to_end() -> io::Result<()> {
    #[cfg(unix)]
    {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
