//! What was left behind is sent again.

use annals::{IdempotencyKey, http::client::MemoryKeys};
use http::HeaderMap;

use super::{
    client, in_memory, pending,
    server::{Server, Step},
};

/// More than a page of them.
const CALLS: usize = 230;

#[tokio::test]
async fn everything_that_has_no_answer_is_resumed_the_oldest_first_and_each_is_told() {
    let server = Server::start((0..CALLS).map(|_| Step::Close)).await;
    let client = client(in_memory().await);
    let hasty = client.clone().attempts(1);
    for number in 0..CALLS {
        let key: IdempotencyKey = format!("order-{number}").parse().unwrap();
        hasty.post(server.url()).idempotency_key(key).body(number.to_string()).send().await.unwrap_err();
    }
    let of_another = client.clone().named("another");
    let (mut told, mut kept) = (Vec::new(), 0);
    let resumed = client
        .resume_all(
            |call| (call.name.key.as_str() != "order-7").then(HeaderMap::new),
            |resumed| told.push((resumed.call.name.key.as_str().to_owned(), resumed.outcome.unwrap().attempts)),
        )
        .await
        .unwrap();
    kept += pending(&client).await.len();
    assert_eq!(
        (resumed.answered, resumed.left_out, resumed.unresolved, kept),
        (u32::try_from(CALLS).unwrap() - 1, 1, 0, 1)
    );
    let expected: Vec<_> =
        (0..CALLS).filter(|number| *number != 7).map(|number| (format!("order-{number}"), 1)).collect();
    assert_eq!(told, expected);
    let seen = server.seen();
    assert_eq!(seen.len(), 2 * CALLS - 1);
    for again in &seen[CALLS..] {
        assert!(seen[..CALLS].contains(again));
    }
    assert_eq!(of_another.resume_all(|_| Some(HeaderMap::new()), drop).await.unwrap(), Default::default());
    assert_eq!(pending(&client).await, ["order-7"]);
}

#[tokio::test]
async fn what_has_no_answer_still_stays_and_does_not_hold_up_the_rest() {
    let server = Server::start([Step::Close, Step::Close, Step::status(500)]).await;
    let client = client(MemoryKeys::new()).attempts(1);
    for key in ["one", "two"] {
        client.post(server.url()).idempotency_key(key.parse().unwrap()).send().await.unwrap_err();
    }
    let mut told = Vec::new();
    let each = |resumed: annals::http::client::Resumed| told.push(resumed.outcome.is_ok());
    let resumed = client.resume_all(|_| Some(HeaderMap::new()), each).await.unwrap();
    assert_eq!((resumed.answered, resumed.unresolved, told), (1, 1, vec![false, true]));
    assert_eq!(pending(&client).await, ["one"]);
}

#[tokio::test]
async fn lists_are_bounded_and_go_on_where_they_ended() {
    let server = Server::start((0..5).map(|_| Step::Close)).await;
    let client = client(in_memory().await).attempts(1);
    for number in 0..5 {
        let key = format!("order-{number}").parse().unwrap();
        client.post(server.url()).idempotency_key(key).send().await.unwrap_err();
    }
    let first = client.pending(None, 3).await.unwrap();
    let rest = client.pending(first.last(), 3).await.unwrap();
    let keys: Vec<_> = first.iter().chain(&rest).map(|call| call.name.key.as_str()).collect();
    assert_eq!(keys, ["order-0", "order-1", "order-2", "order-3", "order-4"]);
    assert_eq!((first.len(), first[0].takes, first[0].method.as_str()), (3, 1, "POST"));
    for limit in [0, 1_001] {
        assert!(client.pending(None, limit).await.is_err());
    }
}
