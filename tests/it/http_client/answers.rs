//! What answers mean.

use std::time::{Duration, SystemTime};

use annals::http::client::{ClientError, GaveUp, Last};

use super::{
    client, in_memory, pending,
    server::{Server, Step},
};

#[tokio::test]
async fn http_m07_answers_that_may_change_are_asked_for_again() {
    for status in [408, 409, 425, 429, 500, 502, 503, 504] {
        let server = Server::start([Step::status(status)]).await;
        let client = client(in_memory().await);
        let answer = client.post(server.url()).send().await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.attempts), (200, 2), "{status}");
        assert_eq!(server.seen()[0], server.seen()[1]);
        assert!(pending(&client).await.is_empty());
    }
}

#[tokio::test]
async fn http_m07_a_request_in_flight_is_asked_about_until_it_has_ended() {
    let in_flight = || Step::with(409, "retry-after", "0");
    let server = Server::start((0..30).map(|_| in_flight())).await;
    // More often than there are attempts, and for nothing.
    let budget = annals::http::client::RetryBudget::new(1);
    let client = client(in_memory().await).attempts(2).budget(budget.clone());
    let answer = client.post(server.url()).send().await.unwrap();
    assert_eq!((answer.attempts, budget.tokens()), (31, Some(1)));

    server.then((0..100_000).map(|_| in_flight()));
    let error = client.deadline(Duration::from_millis(300)).post(server.url()).send().await.unwrap_err();
    assert!(matches!(error, ClientError::OutcomeUnknown { why: GaveUp::Deadline, .. }), "{error:?}");
}

#[tokio::test]
async fn http_m07_what_a_server_asks_for_is_waited_for_within_the_bound() {
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(7_200));
    for asked in ["7200", date.as_str()] {
        let server = Server::start([Step::with(503, "retry-after", asked)]).await;
        let bound = Duration::from_millis(250);
        let client = client(in_memory().await).longest_retry_after(bound);
        let began = std::time::Instant::now();
        assert_eq!(client.post(server.url()).send().await.unwrap().attempts, 2);
        assert!(began.elapsed() >= bound, "{asked} was not heeded");

        // Longer than there is time: it is not waited for in vain.
        let server = Server::start([Step::with(503, "retry-after", asked)]).await;
        let client = client.longest_retry_after(Duration::from_secs(3_600)).deadline(Duration::from_secs(60));
        let error = client.post(server.url()).send().await.unwrap_err();
        assert!(matches!(error, ClientError::OutcomeUnknown { why: GaveUp::Deadline, attempts: 1, .. }), "{error:?}");
    }
}

#[tokio::test]
async fn http_m09_an_answer_that_says_no_is_final() {
    for status in [400, 401, 402, 403, 404, 410, 413, 415, 422, 501] {
        let server = Server::start([Step::Say(status, Vec::new(), "{\"type\":\"idempotency_error\"}")]).await;
        let client = client(in_memory().await);
        let answer = client.post(server.url()).send().await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.attempts), (status, 1));
        assert_eq!(answer.json::<serde_json::Value>().unwrap()["type"], "idempotency_error");
        assert_eq!(server.seen().len(), 1);
        assert!(pending(&client).await.is_empty(), "{status}: the outcome is known");
    }
}

/// What a gateway or an expired token says of the second attempt says nothing of the first one.
#[tokio::test]
async fn http_m09_after_an_attempt_that_may_have_happened_only_what_speaks_for_the_key_is_final() {
    let is_told_no = Step::with(500, "x-should-retry", "false");
    let silent = [401, 403, 404, 405, 407, 411, 413, 414, 415, 421, 431, 451, 501, 505].map(Step::status);
    for step in silent.into_iter().chain([is_told_no]) {
        for first in [Step::Close, Step::status(503)] {
            let server = Server::start([first, step.clone(), step.clone()]).await;
            let client = client(in_memory().await);
            let error = client.post(server.url()).body("once").send().await.unwrap_err();
            let ClientError::OutcomeUnknown { key, attempts: 2, why: GaveUp::Hopeless, last: Last::Answer(_) } = error
            else {
                panic!("{step:?}: {error:?}");
            };
            assert_eq!(pending(&client).await, [key.as_str()], "{step:?}");
            // Nor does it when the call is resumed.
            let error = client.resume(&key, http::HeaderMap::new()).await.unwrap_err();
            assert!(matches!(error, ClientError::OutcomeUnknown { attempts: 1, .. }), "{step:?}: {error:?}");
            let answer = client.resume(&key, http::HeaderMap::new()).await.unwrap().unwrap();
            assert_eq!(answer.status, 200);
            assert!(pending(&client).await.is_empty());
            assert!(server.seen().iter().all(|seen| *seen == server.seen()[0]));
        }
    }
    let speaks = [201, 303, 400, 402, 410, 422].map(Step::status).into_iter();
    let replayed = [401, 404, 500].map(|status| Step::with(status, "idempotent-replayed", "true"));
    let conflict = Step::with(409, "x-should-retry", "false");
    for step in speaks.chain(replayed).chain([conflict]) {
        let server = Server::start([Step::Close, step.clone()]).await;
        let client = client(in_memory().await);
        let answer = client.post(server.url()).send().await.unwrap();
        assert_eq!(answer.attempts, 2, "{step:?}");
        assert!(pending(&client).await.is_empty(), "{step:?}");
    }
    // A read has nothing that could have happened.
    let server = Server::start([Step::Close, Step::status(404)]).await;
    assert_eq!(client(in_memory().await).get(server.url()).send().await.unwrap().status, 404);
}

#[tokio::test]
async fn http_m10_a_server_that_says_so_is_asked_no_more_or_again() {
    for name in ["stripe-should-retry", "x-should-retry"] {
        let server = Server::start([Step::with(500, name, "false")]).await;
        let client = client(in_memory().await);
        let answer = client.post(server.url()).send().await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.attempts), (500, 1));
        assert!(pending(&client).await.is_empty());

        server.then([Step::with(402, name, "true")]);
        let answer = client.post(server.url()).send().await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.attempts), (200, 2));
    }
}

#[tokio::test]
async fn http_m11_a_replay_is_shown_and_is_final_whatever_its_status() {
    for status in [200, 409, 500] {
        let server = Server::start([Step::Close, Step::with(status, "idempotent-replayed", "true")]).await;
        let client = client(in_memory().await);
        let answer = client.post(server.url()).send().await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.attempts, answer.replayed), (status, 2, true));
        assert!(pending(&client).await.is_empty());
        assert!(!client.post(server.url()).send().await.unwrap().replayed);
    }
}

#[tokio::test]
async fn an_answer_larger_than_answers_may_be_leaves_the_outcome_unknown() {
    let server = Server::start([Step::Say(200, Vec::new(), "0123456789")]).await;
    let client = client(in_memory().await).answer_bytes(9);
    let error = client.post(server.url()).send().await.unwrap_err();
    let ClientError::OutcomeUnknown {
        why: GaveUp::Hopeless, last: Last::TooLarge { most: 9, .. }, attempts: 1, ..
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!(pending(&client).await.len(), 1);
    server.then([Step::Say(200, Vec::new(), "012345678")]);
    assert_eq!(client.post(server.url()).send().await.unwrap().body, "012345678");
}
