//! A log that was set back while a consumer stood in it.

use annals::{Error, Projection, Projector, Subscription};
use uuid::Uuid;

use super::{
    on_every_backend,
    place::{ConnectionOf, Place},
    sums::Sums,
};

on_every_backend! {
    a_log_that_was_set_back_is_diverged_and_nothing_is_skipped
}

/// Where the log no longer has the event the checkpoint stands at, the consumer ends loudly, and a rebuild sets it right.
async fn a_log_that_was_set_back_is_diverged_and_nothing_is_skipped<P: Place>()
where
    Sums: Projection<ConnectionOf<P>>,
{
    let place = P::open().await;
    let notebook = Uuid::now_v7();
    place.write(notebook, &[1, 2, 3]).await;
    let projector = Projector::new(place.store(), Sums::default()).unwrap();
    projector.catch_up().await.unwrap();
    let subscription = Subscription::new(place.store(), "mail").unwrap();
    let ready = |_| std::future::ready(Ok::<_, Error>(()));
    subscription.catch_up(ready).await.unwrap();
    for (change, sound) in [
        ("position = position + 100", "position = position - 100"),
        ("sequence = sequence - 1", "sequence = sequence + 1"),
    ] {
        // As if what was handled had been lost by a fail-over, and something else stood there now, or nothing.
        place.execute(&format!("UPDATE annals_checkpoints SET {change}")).await.unwrap();
        place.write(notebook, &[4]).await;
        for diverged in [projector.catch_up().await, subscription.run(std::future::pending(), ready).await] {
            assert!(matches!(diverged, Err(Error::CheckpointDiverged { .. })), "{change}: {diverged:?}");
        }
        let failure = projector.progress().await.unwrap().unwrap().failure.expect("it is kept why");
        assert!(failure.message.contains("is not the one that was read"), "{failure:?}");
        place.execute(&format!("UPDATE annals_checkpoints SET {sound}")).await.unwrap();
        projector.catch_up().await.expect("nothing was skipped meanwhile");
        subscription.catch_up(ready).await.unwrap();
    }
    assert_eq!(place.sums().await, [(format!("{notebook} 5"), 14)]);
}
