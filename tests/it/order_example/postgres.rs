//! The example on a PostgreSQL server.

use super::{
    book::Book,
    program::{Shop, text},
};

super::cases_on!(Shop::on_server);

#[tokio::test]
async fn a_server_that_cannot_be_used_is_named_without_its_password() {
    let shop = Shop::on_server().await;
    let file = shop.file("week.csv", Book::of(20, 11).csv);
    let database = shop.database().unwrap();
    let url = database.url_as("annals_test_nobody", Some("s3cret"));
    for arguments in [vec![file.to_str().unwrap()], vec![]] {
        let output = super::order().args(&arguments).args(["--database-url", &url]).output().unwrap();
        let err = text(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len(), err.lines().count()), (Some(1), 0, 1), "{err}");
        assert!(err.contains("cannot use the database postgres://annals_test_nobody@"), "{err}");
        assert!(err.contains(database.name()) && !err.contains("s3cret"), "{err}");
    }
}
