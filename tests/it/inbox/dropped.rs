//! Handling that is broken off at every point.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, atomic::AtomicU32},
    task::Poll,
};

use annals::{Handled, Inbox, ManualClock};
use uuid::Uuid;

use super::{Place, effects, handle, message, on_every_database};

/// How many messages are handled, and at how many points they are broken off.
const MESSAGES: u32 = 60;
const POINTS: u32 = 12;

on_every_database! {
    http_k04_broken_off_at_any_point_a_message_is_handled_by_the_next_delivery_or_was
}

/// Runs a future up to the n-th time it has to wait, then drops it.
async fn until_wait<T>(future: impl Future<Output = T>, waits: u32) -> Option<T> {
    let (mut future, mut waited) = (pin!(future), 0);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => {
            waited += 1;
            if waited >= waits { Poll::Ready(None) } else { Poll::Pending }
        }
    })
    .await
}

async fn http_k04_broken_off_at_any_point_a_message_is_handled_by_the_next_delivery_or_was(
    store: impl Place,
    _clock: Arc<ManualClock>,
) {
    let (inbox, begun) = (Inbox::new(&store, "billing").unwrap(), AtomicU32::new(0));
    let mut broken_off = 0;
    for number in 1..=MESSAGES {
        let (id, waits) = (format!("m-{number}"), number % POINTS + 1);
        let message = message(&id, "paid").in_order(Uuid::nil(), number.into());
        let first = until_wait(handle(&inbox, &message, &begun), waits).await;
        let again = handle(&inbox, &message, &begun).await.unwrap();
        assert!(again.is_over(), "{waits}: {again:?}");
        assert_eq!(effects(&store, "billing", &id).await, 1, "after {waits} points");
        match first {
            None => broken_off += 1,
            Some(first) => {
                assert!(matches!(first.unwrap(), Handled::New(_)) && matches!(again, Handled::Duplicate { .. }));
            }
        }
    }
    assert!(broken_off > 5, "only {broken_off} were broken off");
}
