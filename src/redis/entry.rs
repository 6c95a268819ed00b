//! An answer as Redis holds it.
//!
//! ASCII `A1`, the fence and the end (milliseconds of Redis's clock) as 16 hexadecimal digits each, which the scripts read;
//! then fingerprint, recipe, status, headers and body, each with its length; then an XXH3-64 over the key and all of it.

use std::{sync::Arc, time::Duration};

use xxhash_rust::xxh3::Xxh3Default;

use crate::store::{Fingerprint, FinishedResponse, StoredBody, StoredResponse};

/// An answer of this release. Another form is another digit.
const ANSWER: &[u8] = b"A1";
/// In its place: when it was removed.
const MARK: &[u8] = b"M1";
/// The digits of a fence, and of a time.
const DIGITS: usize = 16;
const HEAD_BYTES: usize = ANSWER.len() + 2 * DIGITS;
const CHECK_BYTES: usize = 8;

/// What stands under a key in Redis.
#[derive(Debug)]
pub(super) enum Entry {
    /// An answer, alive.
    Answer(FinishedResponse),
    /// Nothing that counts: expired, or removed.
    Nothing,
    /// Something that is not ours, or no longer whole.
    Unreadable,
}

/// Writes an answer that lives until a moment of Redis's clock.
pub(super) fn encode(name: &str, finished: &FinishedResponse, expires_at_ms: u64) -> Vec<u8> {
    let StoredResponse { status, headers, body } = &finished.response;
    let mut bytes = Vec::with_capacity(128 + size(&finished.response));
    bytes.extend_from_slice(ANSWER);
    bytes.extend_from_slice(format!("{:016x}{expires_at_ms:016x}", finished.fence).as_bytes());
    bytes.extend_from_slice(finished.fingerprint.as_bytes());
    bytes.extend_from_slice(&finished.recipe.to_le_bytes());
    bytes.extend_from_slice(&status.to_le_bytes());
    put_count(&mut bytes, headers.len());
    for (name, value) in headers {
        put(&mut bytes, name.as_bytes());
        put(&mut bytes, value);
    }
    let (kind, body): (u8, &[u8]) = match body {
        StoredBody::Whole(body) => (0, body),
        StoredBody::Tombstone => (1, &[]),
        StoredBody::Reference(reference) => (2, reference.as_bytes()),
    };
    bytes.push(kind);
    put(&mut bytes, body);
    let check = check(name, &bytes);
    bytes.extend_from_slice(&check.to_le_bytes());
    bytes
}

/// About how many bytes an answer takes.
pub(super) fn size(response: &StoredResponse) -> usize {
    let headers: usize = response.headers.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
    headers
        + match &response.body {
            StoredBody::Whole(body) => body.len(),
            StoredBody::Tombstone => 0,
            StoredBody::Reference(reference) => reference.len(),
        }
}

/// Reads what stands under a key, at a time of Redis's clock in microseconds.
pub(super) fn decode(name: &str, bytes: &[u8], now_us: u64) -> Entry {
    if bytes.starts_with(MARK) {
        return Entry::Nothing;
    }
    decode_answer(name, bytes, now_us).unwrap_or(Entry::Unreadable)
}

fn decode_answer(name: &str, bytes: &[u8], now_us: u64) -> Option<Entry> {
    let (sealed, seal) = bytes.split_last_chunk::<CHECK_BYTES>()?;
    if !sealed.starts_with(ANSWER) || u64::from_le_bytes(*seal) != check(name, sealed) {
        return None;
    }
    let head = sealed.get(..HEAD_BYTES)?;
    let fence = digits(head.get(ANSWER.len()..ANSWER.len() + DIGITS)?)?;
    let expires_at_us = digits(head.get(ANSWER.len() + DIGITS..)?)?.checked_mul(1_000)?;
    // The same rule as in SQL: alive while now < expires_at.
    if now_us >= expires_at_us {
        return Some(Entry::Nothing);
    }
    let mut rest = Rest(&sealed[HEAD_BYTES..]);
    let fingerprint = Fingerprint::from_bytes(rest.array()?);
    let recipe = u16::from_le_bytes(rest.array()?);
    let status = u16::from_le_bytes(rest.array()?);
    let count = rest.count()?;
    let mut headers = Vec::new();
    for _ in 0..count {
        headers.push((std::str::from_utf8(rest.part()?).ok()?.to_owned(), rest.part()?.into()));
    }
    let [kind] = rest.array()?;
    let body = rest.part()?;
    let body = match kind {
        0 => StoredBody::Whole(body.into()),
        1 => StoredBody::Tombstone,
        2 => StoredBody::Reference(Arc::from(std::str::from_utf8(body).ok()?)),
        _ => return None,
    };
    let response = StoredResponse { status, headers, body };
    let left = Duration::from_micros(expires_at_us - now_us);
    let whole = FinishedResponse { fingerprint, recipe, fence, is_dead: false, response, left };
    rest.0.is_empty().then_some(Entry::Answer(whole))
}

fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    put_count(bytes, part.len());
    bytes.extend_from_slice(part);
}

/// Lengths are bounded far below four bytes before anything is stored.
fn put_count(bytes: &mut Vec<u8>, count: usize) {
    bytes.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

fn digits(text: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}

/// With the key, so that what was moved to another is not taken for its answer.
fn check(name: &str, bytes: &[u8]) -> u64 {
    let mut check = Xxh3Default::new();
    check.update(&(name.len() as u64).to_le_bytes());
    check.update(name.as_bytes());
    check.update(bytes);
    check.digest()
}

struct Rest<'b>(&'b [u8]);

impl<'b> Rest<'b> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }

    fn count(&mut self) -> Option<usize> {
        usize::try_from(u32::from_le_bytes(self.array()?)).ok()
    }

    fn part(&mut self) -> Option<&'b [u8]> {
        let length = self.count()?;
        let (part, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(body: StoredBody) -> FinishedResponse {
        let headers = vec![
            ("content-type".to_owned(), Arc::from(&b"text/plain"[..])),
            ("link".to_owned(), Arc::from(&[0xff, 0][..])),
            ("link".to_owned(), Arc::from(&[][..])),
        ];
        FinishedResponse {
            fingerprint: Fingerprint::of_parts(&[b"request"]),
            recipe: 3,
            fence: u64::MAX - 1,
            is_dead: false,
            response: StoredResponse { status: 201, headers, body },
            left: Duration::from_millis(10),
        }
    }

    #[test]
    fn answers_come_back_as_they_were() {
        for body in [
            StoredBody::Whole(Arc::from(&[0, 1, 255][..])),
            StoredBody::Whole(Arc::from(&[][..])),
            StoredBody::Tombstone,
            StoredBody::Reference("charge 1".into()),
        ] {
            let answer = finished(body);
            match decode("p:k", &encode("p:k", &answer, 10), 0) {
                Entry::Answer(found) => assert_eq!(found, answer),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn http_h01_an_entry_is_alive_until_just_before_its_end() {
        let bytes = encode("p:k", &finished(StoredBody::Tombstone), 10);
        let Entry::Answer(last) = decode("p:k", &bytes, 9_999) else { panic!("it is alive") };
        assert_eq!(last.left, Duration::from_micros(1));
        assert!(matches!(decode("p:k", &bytes, 10_000), Entry::Nothing));
        assert!(matches!(decode("p:k", &bytes, 10_001), Entry::Nothing));
    }

    #[test]
    fn what_is_not_ours_or_not_whole_is_not_read() {
        let bytes = encode("p:k", &finished(StoredBody::Whole(Arc::from(&b"body"[..]))), 10);
        assert!(matches!(decode("p:other", &bytes, 0), Entry::Unreadable), "moved to another key");
        for length in 0..bytes.len() {
            assert!(matches!(decode("p:k", &bytes[..length], 0), Entry::Unreadable), "cut at {length}");
        }
        for place in 0..bytes.len() {
            let mut bent = bytes.clone();
            bent[place] ^= 1;
            assert!(matches!(decode("p:k", &bent, 0), Entry::Unreadable), "bent at {place}");
        }
        let mut later = bytes[..bytes.len() - CHECK_BYTES].to_vec();
        later[1] = b'2';
        let seal = check("p:k", &later);
        later.extend_from_slice(&seal.to_le_bytes());
        assert!(matches!(decode("p:k", &later, 0), Entry::Unreadable), "another version");
        assert!(matches!(decode("p:k", b"M10000000000000001", 0), Entry::Nothing));
    }
}
