//! A place in a JSON document.

use super::Error;

/// Points at a member or an item within JSON.
///
/// A pointer of [RFC 6901](https://www.rfc-editor.org/rfc/rfc6901).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JsonPointer(Vec<String>);

impl JsonPointer {
    /// The most tokens: deeper than JSON is read.
    const MAX_TOKENS: usize = 128;

    /// Takes a pointer as it is written: `/lines/0/note`.
    ///
    /// With `~1` for a slash in a name and `~0` for a tilde.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] where it does not begin with a slash, has a tilde that stands for nothing, or has more than
    /// 128 tokens.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let malformed = || Error::invalid(format!("{text:?} is no JSON pointer"));
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let tokens = text.strip_prefix('/').ok_or_else(malformed)?.split('/');
        let tokens = tokens.map(unescaped).collect::<Option<Vec<_>>>().ok_or_else(malformed)?;
        if tokens.len() > Self::MAX_TOKENS { Err(malformed()) } else { Ok(Self(tokens)) }
    }

    /// Points at a member of the outermost object.
    #[must_use]
    pub fn of_member(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }

    /// Points at the whole document.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn tokens(&self) -> &[String] {
        &self.0
    }
}

fn unescaped(token: &str) -> Option<String> {
    let mut parts = token.split('~');
    let mut plain = parts.next()?.to_owned();
    for part in parts {
        plain.push(match part.as_bytes().first()? {
            b'0' => '~',
            b'1' => '/',
            _ => return None,
        });
        plain.push_str(&part[1..]);
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::JsonPointer;

    #[test]
    fn pointers_are_read_or_refused() {
        assert_eq!(JsonPointer::parse("/a~1b/~0/~01//0").unwrap().tokens(), ["a/b", "~", "~1", "", "0"]);
        assert!(JsonPointer::parse("").unwrap().is_whole());
        for malformed in ["a", "#/a", "/~", "/~2", "/a~", &"/a".repeat(129)] {
            assert!(JsonPointer::parse(malformed).is_err(), "{malformed}");
        }
    }
}
