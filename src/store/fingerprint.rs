//! What a request was, in 32 bytes.

use std::fmt;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Error, NewEvent, canonical_json};

/// Tells one request from another under the same key.
///
/// It is the SHA-256 of the canonical request.
///
/// Cryptographic, because a client could otherwise make two requests that look the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// Parts are hashed behind a name that carries the version of the recipe: a new recipe gets a new name.
const REQUEST_V1: &str = "annals request 1";
const EVENTS_V1: &str = "annals events 1";

impl Fingerprint {
    /// Fingerprints a request.
    ///
    /// By its canonical JSON, so the order of members does not matter.
    ///
    /// # Errors
    ///
    /// [`Error::Codec`] where the request cannot be written as JSON with each member once: mend its type.
    pub fn of(request: &(impl Serialize + ?Sized)) -> Result<Self, Error> {
        let unfit = "a request cannot be fingerprinted";
        let json = serde_json::to_string(request).map_err(|source| Error::codec(unfit, source))?;
        let canonical = canonical_json(&json).map_err(|source| Error::codec(unfit, source))?;
        Ok(Self::of_parts(&[REQUEST_V1.as_bytes(), canonical.as_bytes()]))
    }

    /// Fingerprints parts, each with its length before it.
    ///
    /// No part can run into the next.
    #[must_use]
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// Fingerprints ready-made events with their metadata: the request of those who append without a command.
    pub(crate) fn of_events(events: &[NewEvent], metadata: &str) -> Self {
        let versions: Vec<[u8; 4]> = events.iter().map(|event| event.schema_version.to_le_bytes()).collect();
        let mut parts: Vec<&[u8]> = vec![EVENTS_V1.as_bytes(), metadata.as_bytes()];
        for (event, version) in events.iter().zip(&versions) {
            parts.extend([event.event_type.as_bytes(), version.as_slice(), event.payload.as_bytes()]);
        }
        Self::of_parts(&parts)
    }

    /// The fingerprint as it is stored.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The fingerprint in 64 hexadecimal digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex(&self.0)
    }

    /// Takes a stored fingerprint.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// Two digits for each byte.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(")?;
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…)")
    }
}
