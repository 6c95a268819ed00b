//! The parts that a body adds to a fingerprint.

use std::{borrow::Cow, convert::Infallible};

use bytes::Bytes;
use futures_util::{FutureExt as _, future::ready, stream::once};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderName};

use super::{BodyForm, FingerprintRules, Part, count, uri::hex};
use crate::{http::server::media::Media, store::canonical_json_without};

/// Adds a body. A name stands before each form, so that bytes in one form are never taken for another's.
pub(super) fn push_parts<'r>(parts: &mut Vec<Part<'r>>, body: &'r Bytes, media: &Media, rules: &FingerprintRules) {
    if body.is_empty() {
        parts.push(Cow::Borrowed(b"none"));
        return;
    }
    if rules.body_form == BodyForm::Raw {
        parts.extend([Cow::Borrowed(b"raw".as_slice()), Cow::Borrowed(body)]);
        return;
    }
    let form = if media.is_json() {
        canonical_body(body, rules)
    } else if media.is_form() {
        Some(form_pairs(body))
    } else {
        media.multipart_boundary().and_then(|boundary| multipart_parts(body, boundary))
    };
    match form {
        Some(form) => parts.extend(form),
        None => parts.extend([Cow::Borrowed(b"bytes".as_slice()), Cow::Borrowed(body)]),
    }
}

/// JSON that is none, or that leaves doubts, is compared by its bytes: whether to refuse it is the handler's decision.
fn canonical_body(body: &[u8], rules: &FingerprintRules) -> Option<Vec<Part<'static>>> {
    let json = std::str::from_utf8(body).ok()?;
    let canonical = canonical_json_without(json, &rules.leave_out).ok()?;
    Some(vec![Cow::Borrowed(b"json"), Cow::Owned(canonical.into_bytes())])
}

/// By bytes, not by text: two values that are no UTF-8 must not become the same question mark.
fn form_pairs(body: &[u8]) -> Vec<Part<'static>> {
    let pairs = body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = pairs
        .map(|pair| match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => (decoded(&pair[..at]), decoded(&pair[at + 1..])),
            None => (decoded(pair), Vec::new()),
        })
        .collect();
    // Stable: which of two values of one name came first may mean something.
    pairs.sort_by(|one, other| one.0.cmp(&other.0));
    let mut parts = vec![Cow::Borrowed(b"form".as_slice()), count(pairs.len())];
    parts.extend(pairs.into_iter().flat_map(|(name, value)| [Cow::Owned(name), Cow::Owned(value)]));
    parts
}

fn decoded(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        rest = behind;
        let byte = match (*first, behind) {
            (b'+', _) => b' ',
            (b'%', [high, low, further @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    rest = further;
                    high << 4 | low
                }
                _ => b'%',
            },
            (byte, _) => byte,
        };
        plain.push(byte);
    }
    plain
}

/// The headers of a part that count: its name and file name stand in the first.
const PART_HEADERS: [HeaderName; 3] =
    [CONTENT_DISPOSITION, CONTENT_TYPE, HeaderName::from_static("content-transfer-encoding")];

/// The parts of a multipart form, or `None` where it is malformed.
fn multipart_parts(body: &Bytes, boundary: &str) -> Option<Vec<Part<'static>>> {
    // The whole body is there, so nothing here ever waits: what does is malformed.
    let whole = once(ready(Ok::<_, Infallible>(body.clone())));
    let mut fields = multer::Multipart::new(whole, boundary);
    let (mut found, mut parts) = (0, Vec::new());
    while let Some(field) = fields.next_field().now_or_never()?.ok()? {
        found += 1;
        for name in &PART_HEADERS {
            let values: Vec<_> = field.headers().get_all(name).iter().collect();
            parts.push(count(values.len()));
            parts.extend(values.into_iter().map(|value| Cow::Owned(value.as_bytes().to_vec())));
        }
        parts.push(Cow::Owned(field.bytes().now_or_never()?.ok()?.to_vec()));
    }
    parts.splice(0..0, [Cow::Borrowed(b"multipart".as_slice()), count(found)]);
    Some(parts)
}
