//! Bounds on the calls of clients, checked before any I/O.

use std::time::Duration;

use super::{
    CallName, CallQuery, Error, NewCall,
    limits::{bounded, check_lease},
};

/// The most bytes of a call's body: 16 MiB.
pub(crate) const CALL_BODY_BYTES: usize = 16 << 20;

/// The most bytes of all its headers, with their names: 256 KiB.
const HEADER_BYTES: usize = 256 << 10;

/// The most bytes of its URL: 64 KiB.
const URL_BYTES: usize = 64 << 10;

/// The most bytes of a client's name, and of a method.
const NAME_BYTES: usize = 200;

/// The most calls of one list.
const ANSWER_CALLS: u32 = 1_000;

impl NewCall {
    /// Makes sure that the call can be kept.
    pub(crate) fn check(&self, length: Duration) -> Result<(), Error> {
        self.name.check()?;
        check_lease(length)?;
        bounded("bytes in a method", self.request.method.len(), NAME_BYTES)?;
        bounded("bytes in a URL", self.request.uri.len(), URL_BYTES)?;
        let headers = self.request.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        bounded("bytes of headers", headers, HEADER_BYTES)?;
        bounded("bytes in a request's body", self.request.body.len(), CALL_BODY_BYTES)
    }
}

impl CallName {
    /// Makes sure that the client has a name that can be kept.
    pub(crate) fn check(&self) -> Result<(), Error> {
        check_client(&self.client)
    }
}

impl CallQuery {
    /// Makes sure that the answer is bounded.
    pub(crate) fn check(&self) -> Result<(), Error> {
        check_client(&self.client)?;
        if self.limit == 0 || self.limit > ANSWER_CALLS {
            return Err(Error::invalid(format!("from 1 to {ANSWER_CALLS} calls at once, not {}", self.limit)));
        }
        Ok(())
    }
}

fn check_client(name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > NAME_BYTES || name.contains('\0') {
        return Err(Error::invalid(format!(
            "a client's name has 1 to {NAME_BYTES} bytes and no NUL, this one has {}",
            name.len()
        )));
    }
    Ok(())
}
