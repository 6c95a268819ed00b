//! How searches go through the tables, with the index that the page for operators offers and without it.

use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _, sqlite::SqliteConnectOptions};

const PAGE: &str = include_str!("../../../docs/OPERATING.md");

/// The statement on the page that makes the index by this expression.
fn index_by(expression: &str) -> &'static str {
    let sql = PAGE.split("```sql\n").skip(1).filter_map(|rest| rest.split_once("```")).map(|(sql, _)| sql);
    let mut found = sql.filter(|sql| sql.contains("INDEX") && sql.contains(expression));
    let index = found.next().expect("the page has the index");
    assert!(found.next().is_none());
    index
}

const NAMES: [&str; 2] = ["find_correlated_events", "find_correlated_events_backward"];

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_a_correlation_are_found_by_the_index_of_the_page_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    annals::SqliteStore::open(&path).await.unwrap().close().await;
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    let fill =
        "WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < 20000)
        INSERT INTO annals_events
        SELECT number, randomblob(16), 1, 'note', 'noted', 1, randomblob(16), '{}',
               '{\"correlation_id\":\"request-' || (number % 5000) || '\"}', 0, 0 FROM numbers";
    for (is_filled, is_analyzed) in [(false, false), (true, false), (true, true)] {
        if is_filled && !is_analyzed {
            sqlx::query(fill).execute(&mut connection).await.unwrap();
        }
        if is_analyzed {
            sqlx::query("ANALYZE").execute(&mut connection).await.unwrap();
        }
        for is_indexed in [false, true] {
            if is_indexed {
                sqlx::query(index_by("json_extract")).execute(&mut connection).await.unwrap();
            }
            for (name, sql) in annals::sqlite::statements().into_iter().filter(|(name, _)| NAMES.contains(name)) {
                // Safe: the text of a file of the crate.
                let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
                // A plan that was kept would be shown again: EXPLAIN does not look whether an index has come or gone.
                let plan = sqlx::query(explain).persistent(false).fetch_all(&mut connection).await.unwrap();
                let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
                let by = if is_indexed {
                    "INDEX annals_events_correlation (<expr>=? AND"
                } else {
                    "INTEGER PRIMARY KEY (rowid>? AND rowid<?)"
                };
                assert!(plan[0].starts_with("SEARCH") && plan[0].contains(by), "{name}, {is_filled}: {plan:?}");
                assert!(plan.iter().all(|step| !step.contains("TEMP B-TREE")), "{name}: {plan:?}");
            }
            if is_indexed {
                sqlx::query("DROP INDEX annals_events_correlation").execute(&mut connection).await.unwrap();
            }
        }
    }
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_a_correlation_are_found_by_the_index_of_the_page_on_postgresql() {
    use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};

    let database = crate::postgres_server::Database::create().await;
    annals::PostgresStore::connect(database.url()).await.unwrap().close().await;
    let mut owner = database.connection().await;
    let fill = "INSERT INTO annals_events (aggregate_id, sequence, position, command_id, checksum, recorded_at,
            schema_version, aggregate_type, event_type, payload, metadata)
        SELECT gen_random_uuid(), 1, nextval('annals_positions'), gen_random_uuid(), 0, now(), 1, 'note', 'noted', '{}',
               json_build_object('correlation_id', 'request-' || (number % 5000))
        FROM generate_series(1, 20000) AS number";
    let options: PgConnectOptions = database.url().parse().unwrap();
    let options = options.options(annals::postgres::connection_settings(false));
    for (is_filled, is_analyzed) in [(false, false), (true, false), (true, true)] {
        if is_filled && !is_analyzed {
            sqlx::query(fill).execute(&mut owner).await.unwrap();
        }
        for is_indexed in [false, true] {
            if is_indexed {
                sqlx::query(index_by("->>")).execute(&mut owner).await.unwrap();
            }
            if is_analyzed {
                sqlx::query("ANALYZE annals_events").execute(&mut owner).await.unwrap();
            }
            let mut reader = PgConnection::connect_with(&options).await.unwrap();
            for (name, sql) in annals::postgres::statements().iter().filter(|(name, _)| NAMES.contains(name)) {
                // Safe: the text of a file of the crate.
                sqlx::raw_sql(AssertSqlSafe(format!("PREPARE planned AS {sql}"))).execute(&mut reader).await.unwrap();
                let explain = "EXPLAIN EXECUTE planned (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)";
                let plan = sqlx::query(explain).fetch_all(&mut reader).await.unwrap();
                let plan: String = plan.iter().map(|row| row.get_unchecked::<String, _>(0) + "\n").collect();
                sqlx::raw_sql("DEALLOCATE planned").execute(&mut reader).await.unwrap();
                let by = if is_indexed { "annals_events_correlation" } else { "annals_events_position" };
                let is_by = plan.contains(&format!("using {by}"));
                assert!(is_by && plan.contains("Index Cond") && !plan.contains("Sort"), "{name}, {is_filled}:\n{plan}");
            }
            if is_indexed {
                sqlx::query("DROP INDEX annals_events_correlation").execute(&mut owner).await.unwrap();
            }
        }
    }
}
