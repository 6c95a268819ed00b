//! The tables of a projection, and who else may have them.

use annals::{BoxError, Consumers, Error, Projection, Projector, RecordedEvent, Subscription, Table, Target};
use uuid::Uuid;

use super::{
    on_every_backend,
    place::{ConnectionOf, Place},
    sums::Sums,
};

on_every_backend! {
    a_projection_leaves_the_applications_tables_alone
    two_projections_cannot_have_one_table
    a_name_is_of_one_kind
    a_removed_projection_leaves_nothing_and_can_begin_anew
}

/// Where the application has a table of that name nothing is made, and nothing is lost.
async fn a_projection_leaves_the_applications_tables_alone<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    let place = P::open().await;
    place.execute("CREATE TABLE sums (precious TEXT); INSERT INTO sums VALUES ('kept')").await.unwrap();
    place.write(Uuid::now_v7(), &[1]).await;
    let projector = Projector::new(place.store(), Sums::default()).unwrap();
    let refused = projector.catch_up().await;
    assert!(matches!(refused, Err(Error::Schema { .. })), "{refused:?}");
    assert_eq!(place.rows("SELECT precious, CAST(1 AS BIGINT) FROM sums").await, [("kept".to_owned(), 1)]);
    assert!(place.execute("SELECT 1 FROM sums__1").await.is_err(), "nothing is left half made");
    assert_eq!(projector.progress().await.unwrap().unwrap().build, 0);
}

/// A second projection that declares a table of the first is refused, and the first goes on.
async fn two_projections_cannot_have_one_table<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    let place = P::open().await;
    let notebook = Uuid::now_v7();
    place.write(notebook, &[1]).await;
    let first = Projector::new(place.store(), Sums::default()).unwrap();
    let second = Projector::new(place.store(), Sums { name: "sums-again", ..Sums::default() }).unwrap();
    for build in 1..=3 {
        if build > 1 {
            first.rebuild().await.unwrap();
        }
        first.catch_up().await.unwrap();
        let refused = second.catch_up().await;
        assert!(matches!(refused, Err(Error::Schema { .. })), "build {build}: {refused:?}");
        assert_eq!(place.sums().await, [(format!("{notebook} 1"), 1)]);
    }
}

/// A subscription cannot run under the name of a projection, nor the other way round.
async fn a_name_is_of_one_kind<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    let place = P::open().await;
    let projector = Projector::new(place.store(), Sums::default()).unwrap();
    projector.catch_up().await.unwrap();
    let subscription = Subscription::new(place.store(), "sums").unwrap();
    let refused = subscription.catch_up(|_| std::future::ready(Ok::<_, Error>(()))).await;
    assert!(matches!(&refused, Err(Error::Invalid { message }) if message.contains("projection")), "{refused:?}");
    assert!(matches!(subscription.repartition(2).await, Err(Error::Invalid { .. })), "it is not split either");
    assert!(projector.progress().await.unwrap().is_some());
}

/// A projection is removed with its tables; by name alone, without them, it is not.
async fn a_removed_projection_leaves_nothing_and_can_begin_anew<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    let place = P::open().await;
    let notebook = Uuid::now_v7();
    place.write(notebook, &[1, 2]).await;
    let projector = Projector::new(place.store(), Sums::default()).unwrap();
    assert!(matches!(projector.remove().await, Err(Error::Invalid { .. })), "it never ran");
    projector.catch_up().await.unwrap();
    projector.rebuild().await.unwrap();
    let refused = Consumers::new(place.store()).forget("sums").await;
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    projector.remove().await.unwrap();
    for gone in ["sums", "sums__1", "sums__2"] {
        assert!(place.execute(&format!("SELECT 1 FROM {gone}")).await.is_err(), "{gone} is gone");
    }
    assert_eq!(projector.progress().await.unwrap(), None);
    projector.catch_up().await.unwrap();
    assert_eq!(place.sums().await, [(format!("{notebook} 2"), 3)]);
}

struct Declares(Vec<Table>, u32, &'static str);

impl Projection<sqlx::SqliteConnection> for Declares {
    fn name(&self) -> &str {
        self.2
    }

    fn version(&self) -> u32 {
        self.1
    }

    fn tables(&self) -> Vec<Table> {
        self.0.clone()
    }

    async fn apply(&self, _: &RecordedEvent, _: &mut Target<'_, sqlx::SqliteConnection>) -> Result<(), BoxError> {
        Ok(())
    }
}

/// Tables that cannot be are refused before anything is asked of the database.
#[tokio::test]
async fn unsound_declarations_are_refused() {
    let store = annals::SqliteStore::open_in_memory().await.unwrap();
    let sound = Table::new("sales", "CREATE TABLE {sales} (day TEXT)");
    assert!(Projector::new(&store, Declares(vec![sound], 1, "sales")).is_ok());
    for unsound in [
        Declares(vec![Table::new("", "CREATE TABLE {} (day TEXT)")], 1, "sales"),
        Declares(vec![Table::new("Sales", "CREATE TABLE {Sales} (day TEXT)")], 1, "sales"),
        Declares(vec![Table::new("sales; drop", "CREATE TABLE {sales; drop} (day TEXT)")], 1, "sales"),
        Declares(vec![Table::new("1sales", "CREATE TABLE {1sales} (day TEXT)")], 1, "sales"),
        Declares(vec![Table::new("sales__1", "CREATE TABLE {sales__1} (day TEXT)")], 1, "sales"),
        Declares(vec![Table::new("annals_events", "CREATE TABLE {annals_events} (day TEXT)")], 1, "sales"),
        Declares(vec![Table::new("sales", "CREATE TABLE sales (day TEXT)")], 1, "sales"),
        Declares(vec![sound, sound], 1, "sales"),
        Declares(vec![sound], 0, "sales"),
        Declares(vec![sound], 1, "two words"),
    ] {
        let refused = Projector::new(&store, unsound);
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    }
    let without = Projector::new(&store, Declares(vec![], 1, "none")).unwrap();
    without.catch_up().await.unwrap();
    assert!(matches!(without.rebuild().await, Err(Error::Invalid { .. })), "there is nothing to rebuild");
}
