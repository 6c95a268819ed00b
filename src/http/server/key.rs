//! Where a request's idempotency key stands, and how it is written.

use std::{borrow::Cow, collections::HashSet, sync::Arc};

use http::{HeaderMap, HeaderName};

use super::{
    json_member::{JsonMember, json_member},
    media::Media,
    refusal::Refusal,
    structured_field::string_item,
};
use crate::store::{Error, IdempotencyKey};

/// Names a place of a request where its key may stand.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeySource {
    /// A header, in any case.
    Header(Arc<str>),
    /// A member of the JSON object that is the body.
    JsonMember(Arc<str>),
}

impl KeySource {
    /// A header: `idempotency-key`, or another name that clients use for it.
    #[must_use]
    pub fn header(name: impl AsRef<str>) -> Self {
        Self::Header(name.as_ref().to_ascii_lowercase().into())
    }

    /// A member of the body, where that is a JSON object.
    ///
    /// It does not count towards the fingerprint.
    #[must_use]
    pub fn json_member(name: impl AsRef<str>) -> Self {
        Self::JsonMember(name.as_ref().into())
    }

    /// The name of the header or of the member.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Header(name) | Self::JsonMember(name) => name,
        }
    }

    /// Makes sure that there can be such a place.
    pub(super) fn check(&self) -> Result<(), Error> {
        match self {
            Self::Header(name) if name.parse::<HeaderName>().is_err() => {
                Err(Error::invalid(format!("{name:?} is no name of a header")))
            }
            Self::JsonMember(name) if name.is_empty() => Err(Error::invalid("a key's member of the body has a name")),
            Self::Header(_) | Self::JsonMember(_) => Ok(()),
        }
    }
}

/// States how a key is written in its header.
///
/// Whichever is chosen, a key has 1 to 255 bytes of visible ASCII (`!` to `~`); quotes and escapes are not counted. A
/// blank is refused within quotes, too: it is what a key cut in two, or two keys joined, looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum KeySyntax {
    /// Quoted or bare: `"abc"` and `abc` are one key. The default.
    ///
    /// Quoted as in [`Strict`](Self::Strict). A bare key has no double quote, comma or semicolon: they would be a
    /// broken quote, two header lines joined by a proxy, or parameters. Keys with them are sent quoted.
    #[default]
    Lenient,
    /// A structured-field string (RFC 9651), with escapes; parameters are accepted and dropped.
    Strict,
    /// The bytes as they are: `"abc"` and `abc` are two keys.
    Raw,
}

/// Says how keys are found in requests, and which are taken.
#[derive(Debug, Clone, Copy)]
pub struct KeyRules<'r> {
    /// Where keys may stand.
    pub sources: &'r [KeySource],
    /// How keys are written in headers.
    pub syntax: KeySyntax,
    /// The fewest bytes of a key; `None`: one.
    pub shortest: Option<usize>,
}

/// Reads a request's key from its headers.
///
/// Where several of the headers are there they must have the same key. `None`: none is there.
///
/// # Errors
///
/// [`Refusal::MalformedKey`] where there is something, but not exactly one key: also where a key is optional, because
/// a client that sends a broken key relies on it.
pub fn header_key(headers: &HeaderMap, rules: KeyRules<'_>) -> Result<Option<IdempotencyKey>, Refusal> {
    let mut found = None;
    for source in rules.sources {
        let KeySource::Header(name) = source else { continue };
        let mut lines = headers.get_all(&**name).iter();
        let Some(line) = lines.next() else { continue };
        if lines.next().is_some() {
            return Err(malformed("its header is there more than once"));
        }
        agree(&mut found, rules.read(line.as_bytes())?)?;
    }
    Ok(found)
}

/// Reads a request's key from a member of its JSON body.
///
/// `None`: the body is no JSON object, or has no such member. A member is taken as it is, whatever the syntax in
/// headers.
///
/// # Errors
///
/// [`Refusal::MalformedKey`] where the member is no string, is there twice or holds no sound key, and where a body
/// that is sent as JSON is none: then nobody can tell whether it was meant to have a key.
pub fn member_key(headers: &HeaderMap, body: &[u8], rules: KeyRules<'_>) -> Result<Option<IdempotencyKey>, Refusal> {
    let mut found = None;
    for source in rules.sources {
        let KeySource::JsonMember(name) = source else { continue };
        if body.is_empty() || !Media::of(headers).is_json() {
            return Ok(None);
        }
        match json_member(body, name) {
            JsonMember::Absent => {}
            JsonMember::Text(text) => agree(&mut found, rules.sound(&text)?)?,
            JsonMember::Twice => return Err(malformed("its member is there more than once")),
            JsonMember::NoText => return Err(malformed("its member of the body is no string")),
            JsonMember::NoJson => return Err(malformed("the body that should hold it is not JSON")),
        }
    }
    Ok(found)
}

/// Reads a request's key from wherever it may stand.
///
/// # Errors
///
/// As [`header_key`] and [`member_key`]; and where header and body have different keys.
pub fn request_key(headers: &HeaderMap, body: &[u8], rules: KeyRules<'_>) -> Result<Option<IdempotencyKey>, Refusal> {
    let mut found = header_key(headers, rules)?;
    if let Some(key) = member_key(headers, body, rules)? {
        agree(&mut found, key)?;
    }
    Ok(found)
}

/// Makes sure that the places of a key make sense: each once, at least one.
pub(super) fn check_sources(sources: &[KeySource]) -> Result<(), Error> {
    /// More places than anybody has names for.
    const MOST: usize = 16;
    if sources.is_empty() || sources.len() > MOST {
        return Err(Error::invalid(format!("a key stands in one of 1 to {MOST} places")));
    }
    let mut seen = HashSet::new();
    for source in sources {
        source.check()?;
        if !seen.insert(source) {
            return Err(Error::invalid(format!("{:?} is named twice as the place of a key", source.name())));
        }
    }
    Ok(())
}

impl KeyRules<'_> {
    fn read(self, line: &[u8]) -> Result<IdempotencyKey, Refusal> {
        let line = trim_blanks(line);
        if line.is_empty() {
            return Err(malformed("it is empty"));
        }
        match self.syntax {
            KeySyntax::Strict => self.sound(&string_item(line).map_err(malformed)?),
            KeySyntax::Lenient if line.starts_with(b"\"") => self.sound(&string_item(line).map_err(malformed)?),
            KeySyntax::Lenient => match line.iter().find(|byte| matches!(byte, b'"' | b',' | b';')) {
                Some(b'"') => Err(malformed("there is a double quote in a key that does not begin with one")),
                Some(_) => Err(malformed("a key with a comma or a semicolon must stand in double quotes")),
                None => self.bare(line),
            },
            KeySyntax::Raw => self.bare(line),
        }
    }

    fn bare(self, line: &[u8]) -> Result<IdempotencyKey, Refusal> {
        // Whatever is not UTF-8 is no visible ASCII either.
        self.sound(std::str::from_utf8(line).map_err(|_| malformed(NOT_VISIBLE))?)
    }

    fn sound(self, key: &str) -> Result<IdempotencyKey, Refusal> {
        if key.is_empty() {
            return Err(malformed("it is empty"));
        }
        if key.len() > IdempotencyKey::MAX_BYTES {
            return Err(malformed(format!("it has more than {} bytes", IdempotencyKey::MAX_BYTES)));
        }
        let key = IdempotencyKey::new(key).map_err(|_| malformed(NOT_VISIBLE))?;
        match self.shortest {
            Some(shortest) if key.as_str().len() < shortest => {
                Err(malformed(format!("it has fewer than {shortest} bytes")))
            }
            _ => Ok(key),
        }
    }
}

const NOT_VISIBLE: &str = "there is a byte in it that is no visible ASCII character";

fn agree(found: &mut Option<IdempotencyKey>, key: IdempotencyKey) -> Result<(), Refusal> {
    if found.as_ref().is_some_and(|found| *found != key) {
        return Err(malformed("different keys are given in different places"));
    }
    *found = Some(key);
    Ok(())
}

fn malformed(detail: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::MalformedKey { detail: detail.into() }
}

/// Blanks around a value are none of it; tabs are left to be refused.
fn trim_blanks(mut line: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = line {
        line = rest;
    }
    line
}
