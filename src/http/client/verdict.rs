//! What an answer means for the request it answers.

use http::{HeaderMap, StatusCode};

/// What becomes of a call after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The server will say the same again, or says that this is the end of it.
    Final,
    /// The first attempt is still being carried out, says the server.
    InFlight,
    /// Another attempt may have another answer.
    Retry,
    /// It says nothing of an attempt before this one, and would not another time either.
    Silent,
}

/// The names under which servers say whether to come again.
const SHOULD_RETRY: [&str; 2] = ["stripe-should-retry", "x-should-retry"];

impl Verdict {
    /// Judges an answer that comes when an attempt before it may have happened.
    ///
    /// Then a gateway, or a check that comes before the key is looked at, can refuse this attempt and says nothing of that
    /// one. Taken for the outcome, such an answer would have the key forgotten and the request made twice.
    pub(super) fn in_doubt(status: StatusCode, headers: &HeaderMap) -> Self {
        match Self::of(status, headers) {
            Self::Final if !speaks_for_the_key(status, headers) => Self::Silent,
            verdict => verdict,
        }
    }

    /// What the server says of itself comes before what its status says.
    pub(super) fn of(status: StatusCode, headers: &HeaderMap) -> Self {
        let is_error = status.is_client_error() || status.is_server_error();
        match should_retry(headers) {
            _ if !is_error => Self::Final,
            Some(false) => Self::Final,
            Some(true) if status == StatusCode::CONFLICT => Self::InFlight,
            Some(true) => Self::Retry,
            // What was stored stays as it is.
            None if is_replayed(headers) => Self::Final,
            None => Self::of_status(status, headers),
        }
    }

    fn of_status(status: StatusCode, headers: &HeaderMap) -> Self {
        match status.as_u16() {
            409 if headers.contains_key(http::header::RETRY_AFTER) => Self::InFlight,
            408 | 409 | 425 | 429 => Self::Retry,
            // Not implemented, or not this version: it will not be otherwise later.
            501 | 505 => Self::Final,
            // Also the ones that proxies have made up: what the server behind them has done is not known.
            500..=599 => Self::Retry,
            _ => Self::Final,
        }
    }
}

/// Whether an end is the end of all attempts under the key.
fn speaks_for_the_key(status: StatusCode, headers: &HeaderMap) -> bool {
    // The first two of those that say no are also how the reuse of a key is refused.
    let is_of_the_key = matches!(status.as_u16(), 400 | 422 | 402 | 409 | 410);
    is_of_the_key || !(status.is_client_error() || status.is_server_error()) || is_replayed(headers)
}

fn should_retry(headers: &HeaderMap) -> Option<bool> {
    SHOULD_RETRY.iter().find_map(|name| truth(headers, name))
}

/// Whether the server says that it has given this answer before.
pub(super) fn is_replayed(headers: &HeaderMap) -> bool {
    truth(headers, "idempotent-replayed") == Some(true)
}

fn truth(headers: &HeaderMap, name: &str) -> Option<bool> {
    let text = headers.get(name)?.to_str().ok()?.trim();
    // `?1` and `?0`: as structured fields say it.
    [("true", true), ("?1", true), ("false", false), ("?0", false)]
        .into_iter()
        .find_map(|(word, truth)| text.eq_ignore_ascii_case(word).then_some(truth))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

    use super::Verdict::{self, Final, InFlight, Retry, Silent};

    #[test]
    fn http_m10_what_a_server_says_comes_before_its_status() {
        const NO: (&str, &str) = ("x-should-retry", "false");
        const YES: (&str, &str) = ("stripe-should-retry", "true");
        const REPLAYED: (&str, &str) = ("idempotent-replayed", "true");
        type Said = &'static [(&'static str, &'static str)];
        let cases: &[(u16, Said, Verdict)] = &[
            (200, &[], Final),
            (200, &[YES], Final),
            (304, &[], Final),
            (400, &[], Final),
            (402, &[], Final),
            (402, &[YES], Retry),
            (422, &[], Final),
            (408, &[], Retry),
            (409, &[], Retry),
            (409, &[YES], InFlight),
            (409, &[("retry-after", "1")], InFlight),
            (409, &[NO, ("retry-after", "1")], Final),
            (409, &[REPLAYED], Final),
            (425, &[], Retry),
            (429, &[], Retry),
            (500, &[], Retry),
            (500, &[NO], Final),
            (500, &[("stripe-should-retry", "FALSE")], Final),
            (500, &[("x-should-retry", "?0")], Final),
            (500, &[("x-should-retry", "perhaps")], Retry),
            (500, &[REPLAYED], Final),
            (500, &[REPLAYED, YES], Retry),
            (500, &[("idempotent-replayed", "false")], Retry),
            (501, &[], Final),
            (502, &[], Retry),
            (503, &[], Retry),
            (504, &[], Retry),
            (524, &[], Retry),
        ];
        for (status, said, expected) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in *said {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            assert_eq!(Verdict::of(StatusCode::from_u16(*status).unwrap(), &headers), *expected, "{status} {said:?}");
        }
    }

    #[test]
    fn http_m09_what_only_this_attempt_was_told_says_nothing_of_the_one_before() {
        for status in (200..600).filter_map(|status| StatusCode::from_u16(status).ok()) {
            let expected = match (status.as_u16(), Verdict::of(status, &HeaderMap::new())) {
                (200..400 | 400 | 402 | 410 | 422, Final) => Final,
                (_, Final) => Silent,
                (_, verdict) => verdict,
            };
            assert_eq!(Verdict::in_doubt(status, &HeaderMap::new()), expected, "{status}");
            let replayed = HeaderMap::from_iter([("idempotent-replayed".parse().unwrap(), "?1".parse().unwrap())]);
            assert_eq!(Verdict::in_doubt(status, &replayed), Final, "{status}");
        }
    }
}
