//! What the cases claim and answer.

use std::{fmt::Debug, sync::Arc, time::Duration};

use super::{
    fixture::{AnswerStores, Factory, Fixture, not_run, with_clock},
    sample::key,
};
use crate::store::{
    ClaimedResponse, Error, Fingerprint, FinishedResponse, ManualClock, ResponseClaim, ResponseLease, RunningResponse,
    Scope, ScopedKey, StoredBody, StoredResponse,
};

/// How long the cases' leases last.
pub(super) const LEASE: Duration = Duration::from_secs(60);

/// How long what is stored is kept.
pub(super) const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// The finest that stores tell apart.
pub(super) const A_MICRO: Duration = Duration::from_micros(1);

/// A store that keeps answers, with a clock that stands still.
pub(super) async fn answering(
    factory: &dyn Factory,
    case: &str,
) -> Option<(Box<dyn Fixture>, AnswerStores, Arc<ManualClock>)> {
    let clock = Arc::new(ManualClock::new(chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap()));
    let fixture = with_clock(factory, &clock, case).await?;
    let Some(stores) = fixture.responses() else {
        not_run(case, "the store keeps no answers");
        return None;
    };
    Some((fixture, stores, clock))
}

pub(super) fn scoped(scope: &str, of: &str) -> ScopedKey {
    ScopedKey::new(Scope::new(scope).unwrap(), key(of))
}

pub(super) fn claim_of(key: &ScopedKey) -> ResponseClaim {
    ResponseClaim {
        key: key.clone(),
        fingerprint: Fingerprint::of_parts(&[b"request"]),
        recipe: 1,
        lease: LEASE,
        keep_for: KEPT,
        attempts: 5,
        scope_keys: None,
        request: None,
    }
}

pub(super) fn answer(status: u16) -> StoredResponse {
    let headers = vec![("content-type".to_owned(), Arc::from(*b"application/json"))];
    StoredResponse { status, headers, body: StoredBody::Whole(Arc::from(*b"{}")) }
}

#[track_caller]
pub(super) fn mine(claimed: Result<ClaimedResponse, Error>) -> ResponseLease {
    match claimed {
        Ok(ClaimedResponse::Mine(lease)) => lease,
        other => unexpected("the key is free", &other),
    }
}

#[track_caller]
pub(super) fn running(claimed: Result<ClaimedResponse, Error>) -> RunningResponse {
    match claimed {
        Ok(ClaimedResponse::Running(running)) => running,
        other => unexpected("the request is running", &other),
    }
}

#[track_caller]
pub(super) fn finished(claimed: Result<ClaimedResponse, Error>) -> Arc<FinishedResponse> {
    match claimed {
        Ok(ClaimedResponse::Finished(finished)) => finished,
        other => unexpected("the request has its answer", &other),
    }
}

#[track_caller]
fn unexpected(expected: &str, found: &dyn Debug) -> ! {
    panic!("{expected}, but the store says {found:?}")
}
