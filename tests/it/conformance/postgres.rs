//! Every conformance case, on PostgreSQL.

use std::sync::Arc;

use annals::{
    CheckpointStore, Clock, EventStore, Limits, PostgresOptions, PostgresStore, TimerStore,
    testing::conformance::{AnswerStores, Capabilities, Fixture, InboxPlace},
};
use async_trait::async_trait;
use sqlx::Executor as _;

use crate::postgres_server::Database;

/// A database of its own, and how it is connected to.
struct OnServer {
    store: PostgresStore,
    options: PostgresOptions,
    url: String,
    capabilities: Capabilities,
    _database: Database,
}

impl OnServer {
    async fn open(clock: Arc<dyn Clock>, set: impl FnOnce(PostgresOptions) -> PostgresOptions) -> Self {
        let database = Database::create().await;
        let url = database.url().to_owned();
        Self::connect(database, url, set(PostgresStore::options().shared_clock(clock))).await
    }

    async fn connect(database: Database, url: String, options: PostgresOptions) -> Self {
        let store = options.clone().connect(&url).await.unwrap();
        Self { store, options, url, capabilities: Capabilities::all(), _database: database }
    }

    fn with(mut self, set: impl FnOnce(Capabilities) -> Capabilities) -> Self {
        self.capabilities = set(self.capabilities);
        self
    }
}

#[async_trait]
impl Fixture for OnServer {
    fn store(&self) -> Arc<dyn EventStore> {
        Arc::new(self.store.clone())
    }

    fn checkpoints(&self) -> Option<Arc<dyn CheckpointStore>> {
        Some(Arc::new(self.store.clone()))
    }

    fn responses(&self) -> Option<AnswerStores> {
        Some(AnswerStores::of(&self.store))
    }

    fn timers(&self) -> Option<Arc<dyn TimerStore>> {
        Some(Arc::new(self.store.clone()))
    }

    fn inbox(&self) -> Option<Arc<dyn InboxPlace>> {
        Some(Arc::new(self.store.clone()))
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    async fn reopen(&mut self) {
        self.store.close().await;
        self.store = self.options.clone().connect(&self.url).await.unwrap();
    }

    async fn another(&self) -> Option<Arc<dyn EventStore>> {
        Some(Arc::new(self.options.clone().connect(&self.url).await.unwrap()))
    }
}

async fn open_as_it_comes(clock: Arc<dyn Clock>) -> OnServer {
    OnServer::open(clock, |options| options).await
}

async fn open_without_shared_commits(clock: Arc<dyn Clock>) -> OnServer {
    OnServer::open(clock, |options| options.limits(Limits { commit_appends: 1, ..Limits::default() })).await
}

/// As behind a pooler: nothing is set on connections.
async fn open_pooled(clock: Arc<dyn Clock>) -> OnServer {
    OnServer::open(clock, |options| options.pooled(true)).await
}

async fn open_cached_with_snapshots(clock: Arc<dyn Clock>) -> OnServer {
    open_as_it_comes(clock).await.with(|capabilities| capabilities.cached(100).snapshot_every(2))
}

/// What a role needs, and no more. Roles are of the whole server: this one is made once, and stays.
const GRANTS: &str = "
    DO $$ BEGIN
        CREATE ROLE annals_test_app LOGIN PASSWORD 'annals';
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END $$;
    GRANT USAGE ON SCHEMA ordering TO annals_test_app;
    GRANT SELECT ON ordering.annals_migrations TO annals_test_app;
    GRANT SELECT, INSERT ON ordering.annals_events TO annals_test_app;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ordering.annals_receipts, ordering.annals_snapshots,
        ordering.annals_checkpoints, ordering.annals_parked_events, ordering.annals_responses, ordering.annals_steps,
        ordering.annals_client_keys, ordering.annals_timers, ordering.annals_inbox, ordering.annals_inbox_places
        TO annals_test_app;
    GRANT SELECT, USAGE ON SEQUENCE ordering.annals_positions TO annals_test_app;
    GRANT USAGE ON SEQUENCE ordering.annals_fences TO annals_test_app";

/// As a role that may neither create, change nor delete an event, in a schema of another name.
async fn open_as_a_plain_role(clock: Arc<dyn Clock>) -> OnServer {
    let database = Database::create().await;
    let mut owner = database.connection().await;
    owner.execute("CREATE SCHEMA ordering").await.unwrap();
    let options = PostgresStore::options().shared_clock(clock).schema("ordering");
    options.clone().connect(database.url()).await.unwrap().close().await;
    sqlx::raw_sql(GRANTS).execute(&mut owner).await.unwrap();
    let url = database.url_as("annals_test_app", Some("annals"));
    OnServer::connect(database, url, options).await
}

mod as_it_comes {
    annals::conformance!(super::open_as_it_comes);
}

mod without_shared_commits {
    annals::conformance!(super::open_without_shared_commits);
}

mod pooled {
    annals::conformance!(super::open_pooled);
}

mod cached_with_snapshots {
    annals::conformance!(super::open_cached_with_snapshots);
}

mod as_a_plain_role {
    annals::conformance!(super::open_as_a_plain_role);
}
