//! Every statement of the PostgreSQL store.

use std::collections::BTreeSet;

use annals::{PostgresStore, postgres::statements};
use serde_json::Value;
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _, SqlSafeStr as _, Statement as _,
    postgres::PgConnectOptions,
};

use super::plan::{NESTED_LOOP, complaints, sorts};
use crate::postgres_server::Database;

async fn migrated() -> Database {
    let database = Database::create().await;
    PostgresStore::connect(database.url()).await.unwrap().close().await;
    database
}

/// What stands before a statement.
fn header(sql: &str) -> String {
    sql.lines().take_while(|line| line.starts_with("--")).collect::<Vec<_>>().join("\n") + "\n"
}

#[tokio::test]
async fn every_statement_can_be_prepared() {
    let database = migrated().await;
    let mut connection = database.connection().await;
    for (name, sql) in statements() {
        let prepared = (&mut connection).prepare(sql.into_sql_str()).await;
        let prepared = prepared.unwrap_or_else(|error| panic!("{name}.sql: {error}\n{sql}"));
        let binds = prepared.parameters().and_then(|parameters| parameters.left()).map_or(0, <[_]>::len);
        let header = header(sql);
        let documented = (1..).take_while(|number| header.contains(&format!("${number} "))).count();
        assert_eq!(binds, documented, "{name}.sql takes {binds} binds and documents {documented}");
        assert!(!header.contains(&format!("${} ", binds + 1)), "{name}.sql documents a bind that it does not take");
    }
}

#[test]
fn every_file_is_among_the_statements_and_every_statement_has_a_file() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/postgres/sql");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.strip_suffix(".sql").unwrap_or_else(|| panic!("{name} is no .sql file")).to_owned())
        .collect();
    assert_eq!(files, statements().into_iter().map(|(name, _)| name.to_owned()).collect());
    for (name, sql) in statements() {
        assert_eq!(std::fs::read_to_string(format!("{folder}/{name}.sql")).unwrap(), sql, "{name}");
    }
}

/// Some thousands of aggregates, and the statistics of them.
const FILL: &str = "
    INSERT INTO annals_events (aggregate_id, sequence, position, command_id, checksum, recorded_at, schema_version,
                               aggregate_type, event_type, payload, metadata)
    SELECT md5(aggregate::text)::uuid, sequence, nextval('annals_positions'), gen_random_uuid(), 0, now(), 1, 'note',
           'noted', '{}', '{}'
    FROM generate_series(1, 4000) AS aggregate, generate_series(1, 8) AS sequence;
    INSERT INTO annals_receipts (aggregate_id, idempotency_key, command_id, fingerprint, outcome, first_sequence,
                                 last_sequence, recorded_at)
    SELECT aggregate_id, 'key-' || sequence, command_id, sha256('request'), 'accepted', sequence, sequence, now()
    FROM annals_events;
    INSERT INTO annals_snapshots (aggregate_id, snapshot_version, sequence, event_checksum, state, checksum, recorded_at)
    SELECT aggregate_id, 1, 4, 0, '{}', 0, now() FROM annals_events WHERE sequence = 4;
    INSERT INTO annals_parked_events (name, aggregate_id, sequence, position, error, attempts, parked_at)
    SELECT 'consumer-' || (position % 10), aggregate_id, sequence, position, 'no', 1, now() FROM annals_events;
    INSERT INTO annals_responses (scope, idempotency_key, fingerprint, recipe, state, fence, run_id, attempts,
                                  lease_expires_at, created_at, expires_at, request)
    SELECT 'tenant-' || (position % 10), 'key-' || position, sha256('request'), 1, 'running', position, gen_random_uuid(), 1,
           now() + position * interval '1 second', now(), now() + position * interval '1 minute',
           CASE WHEN position % 100 = 0 THEN '{}'::json END
    FROM annals_events;
    INSERT INTO annals_steps (run_id, name, ordinal, state, fence, written_at, expires_at)
    SELECT aggregate_id, 'step-' || sequence, sequence, 0, 1, now(), now() + position * interval '1 minute'
    FROM annals_events;
    INSERT INTO annals_client_keys (client, idempotency_key, fingerprint, method, url, headers, body, created_at, takes)
    SELECT 'client-' || (position % 10), position::text, sha256('request'), 'POST', 'url', '[]', '', now(), 1 FROM annals_events;
    INSERT INTO annals_timers (queue, timer_id, state, due_at, next_at, payload, revision, fence, attempts, scheduled_at,
                               expires_at)
    SELECT 'queue-' || (position % 10), gen_random_uuid(), CASE WHEN position % 4 = 3 THEN 3 ELSE 0 END,
           now() + position * interval '1 second', now() + position * interval '1 second', '{}', 1, 0, 0, now(),
           CASE WHEN position % 4 = 3 THEN now() + position * interval '1 minute' END
    FROM annals_events;
    INSERT INTO annals_inbox (consumer, message_id, content, received_at, expires_at)
    SELECT 'consumer-' || (position % 10), position::text, sha256('paid'), now(), now() + position * interval '1 minute'
    FROM annals_events;
    INSERT INTO annals_inbox_places (consumer, source, sequence)
    SELECT 'consumer-1', aggregate_id, sequence FROM annals_events WHERE sequence = 8;
    ANALYZE";

/// A connection as the store makes it for a statement.
async fn as_the_store(database: &Database, is_writer: bool) -> PgConnection {
    let options: PgConnectOptions = database.url().parse().unwrap();
    let settings = annals::postgres::connection_settings(is_writer);
    PgConnection::connect_with(&options.options(settings)).await.unwrap()
}

fn is_of_writers(name: &str) -> bool {
    let others = [
        "delete_receipt",
        "read_attempt",
        "read_standing",
        "find_receipts",
        "find_versions",
        "find_written_events",
        "import_events",
        "import_receipts",
    ];
    name.starts_with("append_") || others.contains(&name)
}

/// The plan of a prepared statement: with these settings the generic one, whatever is bound.
async fn plan_of(connection: &mut PgConnection, sql: &str) -> Value {
    // Safe: the text of a file of the crate, or of this file.
    let prepare = AssertSqlSafe(format!("PREPARE planned AS {sql}"));
    sqlx::raw_sql(prepare).execute(&mut *connection).await.unwrap_or_else(|error| panic!("{error}\n{sql}"));
    let binds = (1..).take_while(|number| sql.contains(&format!("${number}"))).count();
    let nulls = vec!["NULL"; binds].join(", ");
    let arguments = if binds == 0 { String::new() } else { format!("({nulls})") };
    // Safe: made of constants.
    let explain = AssertSqlSafe(format!("EXPLAIN (FORMAT JSON) EXECUTE planned{arguments}"));
    let plan = sqlx::query(explain).fetch_one(&mut *connection).await.unwrap();
    sqlx::raw_sql("DEALLOCATE planned").execute(connection).await.unwrap();
    // Unchecked: JSON as text, which is what is sent.
    serde_json::from_str(plan.get_unchecked::<&str, _>(0)).unwrap()
}

/// Whether tables are empty or full: a plan that was made on the first day is kept for as long as its connection lives.
#[tokio::test]
async fn no_statement_walks_through_a_table_or_joins_each_row_with_each() {
    let database = migrated().await;
    for is_filled in [false, true] {
        if is_filled {
            sqlx::raw_sql(FILL).execute(&mut database.connection().await).await.unwrap();
        }
        let mut writer = as_the_store(&database, true).await;
        let mut reader = as_the_store(&database, false).await;
        // What is for whoever looks after the store is planned as the server likes it, and counts everything or nearly so.
        let inspects = |name: &&str| ["count_rows", "count_types", "find_activity", "read_storage"].contains(name);
        for (name, sql) in statements().into_iter().filter(|(name, _)| !inspects(name)) {
            let connection = if is_of_writers(name) { &mut writer } else { &mut reader };
            let plan = plan_of(connection, sql).await;
            let found = found_in(name, &plan);
            assert!(found.is_empty(), "{name}.sql, filled: {is_filled}: {found:?}\n{plan:#}");
            // A batch is put in order, so that writers cannot wait for each other in a circle, and so are a few locks.
            let is_batch = name.starts_with("append_") || name.starts_with("import_");
            let may_sort = is_batch || ["read_holder", "read_schema"].contains(&name);
            assert!(may_sort || !sorts(&plan), "{name}.sql sorts, filled: {is_filled}\n{plan:#}");
            // Behind a pooler the role has the settings of readers for all: a batch's own rows may then be joined in loops.
            let mut pooled = found_in(name, &plan_of(&mut reader, sql).await);
            pooled.retain(|found| found != NESTED_LOOP);
            assert!(pooled.is_empty(), "{name}.sql behind a pooler, filled: {is_filled}: {pooled:?}");
        }
    }
}

fn found_in(name: &str, plan: &Value) -> Vec<String> {
    let by_position = [
        "read_log",
        "read_log_groups",
        "read_log_selected",
        "read_head",
        "read_mark",
        "check_positions",
        "audit_places",
        "audit_checkpoints",
        "export_checkpoints",
        "count_after",
        "find_events",
        "find_events_backward",
        "find_correlated_events",
        "find_correlated_events_backward",
    ];
    let key = match name {
        _ if by_position.contains(&name) => "position",
        "import_parked_events" => "aggregate_id",
        "export_messages" | "export_message_places" => "consumer",
        _ if name.contains("parked_events") => "name",
        _ if name.starts_with("sweep_") => "expires_at",
        "abandoned_requests" => "lease_expires_at",
        _ if name.contains("response") => "scope",
        _ if name.contains("step") => "run_id",
        "claim_timers" | "count_timers" | "list_queues" => "queue",
        _ if name.contains("timer") => "timer_id",
        _ if name.ends_with("_message") => "consumer",
        _ if name.ends_with("_call") || name.ends_with("_calls") => "client",
        _ => "aggregate_id",
    };
    // All positions are drawn by way of one row; one append has one version; and one checkpoint is moved.
    let one_row: &[&str] = match name {
        "append_one" => &["bound", "granted", "won"],
        "advance_checkpoint" => &["moved"],
        _ if ["response", "step", "timer"].iter().any(|of| name.contains(of)) => &["bound", "clock"],
        _ if name.contains("response") || name.contains("step") || name.contains("message") => &["bound", "clock"],
        _ => &["bound"],
    };
    let mut found = complaints(plan, key, one_row);
    if name == "audit_parked_events" {
        // Their events are looked up by aggregate.
        let by_aggregate = complaints(plan, "aggregate_id", one_row);
        found.retain(|complaint| by_aggregate.contains(complaint));
    }
    found
}

#[tokio::test]
async fn a_walk_through_a_table_and_a_quadratic_join_are_found() {
    let database = migrated().await;
    sqlx::raw_sql(FILL).execute(&mut database.connection().await).await.unwrap();
    // Without the rest of the store's settings.
    let options: PgConnectOptions = database.url().parse().unwrap();
    let options = options.options([("plan_cache_mode", "force_generic_plan")]);
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    let quadratic = "SELECT * FROM unnest($1::bigint[]) AS a (n) JOIN unnest($2::bigint[]) AS b (n) ON a.n < b.n";
    for (planted, what) in [
        ("SELECT count(payload::text) FROM annals_events", "Seq Scan of annals_events"),
        ("SELECT * FROM annals_events ORDER BY aggregate_id, sequence LIMIT 10", "Index Scan of annals_events by \"\""),
        (
            "SELECT * FROM annals_events WHERE position > $1 ORDER BY position LIMIT 10",
            "annals_events by \"(\\\"position",
        ),
        (quadratic, NESTED_LOOP),
    ] {
        let plan = plan_of(&mut connection, planted).await;
        let found = complaints(&plan, "aggregate_id", &[]);
        assert!(found.iter().any(|found| found.contains(what)), "{planted}: {found:?}\n{plan:#}");
    }
    let plan = plan_of(&mut connection, "SELECT event_type FROM annals_events ORDER BY payload::text").await;
    assert!(sorts(&plan), "{plan:#}");
}
