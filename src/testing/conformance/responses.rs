//! Stored answers: claims, leases and fences.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;

use super::{
    claims::{A_MICRO, KEPT, LEASE, answer, answering, claim_of, finished, mine, running, scoped},
    fixture::{AnswerStores, Factory},
};
use crate::store::{
    ClaimedResponse, Clock as _, Error, Fingerprint, LetGo, ResponseAction, ResponseQuery, ResponseState, Scope,
    StoredBody, StoredRequest, StoredResponse,
};

/// Of a hundred who ask at once, through two handles where there are two, one carries the request out.
pub async fn http_c08_of_a_hundred_claims_at_once_one_is_taken(factory: &dyn Factory) {
    let Some((_fixture, stores, _)) = answering(factory, "C8").await else { return };
    for round in 0..5 {
        let mut claims = JoinSet::new();
        for _ in 0..100 {
            let store = Arc::clone(&stores.responses);
            let claim = claim_of(&scoped("acct", &format!("key-{round}")));
            claims.spawn(async move { store.claim_response(&claim).await });
        }
        let (mut owners, mut others) = (0, 0);
        while let Some(claimed) = claims.join_next().await {
            match claimed.unwrap() {
                Ok(ClaimedResponse::Mine(lease)) => {
                    assert_eq!(lease.attempt, 1);
                    owners += 1;
                }
                Ok(ClaimedResponse::Running(running)) => {
                    assert!(running.lease_left == LEASE && running.attempt == 1, "{running:?}");
                    others += 1;
                }
                other => panic!("a claim is taken, or somebody is at work: {other:?}"),
            }
        }
        assert_eq!((owners, others), (1, 99));
    }
}

/// What was stored comes back byte by byte and in its order, and what stands for a body as well.
pub async fn http_f03_headers_and_bodies_come_back_byte_by_byte(factory: &dyn Factory) {
    let Some((_fixture, AnswerStores { responses: store, .. }, _)) = answering(factory, "F3").await else { return };
    let every_byte: Arc<[u8]> = (0..=255).collect();
    let headers = vec![
        ("link".to_owned(), Arc::from(*b"<a>")),
        ("x-opaque".to_owned(), Arc::clone(&every_byte)),
        ("link".to_owned(), Arc::from(*b"<b>")),
    ];
    let bodies = [
        StoredBody::Whole(every_byte),
        StoredBody::Whole(Arc::from([])),
        StoredBody::Tombstone,
        StoredBody::Reference("ch_é".into()),
    ];
    for (at, body) in bodies.into_iter().enumerate() {
        let claim = claim_of(&scoped("acct", &format!("key-{at}")));
        let lease = mine(store.claim_response(&claim).await);
        let response = StoredResponse { status: 201, headers: headers.clone(), body };
        assert!(store.complete_response(&lease, &response, KEPT).await.unwrap());
        let replayed = finished(store.claim_response(&claim).await);
        assert_eq!((&replayed.response, replayed.left, replayed.fence), (&response, KEPT, lease.fence));
        assert!(!replayed.is_dead);
        // Stored once more it is simply there, as it was at first.
        assert!(store.complete_response(&lease, &answer(500), KEPT).await.unwrap());
        assert_eq!(finished(store.claim_response(&claim).await), replayed);
    }
}

/// A lease is held until its last microsecond, then the same request takes over: the same run, another fence.
pub async fn http_d02_a_lapsed_lease_is_taken_over_with_a_greater_fence(factory: &dyn Factory) {
    let Some((_fixture, AnswerStores { responses: store, .. }, clock)) = answering(factory, "D2").await else { return };
    let claim = claim_of(&scoped("acct", "key"));
    let first = mine(store.claim_response(&claim).await);
    clock.advance(LEASE - A_MICRO);
    assert_eq!(running(store.claim_response(&claim).await).lease_left, A_MICRO);
    assert!(store.renew_response(&first, KEPT).await.unwrap());
    clock.advance(LEASE - A_MICRO);
    assert_eq!(running(store.find_response(&claim.key).await.map(Option::unwrap)).lease_left, A_MICRO);
    clock.advance(A_MICRO);
    assert_eq!(running(store.find_response(&claim.key).await.map(Option::unwrap)).lease_left, Duration::ZERO);
    let second = mine(store.claim_response(&claim).await);
    assert_eq!((second.attempt, second.run_id), (2, first.run_id));
    assert!(second.fence > first.fence);
}

/// Whoever comes back late stores nothing, renews nothing, frees nothing, also after the answer is there.
pub async fn http_d03_a_late_owner_changes_nothing(factory: &dyn Factory) {
    let Some((_fixture, AnswerStores { responses: store, .. }, clock)) = answering(factory, "D3").await else { return };
    let claim = claim_of(&scoped("acct", "key"));
    let late = mine(store.claim_response(&claim).await);
    clock.advance(LEASE);
    let owner = mine(store.claim_response(&claim).await);
    for is_answered in [false, true] {
        if is_answered {
            assert!(store.complete_response(&owner, &answer(201), KEPT).await.unwrap());
        }
        assert!(!store.complete_response(&late, &answer(500), KEPT).await.unwrap());
        assert!(!store.renew_response(&late, KEPT).await.unwrap());
    }
    assert_eq!(finished(store.claim_response(&claim).await).response, answer(201));
    assert!(!store.renew_response(&owner, KEPT).await.unwrap(), "what is finished is not renewed");
}

/// Whoever fails late frees nothing that a successor has taken or answered.
pub async fn http_d04_a_late_owner_frees_nothing(factory: &dyn Factory) {
    let Some((_fixture, AnswerStores { responses: store, .. }, clock)) = answering(factory, "D4").await else { return };
    let claim = claim_of(&scoped("acct", "key"));
    let late = mine(store.claim_response(&claim).await);
    clock.advance(LEASE);
    let owner = mine(store.claim_response(&claim).await);
    for is_answered in [false, true] {
        if is_answered {
            assert!(store.complete_response(&owner, &answer(201), KEPT).await.unwrap());
        }
        for how in [LetGo::Free, LetGo::Resume] {
            assert!(!store.let_go_of_response(&late, how).await.unwrap());
        }
        assert!(!store.bury_response(&claim.key, late.fence, &answer(500), KEPT).await.unwrap());
    }
    assert_eq!(finished(store.claim_response(&claim).await).response, answer(201));
}

/// A lapsed lease is no invitation to another request, or to one that was fingerprinted otherwise.
pub async fn http_d16_another_request_takes_nothing_over(factory: &dyn Factory) {
    let Some((_fixture, AnswerStores { responses: store, .. }, clock)) = answering(factory, "D16").await else {
        return;
    };
    let claim = claim_of(&scoped("acct", "key"));
    let first = mine(store.claim_response(&claim).await);
    clock.advance(LEASE);
    let mut another = claim.clone();
    another.fingerprint = Fingerprint::of_parts(&[b"another"]);
    let mut otherwise = claim.clone();
    otherwise.recipe = 2;
    for claim in [another, otherwise] {
        let seen = running(store.claim_response(&claim).await);
        assert_eq!((seen.lease_left, seen.fence, seen.recipe), (Duration::ZERO, first.fence, 1));
        assert_eq!(seen.fingerprint, Fingerprint::of_parts(&[b"request"]));
    }
    assert_eq!(mine(store.claim_response(&claim).await).attempt, 2);
}

/// A request that was begun so often is begun no more; it can be given up, once, and then has an answer.
pub async fn http_d18_a_request_that_was_begun_too_often_is_given_up(factory: &dyn Factory) {
    let Some((_fixture, AnswerStores { responses: store, .. }, clock)) = answering(factory, "D18").await else {
        return;
    };
    let mut claim = claim_of(&scoped("acct", "key"));
    claim.attempts = 3;
    for attempt in 1..=3 {
        assert_eq!(mine(store.claim_response(&claim).await).attempt, attempt);
        let fence = running(store.claim_response(&claim).await).fence;
        assert!(!store.bury_response(&claim.key, fence, &answer(500), KEPT).await.unwrap(), "somebody is at work");
        clock.advance(LEASE);
    }
    let seen = running(store.claim_response(&claim).await);
    assert_eq!((seen.attempt, seen.lease_left), (3, Duration::ZERO));
    assert!(!store.bury_response(&claim.key, seen.fence + 1, &answer(500), KEPT).await.unwrap());
    assert!(store.bury_response(&claim.key, seen.fence, &answer(500), KEPT).await.unwrap());
    let dead = finished(store.claim_response(&claim).await);
    assert!(dead.is_dead && dead.response == answer(500));
    clock.advance(KEPT);
    assert_eq!(mine(store.claim_response(&claim).await).attempt, 1, "it is forgotten in the end");
}

/// What is let go of before anything happened is free for any request; what is to be resumed, for the same one alone.
pub async fn http_e05_what_is_let_go_of_is_free_at_once(factory: &dyn Factory) {
    let Some((_fixture, AnswerStores { responses: store, .. }, clock)) = answering(factory, "E5").await else { return };
    let claim = claim_of(&scoped("acct", "key"));
    let mut another = claim.clone();
    another.fingerprint = Fingerprint::of_parts(&[b"another"]);
    let first = mine(store.claim_response(&claim).await);
    assert!(store.let_go_of_response(&first, LetGo::Free).await.unwrap());
    assert!(store.find_response(&claim.key).await.unwrap().is_none());
    assert!(!store.let_go_of_response(&first, LetGo::Free).await.unwrap());
    let second = mine(store.claim_response(&another).await);
    assert!(second.fence > first.fence && second.run_id != first.run_id && second.attempt == 1);

    assert!(store.let_go_of_response(&second, LetGo::Resume).await.unwrap());
    assert!(store.let_go_of_response(&second, LetGo::Resume).await.unwrap(), "said twice it is done once");
    assert_eq!(running(store.claim_response(&claim).await).lease_left, Duration::ZERO);
    let third = mine(store.claim_response(&another).await);
    assert_eq!((third.run_id, third.attempt), (second.run_id, 1), "an attempt that was let go of does not count");
    clock.advance(LEASE);
    assert_eq!(mine(store.claim_response(&another).await).attempt, 2);
}

/// One key of two principals is two keys, and so is one that differs by case.
pub async fn http_g01_scopes_never_meet(factory: &dyn Factory) {
    let Some((_fixture, AnswerStores { responses: store, .. }, _)) = answering(factory, "G1").await else { return };
    let keys = [scoped("a", "key"), scoped("b", "key"), scoped("ab", "key"), scoped("A", "key"), scoped("a", "KEY")];
    for (at, key) in keys.iter().enumerate() {
        let lease = mine(store.claim_response(&claim_of(key)).await);
        let status = 200 + u16::try_from(at).unwrap();
        assert!(store.complete_response(&lease, &answer(status), KEPT).await.unwrap());
    }
    for (at, key) in keys.iter().enumerate() {
        let status = finished(store.claim_response(&claim_of(key)).await).response.status;
        assert_eq!(usize::from(status), 200 + at);
    }
}

/// A scope has so many keys that are alive; a key that is there never counts against itself, and other scopes do not count.
pub async fn http_g07_a_scope_has_so_many_keys_at_once(factory: &dyn Factory) {
    let Some((_fixture, AnswerStores { responses: store, .. }, clock)) = answering(factory, "G7").await else { return };
    let of = |scope: &str, key: &str| {
        let mut claim = claim_of(&scoped(scope, key));
        claim.scope_keys = Some(2);
        claim
    };
    let first = mine(store.claim_response(&of("acct", "one")).await);
    assert!(store.complete_response(&first, &answer(200), KEPT).await.unwrap());
    mine(store.claim_response(&of("acct", "two")).await);
    let full = store.claim_response(&of("acct", "three")).await;
    assert!(matches!(full, Ok(ClaimedResponse::TooManyKeys)), "{full:?}");
    finished(store.claim_response(&of("acct", "one")).await);
    running(store.claim_response(&of("acct", "two")).await);
    mine(store.claim_response(&of("another", "three")).await);
    clock.advance(LEASE);
    mine(store.claim_response(&of("acct", "two")).await);
    // What has expired counts no more, swept or not.
    clock.advance(KEPT - LEASE);
    mine(store.claim_response(&of("acct", "three")).await);
}

/// The endpoints of a principal share its keys: paths that are made up give it no more, and its neighbours lose none.
pub async fn http_g07_the_endpoints_of_a_principal_share_its_keys(factory: &dyn Factory) {
    let Some((_fixture, AnswerStores { responses: store, .. }, _)) = answering(factory, "G7").await else { return };
    let of = |scope: &Scope| {
        let mut claim = claim_of(&scoped("acct", "one"));
        claim.key.scope = scope.clone();
        claim.scope_keys = Some(3);
        claim
    };
    let named = |principal: &str| Scope::new(principal).unwrap();
    for neighbour in ["acc", "acct ", "acct!", "acct_1", "acct\u{e9}", "ACCT", "accs", "accu"].map(named) {
        for scope in [neighbour.at_endpoint("POST", "/a"), neighbour.at_endpoint("POST", "/b"), neighbour] {
            mine(store.claim_response(&of(&scope)).await);
        }
    }
    let principal = named("acct");
    let endpoints = ["/a", "/b", "/c"].map(|path| principal.at_endpoint("POST", path));
    for endpoint in &endpoints {
        mine(store.claim_response(&of(endpoint)).await);
    }
    for beyond in [&principal.at_endpoint("POST", "/d"), &principal.at_endpoint("PATCH", "/a"), &principal] {
        let full = store.claim_response(&of(beyond)).await;
        assert!(matches!(full, Ok(ClaimedResponse::TooManyKeys)), "{full:?}");
    }
    running(store.claim_response(&of(&endpoints[0])).await);
}

/// An answer is there until its last microsecond, and not at its end.
pub async fn http_h01_an_answer_lives_to_its_last_microsecond(factory: &dyn Factory) {
    let Some((_fixture, AnswerStores { responses: store, .. }, clock)) = answering(factory, "H1").await else { return };
    let claim = claim_of(&scoped("acct", "key"));
    let first = mine(store.claim_response(&claim).await);
    clock.advance(LEASE / 2);
    assert!(store.complete_response(&first, &answer(201), KEPT).await.unwrap());
    clock.advance(KEPT - A_MICRO);
    assert_eq!(finished(store.claim_response(&claim).await).left, A_MICRO);
    assert!(store.find_response(&claim.key).await.unwrap().is_some());
    clock.advance(A_MICRO);
    assert!(store.find_response(&claim.key).await.unwrap().is_none());
    let second = mine(store.claim_response(&claim).await);
    assert!(second.fence > first.fence && second.run_id != first.run_id && second.attempt == 1);
}

/// A row that has expired and was not swept is used anew, by whatever request, with nothing left of what it was.
pub async fn http_h03_an_expired_row_is_used_anew(factory: &dyn Factory) {
    let Some((_fixture, AnswerStores { responses: store, .. }, clock)) = answering(factory, "H3").await else { return };
    let mut claim = claim_of(&scoped("acct", "key"));
    claim.request = Some(request());
    let first = mine(store.claim_response(&claim).await);
    assert!(store.complete_response(&first, &answer(201), KEPT).await.unwrap());
    assert!(store.operate_response(&claim.key, ResponseAction::Expire, "op").await.unwrap());
    claim.fingerprint = Fingerprint::of_parts(&[b"another"]);
    claim.request = None;
    let second = mine(store.claim_response(&claim).await);
    assert!(second.fence > first.fence && second.attempt == 1);
    let rows = store.list_responses(&ResponseQuery { limit: 10, ..ResponseQuery::default() }).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].state, rows[0].status, &rows[0].operation), (ResponseState::Running, None, &None));
    assert_eq!(rows[0].created_at, clock.now());
    clock.advance(LEASE);
    assert!(store.abandoned_requests(Duration::ZERO, 10).await.unwrap().is_empty());
    // A lapsed lease is kept for a time as well, and then forgotten.
    clock.advance(KEPT);
    assert!(store.find_response(&claim.key).await.unwrap().is_none());
    assert_eq!(mine(store.claim_response(&claim).await).attempt, 1);
}

/// A clock that is set back gives nobody a lease that somebody has, and no fence twice.
pub async fn http_h09_a_clock_that_is_set_back_takes_no_lease_away(factory: &dyn Factory) {
    let Some((_fixture, AnswerStores { responses: store, .. }, clock)) = answering(factory, "H9").await else { return };
    let claim = claim_of(&scoped("acct", "key"));
    let first = mine(store.claim_response(&claim).await);
    clock.set(clock.now() - chrono::TimeDelta::hours(1));
    assert!(running(store.claim_response(&claim).await).lease_left > LEASE);
    assert!(store.renew_response(&first, KEPT).await.unwrap());
    assert_eq!(running(store.claim_response(&claim).await).lease_left, LEASE);
    clock.advance(LEASE);
    assert!(mine(store.claim_response(&claim).await).fence > first.fence);
}

fn request() -> StoredRequest {
    StoredRequest {
        method: "POST".to_owned(),
        uri: "/v1/charges?expand=1".to_owned(),
        headers: vec![("content-type".to_owned(), Arc::from(*b"application/json")), ("x".to_owned(), Arc::from([255]))],
        body: Arc::from(*b"{\"amount\":1}"),
    }
}

/// A stored request is found once its lease has lapsed, the first first; a take-over keeps it, an answer does not.
pub async fn http_d12_abandoned_requests_are_found_with_their_bodies(factory: &dyn Factory) {
    let Some((_fixture, AnswerStores { responses: store, .. }, clock)) = answering(factory, "D12").await else {
        return;
    };
    let mut claims = ["b", "a"].map(|key| claim_of(&scoped("acct", key)));
    for claim in &mut claims {
        claim.request = Some(request());
        mine(store.claim_response(claim).await);
        clock.advance(A_MICRO);
    }
    mine(store.claim_response(&claim_of(&scoped("acct", "without-its-request"))).await);
    clock.advance(LEASE - A_MICRO);
    let abandoned = store.abandoned_requests(Duration::ZERO, 10).await.unwrap();
    let keys: Vec<_> = abandoned.iter().map(|request| request.key.as_str()).collect();
    assert_eq!(keys, ["b", "a"]);
    assert_eq!((abandoned[0].request == request(), abandoned[0].attempts), (true, 1));
    assert_eq!(abandoned[0].fingerprint, claims[0].fingerprint);
    assert_eq!(store.abandoned_requests(Duration::ZERO, 1).await.unwrap().len(), 1);
    assert_eq!(store.abandoned_requests(A_MICRO, 10).await.unwrap().len(), 1);
    // Taken over without it, it stays for the next one.
    claims[0].request = None;
    let lease = mine(store.claim_response(&claims[0]).await);
    clock.advance(LEASE);
    assert_eq!(store.abandoned_requests(Duration::ZERO, 10).await.unwrap().len(), 2);
    assert!(store.complete_response(&lease, &answer(200), KEPT).await.unwrap());
    assert_eq!(store.abandoned_requests(Duration::ZERO, 10).await.unwrap().len(), 1);
}

/// An operator sees what stands there, expires, releases and revives, each noted beside the row.
pub async fn http_n04_an_operator_expires_releases_and_revives(factory: &dyn Factory) {
    let Some((_fixture, AnswerStores { responses: store, .. }, clock)) = answering(factory, "N4").await else { return };
    let mut claim = claim_of(&scoped("acct", "key"));
    claim.attempts = 1;
    let operate = async |action| store.operate_response(&claim.key, action, "ada").await.unwrap();
    let row = async || {
        let query = ResponseQuery { scope: Some(claim.key.scope.clone()), limit: 10, ..ResponseQuery::default() };
        store.list_responses(&query).await.unwrap().remove(0)
    };
    for action in [ResponseAction::Expire, ResponseAction::Release, ResponseAction::Revive] {
        assert!(!operate(action).await, "there is nothing to operate on");
    }
    let first = mine(store.claim_response(&claim).await);
    assert!(!operate(ResponseAction::Expire).await && !operate(ResponseAction::Revive).await);
    assert!(operate(ResponseAction::Release).await);
    let noted = row().await.operation.unwrap();
    assert_eq!((noted.name.as_str(), noted.operator.as_str(), noted.at), ("release", "ada", clock.now()));
    assert!(!store.complete_response(&first, &answer(201), KEPT).await.unwrap(), "the owner is shut out");
    let seen = running(store.claim_response(&claim).await);
    assert!(seen.fence > first.fence && seen.lease_left == Duration::ZERO);

    assert!(store.bury_response(&claim.key, seen.fence, &answer(500), KEPT).await.unwrap());
    assert_eq!((row().await.state, row().await.status), (ResponseState::Dead, Some(500)));
    assert!(!operate(ResponseAction::Release).await);
    assert!(operate(ResponseAction::Revive).await);
    let second = mine(store.claim_response(&claim).await);
    assert_eq!((second.attempt, second.run_id), (1, first.run_id));
    assert!(store.complete_response(&second, &answer(201), KEPT).await.unwrap());
    assert!(!operate(ResponseAction::Revive).await);
    assert!(operate(ResponseAction::Expire).await);
    assert_eq!((row().await.expires_at, row().await.fence), (clock.now(), second.fence));
    assert!(mine(store.claim_response(&claim).await).fence > second.fence);
    let nobody = store.operate_response(&claim.key, ResponseAction::Expire, "").await;
    assert!(matches!(nobody, Err(Error::Invalid { .. })), "{nobody:?}");
}

/// Rows are listed by scope and key, page by page, of one scope or state where that is asked for.
pub async fn http_n04_rows_are_listed_page_by_page(factory: &dyn Factory) {
    let Some((_fixture, AnswerStores { responses: store, .. }, _)) = answering(factory, "N4").await else { return };
    let all =
        [("a", "1"), ("a", "2"), ("a\u{10ffff}", "1"), ("b", "1"), ("b", "2")].map(|(scope, key)| scoped(scope, key));
    for (at, key) in all.iter().enumerate().rev() {
        let lease = mine(store.claim_response(&claim_of(key)).await);
        if at % 2 == 0 {
            assert!(store.complete_response(&lease, &answer(200), KEPT).await.unwrap());
        }
    }
    let mut query = ResponseQuery { limit: 2, ..ResponseQuery::default() };
    let mut listed = Vec::new();
    loop {
        let page = store.list_responses(&query).await.unwrap();
        let Some(last) = page.last() else { break };
        query.after = Some(last.key.clone());
        listed.extend(page.into_iter().map(|row| row.key));
    }
    assert_eq!(listed, all);
    let keys = async |scope: Option<usize>, state| {
        let scope = scope.map(|at: usize| all[at].scope.clone());
        let query = ResponseQuery { scope, state, after: None, limit: 100 };
        store.list_responses(&query).await.unwrap().into_iter().map(|row| row.key).collect::<Vec<_>>()
    };
    assert_eq!(keys(Some(0), None).await, all[..2]);
    assert_eq!(keys(Some(3), Some(ResponseState::Running)).await, all[3..4]);
    assert_eq!(keys(None, Some(ResponseState::Dead)).await, []);
}
