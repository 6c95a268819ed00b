//! When there are no more attempts.

use std::time::Duration;

use annals::http::client::{ClientError, GaveUp, Last, RetryBudget};

use super::{
    client, in_memory, pending,
    server::{Server, Step},
};

#[tokio::test]
async fn http_m13_giving_up_says_that_nobody_knows_and_keeps_the_key_until_it_is_resolved() {
    for step in [Step::status(500), Step::status(503), Step::status(409), Step::Close, Step::Truncate] {
        let server = Server::start((0..3).map(|_| step.clone())).await;
        let client = client(in_memory().await).attempts(3);
        let error = client.post(server.url()).body("once").send().await.unwrap_err();
        assert!(error.is_outcome_unknown() && !error.is_retryable(), "{step:?}");
        let ClientError::OutcomeUnknown { key, attempts: 3, why: GaveUp::Attempts, last } = error else {
            panic!("{step:?}: {error:?}");
        };
        match (&step, last) {
            (Step::Say(status, ..), Last::Answer(answer)) => assert_eq!(answer.status.as_u16(), *status),
            (Step::Close | Step::Truncate, Last::Failed(error)) => assert!(error.url().is_none()),
            (_, last) => panic!("{step:?}: {last:?}"),
        }
        assert_eq!(pending(&client).await, [key.as_str()]);

        let answer = client.resume(&key, http::HeaderMap::new()).await.unwrap().unwrap();
        assert_eq!((answer.status.as_u16(), answer.key.as_ref()), (200, Some(&key)));
        assert!(pending(&client).await.is_empty());
        assert!(client.resume(&key, http::HeaderMap::new()).await.unwrap().is_none());
        assert!(server.seen().iter().all(|seen| *seen == server.seen()[0]));
    }
}

#[tokio::test]
async fn http_m13_the_deadline_counts_also_while_a_server_says_nothing() {
    let server = Server::start((0..100).map(|_| Step::Hang)).await;
    let client = client(in_memory().await).deadline(Duration::from_millis(300));
    let began = std::time::Instant::now();
    let error = client.post(server.url()).send().await.unwrap_err();
    assert!(
        matches!(error, ClientError::OutcomeUnknown { why: GaveUp::Deadline, last: Last::TimedOut, .. }),
        "{error:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(pending(&client).await.len(), 1);
}

#[tokio::test]
async fn http_m20_a_budget_bounds_the_retries_of_all_clones_and_is_paid_back_by_answers() {
    let server = Server::start((0..1_000).map(|_| Step::status(503))).await;
    let budget = RetryBudget::new(25);
    let client = client(in_memory().await).budget(budget.clone());
    for number in 0..50 {
        let error = client.clone().post(server.url()).send().await.unwrap_err();
        let is_out = matches!(error, ClientError::OutcomeUnknown { why: GaveUp::Budget, .. });
        assert!(is_out, "{number}: {error:?}");
    }
    assert_eq!(server.seen().len(), 50 + 5, "five retries, and not seven for each of fifty calls");
    assert_eq!(budget.tokens(), Some(0));
    assert_eq!(pending(&client).await.len(), 50);

    // Answers pay it back, up to its size.
    let server = Server::start([]).await;
    for _ in 0..6 {
        client.post(server.url()).send().await.unwrap();
    }
    server.then([Step::status(503)]);
    assert_eq!(client.post(server.url()).send().await.unwrap().attempts, 2);
    assert_eq!(budget.tokens(), Some(6), "what a retry that helped has cost comes back");
}

#[tokio::test]
async fn http_m20_a_retry_after_a_timeout_costs_twice() {
    let server = Server::start([Step::Hang, Step::Hang]).await;
    let budget = RetryBudget::new(19);
    let client = client(in_memory().await).budget(budget.clone()).attempt_timeout(Duration::from_millis(200));
    let error = client.post(server.url()).send().await.unwrap_err();
    assert!(matches!(error, ClientError::OutcomeUnknown { why: GaveUp::Budget, attempts: 2, .. }), "{error:?}");
    assert_eq!(budget.tokens(), Some(9));
}
