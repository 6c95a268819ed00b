//! Stored answers and requests as columns, alike on both databases.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    ClaimedResponse, Error, Fingerprint, FinishedResponse, ResponseState, RunningResponse, StoredBody, StoredRequest,
    StoredResponse, from_column,
};

/// Headers in their order.
type Headers = Vec<(String, Arc<[u8]>)>;

/// What stands under a key, column by column.
#[derive(Debug)]
pub(crate) struct FoundResponse {
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) recipe: i64,
    pub(crate) state: String,
    pub(crate) fence: i64,
    pub(crate) attempts: i64,
    /// How long the lease lasts still, in microseconds; `None`: it is finished.
    pub(crate) lease_left: Option<i64>,
    /// How long the row is kept still, in microseconds.
    pub(crate) left: i64,
    pub(crate) status: Option<i64>,
    pub(crate) headers: Option<String>,
    pub(crate) body_kind: Option<String>,
    pub(crate) body: Option<Vec<u8>>,
}

impl FoundResponse {
    /// Tells whether the key is free: it has expired, and nobody is at work.
    pub(crate) fn has_expired(&self) -> bool {
        self.left <= 0 && self.lease_left.is_none_or(|left| left <= 0)
    }

    /// Tells whether nobody is at work on it, and the same request may take over.
    #[cfg(feature = "sqlite")]
    pub(crate) fn may_be_taken_over(&self, fingerprint: Fingerprint, recipe: u16, attempts: u32) -> bool {
        self.lease_left.is_some_and(|left| left <= 0)
            && self.fingerprint == fingerprint.as_bytes()
            && self.recipe == i64::from(recipe)
            && self.attempts < i64::from(attempts)
    }

    /// What it says to whoever asks.
    pub(crate) fn answer(self) -> Result<ClaimedResponse, Error> {
        let fingerprint = fingerprint(&self.fingerprint)?;
        let recipe = recipe(self.recipe)?;
        let fence = from_column(self.fence)?;
        let state = state(&self.state)?;
        let (Some(status), Some(kind)) = (self.status, self.body_kind) else {
            return Ok(ClaimedResponse::Running(RunningResponse {
                fingerprint,
                recipe,
                fence,
                attempt: number(self.attempts)?,
                lease_left: duration(self.lease_left.unwrap_or(0)),
            }));
        };
        let response = StoredResponse {
            status: u16::try_from(status).map_err(|_| Error::corrupt(format!("a stored status is {status}")))?,
            headers: headers_of(self.headers.as_deref().unwrap_or("[]"))?,
            body: body(&kind, self.body)?,
        };
        Ok(ClaimedResponse::Finished(Arc::new(FinishedResponse {
            fingerprint,
            recipe,
            fence,
            is_dead: state == ResponseState::Dead,
            response,
            left: duration(self.left),
        })))
    }
}

/// Takes a stored fingerprint.
pub(crate) fn fingerprint(bytes: &[u8]) -> Result<Fingerprint, Error> {
    let bytes = bytes.try_into().map_err(|_| Error::corrupt("a stored fingerprint is not 32 bytes"))?;
    Ok(Fingerprint::from_bytes(bytes))
}

/// Takes the number of a stored recipe.
pub(crate) fn recipe(number: i64) -> Result<u16, Error> {
    u16::try_from(number).map_err(|_| Error::corrupt(format!("the recipe of a stored fingerprint is {number}")))
}

/// Takes the word for a stored state.
pub(crate) fn state(word: &str) -> Result<ResponseState, Error> {
    ResponseState::from_word(word)
        .ok_or_else(|| Error::corrupt(format!("a stored answer is {word:?}, which there is not")))
}

/// Takes a stored number that is not negative.
pub(crate) fn number(number: i64) -> Result<u32, Error> {
    u32::try_from(number).map_err(|_| Error::corrupt(format!("a stored number is out of range: {number}")))
}

/// A time that is left; nothing where it is over.
fn duration(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// The columns of a body.
pub(crate) fn body_columns(body: &StoredBody) -> (&'static str, Option<&[u8]>) {
    match body {
        StoredBody::Whole(body) => ("whole", Some(body)),
        StoredBody::Tombstone => ("tombstone", None),
        StoredBody::Reference(reference) => ("reference", Some(reference.as_bytes())),
    }
}

fn body(kind: &str, bytes: Option<Vec<u8>>) -> Result<StoredBody, Error> {
    match (kind, bytes) {
        ("whole", Some(bytes)) => Ok(StoredBody::Whole(bytes.into())),
        ("tombstone", None) => Ok(StoredBody::Tombstone),
        ("reference", Some(bytes)) => match String::from_utf8(bytes) {
            Ok(reference) => Ok(StoredBody::Reference(reference.into())),
            Err(error) => Err(Error::codec("a stored reference is not UTF-8", error)),
        },
        (kind, bytes) => {
            let what = if bytes.is_some() { "a body" } else { "no body" };
            Err(Error::corrupt(format!("a stored answer is {kind:?} and has {what}, which does not fit")))
        }
    }
}

/// Writes headers as a JSON list of pairs; each byte of a value is one character, so that none is lost.
pub(crate) fn headers_json(headers: &[(String, Arc<[u8]>)]) -> Result<String, Error> {
    serde_json::to_string(&pairs(headers)).map_err(|error| Error::codec("headers cannot be written as JSON", error))
}

/// Reads what [`headers_json`] wrote.
fn headers_of(json: &str) -> Result<Headers, Error> {
    let pairs = serde_json::from_str(json).map_err(|error| Error::codec("stored headers are no list", error))?;
    headers(pairs)
}

fn pairs(headers: &[(String, Arc<[u8]>)]) -> Vec<(&str, String)> {
    let text = |value: &[u8]| value.iter().copied().map(char::from).collect();
    headers.iter().map(|(name, value)| (name.as_str(), text(value))).collect()
}

fn headers(pairs: Vec<(String, String)>) -> Result<Headers, Error> {
    let bytes = |value: String| value.chars().map(u8::try_from).collect::<Result<Arc<[u8]>, _>>();
    let header = |(name, value)| match bytes(value) {
        Ok(value) => Ok((name, value)),
        Err(error) => Err(Error::codec("a stored header holds what is no byte", error)),
    };
    pairs.into_iter().map(header).collect()
}

/// A request as it is stored; its body is a column of its own.
#[derive(Serialize)]
struct RequestToWrite<'r> {
    method: &'r str,
    uri: &'r str,
    headers: Vec<(&'r str, String)>,
}

#[derive(Deserialize)]
struct ReadRequest {
    method: String,
    uri: String,
    headers: Vec<(String, String)>,
}

/// Writes a request without its body as JSON.
pub(crate) fn request_json(request: &StoredRequest) -> Result<String, Error> {
    let parts = RequestToWrite { method: &request.method, uri: &request.uri, headers: pairs(&request.headers) };
    serde_json::to_string(&parts).map_err(|error| Error::codec("a request cannot be written as JSON", error))
}

/// Reads what [`request_json`] wrote, and its body.
pub(crate) fn request_of(json: &str, body: Vec<u8>) -> Result<StoredRequest, Error> {
    let read: ReadRequest =
        serde_json::from_str(json).map_err(|error| Error::codec("a stored request cannot be read", error))?;
    Ok(StoredRequest { method: read.method, uri: read.uri, headers: headers(read.headers)?, body: body.into() })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{body, body_columns, headers_json, headers_of, request_json, request_of};
    use crate::store::{StoredBody, StoredRequest};

    fn every_byte() -> Arc<[u8]> {
        (0..=255).collect()
    }

    #[test]
    fn headers_come_back_byte_by_byte_and_in_their_order() {
        let headers = vec![
            ("link".to_owned(), every_byte()),
            ("a".to_owned(), Arc::from(*b"")),
            ("link".to_owned(), Arc::from(*b"\"second\"")),
        ];
        assert_eq!(headers_of(&headers_json(&headers).unwrap()).unwrap(), headers);
        assert!(headers_of("[[\"a\",\"\u{100}\"]]").is_err());
        assert!(headers_of("{}").is_err());
    }

    #[test]
    fn requests_and_bodies_come_back() {
        let request = StoredRequest {
            method: "POST".to_owned(),
            uri: "/v1/charges?a=\"b\"".to_owned(),
            headers: vec![("x".to_owned(), every_byte())],
            body: every_byte(),
        };
        assert_eq!(request_of(&request_json(&request).unwrap(), request.body.to_vec()).unwrap(), request);
        for stored in [
            StoredBody::Whole(every_byte()),
            StoredBody::Whole(Arc::from([])),
            StoredBody::Tombstone,
            StoredBody::Reference("ch_1".into()),
        ] {
            let (kind, bytes) = body_columns(&stored);
            assert_eq!(body(kind, bytes.map(<[u8]>::to_vec)).unwrap(), stored);
        }
        assert!(body("whole", None).is_err());
        assert!(body("tombstone", Some(Vec::new())).is_err());
    }
}
