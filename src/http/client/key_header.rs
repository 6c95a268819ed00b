//! How a key is written into its header.

use http::{HeaderName, HeaderValue};

use crate::store::{Error, IdempotencyKey};

/// How the key stands in its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum KeyForm {
    /// As it is: what the services that are there today want.
    #[default]
    Bare,
    /// As a structured-field string, in quotes: what the draft of the IETF wants.
    Quoted,
}

/// The header's name, where it is not set otherwise.
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

impl KeyForm {
    pub(super) fn write(self, key: &IdempotencyKey) -> Result<HeaderValue, Error> {
        let text = key.as_str();
        let written = match self {
            Self::Bare => HeaderValue::from_str(text),
            Self::Quoted => HeaderValue::from_str(&format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))),
        };
        // Not of any key that could be made.
        written.map_err(|_| Error::invalid("the key cannot stand in a header"))
    }

    /// Reads a key that the caller has put into the header itself. In quotes it is the same one where it is sent so.
    pub(super) fn read(self, value: &HeaderValue) -> Result<IdempotencyKey, Error> {
        let text =
            value.to_str().map_err(|_| Error::invalid("an idempotency key has visible ASCII characters only"))?;
        let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        match (self, quoted) {
            (Self::Quoted, Some(inner)) => IdempotencyKey::new(unescaped(inner)?),
            _ => IdempotencyKey::new(text),
        }
    }
}

fn unescaped(inner: &str) -> Result<String, Error> {
    let mut text = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some(escaped @ ('"' | '\\')) => text.push(escaped),
                _ => return Err(Error::invalid("the key's header escapes what need not be escaped")),
            },
            '"' => return Err(Error::invalid("the key's header has a quote in the middle")),
            letter => text.push(letter),
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::KeyForm;
    use crate::store::IdempotencyKey;

    #[test]
    fn a_key_is_read_as_it_was_written_in_either_form() {
        for key in ["abc", "a\"b\\c", "\"quoted\"", "\\"] {
            let key = IdempotencyKey::new(key).unwrap();
            for form in [KeyForm::Bare, KeyForm::Quoted] {
                assert_eq!(form.read(&form.write(&key).unwrap()).unwrap(), key);
            }
        }
        assert_eq!(KeyForm::Quoted.write(&IdempotencyKey::new("a\"b").unwrap()).unwrap(), "\"a\\\"b\"");
        for wrong in ["\"a\"b\"", "\"a\\x\"", "\"\"", "a b"] {
            assert!(KeyForm::Quoted.read(&HeaderValue::from_str(wrong).unwrap()).is_err(), "{wrong}");
        }
    }
}
