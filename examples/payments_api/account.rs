//! Who is calling.

use std::fmt::Write as _;

use axum::{
    extract::Request,
    http::{HeaderMap, header::AUTHORIZATION},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use sha2::{Digest as _, Sha256};

use super::api_error::ApiError;

/// The account that a token belongs to: whose keys and whose charges they are.
///
/// Here every token is an account of its own, named by its hash, so that any token can be tried. A real service looks the
/// account up: then a client that changes its token keeps its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account(pub String);

impl Account {
    /// The most characters of a token.
    const MAX_TOKEN: usize = 200;

    fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (value, None) = (values.next()?, values.next()) else {
            return None;
        };
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        let token = token.trim_start_matches(' ');
        let is_token =
            (1..=Self::MAX_TOKEN).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
        (scheme.eq_ignore_ascii_case("bearer") && is_token).then(|| Self::of_token(token))
    }

    pub fn of_token(token: &str) -> Self {
        let hash = Sha256::digest(token.as_bytes());
        let mut name = "acct_".to_owned();
        for byte in &hash[..12] {
            // Writing to a string cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
        Self(name)
    }
}

/// Middleware: lets in who has a token, and says who it is. It stands outside of the idempotency layer: each attempt is
/// let in anew, and who has lost access gets no stored answer either.
pub async fn let_in(mut request: Request, next: Next) -> Response {
    match Account::of(request.headers()) {
        Some(account) => {
            request.extensions_mut().insert(account);
            next.run(request).await
        }
        None => ApiError::unauthorized().into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_token_is_an_account() {
        let of =
            |value: &str| Account::of(&HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(value).unwrap())]));
        let account = of("Bearer sk_test_1").unwrap();
        assert_eq!(of("bearer  sk_test_1"), Some(account.clone()));
        assert_ne!(of("Bearer sk_test_2"), Some(account.clone()));
        assert!(!account.0.contains("sk_test"), "{account:?}");
        let long = format!("Bearer {}", "x".repeat(201));
        for refused in ["", "Bearer", "Bearer ", "Basic c2s6", "Bearer a b", &long] {
            assert_eq!(of(refused), None, "{refused:?}");
        }
        assert_eq!(Account::of(&HeaderMap::new()), None);
    }
}
