//! Claims and answers within transactions, and beside them.

use std::{
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use annals::{
    Append, Error, EventStore, EventStoreExt as _, Fingerprint, IdempotencyKey, NewEvent, ResponseStore, Scope,
    ScopedKey, StreamQuery, Transactional, Work as _,
    store::{ClaimedResponse, ResponseClaim, ResponseLease, ResponseWork, StoredBody, StoredResponse},
};
use tokio::task::JoinSet;
use uuid::Uuid;

const KEPT: Duration = Duration::from_secs(3600);

/// How long a store waits for somebody's transaction here.
const BUSY: Duration = Duration::from_millis(200);

/// Makes a test of each function for each database.
macro_rules! on_every_backend {
    ($($test:ident)+) => {
        mod in_a_file {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    let folder = tempfile::tempdir().unwrap();
                    let options = annals::SqliteStore::options().busy_timeout(super::BUSY);
                    super::$test(options.open(folder.path().join("annals.db")).await.unwrap()).await;
                }
            )+
        }

        #[cfg(feature = "postgres")]
        mod on_postgres {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    let database = crate::postgres_server::Database::create().await;
                    let options = annals::PostgresStore::options().lock_timeout(super::BUSY);
                    super::$test(options.connect(database.url()).await.unwrap()).await;
                }
            )+
        }
    };
}

on_every_backend! {
    http_c10_a_duplicate_behind_an_open_transaction_is_told_so
    http_c11_a_duplicate_behind_one_that_rolls_back_owns_the_request
    http_d09_claim_events_and_answer_commit_together_or_not_at_all
    a_claim_that_cannot_be_stored_fails_no_other
    a_caller_that_goes_away_leaves_the_store_as_it_was
}

trait Store: Transactional<Work: ResponseWork> + ResponseStore + Clone + 'static {}

impl<S: Transactional<Work: ResponseWork> + ResponseStore + Clone + 'static> Store for S {}

fn claim_of(scope: Scope, key: &str) -> ResponseClaim {
    ResponseClaim {
        key: ScopedKey::new(scope, IdempotencyKey::new(key).unwrap()),
        fingerprint: Fingerprint::of_parts(&[b"request"]),
        recipe: 1,
        lease: Duration::from_secs(60),
        keep_for: KEPT,
        attempts: 5,
        scope_keys: Some(1000),
        request: None,
    }
}

fn claim() -> ResponseClaim {
    claim_of(Scope::new("acct").unwrap(), "key")
}

fn answer() -> StoredResponse {
    StoredResponse { status: 201, headers: Vec::new(), body: StoredBody::Whole(Arc::from(*b"{}")) }
}

fn charge() -> Append {
    Append::new("charge", Uuid::from_u128(1)).events([NewEvent::new("made", &1).unwrap()])
}

#[track_caller]
fn mine(claimed: Result<ClaimedResponse, Error>) -> ResponseLease {
    match claimed {
        Ok(ClaimedResponse::Mine(lease)) => lease,
        other => panic!("the key is free, but the store says {other:?}"),
    }
}

async fn charges<S: EventStore>(store: &S) -> usize {
    store.collect_stream(&StreamQuery::of(Uuid::from_u128(1))).await.unwrap().len()
}

async fn http_c10_a_duplicate_behind_an_open_transaction_is_told_so<S: Store>(store: S) {
    let mut work = store.begin().await.unwrap();
    let lease = mine(work.claim_response(&claim()).await);
    for _ in 0..2 {
        let busy = store.claim_response(&claim()).await;
        assert!(matches!(busy, Err(Error::Contention { .. })), "{busy:?}");
    }
    let seen = work.claim_response(&claim()).await;
    assert!(matches!(&seen, Ok(ClaimedResponse::Running(running)) if running.fence == lease.fence), "{seen:?}");
    assert!(work.complete_response(&lease, &answer(), KEPT).await.unwrap());
    work.commit().await.unwrap();
    let replayed = store.claim_response(&claim()).await;
    assert!(matches!(&replayed, Ok(ClaimedResponse::Finished(found)) if found.response == answer()), "{replayed:?}");
}

async fn http_c11_a_duplicate_behind_one_that_rolls_back_owns_the_request<S: Store>(store: S) {
    let mut work = store.begin().await.unwrap();
    let first = mine(work.claim_response(&claim()).await);
    let duplicate = tokio::spawn({
        let store = store.clone();
        async move { store.claim_response(&claim()).await }
    });
    tokio::task::yield_now().await;
    drop(work);
    let owner = mine(duplicate.await.unwrap());
    assert_eq!(owner.attempt, 1);
    assert!(
        !store.complete_response(&ResponseLease { fence: owner.fence + 1, ..first }, &answer(), KEPT).await.unwrap()
    );
    assert!(store.complete_response(&owner, &answer(), KEPT).await.unwrap());
}

async fn http_d09_claim_events_and_answer_commit_together_or_not_at_all<S: Store>(store: S) {
    for is_committed in [false, true] {
        let mut work = store.begin().await.unwrap();
        let lease = mine(work.claim_response(&claim()).await);
        work.append(&charge()).await.unwrap();
        assert!(work.complete_response(&lease, &answer(), KEPT).await.unwrap());
        if is_committed {
            work.commit().await.unwrap();
        } else {
            drop(work);
            assert!(store.find_response(&claim().key).await.unwrap().is_none());
        }
        assert_eq!(charges(&store).await, usize::from(is_committed));
    }
    let replayed = store.claim_response(&claim()).await;
    assert!(matches!(&replayed, Ok(ClaimedResponse::Finished(found)) if found.response == answer()), "{replayed:?}");
}

async fn a_claim_that_cannot_be_stored_fails_no_other<S: Store>(store: S) {
    let mut claims = JoinSet::new();
    for at in 0..40 {
        // The table takes no scope without a name.
        let scope = if at % 10 == 0 { Scope::from_stored("") } else { Scope::new("acct").unwrap() };
        let (store, claim) = (store.clone(), claim_of(scope, &format!("key-{at}")));
        claims.spawn(async move { (at, store.claim_response(&claim).await) });
    }
    let mut fences = std::collections::BTreeSet::new();
    while let Some(claimed) = claims.join_next().await {
        match claimed.unwrap() {
            (at, Err(Error::Backend { .. })) if at % 10 == 0 => {}
            (at, Ok(ClaimedResponse::Mine(lease))) if at % 10 != 0 => assert!(fences.insert(lease.fence)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(fences.len(), 36);
}

async fn a_caller_that_goes_away_leaves_the_store_as_it_was<S: Store>(store: S) {
    for at in 0..20 {
        let claim = claim_of(Scope::new("acct").unwrap(), &format!("key-{at}"));
        let mut claiming = Box::pin(store.claim_response(&claim));
        for _ in 0..=at {
            if claiming.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(claiming);
    }
    // Whether they were taken or not: all is answered as ever.
    for at in 0..20 {
        let claimed = store.claim_response(&claim_of(Scope::new("acct").unwrap(), &format!("key-{at}"))).await;
        assert!(matches!(claimed, Ok(ClaimedResponse::Mine(_) | ClaimedResponse::Running(_))), "{claimed:?}");
    }
}
