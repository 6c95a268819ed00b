//! Headers as one column: a JSON list of pairs, each byte of a value one character.

use std::sync::Arc;

use super::Error;

/// A name and its value.
type Header = (String, Arc<[u8]>);

/// Writes headers as JSON.
pub(crate) fn headers_to_json(headers: &[Header]) -> Result<String, Error> {
    let pairs: Vec<(&str, String)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.iter().copied().map(char::from).collect())).collect();
    serde_json::to_string(&pairs).map_err(|source| Error::codec("headers cannot be written as JSON", source))
}

/// Reads headers back.
pub(crate) fn headers_from_json(json: &str) -> Result<Vec<Header>, Error> {
    let pairs: Vec<(String, String)> =
        serde_json::from_str(json).map_err(|source| Error::codec("stored headers cannot be read", source))?;
    let byte = |letter| u8::try_from(u32::from(letter)).map_err(|_| Error::corrupt("a stored header is not of bytes"));
    pairs.into_iter().map(|(name, value)| Ok((name, value.chars().map(byte).collect::<Result<_, _>>()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::{headers_from_json, headers_to_json};

    #[test]
    fn every_byte_of_a_header_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        let headers = vec![("x-all".to_owned(), all.into()), ("x-all".to_owned(), b"".as_slice().into())];
        assert_eq!(headers_from_json(&headers_to_json(&headers).unwrap()).unwrap(), headers);
        for broken in ["", "{}", "[[\"x\"]]", "[[\"x\",\"\u{100}\"]]"] {
            assert!(headers_from_json(broken).is_err());
        }
    }
}
