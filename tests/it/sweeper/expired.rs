//! Rows that expire.

use std::{sync::Arc, time::Duration};

use annals::{
    Fingerprint, IdempotencyKey, ManualClock, ResponseStore, Scope, ScopedKey,
    store::{ClaimedResponse, ResponseClaim, ResponseQuery, StoredBody, StoredResponse},
};

pub fn clock() -> ManualClock {
    ManualClock::new("2026-01-01T00:00:00Z".parse().unwrap())
}

/// Stores so many answers, kept for so long.
pub async fn fill(store: &dyn ResponseStore, name: &str, answers: u32, keep_for: Duration) {
    for number in 0..answers {
        let key = IdempotencyKey::new(format!("{name}-{number}")).unwrap();
        let claim = ResponseClaim {
            key: ScopedKey::new(Scope::new("acct_1").unwrap(), key),
            fingerprint: Fingerprint::of_parts(&[b"request"]),
            recipe: 1,
            lease: Duration::from_secs(60),
            keep_for,
            attempts: 5,
            scope_keys: None,
            request: None,
        };
        let ClaimedResponse::Mine(lease) = store.claim_response(&claim).await.unwrap() else { panic!("it is new") };
        let answer = StoredResponse { status: 200, headers: vec![], body: StoredBody::Whole(Arc::from(&b"x"[..])) };
        assert!(store.complete_response(&lease, &answer, keep_for).await.unwrap());
    }
}

/// How many rows are there, expired or not.
pub async fn count(store: &dyn ResponseStore) -> usize {
    store.list_responses(&ResponseQuery { limit: 10_000, ..ResponseQuery::default() }).await.unwrap().len()
}
