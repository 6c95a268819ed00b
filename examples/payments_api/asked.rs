//! What clients ask for: read, checked and typed before anything happens.

use std::str::FromStr;

use annals::{
    Aggregate, ExpectedVersion, Id,
    http::{IdempotentRequest, NotIdempotent, expected_version},
};
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request, rejection::BytesRejection},
    http::{header::CONTENT_TYPE, request::Parts},
    response::{IntoResponse, Response},
};
use uuid::Uuid;

use super::{
    amount::{Amount, Currency},
    api_error::ApiError,
    charge::{Charge, Charged, Notes},
    magic::Magic,
    parameters::Parameters,
};

/// A request under its key, with what it asks for.
///
/// The parameters are checked before the request is taken: a client that sent nonsense mends it and keeps its key.
#[derive(Debug)]
pub struct Asked<T> {
    pub request: IdempotentRequest,
    pub asks: T,
}

/// What one kind of request asks for.
pub trait Asks: Sized + Send {
    fn take(parameters: Parameters) -> Result<Self, ApiError>;
}

/// An amount is to be charged, or is about to be paid.
#[derive(Debug)]
pub struct Payment {
    pub amount: Amount,
    pub currency: Currency,
    pub metadata: Notes,
    pub magic: Magic,
}

impl Payment {
    pub fn of(&self, account: &str) -> Charged {
        let Self { amount, currency, .. } = *self;
        Charged { account: account.to_owned(), amount, currency, metadata: self.metadata.clone() }
    }
}

impl Asks for Payment {
    fn take(mut parameters: Parameters) -> Result<Self, ApiError> {
        let (amount, currency) = (parameters.take("amount")?, parameters.take("currency")?);
        let metadata = parameters.notes()?;
        Ok(Self { amount, currency, magic: Magic::of(&metadata)?, metadata })
    }
}

/// A charge is to be refunded.
#[derive(Debug)]
pub struct Refund {
    pub charge: Public<Charge>,
    /// None: all that is left.
    pub amount: Option<Amount>,
    pub metadata: Notes,
    pub magic: Magic,
}

impl Asks for Refund {
    fn take(mut parameters: Parameters) -> Result<Self, ApiError> {
        let (charge, amount) = (parameters.take("charge")?, parameters.take_if_any("amount")?);
        let metadata = parameters.notes()?;
        Ok(Self { charge, amount, magic: Magic::of(&metadata)?, metadata })
    }
}

/// An id as clients see it: `ch_` and the 32 digits of its UUID.
#[derive(Debug)]
pub struct Public<A: Aggregate>(pub Id<A>);

/// Shows a UUID under the prefix of its kind.
pub fn public(prefix: &str, id: impl Into<Uuid>) -> String {
    format!("{prefix}{}", id.into().simple())
}

/// What the ids of aggregates begin with.
pub trait Prefix: Aggregate {
    const PREFIX: &'static str;
}

impl<A: Prefix> FromStr for Public<A> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let id = text.strip_prefix(A::PREFIX).and_then(|digits| Uuid::try_parse(digits).ok());
        // In one form alone: an id in a log and the same in an answer look the same.
        let id = id.filter(|id| public(A::PREFIX, *id) == text).map(Id::from_uuid);
        id.map(Self).ok_or_else(|| format!("an id here is {} and 32 hexadecimal digits", A::PREFIX))
    }
}

/// Why a request cannot be taken.
#[derive(Debug)]
pub enum Unfit {
    Api(ApiError),
    /// A fault of the set-up.
    NotIdempotent(NotIdempotent),
}

impl IntoResponse for Unfit {
    fn into_response(self) -> Response {
        match self {
            Self::Api(error) => error.into_response(),
            Self::NotIdempotent(error) => error.into_response(),
        }
    }
}

impl<T: Asks, S: Send + Sync> FromRequest<S> for Asked<T> {
    type Rejection = Unfit;

    async fn from_request(request: Request, state: &S) -> Result<Self, Unfit> {
        let (mut parts, body) = request.into_parts();
        let form = is_form(&parts).map_err(Unfit::Api)?;
        let unreadable = |error: BytesRejection| Unfit::Api(ApiError::unreadable(error.status()));
        let body = Request::from_parts(parts.clone(), body);
        let body = Bytes::from_request(body, state).await.map_err(unreadable)?;
        let parameters = if form { Parameters::of_form(&body) } else { Parameters::of_json(&body) };
        let asks = parameters.and_then(T::take).map_err(Unfit::Api)?;
        let request = IdempotentRequest::from_request_parts(&mut parts, state).await.map_err(Unfit::NotIdempotent)?;
        Ok(Self { request, asks })
    }
}

/// Tells whether the body is a form, or JSON. An empty one needs no type.
fn is_form(parts: &Parts) -> Result<bool, ApiError> {
    let Some(content_type) = parts.headers.get(CONTENT_TYPE) else {
        return Ok(true);
    };
    let essence = content_type.to_str().ok().and_then(|text| text.split(';').next()).unwrap_or_default().trim();
    match essence.to_ascii_lowercase().as_str() {
        "application/x-www-form-urlencoded" => Ok(true),
        "application/json" => Ok(false),
        _ => Err(ApiError::unknown_media_type()),
    }
}

/// The version that a request is meant for, from `If-Match`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IfMatch(pub ExpectedVersion);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self(expected_version(&parts.headers)?.unwrap_or(ExpectedVersion::Any)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_id_has_one_form() {
        let id = Id::<Charge>::natural("one");
        let text = public(Charge::PREFIX, id);
        assert!(text.starts_with("ch_") && text.len() == 35, "{text}");
        assert_eq!(text.parse::<Public<Charge>>().unwrap().0, id);
        for unfit in ["", "ch_", "pi_00000000000000000000000000000001", &text.to_uppercase(), &format!("ch_{id}")] {
            assert!(unfit.parse::<Public<Charge>>().is_err(), "{unfit}");
        }
    }
}
