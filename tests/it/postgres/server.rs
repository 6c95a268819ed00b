//! The server that tests are given.

use crate::postgres_server::Database;

#[tokio::test]
async fn two_databases_know_nothing_of_each_other() {
    let (one, other) = tokio::join!(Database::create(), Database::create());
    assert_ne!(one.name(), other.name());
    let mut connection = one.connection().await;
    sqlx::query("CREATE TABLE seen (number int)").execute(&mut connection).await.unwrap();
    let tables = |name| sqlx::query_scalar::<_, bool>("SELECT to_regclass($1) IS NOT NULL").bind(name);
    assert!(tables("seen").fetch_one(&mut connection).await.unwrap());
    assert!(!tables("seen").fetch_one(&mut other.connection().await).await.unwrap());
}
