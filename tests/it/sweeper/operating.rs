//! The page for operators: its SQL is run as it stands there.

use std::time::Duration;

use super::expired;

const PAGE: &str = include_str!("../../../docs/OPERATING.md");

#[tokio::test]
async fn the_pg_cron_jobs_of_the_page_sweep_what_has_expired_and_nothing_else() {
    let database = crate::postgres_server::Database::create().await;
    let store = annals::PostgresStore::connect(database.url()).await.unwrap();
    expired::fill(&store, "gone", 5, Duration::from_millis(1)).await;
    expired::fill(&store, "kept", 2, Duration::from_secs(1_000)).await;
    let pool = sqlx::PgPool::connect(database.url()).await.unwrap();
    // Stands in for the extension: it runs a job at once.
    let stand_in = "CREATE SCHEMA cron; CREATE FUNCTION cron.schedule(name text, schedule text, command text) RETURNS bigint \
         LANGUAGE plpgsql AS 'DECLARE gone bigint; BEGIN EXECUTE command; GET DIAGNOSTICS gone = ROW_COUNT; \
         RETURN gone; END'";
    sqlx::raw_sql(stand_in).execute(&pool).await.unwrap();
    let sql = PAGE.split("```sql\n").skip(1).filter_map(|rest| rest.split_once("```"));
    let sql: Vec<_> = sql.filter(|(sql, _)| sql.contains("cron.schedule")).collect();
    assert_eq!(sql.len(), 1, "blocks of jobs on the page");
    let jobs: Vec<&str> = sql[0].0.split_inclusive("$$);\n").collect();
    let mut gone = Vec::new();
    for job in &jobs {
        gone.push(sqlx::query_scalar::<_, i64>(*job).fetch_one(&pool).await.unwrap());
    }
    assert_eq!(gone, [5, 0, 0]);
    assert_eq!(expired::count(&store).await, 2);
}
