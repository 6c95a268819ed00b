//! Bounds on claims, answers and steps, checked before any I/O.

use std::{sync::Arc, time::Duration};

use super::{
    Error, Expiring, ResponseClaim, ResponseLease, ResponseQuery, StepRecord, StepRun, StoredBody, StoredRequest,
    StoredResponse,
    limits::{bounded, check_lease},
};

/// The shortest and the longest time that something is kept: a millisecond, and ten years.
const TIMES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(10 * 366 * 24 * 60 * 60));

/// The most bytes of a body, of a request or of an answer.
const BODY_BYTES: usize = 16 << 20;

/// The most bytes of all headers, with their names.
const HEADER_BYTES: usize = StoredResponse::MAX_HEADER_BYTES;

/// The most bytes of a step's result.
const STEP_BYTES: usize = 1 << 20;

/// The most bytes of the name of a step or an operator, of a method, and of a reference.
const NAME_BYTES: usize = 200;
const REFERENCE_BYTES: usize = StoredResponse::MAX_REFERENCE_BYTES;

/// The most bytes of path and query.
const URI_BYTES: usize = 64 << 10;

/// The most rows of one list, and of one sweep.
const ANSWER_ROWS: u32 = 10_000;

/// Comes behind every scope, byte by byte: none is as long.
const AFTER_SCOPES: &str = concat!(
    "\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}",
    "\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}",
    "\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}",
    "\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}",
    "\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}",
    "\u{10ffff}"
);

/// The most abandoned requests of one answer: each has a body.
const ANSWER_REQUESTS: u32 = 1_000;

impl ResponseClaim {
    /// Makes sure that the claim can be stored.
    pub(crate) fn check(&self) -> Result<(), Error> {
        check_lease(self.lease)?;
        check_kept(self.keep_for)?;
        if self.attempts == 0 || i32::try_from(self.attempts).is_err() {
            return Err(Error::invalid("a request is begun at least once, and at most 2,147,483,647 times"));
        }
        if self.scope_keys.is_some_and(|keys| keys == 0 || i32::try_from(keys).is_err()) {
            return Err(Error::invalid("a scope may have at least one key, and at most 2,147,483,647"));
        }
        if self.recipe == 0 || i16::try_from(self.recipe).is_err() {
            return Err(Error::invalid("recipes of fingerprints are counted from 1 to 32,767"));
        }
        self.request.as_ref().map_or(Ok(()), StoredRequest::check)
    }
}

impl StoredRequest {
    fn check(&self) -> Result<(), Error> {
        bounded("bytes in a method", self.method.len(), NAME_BYTES)?;
        bounded("bytes in a URI", self.uri.len(), URI_BYTES)?;
        check_headers(&self.headers)?;
        bounded("bytes in a request's body", self.body.len(), BODY_BYTES)
    }
}

impl ResponseLease {
    /// Makes sure that the lease can be renewed.
    pub(crate) fn check(&self) -> Result<(), Error> {
        check_lease(self.length)
    }
}

impl StoredResponse {
    /// Makes sure that the answer can be stored, and for so long.
    pub(crate) fn check(&self, keep_for: Duration) -> Result<(), Error> {
        check_kept(keep_for)?;
        if !(100..=999).contains(&self.status) {
            return Err(Error::invalid(format!("a status is from 100 to 999, {} is not", self.status)));
        }
        check_headers(&self.headers)?;
        match &self.body {
            StoredBody::Whole(body) => bounded("bytes in an answer's body", body.len(), BODY_BYTES),
            StoredBody::Tombstone => Ok(()),
            StoredBody::Reference(reference) => check_text("reference", reference, REFERENCE_BYTES),
        }
    }
}

impl ResponseQuery {
    /// Makes sure that the answer is bounded.
    pub(crate) fn check(&self) -> Result<(), Error> {
        check_rows(self.limit, ANSWER_ROWS)
    }

    /// Between what the rows lie: scope and key before the first, and the last scope.
    pub(crate) fn bounds(&self) -> ((&str, &str), &str) {
        let (first, last) = self.scope.as_ref().map_or(("", AFTER_SCOPES), |scope| (scope.as_str(), scope.as_str()));
        let after = self.after.as_ref().map_or(("", ""), |after| (after.scope.as_str(), after.key.as_str()));
        // No key is empty: before the first of its scope there is room.
        (after.max((first, "")), last)
    }
}

impl StepRun {
    /// Makes sure that steps can be kept so long.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.keep_for.map_or(Ok(()), check_kept)
    }
}

impl StepRecord {
    /// Makes sure that the step can be stored.
    pub(crate) fn check(&self) -> Result<(), Error> {
        check_text("step's name", &self.name, NAME_BYTES)?;
        if self.ordinal == 0 || i32::try_from(self.ordinal).is_err() {
            return Err(Error::invalid("steps are counted from 1"));
        }
        bounded("bytes in a step's result", self.result.as_deref().map_or(0, str::len), STEP_BYTES)
    }
}

impl Expiring {
    /// Makes sure that a batch is bounded.
    pub(crate) fn check(self, limit: u32) -> Result<(), Error> {
        check_rows(limit, ANSWER_ROWS)
    }
}

/// Makes sure that a list of abandoned requests is bounded.
pub(crate) fn check_abandoned(lapsed_for: Duration, limit: u32) -> Result<(), Error> {
    if lapsed_for > TIMES.1 {
        return Err(Error::invalid(format!("a lease lapsed at most ten years ago, not {lapsed_for:?}")));
    }
    check_rows(limit, ANSWER_REQUESTS)
}

/// Makes sure that an operator's name can be stored.
pub(crate) fn check_operator(operator: &str) -> Result<(), Error> {
    check_text("operator's name", operator, NAME_BYTES)
}

/// Makes sure that an answer is kept for a time that can be stored.
pub(crate) fn check_kept(keep_for: Duration) -> Result<(), Error> {
    if keep_for < TIMES.0 || keep_for > TIMES.1 {
        return Err(Error::invalid(format!(
            "what is kept for a time is kept from 1 ms to ten years, not {keep_for:?}"
        )));
    }
    Ok(())
}

fn check_rows(limit: u32, most: u32) -> Result<(), Error> {
    if limit == 0 || limit > most {
        return Err(Error::invalid(format!("from 1 to {most} rows at once, not {limit}")));
    }
    Ok(())
}

fn check_headers(headers: &[(String, Arc<[u8]>)]) -> Result<(), Error> {
    bounded("bytes of headers", headers.iter().map(|(name, value)| name.len() + value.len()).sum(), HEADER_BYTES)
}

fn check_text(what: &str, text: &str, most: usize) -> Result<(), Error> {
    if text.is_empty() || text.len() > most || text.contains('\0') {
        return Err(Error::invalid(format!("a {what} has 1 to {most} bytes and no NUL, this one has {}", text.len())));
    }
    Ok(())
}
