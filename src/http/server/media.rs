//! The kind of a body, as its headers tell it.

use http::{
    HeaderMap,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};

/// What `Content-Type` and `Content-Encoding` say, as far as it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Media {
    /// `type/subtype` in lower case; of a header that is there twice, or not at all, as many as there are.
    pub(super) essences: Vec<Vec<u8>>,
    /// A charset other than UTF-8, in lower case.
    pub(super) charset: Option<Vec<u8>>,
    /// What separates the parts of a multipart body.
    pub(super) boundary: Option<String>,
    /// How the bytes are encoded, in order and lower case; `identity` is nothing.
    pub(super) encodings: Vec<Vec<u8>>,
}

impl Media {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut media = Self { essences: Vec::new(), charset: None, boundary: None, encodings: Vec::new() };
        for value in headers.get_all(CONTENT_TYPE) {
            let mut parts = split_unquoted(value.as_bytes(), b';').into_iter();
            media.essences.push(lower(parts.next().unwrap_or_default()));
            for part in parts {
                media.take_parameter(part);
            }
        }
        for value in headers.get_all(CONTENT_ENCODING) {
            let encodings = value.as_bytes().split(|byte| *byte == b',').map(lower);
            media.encodings.extend(encodings.filter(|encoding| !encoding.is_empty() && encoding != b"identity"));
        }
        media
    }

    /// Other parameters than these do not change what a body says.
    fn take_parameter(&mut self, parameter: &[u8]) {
        let Some(equals) = parameter.iter().position(|byte| *byte == b'=') else { return };
        let value = unquoted(parameter[equals + 1..].trim_ascii());
        match lower(&parameter[..equals]).as_slice() {
            b"charset" => {
                let charset = value.to_ascii_lowercase();
                self.charset = Some(charset).filter(|charset| charset != b"utf-8" && charset != b"utf8");
            }
            b"boundary" => self.boundary = String::from_utf8(value).ok(),
            _ => {}
        }
    }

    /// The one type there is, where the bytes are as they are and the text is UTF-8.
    fn plain(&self) -> Option<&[u8]> {
        match self.essences.as_slice() {
            [essence] if self.charset.is_none() && self.encodings.is_empty() => Some(essence),
            _ => None,
        }
    }

    pub(super) fn is_json(&self) -> bool {
        self.plain().is_some_and(|essence| {
            essence == b"application/json" || essence == b"text/json" || essence.ends_with(b"+json")
        })
    }

    pub(super) fn is_form(&self) -> bool {
        self.plain() == Some(b"application/x-www-form-urlencoded")
    }

    /// The boundary, where the body is a multipart form.
    pub(super) fn multipart_boundary(&self) -> Option<&str> {
        self.boundary.as_deref().filter(|_| self.plain() == Some(b"multipart/form-data"))
    }
}

fn lower(text: &[u8]) -> Vec<u8> {
    text.trim_ascii().to_ascii_lowercase()
}

/// Splits where the separator stands outside quotes.
fn split_unquoted(text: &[u8], separator: u8) -> Vec<&[u8]> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            byte if *byte == separator && !quoted => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn unquoted(text: &[u8]) -> Vec<u8> {
    let Some(inner) = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")) else {
        return text.to_vec();
    };
    let (mut plain, mut escaped) = (Vec::with_capacity(inner.len()), false);
    for byte in inner {
        if *byte == b'\\' && !escaped {
            escaped = true;
        } else {
            escaped = false;
            plain.push(*byte);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};

    use super::Media;

    fn media(content_type: &[u8]) -> Media {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_bytes(content_type).unwrap());
        Media::of(&headers)
    }

    #[test]
    fn kinds_are_told_by_their_essence() {
        for json in
            ["application/json", "Application/JSON ; charset=UTF-8", "application/vnd.api+json;v=1", "text/json"]
        {
            assert!(media(json.as_bytes()).is_json(), "{json}");
        }
        for other in ["text/plain", "application/json; charset=latin1", "application/jsonl", "json", ""] {
            assert!(!media(other.as_bytes()).is_json(), "{other}");
        }
        assert!(media(b"application/x-www-form-urlencoded;charset=utf-8").is_form());
        assert!(!media(b"application/\xff").is_json());
    }

    #[test]
    fn boundaries_and_charsets_are_read_with_their_quotes() {
        let media = media(b"multipart/form-data; boundary=\"a;b\\\"c\"; Charset=\"utf-8\"");
        assert_eq!(media.multipart_boundary(), Some("a;b\"c"));
        assert_eq!(media.charset, None);
    }
}
