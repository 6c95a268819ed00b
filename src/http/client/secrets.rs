//! Which headers are kept.

use http::{HeaderMap, HeaderName, HeaderValue};

/// What is in the name of a header that is not kept.
const SECRET_WORDS: [&str; 9] =
    ["auth", "cookie", "token", "secret", "password", "signature", "credential", "api-key", "apikey"];

/// Whether a header is kept beside its key, for whoever sends the call again.
fn is_kept(name: &HeaderName, value: &HeaderValue, secrets: &[HeaderName]) -> bool {
    !value.is_sensitive() && !secrets.contains(name) && !SECRET_WORDS.iter().any(|word| name.as_str().contains(word))
}

/// The headers that are kept, in their order.
pub(super) fn kept(headers: &HeaderMap, secrets: &[HeaderName]) -> Vec<(String, std::sync::Arc<[u8]>)> {
    let kept = headers.iter().filter(|(name, value)| is_kept(name, value, secrets));
    kept.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().into())).collect()
}
