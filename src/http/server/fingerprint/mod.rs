//! What makes two requests under one key the same.
//!
//! Part of a fingerprint are: the method; path and query as the client sent them, with percent escapes written in one
//! way; the headers on a list; the kind of the body, its charset and its encoding; and the body. Host, port, scheme
//! and the version of HTTP are not.
//!
//! The body is what the layer sees: decoded where it stands inside a decompressing layer (which takes
//! `Content-Encoding` away), else as it was sent, with its encoding as a part. Inside is the better place.

mod body;
mod uri;

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Uri};

use super::media::Media;
use crate::store::{Error, Fingerprint, JsonPointer};

/// Names a way of making fingerprints, with its number as it is stored.
///
/// A stored fingerprint is compared with one that is made by its own recipe, also after a later release has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FingerprintRecipe {
    /// The first one: what this module says.
    One,
}

impl FingerprintRecipe {
    /// By which new fingerprints are made.
    pub const CURRENT: Self = Self::One;

    /// The number that is stored with a fingerprint.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::One => 1,
        }
    }

    /// Finds a recipe by the number that is stored.
    ///
    /// # Errors
    ///
    /// [`Error::Schema`] where a later release has stored it: bring this process up to date.
    pub fn from_number(number: u16) -> Result<Self, Error> {
        match number {
            1 => Ok(Self::One),
            _ => Err(Error::Schema {
                message: format!("fingerprints of requests by recipe {number} are none that this release can make"),
                source: None,
            }),
        }
    }
}

/// States in which form bodies are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum BodyForm {
    /// By what they say. The default.
    ///
    /// JSON (also `…+json`): order of members, blanks and escapes do not count; numbers count as they are written.
    /// Forms: pairs are sorted by name, and those of one name keep their order; percent escapes do not count.
    /// `multipart/form-data`: names, file names, kinds and bytes of its parts count, the boundary does not. Everything
    /// else, and what breaks the rules of its kind (such as JSON with two members of one name): by its bytes.
    #[default]
    Canonical,
    /// By their bytes, whatever they are.
    Raw,
}

/// Says what of a request counts, beyond method, URI and kind of body.
#[derive(Debug, Clone, Default)]
pub struct FingerprintRules {
    headers: Vec<HeaderName>,
    leave_out: Vec<JsonPointer>,
    body_form: BodyForm,
}

impl FingerprintRules {
    /// Takes the headers that count, the pointers that do not, and the form of bodies.
    ///
    /// Pointers are of RFC 6901 (`/sent_at`, `/lines/0/note`) and say nothing about bodies that are not JSON.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] where a header has no sound name, a pointer is malformed or names the whole body, or pointers
    /// are given for bodies that are compared by their bytes.
    pub fn new(
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        leave_out: impl IntoIterator<Item = impl AsRef<str>>,
        body_form: BodyForm,
    ) -> Result<Self, Error> {
        let mut names = headers
            .into_iter()
            .map(|name| {
                let name = name.as_ref();
                name.parse().map_err(|_| Error::invalid(format!("{name:?} is no name of a header")))
            })
            .collect::<Result<Vec<HeaderName>, _>>()?;
        // In which order they were listed must not count.
        names.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        names.dedup();
        let leave_out =
            leave_out.into_iter().map(|pointer| JsonPointer::parse(pointer.as_ref())).collect::<Result<Vec<_>, _>>()?;
        if leave_out.iter().any(JsonPointer::is_whole) {
            return Err(Error::invalid("the empty pointer names the whole body: a request without it is none"));
        }
        if body_form == BodyForm::Raw && !leave_out.is_empty() {
            return Err(Error::invalid("nothing can be left out of bodies that are compared by their bytes"));
        }
        Ok(Self { headers: names, leave_out, body_form })
    }

    /// Leaves a member of JSON bodies out, too: the one that holds the key.
    ///
    /// Bodies that are compared by their bytes keep it: there it is the same for all requests under the key.
    #[must_use]
    pub fn without_member(mut self, name: &str) -> Self {
        if self.body_form == BodyForm::Canonical {
            self.leave_out.push(JsonPointer::of_member(name));
        }
        self
    }
}

/// A request whose body has been read.
#[derive(Debug, Clone, Copy)]
pub struct WholeRequest<'r> {
    /// The method.
    pub method: &'r Method,
    /// Path and query, as the client sent them.
    ///
    /// Not what a nested router has left of them.
    pub uri: &'r Uri,
    /// All headers.
    pub headers: &'r HeaderMap,
    /// The body; empty where there is none.
    pub body: &'r Bytes,
}

/// Fingerprints a request, by a recipe.
///
/// A SHA-256 over the parts, each with its length before it, so that no part can run into the next.
#[must_use]
pub fn request_fingerprint(
    recipe: FingerprintRecipe,
    request: WholeRequest<'_>,
    rules: &FingerprintRules,
) -> Fingerprint {
    match recipe {
        FingerprintRecipe::One => Fingerprint::of_parts(&as_slices(&parts_of(request, rules))),
    }
}

type Part<'r> = Cow<'r, [u8]>;

fn as_slices<'p>(parts: &'p [Part<'_>]) -> Vec<&'p [u8]> {
    parts.iter().map(AsRef::as_ref).collect()
}

/// How many there are of something that follows, so that parts cannot change places.
fn count(number: usize) -> Part<'static> {
    Cow::Owned((number as u64).to_le_bytes().to_vec())
}

fn parts_of<'r>(request: WholeRequest<'r>, rules: &FingerprintRules) -> Vec<Part<'r>> {
    let mut parts: Vec<Part<'r>> = vec![
        Cow::Borrowed(b"annals http request 1"),
        Cow::Borrowed(request.method.as_str().as_bytes()),
        Cow::Owned(uri::one_form(request.uri.path())),
    ];
    match request.uri.query() {
        Some(query) => parts.extend([count(1), Cow::Owned(uri::one_form(query))]),
        None => parts.push(count(0)),
    }
    parts.push(count(rules.headers.len()));
    for name in &rules.headers {
        let values: Vec<_> = request.headers.get_all(name).iter().collect();
        parts.extend([Cow::Owned(name.as_str().as_bytes().to_vec()), count(values.len())]);
        parts.extend(values.into_iter().map(|value| Cow::Borrowed(value.as_bytes())));
    }
    let media = Media::of(request.headers);
    for list in [&media.essences, &media.encodings] {
        parts.push(count(list.len()));
        parts.extend(list.iter().map(|item| Cow::Owned(item.clone())));
    }
    match &media.charset {
        Some(charset) => parts.extend([count(1), Cow::Owned(charset.clone())]),
        None => parts.push(count(0)),
    }
    body::push_parts(&mut parts, request.body, &media, rules);
    parts
}
